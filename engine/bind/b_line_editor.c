/* b_line_editor: core.line_editor for Lua. */
#include "bind/await.h"
#include "bind/b_err.h"
#include "core/line_editor.h"

#include <lauxlib.h>

int luaopen_core_line_editor(lua_State *L);

#define EDITOR_META "engine.line_editor"

static int editor_gc(lua_State *L)
{
    line_editor_release(lua_touserdata(L, 1));
    return 0;
}

static int line_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    if (op->status < 0) return err_return(L, &op->err);
    lua_pushstring(L, ((struct line_editor *)op)->text); /* nil at the end of input */
    return 1;
}

/* line_editor.read(prompt) -> line | nil at the end of input | nil, err */
static int l_read(lua_State *L)
{
    const char *prompt = luaL_checkstring(L, 1);
    struct line_editor *editor = lua_newuserdatauv(L, sizeof *editor, 0);
    memset(editor, 0, sizeof *editor);
    luaL_setmetatable(L, EDITOR_META);
    struct task *task = await_begin(L);
    struct err e;
    if (line_editor_start(editor, runtime_of(L)->loop, prompt, await_wake, task, &e) < 0)
        return err_return(L, &e);
    return await(L, &editor->op, line_done);
}

static int result(lua_State *L, int rc, const struct err *e)
{
    if (rc != 0) return err_return(L, e);
    lua_pushboolean(L, 1);
    return 1;
}

/* line_editor.load_history(path, lines) -> true | nil, err */
static int l_load_history(lua_State *L)
{
    struct err e;
    return result(L, line_editor_load_history(luaL_checkstring(L, 1), (int)luaL_checkinteger(L, 2), &e), &e);
}

/* line_editor.add_history(line, path) -> true | nil, err */
static int l_add_history(lua_State *L)
{
    struct err e;
    return result(L, line_editor_add_history(luaL_checkstring(L, 1), luaL_checkstring(L, 2), &e), &e);
}

int luaopen_core_line_editor(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"read", l_read}, {"load_history", l_load_history}, {"add_history", l_add_history}, {NULL, NULL}};
    if (luaL_newmetatable(L, EDITOR_META)) {
        lua_pushcfunction(L, editor_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
