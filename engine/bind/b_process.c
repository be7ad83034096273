/* b_process: core.process for Lua. */
#include "base/buf.h"
#include "base/mem.h"
#include "bind/await.h"
#include "bind/b_err.h"
#include "bind/b_secret.h"
#include "core/proc.h"
#include "core/proc_detached.h"

#include <lauxlib.h>
#include <unistd.h>

int luaopen_core_process(lua_State *L);

#define PROCESS_META "engine.process"
enum { DEFAULT_OUTPUT_BYTES = 4 << 20, DEFAULT_GRACE_S = 5 };

extern char **environ;

struct l_process {
    struct proc *proc;
};

/* Strings gathered as one block and an array of pointers into it, in userdata that Lua frees. */
static char **push_vector(lua_State *L, const struct buf *block, size_t count)
{
    if (!buf_ok(block)) luaL_error(L, "no memory for a process's arguments");
    char **vector = lua_newuserdatauv(L, (count + 1) * sizeof *vector + block->len + 1, 0);
    char *text = (char *)(vector + count + 1);
    if (block->len > 0) memcpy(text, block->data, block->len);
    for (size_t i = 0; i < count; i++) {
        vector[i] = text;
        text += strlen(text) + 1;
    }
    vector[count] = NULL;
    return vector;
}

/* The field "argv" of the table at index 1. A secret is refused: argv is visible to everybody on the machine.
 */
static char **read_argv(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_getfield(L, 1, "argv") != LUA_TTABLE || lua_rawlen(L, -1) == 0)
        err_misuse(L, "a process needs argv = { program, argument, ... }");
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    luaL_Buffer joined;
    int argv = lua_gettop(L);
    luaL_checkstack(L, 8, NULL);
    for (lua_Integer i = 1; i <= n; i++) { /* checked first: nothing is held while a raise is possible */
        size_t len;
        lua_rawgeti(L, argv, i);
        if (secret_is(L, -1))
            err_misuse(
                L,
                "argument %d is a secret: everybody can see a process's arguments; pass it in env or stdin",
                (int)i);
        const char *text = lua_tolstring(L, -1, &len);
        if (text == NULL || strlen(text) != len)
            err_misuse(L, "argument %d must be a string without NUL bytes", (int)i);
        lua_pop(L, 1);
    }
    luaL_buffinit(L, &joined);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, argv, i);
        luaL_addvalue(&joined);
        luaL_addchar(&joined, '\0');
    }
    luaL_pushresult(&joined);
    size_t len;
    const char *block = lua_tolstring(L, -1, &len);
    return push_vector(L, &(struct buf){.data = (char *)block, .len = len}, (size_t)n);
}

/* The engine's environment with the fields of table "env" added or replaced; NULL if there is no such table.
 */
static char **read_env(lua_State *L)
{
    if (lua_getfield(L, 1, "env") == LUA_TNIL) return NULL;
    luaL_checktype(L, -1, LUA_TTABLE);
    int env = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, env); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || secret_to_text(L, -1, NULL) == NULL)
            err_misuse(L, "env holds strings (or secrets) by name");
    }
    struct buf block = BUF_INIT;
    size_t count = 0;
    for (char **at = environ; *at != NULL; at++) {
        const char *equals = strchr(*at, '=');
        lua_pushlstring(L, *at, equals ? (size_t)(equals - *at) : strlen(*at));
        bool replaced = lua_gettable(L, env) != LUA_TNIL;
        lua_pop(L, 1);
        if (replaced) continue;
        buf_add(&block, *at, strlen(*at) + 1);
        count++;
    }
    for (lua_pushnil(L); lua_next(L, env); lua_pop(L, 1)) {
        buf_addf(&block, "%s=%s", lua_tostring(L, -2), secret_to_text(L, -1, NULL));
        buf_addch(&block, '\0');
        count++;
    }
    lua_pushlstring(L, buf_str(&block), block.len); /* owned by Lua before anything can raise */
    bool ok = buf_ok(&block);
    buf_release(&block);
    if (!ok) luaL_error(L, "no memory for a process's environment");
    size_t len;
    const char *bytes = lua_tolstring(L, -1, &len);
    return push_vector(L, &(struct buf){.data = (char *)bytes, .len = len}, count);
}

