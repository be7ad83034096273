/* b_meter: a meter as a value of Lua. */
#ifndef ENGINE_BIND_B_METER_H
#define ENGINE_BIND_B_METER_H

#include "core/meter.h"

#include <lua.h>

/* The meter at index, or NULL for nil. It lives as long as the value, which the caller keeps on its stack. */
struct meter *meter_opt(lua_State *L, int index);

#endif
