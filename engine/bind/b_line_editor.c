/* b_line_editor: core.line_editor for Lua. */
#include "bind/await.h"
#include "bind/b_err.h"
#include "core/line_editor.h"

#include <lauxlib.h>

int luaopen_core_line_editor(lua_State *L);

#define EDITOR_META  "engine.line_editor"
#define COMPLETE_KEY "engine.line_editor.complete"

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

/* line_editor.prompt(text): of the line that is being edited */
static int l_prompt(lua_State *L)
{
    line_editor_prompt(luaL_checkstring(L, 1));
    return 0;
}

/* line_editor.print(text) -> boolean: above the line that is being edited; false when none is */
static int l_print(lua_State *L)
{
    lua_pushboolean(L, line_editor_print(luaL_checkstring(L, 1)));
    return 1;
}

static int result(lua_State *L, int rc, const struct err *e)
{
    if (rc != 0) return err_return(L, e);
    lua_pushboolean(L, 1);
    return 1;
}

/* line_editor.remember(text, most) -> true | nil, err */
static int l_remember(lua_State *L)
{
    struct err e;
    return result(L, line_editor_remember(luaL_checkstring(L, 1), (int)luaL_checkinteger(L, 2), &e), &e);
}

/* Outside of every task, so that nothing in it can wait. A mistake in it completes nothing. */
static void on_complete(void *arg, const char *line, int start, int end, struct line_words *words)
{
    lua_State *L = arg;
    int top = lua_gettop(L);
    lua_getfield(L, LUA_REGISTRYINDEX, COMPLETE_KEY);
    lua_pushstring(L, line);
    lua_pushinteger(L, start + 1);
    lua_pushinteger(L, end);
    if (lua_pcall(L, 3, 1, 0) == LUA_OK && lua_istable(L, -1))
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TSTRING; i++) {
            line_words_add(words, lua_tostring(L, -1));
            lua_pop(L, 1);
        }
    lua_settop(L, top);
}

/* line_editor.complete_with(fn) -> true | nil, err; fn(line, first, last) -> words that could stand in place
 * of line:sub(first, last). It cannot wait. */
static int l_complete_with(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, COMPLETE_KEY);
    struct err e;
    return result(L, line_editor_complete(on_complete, runtime_of(L)->L, &e), &e);
}

int luaopen_core_line_editor(lua_State *L)
{
    static const luaL_Reg functions[] = {{"read", l_read},
                                         {"prompt", l_prompt},
                                         {"print", l_print},
                                         {"remember", l_remember},
                                         {"complete_with", l_complete_with},
                                         {NULL, NULL}};
    if (luaL_newmetatable(L, EDITOR_META)) {
        lua_pushcfunction(L, editor_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
