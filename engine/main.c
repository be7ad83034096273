/* main: argv -> command -> exit code. What a command means is decided in stdlib/cli.lua; here is
 * only what must work without it. */
#include "base/log.h"
#include "bind/b_err.h"
#include "host/state.h"
#include "host/version.h"

#include <lauxlib.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static int print_error(lua_State *L)
{
    fprintf(stderr, "engine: %s\n", luaL_tolstring(L, -1, NULL));
    lua_pop(L, 1);
    return EXIT_FAILURE;
}

/* Calls the Lua function named entry of module cli with argv[first..] as one table. */
static int call_cli(struct state *state, const char *entry, int argc, char **argv, int first)
{
    lua_State *L = state_lua(state);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "cli");
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) return print_error(L);
    lua_getfield(L, -1, entry);
    lua_createtable(L, argc, 0);
    for (int i = first; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - first + 1);
    }
    int nresults;
    if (state_run(state, 1, &nresults) != 0) return print_error(L);
    return nresults > 0 ? (int)lua_tointeger(L, -nresults) : 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0)) {
        puts("engine " ENGINE_VERSION);
        return 0;
    }
    /* What our parent left open is not for the processes that we start. */
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    setvbuf(stdout, NULL, _IOLBF, 0); /* a line is seen when it is said */
    struct state *state;
    struct state_options options = {0};
    struct err e;
    if (state_new(&state, &options, &e) != 0) {
        fprintf(stderr, "engine: %s\n", e.message);
        return EXIT_FAILURE;
    }
    bool is_chunk = argc >= 3 && strcmp(argv[1], "-e") == 0;
    int code = call_cli(state, is_chunk ? "evaluate" : "main", argc, argv, is_chunk ? 2 : 1);
    fflush(stdout);
    state_free(state);
    log_forget_secrets();
    return code;
}
