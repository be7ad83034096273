/* b_files: core.files for Lua. Each function is a row: what a worker does, what comes back. */
#include "bind/await.h"
#include "bind/b_err.h"
#include "bind/b_secret.h"
#include "core/files.h"
#include "core/grant.h"
#include "core/work.h"

#include <lauxlib.h>
#include <string.h>

int luaopen_core_files(lua_State *L);

#define JOB_META "engine.files"

enum { DEFAULT_LIMIT_BYTES = 64 << 20, HASHED_AT_ONCE_BYTES = 256 << 10 };

struct job;
struct action {
    const char *name;
    int (*act)(struct job *job, struct err *e);       /* on a worker */
    int (*push)(lua_State *L, const struct job *job); /* NULL: true */
    bool changes;                                     /* ... what is on the disk */
};

struct job {
    struct work work;
    const struct action *action;
    const struct grant *grant;
    char path[PATH_MAX], other[PATH_MAX];
    struct buf bytes; /* in: what to write; out: what was read */
    size_t limit_bytes;
    int64_t offset, part_bytes;
    mode_t mode;
    bool flag;
    char digest[65];
    struct files_stat stat;
};

/* --- on a worker --------------------------------------------------------------------------- */

static int may_read(struct job *job, struct err *e)
{
    return grant_check_path(job->grant, job->path, false, true, e);
}

/* Of the name itself, which is about to be replaced or removed. */
static int may_replace(struct job *job, const char *path, struct err *e)
{
    return grant_check_path(job->grant, path, true, false, e);
}

static int act_read(struct job *job, struct err *e)
{
    int rc = may_read(job, e);
    return rc ? rc : files_read(job->path, job->limit_bytes, &job->bytes, e);
}

static int act_read_tail(struct job *job, struct err *e)
{
    int rc = may_read(job, e);
    return rc ? rc : files_read_tail(job->path, job->limit_bytes, &job->bytes, e);
}

static int act_write(struct job *job, struct err *e)
{
    int rc = may_replace(job, job->path, e);
    return rc ? rc : files_write(job->path, buf_str(&job->bytes), job->bytes.len, job->mode, e);
}

static int act_append(struct job *job, struct err *e)
{
    int rc = grant_check_path(job->grant, job->path, true, true, e);
    return rc ? rc : files_append(job->path, buf_str(&job->bytes), job->bytes.len, job->mode, e);
}

static int act_list(struct job *job, struct err *e)
{
    int rc = may_read(job, e);
    return rc ? rc : files_list(job->path, &job->bytes, e);
}

static int act_mkdir(struct job *job, struct err *e)
{
    int rc = grant_check_path(job->grant, job->path, true, true, e);
    return rc ? rc : files_mkdir(job->path, job->mode, e);
}

static int act_mkdtemp(struct job *job, struct err *e)
{
    int rc = may_replace(job, job->path, e);
    return rc ? rc : files_mkdtemp(job->path, job->other, e);
}

static int act_remove(struct job *job, struct err *e)
{
    int rc = may_replace(job, job->path, e);
    return rc ? rc : files_remove(job->path, e);
}

static int act_remove_tree(struct job *job, struct err *e)
{
    int rc = may_replace(job, job->path, e);
    return rc ? rc : files_remove_tree(job->path, e);
}

static int act_copy(struct job *job, struct err *e)
{
    int rc = may_read(job, e);
    if (rc == 0) rc = may_replace(job, job->other, e);
    return rc ? rc : files_copy(job->path, job->other, e);
}

static int act_sync_tree(struct job *job, struct err *e)
{
    int rc = may_read(job, e);
    return rc ? rc : files_sync_tree(job->path, e);
}

static int act_rename(struct job *job, struct err *e)
{
    int rc = may_replace(job, job->path, e);
    if (rc == 0) rc = may_replace(job, job->other, e);
    return rc ? rc : files_rename(job->path, job->other, e);
}

static int act_symlink(struct job *job, struct err *e)
{
    int rc = may_replace(job, job->other, e);
    return rc ? rc : files_symlink(job->path, job->other, job->flag, e);
}

static int act_hard_link(struct job *job, struct err *e)
{
    int rc = may_replace(job, job->path, e); /* who may write to the one name writes to the other */
    if (rc == 0) rc = may_replace(job, job->other, e);
    return rc ? rc : files_hard_link(job->path, job->other, e);
}

static int act_stat(struct job *job, struct err *e)
{
    int rc = grant_check_path(job->grant, job->path, false, job->flag, e);
    return rc ? rc : files_stat(job->path, job->flag, &job->stat, e);
}

