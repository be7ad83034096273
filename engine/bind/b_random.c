/* b_random: core.random for Lua, from the kernel. */
#include "bind/runtime.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

int luaopen_core_random(lua_State *L);

enum { MAX_BYTES = 128 };

static void fill(lua_State *L, void *out, size_t n)
{
    /* Up to 256 bytes come at once, whole. */
    if (getrandom(out, n, 0) != (ssize_t)n) luaL_error(L, "the kernel gives no random bytes");
}

/* random.hex(bytes) -> string of twice as many digits */
static int l_hex(lua_State *L)
{
    lua_Integer n = luaL_checkinteger(L, 1);
    if (n < 1 || n > MAX_BYTES) return luaL_argerror(L, 1, "from 1 to 128 bytes");
    unsigned char bytes[MAX_BYTES];
    char text[2 * MAX_BYTES + 1];
    fill(L, bytes, (size_t)n);
    for (lua_Integer i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    lua_pushlstring(L, text, (size_t)n * 2);
    return 1;
}

/* random.integer(low, high) -> integer, both included, each as likely */
static int l_integer(lua_State *L)
{
    lua_Integer low = luaL_checkinteger(L, 1), high = luaL_checkinteger(L, 2);
    luaL_argcheck(L, low <= high, 2, "the second number is below the first");
    uint64_t span = (uint64_t)high - (uint64_t)low + 1, value;
    uint64_t limit = span ? UINT64_MAX - UINT64_MAX % span : UINT64_MAX;
    do
        fill(L, &value, sizeof value);
    while (value >= limit && span != 0); /* above the last whole multiple some would be likelier */
    lua_pushinteger(L, (lua_Integer)((uint64_t)low + (span ? value % span : value)));
    return 1;
}

int luaopen_core_random(lua_State *L)
{
    static const luaL_Reg functions[] = {{"hex", l_hex}, {"integer", l_integer}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
