/* b_process: core.process for Lua: commands that are waited for. Detached ones: b_process_detached.c. */
#include "bind/b_process.h"
#include "base/buf.h"
#include "bind/await.h"
#include "bind/b_err.h"
#include "bind/b_secret.h"
#include "core/grant.h"
#include "core/proc.h"

#include <lauxlib.h>
#include <string.h>

int luaopen_core_process(lua_State *L);

#define JOB_META "engine.process"

enum { DEFAULT_KEEP_BYTES = 4 << 20, MAX_KEEP_BYTES = 64 << 20 };

/* Registered under its own address while the process runs. User value 1: the label under which
 * stdout is a secret, or nil. */
struct job {
    lua_State *main;
    struct proc *proc;
    struct op wait; /* of the one task that waits for a line or for the end */
    bool wants_line, ended;
    struct buf text;
};

/* --- reading options ----------------------------------------------------------------------- */

static int env_gc(lua_State *L)
{
    proc_env_release(lua_touserdata(L, 1));
    return 0;
}

struct proc_env *proc_check_env(lua_State *L, int index)
{
    struct proc_env *env = lua_newuserdatauv(L, sizeof *env, 0);
    memset(env, 0, sizeof *env);
    if (luaL_newmetatable(L, "engine.process.env")) {
        lua_pushcfunction(L, env_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_getfield(L, index, "clean_env");
    proc_env_init(env, lua_toboolean(L, -1));
    lua_pop(L, 1);
    if (lua_getfield(L, index, "env") != LUA_TNIL) {
        luaL_argcheck(L, lua_istable(L, -1), index, "env must be a table of names and values");
        for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
            size_t len;
            if (lua_type(L, -2) != LUA_TSTRING || !proc_env_is_name(lua_tostring(L, -2)))
                err_misuse(L, "env: a name is a string without '='");
            const char *name = lua_tostring(L, -2), *value = secret_to_text(L, -1, &len);
            if (lua_isboolean(L, -1) && !lua_toboolean(L, -1))
                proc_env_remove(env, name);
            else if (value == NULL)
                err_misuse(L, "env.%s must be a string, number, secret, or false to remove it", name);
            else if (memchr(value, '\0', len) != NULL)
                err_misuse(L, "env.%s contains a zero byte", name);
            else
                proc_env_set(env, name, value, len);
        }
    }
    lua_pop(L, 1);
    if (env->failed) luaL_error(L, "not enough memory for an environment");
    return env;
}

const char *const *proc_check_argv(lua_State *L, int index)
{
    if (lua_getfield(L, index, "argv") != LUA_TTABLE)
        err_misuse(L, "argv must be an array: { \"command\", \"argument\" }");
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    if (count < 1 || count > 100000) err_misuse(L, "argv must name at least the command");
    lua_newtable(L); /* keeps the strings, of which some were numbers */
    const char **argv = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *argv, 0);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -3, i);
        if (secret_is(L, -1))
            err_misuse(L,
                       "argv[%I] is a secret: arguments are visible to everybody on the machine; give it in "
                       "env or stdin",
                       i);
        size_t len;
        argv[i - 1] = lua_tolstring(L, -1, &len);
        if (argv[i - 1] == NULL)
            err_misuse(L, "argv[%I] must be a string, not a %s", i, luaL_typename(L, -1));
        if (strlen(argv[i - 1]) != len) err_misuse(L, "argv[%I] contains a zero byte", i);
        lua_rawseti(L, -3, i);
    }
    argv[count] = NULL;
    lua_remove(L, -3);
    return argv; /* two values stay on the stack: the strings and the array */
}

const char *proc_check_path(lua_State *L, int index, const char *name)
{
    int type = lua_getfield(L, index, name);
    if (type == LUA_TNIL) return NULL;
    if (type != LUA_TSTRING) err_misuse(L, "%s must be a path", name);
    return lua_tostring(L, -1); /* stays on the stack */
}

int64_t proc_check_seconds(lua_State *L, int index, const char *name, double fallback)
{
    double seconds = fallback;
    if (lua_getfield(L, index, name) != LUA_TNIL) {
        if (!lua_isnumber(L, -1)) err_misuse(L, "%s must be a number of seconds", name);
        seconds = lua_tonumber(L, -1);
    }
    lua_pop(L, 1);
    if (!(seconds >= 0 && seconds <= 1e8)) err_misuse(L, "%s must be a number of seconds from 0 on", name);
    return (int64_t)(seconds * 1e6);
}

/* --- the running process ------------------------------------------------------------------- */

