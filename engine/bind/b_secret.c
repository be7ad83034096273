/* b_secret: core.secret for Lua, and the bytes of a secret for other bindings. */
#include "bind/b_secret.h"

#include "base/log.h"
#include "bind/b_err.h"
#include "core/secret.h"

#include <lauxlib.h>
#include <string.h>

#define SECRET_META "engine.secret"
#define BOX_META    "engine.secret.box"

/* User value 1: the label. */
struct secret {
    size_t len;
    char bytes[]; /* and a NUL */
};

static void set_meta(lua_State *L);

/* A secret whose bytes the caller fills in; the label is on top of the stack. [-1, +1] */
static struct secret *new_secret(lua_State *L, size_t len)
{
    struct secret *s = lua_newuserdatauv(L, sizeof *s + len + 1, 1);
    s->len = len;
    s->bytes[0] = s->bytes[len] = '\0';
    set_meta(L);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 1);
    return s;
}

void secret_push(lua_State *L, const char *bytes, size_t len, const char *label)
{
    lua_pushstring(L, label);
    struct secret *s = new_secret(L, len);
    memcpy(s->bytes, bytes, len);
    if (log_add_secret(s->bytes, len) != 0) luaL_error(L, "not enough memory to protect a secret");
}

bool secret_is(lua_State *L, int index)
{
    return luaL_testudata(L, index, SECRET_META) != NULL;
}

const char *secret_to_text(lua_State *L, int index, size_t *len)
{
    struct secret *s = luaL_testudata(L, index, SECRET_META);
    if (s == NULL) return lua_tolstring(L, index, len);
    if (len != NULL) *len = s->len;
    return s->bytes;
}

const char *secret_check_text(lua_State *L, int index, size_t *len)
{
    const char *text = secret_to_text(L, index, len);
    if (text == NULL) luaL_typeerror(L, index, "string or secret");
    return text;
}

static int l_gc(lua_State *L)
{
    struct secret *s = lua_touserdata(L, 1);
    explicit_bzero(s->bytes, s->len);
    s->len = 0;
    return 0;
}

static void push_label(lua_State *L, int index)
{
    if (lua_getiuservalue(L, index, 1) != LUA_TSTRING) {
        lua_pop(L, 1);
        lua_pushliteral(L, "?");
    }
}

static int l_tostring(lua_State *L)
{
    luaL_checkudata(L, 1, SECRET_META);
    push_label(L, 1);
    lua_pushfstring(L, "secret(%s)", lua_tostring(L, -1));
    return 1;
}

static int l_eq(lua_State *L)
{
    struct secret *a = luaL_testudata(L, 1, SECRET_META), *b = luaL_testudata(L, 2, SECRET_META);
    lua_pushboolean(L, a != NULL && b != NULL && secret_equal(a->bytes, a->len, b->bytes, b->len));
    return 1;
}

static int l_concat(lua_State *L)
{
    size_t a_len, b_len;
    const char *a = secret_to_text(L, 1, &a_len), *b = secret_to_text(L, 2, &b_len);
    if (a == NULL || b == NULL)
        return err_misuse(L, "a secret can be joined with text only, not with a %s",
                          luaL_typename(L, a ? 2 : 1));
    push_label(L, secret_is(L, 1) ? 1 : 2);
    struct secret *s = new_secret(L, a_len + b_len);
    memcpy(s->bytes, a, a_len);
    memcpy(s->bytes + a_len, b, b_len);
    return 1;
}

static void set_meta(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"__gc", l_gc}, {"__tostring", l_tostring}, {"__eq", l_eq}, {"__concat", l_concat}, {NULL, NULL}};
    if (luaL_newmetatable(L, SECRET_META)) {
        luaL_setfuncs(L, methods, 0);
        /* getmetatable gives this word, so that Lua cannot reach the functions above. */
        lua_pushliteral(L, "secret");
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
}

static int box_gc(lua_State *L)
{
    secret_wipe(lua_touserdata(L, 1));
    return 0;
}

/* secret.resolve(reference) -> secret | nil, err ("secret"). env: and file: only. */
static int l_resolve(lua_State *L)
{
    const char *reference = luaL_checkstring(L, 1);
    struct buf *bytes = lua_newuserdatauv(L, sizeof *bytes, 0); /* wiped even when a push raises */
    buf_init(bytes);
    if (luaL_newmetatable(L, BOX_META)) {
        lua_pushcfunction(L, box_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    struct err e;
    int rc = secret_read(reference, bytes, &e);
    if (rc == 0) secret_push(L, buf_str(bytes), bytes->len, reference);
    secret_wipe(bytes);
    return rc == 0 ? 1 : err_return(L, &e);
}

/* secret.wrap(text, label) -> secret */
static int l_wrap(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    secret_push(L, text, len, luaL_checkstring(L, 2));
    return 1;
}

/* secret.is(value) -> boolean */
static int l_is(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, secret_is(L, 1));
    return 1;
}

/* secret.environment(name) -> string or nil: a plain setting, not a secret */
static int l_environment(lua_State *L)
{
    lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
    return 1;
}

/* secret.redact(text) -> text in which every known secret is overwritten with '*' */
static int l_redact(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    luaL_Buffer b;
    char *copy = luaL_buffinitsize(L, &b, len + 1);
    memcpy(copy, text, len);
    log_redact(copy, len);
    luaL_pushresultsize(&b, len);
    return 1;
}

int luaopen_core_secret(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"resolve", l_resolve},         {"wrap", l_wrap},     {"is", l_is},
        {"environment", l_environment}, {"redact", l_redact}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
