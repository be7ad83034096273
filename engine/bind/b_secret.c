/* b_secret: core.secret for Lua. */
#include "bind/b_secret.h"

#include "base/log.h"
#include "bind/b_err.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <sys/stat.h>

int luaopen_core_secret(lua_State *L);

#define SECRET_META "engine.secret"
enum { MAX_SECRET_BYTES = 64 << 10 };

/* User value 1 is the label. */
struct secret_value {
    size_t len;
    char bytes[];
};

static int l_tostring(lua_State *L)
{
    luaL_checkudata(L, 1, SECRET_META);
    lua_pushliteral(L, "secret(");
    lua_getiuservalue(L, 1, 1);
    lua_pushliteral(L, ")");
    lua_concat(L, 3);
    return 1;
}

/* "Bearer " .. secret is a secret too. */
static int l_concat(lua_State *L)
{
    size_t a_len, b_len;
    const char *a = secret_check_text(L, 1, &a_len), *b = secret_check_text(L, 2, &b_len);
    luaL_Buffer both;
    luaL_buffinit(L, &both);
    luaL_addlstring(&both, a, a_len);
    luaL_addlstring(&both, b, b_len);
    luaL_pushresult(&both);
    size_t len;
    const char *bytes = lua_tolstring(L, -1, &len);
    lua_getiuservalue(L, secret_is(L, 1) ? 1 : 2, 1);
    secret_push(L, bytes, len, lua_tostring(L, -1));
    return 1;
}

static int l_eq(lua_State *L)
{
    size_t a_len, b_len;
    const char *a = secret_check_text(L, 1, &a_len), *b = secret_check_text(L, 2, &b_len);
    unsigned char difference = a_len != b_len;
    for (size_t i = 0; i < a_len && i < b_len; i++) /* every byte, whatever the first ones say */
        difference |= (unsigned char)(a[i] ^ b[i]);
    lua_pushboolean(L, difference == 0);
    return 1;
}

static int l_gc(lua_State *L)
{
    struct secret_value *s = luaL_checkudata(L, 1, SECRET_META);
    explicit_bzero(s->bytes, s->len);
    return 0;
}

void secret_push(lua_State *L, const char *bytes, size_t len, const char *label)
{
    struct secret_value *s = lua_newuserdatauv(L, sizeof *s + len + 1, 1);
    s->len = len;
    memcpy(s->bytes, bytes, len);
    s->bytes[len] = '\0';
    lua_pushstring(L, label ? label : "unnamed");
    lua_setiuservalue(L, -2, 1);
    if (luaL_newmetatable(L, SECRET_META)) {
        static const luaL_Reg methods[] = {
            {"__tostring", l_tostring}, {"__concat", l_concat}, {"__eq", l_eq}, {"__gc", l_gc}, {NULL, NULL}};
        luaL_setfuncs(L, methods, 0);
        lua_pushliteral(L, "secret");
        lua_setfield(L, -2, "__name");
        lua_pushliteral(L, "secret"); /* getmetatable shows this instead of the functions */
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
    if (log_add_secret(bytes, len) != 0) luaL_error(L, "no memory to protect a secret");
}

bool secret_is(lua_State *L, int index)
{
    return luaL_testudata(L, index, SECRET_META) != NULL;
}

const char *secret_to_text(lua_State *L, int index, size_t *len)
{
    struct secret_value *s = luaL_testudata(L, index, SECRET_META);
    if (s == NULL)
        return lua_type(L, index) == LUA_TSTRING || lua_type(L, index) == LUA_TNUMBER
                   ? lua_tolstring(L, index, len)
                   : NULL;
    if (len != NULL) *len = s->len;
    return s->bytes;
}

const char *secret_check_text(lua_State *L, int index, size_t *len)
{
    const char *text = secret_to_text(L, index, len);
    return text != NULL ? text : luaL_checklstring(L, index, len);
}

static int missing(lua_State *L, const char *reference, const char *why, const char *next)
{
    struct err e;
    err_set(&e, ERR_SECRET, "read secret", "the secret %s %s", reference, why);
    err_return(L, &e);
    lua_pushstring(L, next);
    lua_setfield(L, -2, "next");
    return 2;
}

static int resolve_file(lua_State *L, const char *reference, const char *path)
{
    struct stat st;
    FILE *f = fopen(path, "rbe");
    if (f == NULL)
        return missing(L, reference, "cannot be read: the file is not there or not readable",
                       "Create the file, readable by the engine's user only (mode 0600).");
    bool is_mounted = strncmp(path, "/run/secrets/", 13) == 0 || strncmp(path, "/run/credentials/", 17) == 0;
    if (fstat(fileno(f), &st) != 0 || ((st.st_mode & 077) != 0 && !is_mounted)) {
        fclose(f);
        return missing(L, reference, "is readable by others", "Run chmod 600 on the file.");
    }
    luaL_Buffer b;
    char *room = luaL_buffinitsize(L, &b, MAX_SECRET_BYTES);
    size_t len = fread(room, 1, MAX_SECRET_BYTES, f);
    fclose(f);
    while (len > 0 && (room[len - 1] == '\n' || room[len - 1] == '\r'))
        len--;
    luaL_pushresultsize(&b, len);
    if (len == 0) return missing(L, reference, "is empty", "Write the secret into the file.");
    secret_push(L, lua_tostring(L, -1), len, reference);
    return 1;
}

/* secret.resolve(reference) -> secret | nil, err; "env:NAME" and "file:PATH" */
static int l_resolve(lua_State *L)
{
    const char *reference = luaL_checkstring(L, 1);
    if (strncmp(reference, "env:", 4) == 0) {
        const char *value = getenv(reference + 4);
        if (value == NULL || value[0] == '\0')
            return missing(L, reference, "is not set",
                           "Set the environment variable before starting the engine.");
        secret_push(L, value, strlen(value), reference);
        return 1;
    }
    if (strncmp(reference, "file:", 5) == 0) return resolve_file(L, reference, reference + 5);
    return missing(L, reference, "is of no known kind",
                   "Use env:NAME, file:/path, vault:PATH#KEY or command:ARGV.");
}

/* secret.wrap(text, label) -> secret */
static int l_wrap(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    secret_push(L, text, len, luaL_checkstring(L, 2));
    return 1;
}

static int l_is(lua_State *L)
{
    lua_pushboolean(L, secret_is(L, 1));
    return 1;
}

/* secret.environment(name) -> string | nil: a plain variable, for what is no secret */
static int l_environment(lua_State *L)
{
    lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
    return 1;
}

/* secret.redact(text) -> text with every known secret replaced by stars */
static int l_redact(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    luaL_Buffer b;
    char *room = luaL_buffinitsize(L, &b, len + 1);
    memcpy(room, text, len);
    log_redact(room, len);
    luaL_pushresultsize(&b, len);
    return 1;
}

int luaopen_core_secret(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"resolve", l_resolve},         {"wrap", l_wrap}, {"is", l_is}, {"redact", l_redact},
        {"environment", l_environment}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
