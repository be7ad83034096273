/* b_terminal: core.terminal for Lua. */
#include "bind/await.h"
#include "bind/b_err.h"
#include "core/terminal.h"

#include <lauxlib.h>

int luaopen_core_terminal(lua_State *L);

/* terminal.interactive(fd) -> boolean */
static int l_interactive(lua_State *L)
{
    lua_pushboolean(L, terminal_is_interactive((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* terminal.colour(fd) -> boolean */
static int l_colour(lua_State *L)
{
    lua_pushboolean(L, terminal_has_colour((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* terminal.columns(fd) -> integer, or nil when nobody says how wide it is */
static int l_columns(lua_State *L)
{
    int columns = terminal_columns((int)luaL_checkinteger(L, 1));
    if (columns <= 0) return 0;
    lua_pushinteger(L, columns);
    return 1;
}

static int line_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    if (op->status < 0) return err_return(L, &op->err);
    lua_pushstring(L, ((struct terminal_line *)op)->text);
    return 1;
}

/* terminal.read_line(timeout_s) -> string | nil, err */
static int l_read_line(lua_State *L)
{
    lua_Number timeout_s = luaL_checknumber(L, 1);
    struct terminal_line *line = lua_newuserdatauv(L, sizeof *line, 0);
    memset(line, 0, sizeof *line);
    struct task *task = await_begin(L);
    struct err e;
    if (terminal_read_line(line, runtime_of(L)->loop, (int64_t)(timeout_s * 1e6), await_wake, task, &e) < 0)
        return err_return(L, &e);
    return await(L, &line->op, line_done);
}

int luaopen_core_terminal(lua_State *L)
{
    static const luaL_Reg functions[] = {{"interactive", l_interactive},
                                         {"colour", l_colour},
                                         {"columns", l_columns},
                                         {"read_line", l_read_line},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
