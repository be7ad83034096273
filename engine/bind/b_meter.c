/* b_meter: core.meter for Lua: made before a long work, given to it, read beside it. */
#include "bind/b_meter.h"

#include <lauxlib.h>

int luaopen_core_meter(lua_State *L);

#define METER_META "engine.meter"

struct meter *meter_opt(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? NULL : luaL_checkudata(L, index, METER_META);
}

/* meter.new(bytes = 0) -> meter: bytes that are known before */
static int l_new(lua_State *L)
{
    lua_Integer all = luaL_optinteger(L, 1, 0);
    luaL_argcheck(L, all >= 0, 1, "bytes are from 0 on");
    struct meter *m = lua_newuserdatauv(L, sizeof *m, 0);
    atomic_init(&m->done, 0);
    atomic_init(&m->all, (uint64_t)all);
    luaL_setmetatable(L, METER_META);
    return 1;
}

/* meter.read(meter) -> bytes done, bytes there are */
static int l_read(lua_State *L)
{
    struct meter *m = luaL_checkudata(L, 1, METER_META);
    lua_pushinteger(L, (lua_Integer)atomic_load_explicit(&m->done, memory_order_relaxed));
    lua_pushinteger(L, (lua_Integer)atomic_load_explicit(&m->all, memory_order_relaxed));
    return 2;
}

int luaopen_core_meter(lua_State *L)
{
    static const luaL_Reg functions[] = {{"new", l_new}, {"read", l_read}, {NULL, NULL}};
    luaL_newmetatable(L, METER_META);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
