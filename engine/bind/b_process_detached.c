/* b_process_detached: the part of core.process about processes that outlive the engine. */
#include "bind/await.h"
#include "bind/b_err.h"
#include "bind/b_process.h"
#include "core/proc_detached.h"

#include <lauxlib.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* Reads { pid =, started = }, the plain table that names a process. */
static void check_identity(lua_State *L, int index, struct proc_identity *out)
{
    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, "pid");
    lua_getfield(L, index, "started");
    lua_Integer pid = lua_tointeger(L, -2);
    if (pid < 1 || pid > INT_MAX || !lua_isinteger(L, -1))
        err_misuse(L, "a process is named by { pid =, started = }, as process.spawn gives it");
    out->pid = (int)pid;
    out->started = (uint64_t)lua_tointeger(L, -1);
    lua_pop(L, 2);
}

static void push_identity(lua_State *L, const struct proc_identity *who)
{
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, who->pid);
    lua_setfield(L, -2, "pid");
    lua_pushinteger(L, (lua_Integer)who->started);
    lua_setfield(L, -2, "started");
}

/* Starts what the table at 1 describes. */
static int spawn(lua_State *L, bool is_trusted)
{
    struct proc_detached_options options = {.argv = proc_check_argv(L, 1)};
    options.env = proc_check_env(L, 1)->items;
    static char *no_env[] = {NULL};
    if (options.env == NULL) options.env = no_env;
    options.cwd = proc_check_path(L, 1, "cwd");
    options.log_path = proc_check_path(L, 1, "log");
    struct runtime *rt = runtime_of(L);
    struct proc_identity who;
    struct err e;
    int rc = is_trusted ? 0 : proc_check_grants(rt, options.argv[0], options.log_path, &e);
    if (rc == 0) rc = proc_detached_start(rt->loop, &options, &who, &e);
    if (rc != 0) return err_return(L, &e);
    push_identity(L, &who);
    return 1;
}

/* process.spawn{ argv, cwd, env, clean_env, log } -> { pid, started } | nil, err */
static int l_spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    task_may_change(L, "process.spawn");
    return spawn(L, false);
}

static int l_spawn_again(lua_State *L)
{
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    return spawn(L, true);
}

/* process.spawner(options of spawn) -> function that spawns just this, also when grants would not allow it;
 * so it is only to be had before they are in force. The table belongs to it from then on. */
static int l_spawner(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (runtime_of(L)->grant != NULL) return luaL_error(L, "grants are in force");
    lua_settop(L, 1);
    lua_pushcclosure(L, l_spawn_again, 1);
    return 1;
}

/* process.alive(handle) -> boolean */
static int l_alive(lua_State *L)
{
    struct proc_identity who;
    check_identity(L, 1, &who);
    lua_pushboolean(L, proc_is_alive(&who));
    return 1;
}

/* process.identify(pid) -> { pid, started } or nil when no such process runs */
static int l_identify(lua_State *L)
{
    lua_Integer pid = luaL_checkinteger(L, 1);
    struct proc_identity who;
    if (pid < 1 || pid > INT_MAX || !proc_identify((int)pid, &who))
        lua_pushnil(L);
    else
        push_identity(L, &who);
    return 1;
}

static int end_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    if (op->status < 0) return err_return(L, &op->err);
    struct proc_end *end = (struct proc_end *)op;
    int code, signum;
    lua_createtable(L, 0, 2);
    if (proc_exit_status(&end->who, &code, &signum)) {
        lua_pushinteger(L, signum ? signum : code);
        lua_setfield(L, -2, signum ? "signal" : "code");
    }
    return 1;
}

static int await_end_of(lua_State *L, bool stop, int64_t grace_us, int64_t timeout_us)
{
    struct proc_end *end = lua_newuserdatauv(L, sizeof *end, 0);
    memset(end, 0, sizeof *end);
    check_identity(L, 1, &end->who);
    end->stop = stop;
    end->grace_us = grace_us;
    struct task *task = await_begin(L);
    struct err e;
    if (proc_end_start(end, runtime_of(L)->loop, timeout_us, await_wake, task, &e) < 0)
        return err_return(L, &e);
    return await(L, &end->op, end_done);
}

static int64_t check_us(lua_State *L, int index)
{
    lua_Number seconds = luaL_checknumber(L, index);
    luaL_argcheck(L, seconds >= 0 && seconds <= 1e8, index, "a number of seconds from 0 on");
    return (int64_t)(seconds * 1e6);
}

/* process.stop(handle, grace) -> { code or signal, if known } | nil, err */
static int l_stop(lua_State *L)
{
    task_may_change(L, "process.stop");
    return await_end_of(L, true, check_us(L, 2), OP_NO_TIMEOUT);
}

/* process.wait(handle, timeout) -> { code or signal, if known } | nil, err */
static int l_wait(lua_State *L)
{
    return await_end_of(L, false, 0, check_us(L, 2));
}

/* process.self() -> { pid, started, exe } */
static int l_self(lua_State *L)
{
    struct proc_identity who;
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n < 0 || !proc_identify(getpid(), &who)) return luaL_error(L, "/proc is not mounted");
    exe[n] = '\0';
    push_identity(L, &who);
    lua_pushstring(L, exe);
    lua_setfield(L, -2, "exe");
    return 1;
}

void proc_detached_functions(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"spawn", l_spawn}, {"alive", l_alive}, {"identify", l_identify}, {"stop", l_stop},
        {"wait", l_wait},   {"self", l_self},   {"spawner", l_spawner},   {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