static struct job *check_job(lua_State *L)
{
    struct job *job = luaL_checkudata(L, 1, JOB_META);
    if (job->proc == NULL) err_misuse(L, "the process was not started");
    return job;
}

static int job_gc(lua_State *L)
{
    struct job *job = lua_touserdata(L, 1);
    if (job->proc != NULL && !job->ended)
        proc_abandon(job->proc);
    else
        proc_free(job->proc);
    job->proc = NULL;
    if (job->text.data != NULL) explicit_bzero(job->text.data, job->text.cap);
    buf_release(&job->text);
    return 0;
}

static void wake(struct job *job)
{
    if (job->wait.state != OP_RUNNING) return;
    if (job->ended || (job->wants_line && !job->wait.canceled)) op_finish(&job->wait);
}

static void on_line(void *arg)
{
    wake(arg);
}

static void on_ended(struct op *op, void *arg)
{
    (void)op;
    struct job *job = arg;
    job->ended = true;
    wake(job);
    lua_pushnil(job->main);
    lua_rawsetp(job->main, LUA_REGISTRYINDEX, job); /* from here on only Lua's references keep it */
}

/* A canceled wait stops the process, and ends only when that has ended. */
static void wait_cancel(struct op *op)
{
    struct job *job = (struct job *)((char *)op - offsetof(struct job, wait));
    op_cancel(proc_op(job->proc), op->err.code, op->err.op, "%s", op->err.message);
}

static const struct op_kind WAIT = {.name = "process", .external = false, .cancel = wait_cancel};

static int wait_for(lua_State *L, struct job *job, bool wants_line, lua_KFunction done)
{
    if (job->wait.state == OP_RUNNING) return luaL_error(L, "somebody else waits for this process already");
    struct task *task = await_begin(L);
    job->wants_line = wants_line;
    op_begin(&job->wait, runtime_of(L)->loop, &WAIT, OP_NO_TIMEOUT, await_wake, task);
    return await(L, &job->wait, done);
}

static void parse_output(lua_State *L, struct proc_options *options)
{
    const char *log = proc_check_path(L, 1, "log"); /* stays on the stack */
    lua_getfield(L, 1, "inherit");
    bool inherit = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (log != NULL && inherit) err_misuse(L, "output goes to log or is inherited, not both");
    options->output = log ? PROC_FILE : inherit ? PROC_INHERIT : PROC_CAPTURE;
    options->file = log;
    lua_getfield(L, 1, "lines");
    options->lines = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (options->lines && options->output != PROC_CAPTURE)
        err_misuse(L, "lines can only be handed out when output is kept");
    lua_Integer keep = DEFAULT_KEEP_BYTES;
    if (lua_getfield(L, 1, "max_output") != LUA_TNIL) {
        if (!lua_isinteger(L, -1)) err_misuse(L, "max_output must be a number of bytes");
        keep = lua_tointeger(L, -1);
    }
    lua_pop(L, 1);
    if (keep < 0 || keep > MAX_KEEP_BYTES)
        err_misuse(L, "max_output must be between 0 and %d bytes", MAX_KEEP_BYTES);
    options->keep_bytes = (size_t)keep;
}

int proc_check_grants(struct runtime *rt, const char *command, const char *log_path, struct err *e)
{
    int rc = grant_check_command(rt->grant, command, e);
    if (rc == 0 && log_path != NULL) rc = grant_check_path(rt->grant, log_path, true, true, e);
    return rc;
}

/* process.start{ argv, cwd, env, clean_env, stdin, timeout, grace, max_output, lines, inherit, log,
 * secret } -> job | nil, err */
static int l_start(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    task_may_change(L, "process.run");
    struct runtime *rt = runtime_of(L);
    struct job *job = lua_newuserdatauv(L, sizeof *job, 1);
    memset(job, 0, sizeof *job);
    luaL_setmetatable(L, JOB_META);
    job->main = rt->L;
    lua_getfield(L, 1, "secret");
    lua_setiuservalue(L, 2, 1);
    struct proc_options options = {.argv = proc_check_argv(L, 1)};
    options.env = proc_check_env(L, 1)->items;
    static char *no_env[] = {NULL};
    if (options.env == NULL) options.env = no_env;
    options.cwd = proc_check_path(L, 1, "cwd");
    if (lua_getfield(L, 1, "stdin") != LUA_TNIL) {
        options.input = secret_to_text(L, -1, &options.input_len);
        if (options.input == NULL) return err_misuse(L, "stdin must be a string or a secret");
    }
    parse_output(L, &options);
    options.timeout_us = proc_check_seconds(L, 1, "timeout", 60);
    options.grace_us = proc_check_seconds(L, 1, "grace", 5);
    options.on_line = on_line;
    options.on_line_arg = job;
    await_begin(L); /* a command is only started where its end can be waited for */
    lua_pushvalue(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, job);
    struct err e;
    int rc = proc_check_grants(rt, options.argv[0], options.file, &e);
    if (rc == 0) rc = proc_start(&job->proc, rt->loop, &options, on_ended, job, &e);
    if (rc != 0) {
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, job);
        return err_return(L, &e);
    }
    lua_pushvalue(L, 2);
    return 1;
}

