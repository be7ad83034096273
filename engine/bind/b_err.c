#include "bind/b_err.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define ERR_META "engine.err"

static void set_field(lua_State *L, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0') return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

static void set_info(lua_State *L, const struct err_info *info)
{
    set_field(L, "code", info->name);
    set_field(L, "number", info->number);
    lua_pushboolean(L, info->retryable);
    lua_setfield(L, -2, "retryable");
    lua_getfield(L, -1, "next");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        set_field(L, "next", info->next);
    } else {
        lua_pop(L, 1);
    }
}

/* "E0205 connect: no connection to 127.0.0.1:80: refused (http GET ...); cause: ...; next: ..." */
static int l_tostring(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_Buffer b;
    lua_getfield(L, 1, "number");  /* 2 */
    lua_getfield(L, 1, "code");    /* 3 */
    lua_getfield(L, 1, "message"); /* 4 */
    lua_getfield(L, 1, "op");      /* 5 */
    lua_getfield(L, 1, "cause");   /* 6 */
    lua_getfield(L, 1, "next");    /* 7 */
    luaL_buffinit(L, &b);
    for (int index = 2; index <= 7; index++) {
        static const char *const before[] = {"", " ", ": ", " (", "; cause: ", " Next: "};
        if (lua_isnil(L, index)) continue;
        luaL_addstring(&b, before[index - 2]);
        luaL_tolstring(L, index, NULL);
        luaL_addvalue(&b);
        if (index == 5) luaL_addchar(&b, ')');
    }
    luaL_pushresult(&b);
    return 1;
}

/* Gives the table on top its metatable, which is made when the first error is. */
static void set_meta(lua_State *L)
{
    if (luaL_newmetatable(L, ERR_META)) {
        lua_pushcfunction(L, l_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushliteral(L, "error");
        lua_setfield(L, -2, "__name");
        lua_pushliteral(L, "error"); /* what getmetatable gives: Lua cannot reach the table itself */
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
}

void err_push(lua_State *L, const struct err *e)
{
    lua_createtable(L, 0, 8);
    set_field(L, "op", e->op);
    set_field(L, "message", e->message);
    set_field(L, "cause", e->cause);
    set_info(L, err_info(e->code));
    set_meta(L);
}

int err_return(lua_State *L, const struct err *e)
{
    lua_pushnil(L);
    err_push(L, e);
    return 2;
}

int err_raise(lua_State *L, const struct err *e)
{
    err_push(L, e);
    return lua_error(L);
}

int err_misuse(lua_State *L, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    luaL_where(L, 1);
    lua_pushvfstring(L, fmt, ap);
    va_end(ap);
    lua_concat(L, 2);
    return lua_error(L);
}

static bool is_err(lua_State *L, int index)
{
    if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
    luaL_getmetatable(L, ERR_META);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* The innermost Lua line that belongs to a playbook or venture, not to the baked library. */
static bool find_where(lua_State *L, char *out, size_t size)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline <= 0 || ar.source[0] != '@' || strncmp(ar.source, "@stdlib/", 8) == 0) continue;
        snprintf(out, size, "%s:%d", ar.source + 1, ar.currentline);
        return true;
    }
    return false;
}

void err_adopt(lua_State *from, lua_State *to)
{
    char where[256];
    bool has_where = find_where(from, where, sizeof where);
    if (!is_err(from, -1)) {
        const char *text = luaL_tolstring(from, -1, NULL);
        struct err e;
        err_set(&e, ERR_SCRIPT, "", "%s", text);
        if (strstr(text, "not enough memory") != NULL) e.code = ERR_MEMORY;
        lua_pop(from, 2);
        err_push(from, &e);
    }
    luaL_traceback(from, from, NULL, 0);
    if (lua_getfield(from, -2, "traceback") == LUA_TNIL) {
        lua_pushvalue(from, -2);
        lua_setfield(from, -4, "traceback");
    }
    lua_pop(from, 2);
    if (lua_getfield(from, -1, "where") == LUA_TNIL && has_where) {
        lua_pushstring(from, where);
        lua_setfield(from, -3, "where");
    }
    lua_pop(from, 1);
    if (from != to) lua_xmove(from, to, 1);
}

void err_read(lua_State *L, int index, struct err *e)
{
    index = lua_absindex(L, index);
    if (!is_err(L, index)) {
        const char *text = luaL_tolstring(L, index, NULL);
        err_set(e, ERR_SCRIPT, "", "%s", text);
        lua_pop(L, 1);
        return;
    }
    lua_getfield(L, index, "code");
    lua_getfield(L, index, "op");
    lua_getfield(L, index, "message");
    const char *name = lua_tostring(L, -3), *op = lua_tostring(L, -2), *message = lua_tostring(L, -1);
    enum err_code code = name ? err_find(name) : ERR_NONE;
    err_set(e, code ? code : ERR_SCRIPT, op, "%s", message ? message : "");
    lua_pop(L, 3);
}

/* err.new{ code = "gate", message = "...", op = , cause = , next = , ... } -> err */
static int l_new(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "code");
    const char *name = luaL_optstring(L, -1, "script");
    enum err_code code = err_find(name);
    if (code == ERR_NONE)
        return err_misuse(L, "unknown error code '%s'; `engine explain` lists the codes", name);
    lua_pop(L, 1);
    set_info(L, err_info(code));
    if (lua_getfield(L, 1, "message") != LUA_TSTRING) return err_misuse(L, "an error needs a message");
    lua_pop(L, 1);
    set_meta(L);
    return 1;
}

static int l_is(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, is_err(L, 1));
    return 1;
}

/* err.codes() -> array of { code, number, retryable, about, next } */
static int l_codes(lua_State *L)
{
    lua_createtable(L, ERR_CODE_COUNT, 0);
    for (int code = ERR_NONE + 1; code < ERR_CODE_COUNT; code++) {
        const struct err_info *info = err_info((enum err_code)code);
        lua_createtable(L, 0, 5);
        set_info(L, info);
        set_field(L, "about", info->about);
        lua_rawseti(L, -2, code);
    }
    return 1;
}

int luaopen_core_err(lua_State *L)
{
    static const luaL_Reg functions[] = {{"new", l_new}, {"is", l_is}, {"codes", l_codes}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
