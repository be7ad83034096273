/* b_verdict: what the bindings of verdict and verdict_policy share. */
#ifndef ENGINE_BIND_B_VERDICT_H
#define ENGINE_BIND_B_VERDICT_H

#include <lua.h>
#include <stdbool.h>

bool verdict_is_count(lua_State *L, int index); /* a whole number from 0 that a double holds exactly */

#endif
