/* b_boundary: core.boundary for Lua. */
#include "bind/runtime.h"
#include "core/boundary.h"

#include <lauxlib.h>

int luaopen_core_boundary(lua_State *L);

/* boundary.pass(name) */
static int l_pass(lua_State *L)
{
    boundary_pass(luaL_checkstring(L, 1));
    return 0;
}

int luaopen_core_boundary(lua_State *L)
{
    static const luaL_Reg functions[] = {{"pass", l_pass}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
