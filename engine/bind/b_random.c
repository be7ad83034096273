/* b_random: core.random for Lua: unpredictable bytes from the kernel. */
#include "base/buf.h"
#include "bind/b_err.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

int luaopen_core_random(lua_State *L);

enum { MAX_BYTES = 1024 };

static void fill(lua_State *L, void *out, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = getrandom((char *)out + done, n - done, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) luaL_error(L, "the kernel gives no random bytes: %s", strerror(errno));
        done += (size_t)got;
    }
}

/* random.hex(n) -> 2n hexadecimal digits of n random bytes */
static int l_hex(lua_State *L)
{
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 1 && n <= MAX_BYTES, 1, "between 1 and 1024 bytes");
    unsigned char bytes[MAX_BYTES];
    char text[2 * MAX_BYTES + 1];
    fill(L, bytes, (size_t)n);
    hex_text(text, bytes, (size_t)n);
    lua_pushlstring(L, text, 2 * (size_t)n);
    return 1;
}

/* random.integer(a, b) -> integer, every one from a to b equally likely */
static int l_integer(lua_State *L)
{
    lua_Integer a = luaL_checkinteger(L, 1), b = luaL_checkinteger(L, 2);
    luaL_argcheck(L, a <= b, 2, "less than the first");
    uint64_t span = (uint64_t)b - (uint64_t)a, mask = span, value;
    for (int shift = 1; shift < 64; shift *= 2)
        mask |= mask >> shift;
    do { /* a remainder would favour the small ones */
        fill(L, &value, sizeof value);
        value &= mask;
    } while (value > span);
    lua_pushinteger(L, (lua_Integer)((uint64_t)a + value));
    return 1;
}

int luaopen_core_random(lua_State *L)
{
    static const luaL_Reg functions[] = {{"hex", l_hex}, {"integer", l_integer}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