static int act_sha256(struct job *job, struct err *e)
{
    int rc = may_read(job, e);
    return rc ? rc
              : files_sha256_part(job->path, job->offset, job->part_bytes, &job->work.canceled, job->digest,
                                  e);
}

static int act_sha256_text(struct job *job, struct err *e)
{
    return files_sha256_text(buf_str(&job->bytes), job->bytes.len, job->digest, e);
}

static int act_realpath(struct job *job, struct err *e)
{
    int rc = may_read(job, e);
    return rc ? rc : files_realpath(job->path, job->other, e);
}

/* --- what comes back ----------------------------------------------------------------------- */

static int push_bytes(lua_State *L, const struct job *job)
{
    lua_pushlstring(L, buf_str(&job->bytes), job->bytes.len);
    return 1;
}

static int push_names(lua_State *L, const struct job *job)
{
    lua_newtable(L);
    lua_Integer n = 0;
    for (size_t at = 0; at < job->bytes.len; at += strlen(job->bytes.data + at) + 1) {
        lua_pushstring(L, job->bytes.data + at);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int push_other(lua_State *L, const struct job *job)
{
    lua_pushstring(L, job->other);
    return 1;
}

static int push_digest(lua_State *L, const struct job *job)
{
    lua_pushstring(L, job->digest);
    return 1;
}

static int push_stat(lua_State *L, const struct job *job)
{
    const struct {
        const char *name;
        lua_Integer value;
    } rows[] = {{"size", job->stat.size_bytes},
                {"mode", job->stat.mode},
                {"owner", job->stat.owner},
                {"group", job->stat.group}};
    lua_createtable(L, 0, 6);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lua_pushinteger(L, rows[i].value);
        lua_setfield(L, -2, rows[i].name);
    }
    lua_pushstring(L, job->stat.type);
    lua_setfield(L, -2, "type");
    lua_pushnumber(L, (lua_Number)job->stat.modified_us / 1e6);
    lua_setfield(L, -2, "modified");
    return 1;
}

/* --- the common way ------------------------------------------------------------------------ */

static int job_gc(lua_State *L)
{
    struct job *job = lua_touserdata(L, 1);
    if (job->bytes.data != NULL) explicit_bzero(job->bytes.data, job->bytes.cap);
    buf_release(&job->bytes);
    return 0;
}

static void copy_path(lua_State *L, int index, char out[PATH_MAX])
{
    size_t len;
    const char *path = luaL_checklstring(L, index, &len);
    luaL_argcheck(L, len > 0 && len < PATH_MAX && strlen(path) == len, index, "not a path");
    memcpy(out, path, len + 1);
}

static struct job *new_job(lua_State *L, const struct action *action)
{
    struct job *job = lua_newuserdatauv(L, sizeof *job, 0);
    memset(job, 0, sizeof *job);
    luaL_setmetatable(L, JOB_META);
    job->action = action;
    job->grant = runtime_of(L)->grant;
    return job;
}

static int on_worker(struct work *work, void *arg, struct err *e)
{
    (void)work;
    struct job *job = arg;
    return job->action->act(job, e);
}

static int job_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    if (op->status < 0) return err_return(L, &op->err);
    const struct job *job = (const struct job *)op; /* work, and in it op, come first */
    if (job->action->push != NULL) return job->action->push(L, job);
    lua_pushboolean(L, 1);
    return 1;
}

static int run(lua_State *L, struct job *job)
{
    struct task *task = await_begin(L);
    struct err e;
    if (work_start(&job->work, runtime_of(L)->loop, on_worker, job, OP_NO_TIMEOUT, await_wake, task, &e) < 0)
        return err_return(L, &e);
    return await(L, &job->work.op, job_done);
}

static mode_t check_mode(lua_State *L, int index, lua_Integer fallback)
{
    lua_Integer mode = luaL_optinteger(L, index, fallback);
    luaL_argcheck(L, mode >= 0 && mode <= 0777, index, "not a mode such as 384 (0600)");
    return (mode_t)mode;
}

static int path_only(lua_State *L, const struct action *action)
{
    struct job *job = new_job(L, action);
    copy_path(L, 1, job->path);
    return run(L, job);
}

static int path_and_limit(lua_State *L, const struct action *action)
{
    lua_Integer limit = luaL_optinteger(L, 2, DEFAULT_LIMIT_BYTES);
    luaL_argcheck(L, limit >= 0, 2, "not a number of bytes");
    struct job *job = new_job(L, action);
    copy_path(L, 1, job->path);
    job->limit_bytes = (size_t)limit;
    return run(L, job);
}

