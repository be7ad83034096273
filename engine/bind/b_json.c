/* b_json: core.json for Lua. Text is written here, canonically; jansson reads it. */
#include "base/buf.h"
#include "bind/b_err.h"
#include "bind/b_secret.h"
#include "core/json_text.h"

#include <jansson.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

int luaopen_core_json(lua_State *L);

#define BOX_META   "engine.json.box"
#define ARRAY_META "json.array"

enum { MAX_DEPTH = 128, PATH_BYTES = 200 };

/* What a call holds outside of Lua, in a userdata, so that a raise leaks nothing. */
struct box {
    struct buf out;
    json_t *tree;
};

/* Where in the value the encoder is, for messages: a chain of frames on the C stack. */
struct place {
    const struct place *up;
    const char *key;
    lua_Integer index; /* when key is NULL */
    int depth;
};

static int box_gc(lua_State *L)
{
    struct box *box = lua_touserdata(L, 1);
    buf_release(&box->out);
    json_decref(box->tree);
    box->tree = NULL;
    return 0;
}

static struct box *push_box(lua_State *L)
{
    struct box *box = lua_newuserdatauv(L, sizeof *box, 0);
    memset(box, 0, sizeof *box);
    if (luaL_newmetatable(L, BOX_META)) {
        lua_pushcfunction(L, box_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return box;
}

/* --- encode ------------------------------------------------------------------------------- */

static void place_text(const struct place *at, struct buf *out)
{
    if (at == NULL || at->up == NULL) {
        buf_addstr(out, "value");
        return;
    }
    place_text(at->up, out);
    if (out->len > PATH_BYTES) return;
    if (at->key != NULL)
        buf_addf(out, ".%s", at->key);
    else
        buf_addf(out, "[%lld]", (long long)at->index);
}

static int refuse(lua_State *L, struct box *box, const struct place *at, const char *why)
{
    buf_clear(&box->out);
    place_text(at, &box->out);
    return err_misuse(L, "json.encode: %s %s", buf_str(&box->out), why);
}

struct key {
    const char *text;
    size_t len;
};

static int by_bytes(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static void new_line(struct box *box, bool pretty, int depth)
{
    if (!pretty) return;
    buf_addch(&box->out, '\n');
    for (int i = 0; i < depth; i++)
        buf_addstr(&box->out, "  ");
}

static void encode(lua_State *L, struct box *box, bool pretty, const struct place *at);

static bool is_marked_array(lua_State *L)
{
    if (!lua_getmetatable(L, -1)) return false;
    luaL_getmetatable(L, ARRAY_META);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static void encode_array(lua_State *L, struct box *box, bool pretty, const struct place *at,
                         lua_Integer count)
{
    buf_addch(&box->out, '[');
    for (lua_Integer i = 1; i <= count; i++) {
        struct place here = {at, NULL, i, at->depth + 1};
        if (i > 1) buf_addch(&box->out, ',');
        new_line(box, pretty, here.depth);
        lua_rawgeti(L, -1, i);
        encode(L, box, pretty, &here);
        lua_pop(L, 1);
    }
    if (count > 0) new_line(box, pretty, at->depth);
    buf_addch(&box->out, ']');
}

static void encode_object(lua_State *L, struct box *box, bool pretty, const struct place *at, size_t count)
{
    struct key *keys = lua_newuserdatauv(L, (count ? count : 1) * sizeof *keys, 0);
    lua_insert(L, -2); /* keys table */
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, -2) && n < count; lua_pop(L, 1), n++)
        keys[n].text = lua_tolstring(L, -2, &keys[n].len);
    qsort(keys, n, sizeof *keys, by_bytes);
    buf_addch(&box->out, '{');
    for (size_t i = 0; i < n; i++) {
        struct place here = {at, keys[i].text, 0, at->depth + 1};
        if (i > 0) buf_addch(&box->out, ',');
        new_line(box, pretty, here.depth);
        if (!json_add_string(&box->out, keys[i].text, keys[i].len))
            refuse(L, box, at, "has a key that is not UTF-8");
        buf_addstr(&box->out, pretty ? ": " : ":");
        lua_pushlstring(L, keys[i].text, keys[i].len);
        lua_rawget(L, -2);
        encode(L, box, pretty, &here);
        lua_pop(L, 1);
    }
    if (n > 0) new_line(box, pretty, at->depth);
    buf_addch(&box->out, '}');
    lua_remove(L, -2);
}

static void encode_table(lua_State *L, struct box *box, bool pretty, const struct place *at)
{
    if (at->depth >= MAX_DEPTH) refuse(L, box, at, "is nested too deeply (128), or contains itself");
    luaL_checkstack(L, 8, "json.encode");
    lua_Integer length = (lua_Integer)lua_rawlen(L, -1), integers = 0;
    size_t strings = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            strings++;
        } else if (lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= length) {
            integers++;
        } else {
            refuse(L, box, at, "has a key that is neither a string nor part of a sequence 1..n");
        }
    }
    if (integers != length) refuse(L, box, at, "is a sequence with holes; use json.null for nothing");
    if (strings > 0 && length > 0) refuse(L, box, at, "has both a sequence and names");
    bool is_array = length > 0 || is_marked_array(L);
    if (is_array && strings > 0) refuse(L, box, at, "is a json.array but has names");
    if (is_array)
        encode_array(L, box, pretty, at, length);
    else
        encode_object(L, box, pretty, at, strings);
}

