#include "host/state.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "bind/await.h"
#include "bind/b_err.h"
#include "host/interrupt.h"
#include "host/search.h"
#include "host/watchdog.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <uv.h>

enum { DEFAULT_MEMORY_BYTES = 256 << 20, DEFAULT_RUNAWAY_S = 10 };

struct state {
    struct runtime rt;
    size_t memory_used, memory_limit;
    struct interrupts interrupts;
    struct task *main_task;
};

static void *capped_alloc(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    struct state *s = ud;
    if (ptr == NULL) old_size = 0; /* then it is a type tag, not a size */
    if (new_size == 0) {
        s->memory_used -= old_size;
        mem_free(ptr);
        return NULL;
    }
    if (new_size > old_size && s->memory_used + (new_size - old_size) > s->memory_limit) return NULL;
    void *p = mem_realloc(ptr, new_size);
    if (p == NULL) return NULL;
    s->memory_used += new_size - old_size;
    return p;
}

static int text_only_load(lua_State *L)
{
    /* load(chunk, name, mode, env): the mode is always "t" and functions are not accepted, so that
     * no compiled chunk can come in. */
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    const char *name = luaL_optstring(L, 2, text);
    int has_env = !lua_isnone(L, 4);
    if (luaL_loadbufferx(L, text, size, name, "t") != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (has_env) {
        lua_pushvalue(L, 4);
        lua_setupvalue(L, -2, 1);
    }
    return 1;
}

/* setmetatable(table, metatable), without finalizers: one would run in whichever task happens to collect,
 * with what that may do. Also none that is no function yet: from then on it can become one. */
static int set_metatable(lua_State *L)
{
    int type = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    if (type == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return err_misuse(
                L, "__gc is not available: it would run in whichever task collects; use a variable "
                   "with <close>, whose __close runs where its block ends");
        lua_pop(L, 1);
    }
    lua_setmetatable(L, 1);
    return 1;
}

/* getmetatable(value), but false for userdata: whoever had the metatables of bindings could give them a
 * finalizer of his own. */
static int get_metatable(lua_State *L)
{
    luaL_checkany(L, 1);
    if (!lua_getmetatable(L, 1))
        lua_pushnil(L);
    else if (luaL_getmetafield(L, 1, "__metatable") == LUA_TNIL && lua_isuserdata(L, 1))
        lua_pushboolean(L, 0);
    return 1;
}

static void remove_global(lua_State *L, const char *name)
{
    lua_pushnil(L);
    lua_setglobal(L, name);
}

static int open_sandbox(lua_State *L)
{
    /* No coroutines: tasks are the only ones, which the watchdog and every wait rely on. */
    static const luaL_Reg libraries[] = {
        {LUA_GNAME, luaopen_base},       {LUA_TABLIBNAME, luaopen_table}, {LUA_STRLIBNAME, luaopen_string},
        {LUA_MATHLIBNAME, luaopen_math}, {LUA_UTF8LIBNAME, luaopen_utf8},
    };
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        lua_pop(L, 1);
    }
    remove_global(L, "dofile");
    remove_global(L, "loadfile");
    remove_global(L, "collectgarbage");
    lua_register(L, "load", text_only_load);
    lua_register(L, "setmetatable", set_metatable);
    lua_register(L, "getmetatable", get_metatable);
    lua_getglobal(L, "string");
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_pop(L, 1);
    search_open(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "prelude");
    lua_call(L, 1, 0);
    return 0;
}

int state_new(struct state **out, const struct state_options *options, struct err *e)
{
    struct state *s = mem_zalloc(sizeof *s);
    if (s == NULL) return err_set(e, ERR_MEMORY, "state", "no memory for a Lua state");
    signal(SIGPIPE, SIG_IGN);
    s->memory_limit = options->memory_bytes ? options->memory_bytes : DEFAULT_MEMORY_BYTES;
    clock_init_real(&s->rt.clock);
    if (loop_init(&s->rt.loop, &s->rt.clock, e) != 0) goto no_loop;
    lua_State *L = s->rt.L = lua_newstate(capped_alloc, s);
    if (L == NULL) {
        err_set(e, ERR_MEMORY, "state", "no memory for a Lua state");
        goto no_lua;
    }
    runtime_attach(L, &s->rt);
    lua_pushcfunction(L, open_sandbox);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        err_read(L, -1, e);
        goto no_sandbox;
    }
    if (interrupts_watch(&s->interrupts, &s->rt, &s->main_task, e) != 0) goto no_sandbox;
    watchdog_start(L, options->runaway_s ? options->runaway_s : DEFAULT_RUNAWAY_S);
    *out = s;
    return 0;

no_sandbox:
    lua_close(L);
no_lua:
    loop_free(s->rt.loop);
no_loop:
    mem_free(s);
    return -(int)(e ? e->code : ERR_INTERNAL);
}

void state_free(struct state *s)
{
    if (s == NULL) return;
    watchdog_stop();
    lua_close(s->rt.L);
    interrupts_close(&s->interrupts);
    loop_free(s->rt.loop);
    mem_free(s);
}

lua_State *state_lua(struct state *s)
{
    return s->rt.L;
}

struct loop *state_loop(struct state *s)
{
    return s->rt.loop;
}

int state_add_folder(struct state *s, const char *folder, struct err *e)
{
    return search_add_folder(s->rt.L, folder, e);
}

static bool main_ended(void *arg)
{
    return task_is_ended(((struct state *)arg)->main_task);
}

int state_run(struct state *s, int nargs, int *nresults)
{
    lua_State *L = s->rt.L;
    struct err e;
    s->main_task = task_spawn(L, NULL, nargs, 0); /* stays on L's stack until the end */
    int at = lua_gettop(L);
    int rc = loop_run_until(s->rt.loop, main_ended, s, &e);
    if (rc != 0) {
        /* Nothing can wake the script any more: cancel it, which wakes it. */
        err_push(L, &e);
        task_cancel(L, s->main_task);
        rc = loop_run_until(s->rt.loop, main_ended, s, &e);
    }
    if (rc != 0) {
        err_push(L, &e);
        *nresults = 1;
    } else {
        *nresults = task_push_results(L, s->main_task) - 1;
        rc = lua_toboolean(L, at + 1) ? 0 : -ERR_SCRIPT;
        lua_remove(L, at + 1);
    }
    s->main_task = NULL;
    lua_remove(L, at);
    return rc;
}