static const char *string_field(lua_State *L, const char *name, size_t *len)
{
    if (lua_getfield(L, 1, name) == LUA_TNIL) return NULL;
    const char *text = secret_to_text(L, -1, len);
    if (text == NULL) err_misuse(L, "%s must be a string", name);
    return text; /* stays on the stack */
}

static lua_Number number_field(lua_State *L, const char *name, lua_Number fallback)
{
    lua_getfield(L, 1, name);
    lua_Number value = luaL_optnumber(L, -1, fallback);
    lua_pop(L, 1);
    if (!(value >= 0 && value < 1e9)) err_misuse(L, "%s must be a number of seconds from 0 on", name);
    return value;
}

/* process.start{ argv, env, cwd, stdin, max_output, lines, grace } -> process | nil, err */
static int l_start(lua_State *L)
{
    struct proc_options options = {.max_output_bytes = DEFAULT_OUTPUT_BYTES};
    options.argv = read_argv(L);
    options.env = read_env(L);
    options.cwd = string_field(L, "cwd", NULL);
    options.input = string_field(L, "stdin", &options.input_bytes);
    options.grace_us = (int64_t)(number_field(L, "grace", DEFAULT_GRACE_S) * 1e6);
    options.max_output_bytes = (size_t)number_field(L, "max_output", DEFAULT_OUTPUT_BYTES);
    lua_getfield(L, 1, "lines");
    options.lines = lua_toboolean(L, -1);
    struct l_process *self = lua_newuserdatauv(L, sizeof *self, 0);
    self->proc = NULL;
    luaL_setmetatable(L, PROCESS_META);
    struct err e;
    if (proc_start(&self->proc, runtime_of(L)->loop, &options, &e) < 0) return err_return(L, &e);
    return 1;
}

static struct proc *check_process(lua_State *L)
{
    struct l_process *self = luaL_checkudata(L, 1, PROCESS_META);
    if (self->proc == NULL) luaL_error(L, "this process was closed");
    return self->proc;
}

static int wait_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    struct proc *p = ((struct l_process *)lua_touserdata(L, 1))->proc;
    if (op->status < 0) return err_return(L, &op->err);
    lua_createtable(L, 0, 4);
    if (proc_term_signal(p) == 0) {
        lua_pushinteger(L, proc_exit_code(p));
        lua_setfield(L, -2, "code");
    } else {
        lua_pushinteger(L, proc_term_signal(p));
        lua_setfield(L, -2, "signal");
    }
    for (int stream = 1; stream <= 2; stream++) {
        struct buf text = BUF_INIT;
        proc_output(p, stream, &text);
        lua_pushlstring(L, buf_str(&text), text.len);
        buf_release(&text);
        lua_setfield(L, -2, stream == 1 ? "stdout" : "stderr");
    }
    return 1;
}

/* process:wait(timeout_s) -> { code | signal, stdout, stderr } | nil, err */
static int l_wait(lua_State *L)
{
    struct proc *p = check_process(L);
    lua_Number timeout_s = luaL_checknumber(L, 2);
    struct task *task = await_begin(L);
    return await(L, proc_wait(p, (int64_t)(timeout_s * 1e6), await_wake, task), wait_done);
}

static int line_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    if (op->status < 0) return err_return(L, &op->err);
    size_t len;
    int stream;
    const char *text = proc_line(((struct l_process *)lua_touserdata(L, 1))->proc, &len, &stream);
    if (text == NULL) return 0;
    lua_pushlstring(L, text, len);
    lua_pushstring(L, stream == 1 ? "stdout" : "stderr");
    return 2;
}

