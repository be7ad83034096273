/* b_clock: core.clock for Lua: the runtime's clock, which may be virtual. */
#include "bind/b_err.h"
#include "bind/runtime.h"

#include <lauxlib.h>

int luaopen_core_clock(lua_State *L);

/* clock.now() -> seconds, monotonic */
static int l_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)clock_mono_us(&runtime_of(L)->clock) / 1e6);
    return 1;
}

/* clock.wall() -> seconds since 1970 */
static int l_wall(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)clock_wall_us(&runtime_of(L)->clock) / 1e6);
    return 1;
}

/* clock.utc([wall]) -> "2026-11-23T18:07:20.123Z" */
static int l_utc(lua_State *L)
{
    int64_t wall_us = clock_wall_us(&runtime_of(L)->clock);
    if (!lua_isnoneornil(L, 1)) {
        lua_Number wall = luaL_checknumber(L, 1);
        /* Up to the end of the year 9999; the half keeps 0.123 from becoming 0.122. */
        luaL_argcheck(L, wall >= 0 && wall < 253402300800.0, 1, "not a time in seconds since 1970");
        wall_us = (int64_t)(wall * 1e6 + 0.5);
    }
    char text[CLOCK_TEXT_BYTES];
    clock_format_utc(wall_us, text, sizeof text);
    lua_pushstring(L, text);
    return 1;
}

/* clock.simulate(wall): from now on the clock is virtual, and begins anew at 0 and at that time. */
static int l_simulate(lua_State *L)
{
    struct runtime *rt = runtime_of(L);
    lua_Number wall = luaL_checknumber(L, 1);
    luaL_argcheck(L, wall >= 0 && wall < 253402300800.0, 1, "not a time in seconds since 1970");
    if (loop_has_timers(rt->loop))
        return luaL_error(L, "the clock cannot begin anew while something waits for its time");
    clock_init_virtual(&rt->clock, (int64_t)(wall * 1e6 + 0.5));
    return 0;
}

int luaopen_core_clock(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"now", l_now}, {"wall", l_wall}, {"utc", l_utc}, {"simulate", l_simulate}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
