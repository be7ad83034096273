/* b_host: core.host for Lua: readings of the machine, taken on a worker. */
#include "bind/await.h"
#include "bind/b_err.h"
#include "core/grant.h"
#include "core/host.h"
#include "core/work.h"

#include <lauxlib.h>
#include <limits.h>

int luaopen_core_host(lua_State *L);

#define HISTORY_KEY "engine.host.history"

struct job {
    struct work work; /* first: the op is found at the same address */
    const struct grant *grant;
    char disk[PATH_MAX]; /* "": none */
    struct host_reading reading;
};

static int on_worker(struct work *work, void *arg, struct err *e)
{
    struct job *job = arg;
    const char *disk = job->disk[0] != '\0' ? job->disk : NULL;
    (void)work;
    int rc = disk != NULL ? grant_check_path(job->grant, disk, false, true, e) : 0;
    return rc ? rc : host_read(&job->reading, disk, e);
}

static void set_number(lua_State *L, const char *key, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

static void set_integer(lua_State *L, const char *key, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, key);
}

/* -1 is "not known": then the key is missing, for no data is not 0. */
static void set_share(lua_State *L, const char *key, double value)
{
    if (value >= 0) set_number(L, key, value);
}

static void push_process(lua_State *L, const struct host_process *p)
{
    lua_createtable(L, 0, 4);
    set_integer(L, "pid", (uint64_t)p->pid);
    lua_pushboolean(L, p->alive);
    lua_setfield(L, -2, "alive");
    if (!p->alive) return;
    set_share(L, "cpu", p->cpu_share);
    set_integer(L, "rss_bytes", p->rss_bytes);
}

static int read_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    if (op->status < 0) return err_return(L, &op->err);
    struct host_reading *r = &((struct job *)op)->reading;
    lua_getfield(L, LUA_REGISTRYINDEX, HISTORY_KEY);
    host_history_add(lua_touserdata(L, -1), r);
    lua_createtable(L, 0, 14);
    set_share(L, "cpu", r->cpu_share);
    set_integer(L, "processors", (uint64_t)r->processors);
    set_number(L, "load1", r->load1);
    set_integer(L, "memory_bytes", r->memory_bytes);
    set_integer(L, "available_bytes", r->available_bytes);
    if (r->disk_bytes > 0) {
        set_number(L, "disk", r->disk_used);
        set_integer(L, "disk_free_bytes", r->disk_free_bytes);
    }
    if (r->cgroup_memory_bytes > 0) {
        set_integer(L, "cgroup_memory_bytes", r->cgroup_memory_bytes);
        set_integer(L, "cgroup_used_bytes", r->cgroup_used_bytes);
    }
    if (r->cgroup_processors > 0) set_number(L, "cgroup_processors", r->cgroup_processors);
    lua_createtable(L, r->process_count, 0);
    for (int i = 0; i < r->process_count; i++) {
        push_process(L, &r->processes[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "processes");
    return 1;
}

/* host.read(pids, disk?) -> reading | nil, err; pids: an array */
static int l_read(lua_State *L)
{
    size_t len;
    const char *disk = luaL_optlstring(L, 2, "", &len);
    luaL_argcheck(L, len < PATH_MAX && strlen(disk) == len, 2, "not a path");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
    luaL_argcheck(L, count <= HOST_MAX_PIDS, 1, "too many processes");
    struct job *job = lua_newuserdatauv(L, sizeof *job, 0);
    memset(job, 0, sizeof *job);
    memcpy(job->disk, disk, len + 1);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, i);
        lua_Integer pid = luaL_checkinteger(L, -1);
        luaL_argcheck(L, pid > 0 && pid <= INT_MAX, 1, "a pid is a positive number");
        job->reading.processes[job->reading.process_count++].pid = (int)pid;
        lua_pop(L, 1);
    }
    job->grant = runtime_of(L)->grant;
    struct task *task = await_begin(L);
    struct err e;
    if (work_start(&job->work, runtime_of(L)->loop, on_worker, job, OP_NO_TIMEOUT, await_wake, task, &e) < 0)
        return err_return(L, &e);
    return await(L, &job->work.op, read_done);
}

int luaopen_core_host(lua_State *L)
{
    static const luaL_Reg functions[] = {{"read", l_read}, {NULL, NULL}};
    if (lua_getfield(L, LUA_REGISTRYINDEX, HISTORY_KEY) == LUA_TNIL) {
        memset(lua_newuserdatauv(L, sizeof(struct host_history), 0), 0, sizeof(struct host_history));
        lua_setfield(L, LUA_REGISTRYINDEX, HISTORY_KEY);
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
