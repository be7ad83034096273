/* b_grant: core.grant for Lua. */
#include "bind/b_err.h"
#include "bind/runtime.h"
#include "core/grant.h"

#include <lauxlib.h>
#include <string.h>

int luaopen_core_grant(lua_State *L);

#define GRANT_META "engine.grant"

static int l_gc(lua_State *L)
{
    struct grant **g = lua_touserdata(L, 1);
    grant_free(*g);
    *g = NULL;
    return 0;
}

static void add_list(lua_State *L, struct grant *g, const char *name, enum grant_kind kind)
{
    if (lua_getfield(L, 1, name) == LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    if (!lua_istable(L, -1)) err_misuse(L, "grants.%s must be a list", name);
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= count; i++) {
        struct err e;
        if (lua_rawgeti(L, -1, i) != LUA_TSTRING) err_misuse(L, "grants.%s must be a list of strings", name);
        if (grant_add(g, kind, lua_tostring(L, -1), &e) != 0) err_raise(L, &e);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* grant.restrict{ commands = {}, hosts = {}, read = {}, write = {} }: from here on nothing else may
 * be reached. Only once: what could widen it again would be no limit. */
static int l_restrict(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct runtime *rt = runtime_of(L);
    if (rt->grant != NULL) return err_misuse(L, "the grants are set already and cannot be changed");
    struct grant **g = lua_newuserdatauv(L, sizeof *g, 0);
    *g = NULL;
    if (luaL_newmetatable(L, GRANT_META)) {
        lua_pushcfunction(L, l_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    *g = grant_new();
    if (*g == NULL) return luaL_error(L, "not enough memory for the grants");
    add_list(L, *g, "commands", GRANT_COMMAND);
    add_list(L, *g, "hosts", GRANT_HOST);
    add_list(L, *g, "read", GRANT_READ);
    add_list(L, *g, "write", GRANT_WRITE);
    lua_setfield(L, LUA_REGISTRYINDEX, GRANT_META ".set"); /* lives as long as the state */
    rt->grant = *g;
    return 0;
}

/* grant.restricted() -> boolean */
static int l_restricted(lua_State *L)
{
    lua_pushboolean(L, runtime_of(L)->grant != NULL);
    return 1;
}

static int result(lua_State *L, int rc, const struct err *e)
{
    if (rc != 0) return err_return(L, e);
    lua_pushboolean(L, 1);
    return 1;
}

/* grant.command(name) -> true | nil, err ("capability") */
static int l_command(lua_State *L)
{
    struct err e;
    return result(L, grant_check_command(runtime_of(L)->grant, luaL_checkstring(L, 1), &e), &e);
}

/* grant.host(host, port) -> true | nil, err */
static int l_host(lua_State *L)
{
    struct err e;
    return result(
        L, grant_check_host(runtime_of(L)->grant, luaL_checkstring(L, 1), (int)luaL_checkinteger(L, 2), &e),
        &e);
}

/* grant.path(path, "read" | "write") -> true | nil, err */
static int l_path(lua_State *L)
{
    static const char *const modes[] = {"read", "write", NULL};
    struct err e;
    bool write = luaL_checkoption(L, 2, NULL, modes) == 1;
    return result(L, grant_check_path(runtime_of(L)->grant, luaL_checkstring(L, 1), write, true, &e), &e);
}

int luaopen_core_grant(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"restrict", l_restrict}, {"restricted", l_restricted},
        {"command", l_command},   {"host", l_host},
        {"path", l_path},         {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