/* process:next_line(timeout_s) -> line, "stdout"|"stderr"; nothing when no more can come; nil, err */
static int l_next_line(lua_State *L)
{
    struct proc *p = check_process(L);
    lua_Number timeout_s = luaL_checknumber(L, 2);
    struct task *task = await_begin(L);
    return await(L, proc_next_line(p, (int64_t)(timeout_s * 1e6), await_wake, task), line_done);
}

static int l_close(lua_State *L)
{
    struct l_process *self = luaL_checkudata(L, 1, PROCESS_META);
    proc_free(self->proc);
    self->proc = NULL;
    return 0;
}

/* process.spawn{ argv, env, cwd, log } -> { pid, started } | nil, err */
static int l_spawn(lua_State *L)
{
    char **argv = read_argv(L), **env = read_env(L);
    const char *cwd = string_field(L, "cwd", NULL), *log = string_field(L, "log", NULL);
    if (log == NULL)
        return err_misuse(L, "a process that outlives the engine needs log = a file for its output");
    struct proc_identity id;
    struct err e;
    if (proc_detached_start(&id, argv, env, cwd, log, &e) < 0) return err_return(L, &e);
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, id.pid);
    lua_setfield(L, -2, "pid");
    lua_pushinteger(L, (lua_Integer)id.started);
    lua_setfield(L, -2, "started");
    return 1;
}

static struct proc_identity check_identity(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "pid");
    lua_getfield(L, 1, "started");
    struct proc_identity id = {(int)luaL_checkinteger(L, -2), (uint64_t)luaL_checkinteger(L, -1)};
    lua_pop(L, 2);
    return id;
}

/* process.alive{ pid, started } -> boolean */
static int l_alive(lua_State *L)
{
    struct proc_identity id = check_identity(L);
    lua_pushboolean(L, proc_is_alive(&id));
    return 1;
}

static int stop_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    if (op->status < 0) return err_return(L, &op->err);
    lua_pushboolean(L, 1);
    return 1;
}

/* process.stop({ pid, started }, grace_s, timeout_s, send_signals) -> true | nil, err */
static int l_stop(lua_State *L)
{
    struct proc_identity id = check_identity(L);
    lua_Number grace_s = luaL_checknumber(L, 2), timeout_s = luaL_checknumber(L, 3);
    bool send_signals = lua_toboolean(L, 4);
    struct proc_stop *stop = lua_newuserdatauv(L, sizeof *stop, 0);
    memset(stop, 0, sizeof *stop);
    struct task *task = await_begin(L);
    struct err e;
    if (proc_stop_start(stop, runtime_of(L)->loop, &id, (int64_t)(grace_s * 1e6), (int64_t)(timeout_s * 1e6),
                        send_signals, await_wake, task, &e) < 0)
        return err_return(L, &e);
    return await(L, &stop->op, stop_done);
}

/* process.self() -> { pid, started, exe } */
static int l_self(lua_State *L)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    struct proc_identity id = {0};
    proc_identify(getpid(), &id, NULL);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, getpid());
    lua_setfield(L, -2, "pid");
    lua_pushinteger(L, (lua_Integer)id.started);
    lua_setfield(L, -2, "started");
    lua_pushlstring(L, path, n > 0 ? (size_t)n : 0);
    lua_setfield(L, -2, "exe");
    return 1;
}

int luaopen_core_process(lua_State *L)
{
    static const luaL_Reg functions[] = {{"start", l_start}, {"spawn", l_spawn}, {"alive", l_alive},
                                         {"stop", l_stop},   {"self", l_self},   {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"wait", l_wait}, {"next_line", l_next_line}, {"close", l_close}, {NULL, NULL}};
    if (luaL_newmetatable(L, PROCESS_META)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, l_close);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, l_close);
        lua_setfield(L, -2, "__close");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
