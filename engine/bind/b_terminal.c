/* b_terminal: core.terminal for Lua. */
#include "bind/await.h"
#include "bind/b_err.h"
#include "core/terminal.h"
#include "core/terminal_live.h"

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

/* terminal.size(fd) -> columns, rows; or nothing when it does not say */
static int l_size(lua_State *L)
{
    int columns, rows;
    if (!terminal_size((int)luaL_checkinteger(L, 1), &columns, &rows)) return 0;
    lua_pushinteger(L, columns);
    lua_pushinteger(L, rows);
    return 2;
}

static int push_ok(lua_State *L, int rc, const struct err *e)
{
    if (rc != 0) return err_return(L, e);
    lua_pushboolean(L, true);
    return 1;
}

/* terminal.write(fd, text) -> true | nil, err */
static int l_write(lua_State *L)
{
    int fd = (int)luaL_checkinteger(L, 1);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    struct err e;
    fflush(stdout); /* what was printed comes before it */
    return push_ok(L, terminal_write(fd, text, len, &e), &e);
}

/* terminal.raw(on) -> true | nil, err */
static int l_raw(lua_State *L)
{
    struct err e;
    if (lua_toboolean(L, 1)) return push_ok(L, terminal_raw_begin(&e), &e);
    terminal_raw_end();
    return push_ok(L, 0, NULL);
}

/* terminal.suspend() -> true | nil, err; comes back when somebody lets the process go on */
static int l_suspend(lua_State *L)
{
    struct err e;
    return push_ok(L, terminal_suspend(&e), &e);
}

static int keys_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    if (op->status < 0) return err_return(L, &op->err);
    struct terminal_keys *keys = (struct terminal_keys *)op;
    lua_pushlstring(L, keys->text, keys->len);
    return 1;
}

/* terminal.read_keys(timeout_s) -> string | nil, err */
static int l_read_keys(lua_State *L)
{
    lua_Number timeout_s = luaL_checknumber(L, 1);
    struct terminal_keys *keys = lua_newuserdatauv(L, sizeof *keys, 0);
    memset(keys, 0, sizeof *keys);
    struct task *task = await_begin(L);
    struct err e;
    if (terminal_read_keys(keys, runtime_of(L)->loop, (int64_t)(timeout_s * 1e6), await_wake, task, &e) < 0)
        return err_return(L, &e);
    return await(L, &keys->op, keys_done);
}

int luaopen_core_terminal(lua_State *L)
{
    static const luaL_Reg functions[] = {{"interactive", l_interactive},
                                         {"colour", l_colour},
                                         {"columns", l_columns},
                                         {"read_line", l_read_line},
                                         {"size", l_size},
                                         {"write", l_write},
                                         {"raw", l_raw},
                                         {"suspend", l_suspend},
                                         {"read_keys", l_read_keys},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
