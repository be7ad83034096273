/* b_json: core.json for Lua, on jansson. Encoding is canonical: keys sorted, no white space, so that equal
 * values give equal bytes and hashes. */
#include "bind/b_err.h"
#include "bind/b_secret.h"

#include <jansson.h>
#include <lauxlib.h>
#include <math.h>

int luaopen_core_json(lua_State *L);

#define ARRAY_META "engine.json.array"
enum { MAX_DEPTH = 100 };

static json_t *to_json(lua_State *L, int index, int depth);

/* A table is an array if it is marked as one or its keys are exactly 1..n with n > 0. */
static bool is_array(lua_State *L, int index, lua_Integer *n)
{
    *n = (lua_Integer)lua_rawlen(L, index);
    if (lua_getmetatable(L, index)) {
        luaL_getmetatable(L, ARRAY_META);
        bool marked = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
        if (marked) return true;
    }
    if (*n == 0) return false;
    lua_Integer keys = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        keys++;
    return keys == *n;
}

/* On failure the values made so far are freed and the message is on the stack. */
static json_t *fail(lua_State *L, json_t *half, const char *fmt, const char *what)
{
    json_decref(half);
    lua_pushfstring(L, fmt, what);
    return NULL;
}

static json_t *array_to_json(lua_State *L, int index, lua_Integer n, int depth)
{
    json_t *array = json_array();
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, index, i);
        json_t *item = to_json(L, lua_gettop(L), depth + 1);
        if (item == NULL) {
            json_decref(array);
            return NULL;
        }
        json_array_append_new(array, item);
        lua_pop(L, 1);
    }
    return array;
}

static json_t *object_to_json(lua_State *L, int index, int depth)
{
    json_t *object = json_object();
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            return fail(L, object, "a JSON object's keys are strings, but one is a %s", luaL_typename(L, -2));
        json_t *item = to_json(L, lua_gettop(L), depth + 1);
        if (item == NULL) {
            json_decref(object);
            return NULL;
        }
        if (json_object_set_new(object, lua_tostring(L, -2), item) != 0)
            return fail(L, object, "the key '%s' is not UTF-8", lua_tostring(L, -2));
    }
    return object;
}

static json_t *to_json(lua_State *L, int index, int depth)
{
    if (depth > MAX_DEPTH || !lua_checkstack(L, 6))
        return fail(L, NULL, "%s", "tables are nested too deeply for JSON (or in a circle)");
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        return json_boolean(lua_toboolean(L, index));
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) return json_integer(lua_tointeger(L, index));
        if (!isfinite(lua_tonumber(L, index))) return fail(L, NULL, "%s", "JSON has no NaN and no infinity");
        return json_real(lua_tonumber(L, index));
    case LUA_TSTRING: {
        size_t len;
        const char *text = lua_tolstring(L, index, &len);
        json_t *value = json_stringn(text, len);
        return value != NULL ? value : fail(L, NULL, "%s", "a string is not UTF-8 and cannot be JSON");
    }
    case LUA_TTABLE: {
        lua_Integer n;
        return is_array(L, index, &n) ? array_to_json(L, index, n, depth) : object_to_json(L, index, depth);
    }
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index) == NULL) return json_null();
        break;
    case LUA_TUSERDATA:
        if (secret_is(L, index)) return fail(L, NULL, "%s", "a secret is never written as JSON");
        break;
    default:
        break;
    }
    return fail(L, NULL, "a %s cannot be JSON", luaL_typename(L, index));
}

/* json.encode(value [, pretty]) -> string; raises for what JSON cannot hold */
static int l_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    size_t flags = JSON_SORT_KEYS | JSON_ENCODE_ANY | (lua_toboolean(L, 2) ? JSON_INDENT(2) : JSON_COMPACT);
    lua_settop(L, 1);
    json_t *value = to_json(L, 1, 0);
    if (value == NULL) return err_misuse(L, "%s", lua_tostring(L, -1));
    char *text = json_dumps(value, flags);
    json_decref(value);
    if (text == NULL) return luaL_error(L, "no memory for JSON");
    lua_pushstring(L, text); /* dumps escapes NUL, so the text has none */
    free(text);
    return 1;
}

static void push_value(lua_State *L, const json_t *value)
{
    luaL_checkstack(L, 6, "JSON is nested too deeply");
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *item;
        lua_createtable(L, 0, (int)json_object_size(value));
        json_object_foreach((json_t *)value, key, item)
        {
            push_value(L, item);
            lua_setfield(L, -2, key);
        }
        break;
    }
    case JSON_ARRAY:
        lua_createtable(L, (int)json_array_size(value), 0);
        for (size_t i = 0; i < json_array_size(value); i++) {
            push_value(L, json_array_get(value, i));
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        luaL_setmetatable(L, ARRAY_META);
        break;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        lua_pushinteger(L, json_integer_value(value));
        break;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(value));
        break;
    case JSON_TRUE:
        lua_pushboolean(L, 1);
        break;
    case JSON_FALSE:
        lua_pushboolean(L, 0);
        break;
    case JSON_NULL:
        lua_pushlightuserdata(L, NULL);
        break;
    }
}

static int push_protected(lua_State *L)
{
    push_value(L, lua_touserdata(L, 1));
    return 1;
}

/* json.decode(text) -> value | nil, err with line and column */
static int l_decode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    json_error_t problem;
    json_t *value =
        json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem);
    if (value == NULL) {
        struct err e;
        err_set(&e, ERR_PROTOCOL, "decode JSON", "not JSON: %s at line %d, column %d", problem.text,
                problem.line, problem.column);
        return err_return(L, &e);
    }
    lua_pushcfunction(L, push_protected);
    lua_pushlightuserdata(L, value);
    int status = lua_pcall(L, 1, 1, 0);
    json_decref(value);
    return status == LUA_OK ? 1 : lua_error(L);
}

/* json.array(table) -> the same table, marked: it is an array even when it is empty */
static int l_array(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_setmetatable(L, ARRAY_META);
    return 1;
}

int luaopen_core_json(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", l_encode}, {"decode", l_decode}, {"array", l_array}, {NULL, NULL}};
    luaL_newmetatable(L, ARRAY_META);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