static int next_line(lua_State *L, struct job *job);

static int next_line_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    await_end(L, ctx);
    return next_line(L, check_job(L));
}

static int next_line(lua_State *L, struct job *job)
{
    int stream;
    const char *line;
    size_t len;
    if (proc_next_line(job->proc, &stream, &line, &len)) {
        lua_pushlstring(L, line, len);
        lua_pushstring(L, stream ? "stderr" : "stdout");
        return 2;
    }
    if (job->ended) {
        lua_pushnil(L);
        return 1;
    }
    return wait_for(L, job, true, next_line_done);
}

/* job:line() -> line, "stdout" or "stderr"; nil at the end */
static int l_line(lua_State *L)
{
    return next_line(L, check_job(L));
}

/* Pushes what was kept of a stream; returns whether something is missing. [-0, +1] */
static bool push_stream(lua_State *L, struct job *job, int stream)
{
    buf_clear(&job->text);
    bool truncated = proc_text(job->proc, stream, &job->text);
    if (!buf_ok(&job->text)) luaL_error(L, "not enough memory for the output of a process");
    size_t len = job->text.len;
    if (stream == 0 && lua_getiuservalue(L, 1, 1) == LUA_TSTRING) {
        if (len > 0 && job->text.data[len - 1] == '\n') len--;
        secret_push(L, buf_str(&job->text), len, lua_tostring(L, -1));
        lua_remove(L, -2);
    } else {
        if (stream == 0) lua_pop(L, 1);
        lua_pushlstring(L, buf_str(&job->text), len);
    }
    explicit_bzero(job->text.data, job->text.data ? job->text.cap : 0);
    buf_release(&job->text);
    return truncated;
}

static int push_result(lua_State *L, struct job *job)
{
    struct op *op = proc_op(job->proc);
    if (op->status < 0)
        err_return(L, &op->err); /* the fields below are added to the error */
    else
        lua_createtable(L, 0, 6);
    bool truncated = push_stream(L, job, 0);
    lua_setfield(L, -2, "stdout");
    truncated = push_stream(L, job, 1) || truncated;
    lua_setfield(L, -2, "stderr");
    lua_pushboolean(L, truncated);
    lua_setfield(L, -2, "truncated");
    if (proc_exit_signal(job->proc) != 0) {
        lua_pushinteger(L, proc_exit_signal(job->proc));
        lua_setfield(L, -2, "signal");
    } else if (op->status == 0) {
        lua_pushinteger(L, proc_exit_code(job->proc));
        lua_setfield(L, -2, "code");
    }
    lua_pushnumber(L, (lua_Number)proc_elapsed_us(job->proc) / 1e6);
    lua_setfield(L, -2, "seconds");
    return op->status < 0 ? 2 : 1;
}

static int wait_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    await_end(L, ctx);
    return push_result(L, check_job(L));
}

/* job:wait() -> { code or signal, stdout, stderr, truncated, seconds } | nil, err */
static int l_wait(lua_State *L)
{
    struct job *job = check_job(L);
    if (job->ended) return push_result(L, job);
    return wait_for(L, job, false, wait_done);
}

/* job:cancel(why): SIGTERM, later SIGKILL; job:wait() then gives the error "canceled" */
static int l_cancel(lua_State *L)
{
    struct job *job = check_job(L);
    const char *why = luaL_checkstring(L, 2);
    if (!job->ended) op_cancel(proc_op(job->proc), ERR_CANCELED, "process", "%s", why);
    return 0;
}

static int l_pid(lua_State *L)
{
    lua_pushinteger(L, proc_pid(check_job(L)->proc));
    return 1;
}

int luaopen_core_process(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"line", l_line}, {"wait", l_wait}, {"cancel", l_cancel}, {"pid", l_pid}, {NULL, NULL}};
    if (luaL_newmetatable(L, JOB_META)) {
        lua_pushcfunction(L, job_gc);
        lua_setfield(L, -2, "__gc");
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushcfunction(L, l_start);
    lua_setfield(L, -2, "start");
    proc_detached_functions(L);
    return 1;
}