/* Encodes the value at the top. [-0, +0] */
static void encode(lua_State *L, struct box *box, bool pretty, const struct place *at)
{
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        buf_addstr(&box->out, lua_toboolean(L, -1) ? "true" : "false");
        return;
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1))
            json_add_integer(&box->out, lua_tointeger(L, -1));
        else if (!json_add_real(&box->out, lua_tonumber(L, -1)))
            refuse(L, box, at, "is not a finite number");
        return;
    case LUA_TSTRING: {
        size_t len;
        const char *s = lua_tolstring(L, -1, &len);
        if (!json_add_string(&box->out, s, len)) refuse(L, box, at, "is not UTF-8 text");
        return;
    }
    case LUA_TTABLE:
        encode_table(L, box, pretty, at);
        return;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, -1) == NULL) {
            buf_addstr(&box->out, "null");
            return;
        }
        break;
    default:
        break;
    }
    if (secret_is(L, -1)) refuse(L, box, at, "is a secret; secrets are never serialised");
    char why[64];
    snprintf(why, sizeof why, "is a %s, which JSON cannot hold", luaL_typename(L, -1));
    refuse(L, box, at, why);
}

/* json.encode(value [, { pretty = boolean }]) -> string. Raises for what JSON cannot hold. */
static int l_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    bool pretty = false;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        lua_getfield(L, 2, "pretty");
        pretty = lua_toboolean(L, -1);
    }
    struct box *box = push_box(L);
    struct place top = {NULL, NULL, 0, 0};
    lua_pushvalue(L, 1);
    encode(L, box, pretty, &top);
    if (!buf_ok(&box->out)) return luaL_error(L, "not enough memory for JSON text");
    lua_pushlstring(L, buf_str(&box->out), box->out.len);
    buf_release(&box->out);
    return 1;
}

/* --- decode ------------------------------------------------------------------------------- */

/* Pushes the value. False when it is nested too deeply; then one value was still pushed. */
static bool push_json(lua_State *L, const json_t *j, bool drop_null, int depth)
{
    if (depth >= MAX_DEPTH && (json_is_object(j) || json_is_array(j))) {
        lua_pushnil(L);
        return false;
    }
    luaL_checkstack(L, 6, "json.decode");
    bool fits = true;
    switch (json_typeof(j)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *item;
        lua_createtable(L, 0, (int)json_object_size(j));
        json_object_foreach((json_t *)j, key, item)
        {
            if (drop_null && json_is_null(item)) continue;
            fits = push_json(L, item, drop_null, depth + 1) && fits;
            lua_setfield(L, -2, key);
        }
        break;
    }
    case JSON_ARRAY: {
        size_t i;
        json_t *item;
        lua_createtable(L, (int)json_array_size(j), 0);
        luaL_setmetatable(L, ARRAY_META);
        json_array_foreach(j, i, item)
        {
            fits = push_json(L, item, drop_null, depth + 1) && fits;
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    }
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(j), json_string_length(j));
        break;
    case JSON_INTEGER:
        lua_pushinteger(L, json_integer_value(j));
        break;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(j));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(L, json_is_true(j));
        break;
    case JSON_NULL:
        lua_pushlightuserdata(L, NULL);
        break;
    }
    return fits;
}

/* json.decode(text [, { drop_null = boolean }]) -> value | nil, err ("protocol", or "limit") */
static int l_decode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    bool drop_null = false;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        lua_getfield(L, 2, "drop_null");
        drop_null = lua_toboolean(L, -1);
    }
    struct box *box = push_box(L);
    json_error_t bad;
    struct err e;
    box->tree = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &bad);
    if (box->tree == NULL) {
        err_set(&e, ERR_PROTOCOL, "json.decode", "JSON cannot be read, line %d column %d: %s", bad.line,
                bad.column, bad.text);
        return err_return(L, &e);
    }
    bool fits = push_json(L, box->tree, drop_null, 0);
    json_decref(box->tree);
    box->tree = NULL;
    if (fits) return 1;
    err_set(&e, ERR_LIMIT, "json.decode", "JSON is nested more than %d deep", MAX_DEPTH);
    return err_return(L, &e);
}

/* json.array(table) -> the table, which is encoded as [...] even when it is empty */
static int l_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
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
    lua_pushliteral(L, ARRAY_META); /* what getmetatable gives: Lua cannot reach the table itself */
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