static int path_and_data(lua_State *L, const struct action *action)
{
    size_t len;
    const char *data = secret_check_text(L, 2, &len);
    mode_t mode = check_mode(L, 3, 0600);
    struct job *job = new_job(L, action);
    copy_path(L, 1, job->path);
    job->mode = mode;
    buf_add(&job->bytes, data, len);
    if (!buf_ok(&job->bytes)) return luaL_error(L, "not enough memory to write a file");
    return run(L, job);
}

static int two_paths(lua_State *L, const struct action *action)
{
    bool flag = lua_toboolean(L, 3);
    struct job *job = new_job(L, action);
    copy_path(L, 1, job->path);
    copy_path(L, 2, job->other);
    job->flag = flag;
    return run(L, job);
}

static int path_and_mode(lua_State *L, const struct action *action)
{
    mode_t mode = check_mode(L, 2, 0700);
    struct job *job = new_job(L, action);
    copy_path(L, 1, job->path);
    job->mode = mode;
    return run(L, job);
}

static int path_and_flag(lua_State *L, const struct action *action)
{
    bool flag = lua_toboolean(L, 2);
    struct job *job = new_job(L, action);
    copy_path(L, 1, job->path);
    job->flag = flag;
    return run(L, job);
}

static int path_and_part(lua_State *L, const struct action *action)
{
    lua_Integer offset = luaL_optinteger(L, 2, 0), bytes = luaL_optinteger(L, 3, -1);
    luaL_argcheck(L, offset >= 0, 2, "an offset is from 0 on");
    struct job *job = new_job(L, action);
    copy_path(L, 1, job->path);
    job->offset = offset;
    job->part_bytes = bytes;
    return run(L, job);
}

static int text_only(lua_State *L, const struct action *action)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct err e;
    if (len <= HASHED_AT_ONCE_BYTES) { /* shorter than the way to a worker and back */
        char digest[65];
        if (files_sha256_text(text, len, digest, &e) != 0) return err_raise(L, &e);
        lua_pushstring(L, digest);
        return 1;
    }
    struct job *job = new_job(L, action);
    buf_add(&job->bytes, text, len);
    if (!buf_ok(&job->bytes)) return luaL_error(L, "not enough memory to hash a text");
    return run(L, job);
}

static const struct {
    struct action action;
    int (*begin)(lua_State *L, const struct action *action);
} ROWS[] = {
    {{"read", act_read, push_bytes, false}, path_and_limit},
    {{"read_tail", act_read_tail, push_bytes, false}, path_and_limit},
    {{"write", act_write, NULL, true}, path_and_data},
    {{"append", act_append, NULL, true}, path_and_data},
    {{"list", act_list, push_names, false}, path_only},
    {{"mkdir", act_mkdir, NULL, true}, path_and_mode},
    {{"mkdtemp", act_mkdtemp, push_other, true}, path_only},
    {{"remove", act_remove, NULL, true}, path_only},
    {{"remove_tree", act_remove_tree, NULL, true}, path_only},
    {{"copy", act_copy, NULL, true}, two_paths},
    {{"rename", act_rename, NULL, true}, two_paths},
    {{"sync_tree", act_sync_tree, NULL, true}, path_only},
    {{"link", act_symlink, NULL, true}, two_paths},
    {{"hard_link", act_hard_link, NULL, true}, two_paths},
    {{"stat", act_stat, push_stat, false}, path_and_flag},
    {{"sha256", act_sha256, push_digest, false}, path_and_part},
    {{"sha256_text", act_sha256_text, push_digest, false}, text_only},
    {{"realpath", act_realpath, push_other, false}, path_only},
};

static int l_call(lua_State *L)
{
    size_t row = (size_t)lua_tointeger(L, lua_upvalueindex(1));
    const struct action *action = &ROWS[row].action;
    char what[32];
    snprintf(what, sizeof what, "files.%s", action->name);
    if (action->changes) task_may_change(L, what);
    return ROWS[row].begin(L, action);
}

int luaopen_core_files(lua_State *L)
{
    if (luaL_newmetatable(L, JOB_META)) {
        lua_pushcfunction(L, job_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        lua_pushinteger(L, (lua_Integer)i);
        lua_pushcclosure(L, l_call, 1);
        lua_setfield(L, -2, ROWS[i].action.name);
    }
    return 1;
}
