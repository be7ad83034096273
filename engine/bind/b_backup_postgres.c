/* b_backup_postgres: core.backup_postgres for Lua: COPY of tables on worker threads, and what is made of a
 * database's address. */
#include "base/buf.h"
#include "base/mem.h"
#include "bind/await.h"
#include "bind/b_err.h"
#include "bind/b_secret.h"
#include "core/backup_postgres.h"
#include "core/grant.h"
#include "core/postgres_url.h"
#include "core/work.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

int luaopen_core_backup_postgres(lua_State *L);

#define CALL_META "engine.backup.postgres"

/* One call. The steps' texts are copies: the table that they came from may change while a worker reads. */
struct call {
    struct work work;
    struct backup_session session; /* its texts stay on the Lua stack */
    struct backup_step *steps;
    size_t count;
};

static int act(struct work *work, void *arg, struct err *e)
{
    struct call *c = arg;
    return backup_postgres_run(&c->session, c->steps, c->count, &work->canceled, e);
}

static int call_gc(lua_State *L)
{
    struct call *c = lua_touserdata(L, 1);
    for (size_t i = 0; i < c->count; i++) {
        const char *texts[] = {c->steps[i].statement, c->steps[i].path, c->steps[i].sha256,
                               c->steps[i].wanted, c->steps[i].name};
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++)
            mem_free((void *)texts[j]);
    }
    mem_free(c->steps);
    c->steps = NULL;
    c->count = 0;
    return 0;
}

static const char *copy_field(lua_State *L, const char *key)
{
    const char *copy = NULL;
    int type = lua_getfield(L, -1, key);
    if (type == LUA_TSTRING)
        copy = mem_strdup(lua_tostring(L, -1));
    else if (type != LUA_TNIL)
        luaL_error(L, "a step's '%s' must be text", key);
    lua_pop(L, 1);
    return copy;
}

/* The step at the top of the stack: { sql= } | { out=, to= } | { into=, from=, sha256= }, and what is wanted.
 */
static void read_step(lua_State *L, struct backup_step *step)
{
    static const char *const kinds[] = {[BACKUP_SQL] = "sql", [BACKUP_OUT] = "out", [BACKUP_IN] = "into"};
    for (int kind = 0; kind < 3 && step->statement == NULL; kind++) {
        step->kind = (enum backup_step_kind)kind;
        step->statement = copy_field(L, kinds[kind]);
    }
    step->path = copy_field(L, step->kind == BACKUP_IN ? "from" : "to");
    step->sha256 = copy_field(L, "sha256");
    step->wanted = copy_field(L, "checksum");
    step->name = copy_field(L, "name");
    step->wanted_rows = lua_getfield(L, -1, "rows") == LUA_TNIL ? -1 : luaL_checkinteger(L, -1);
    step->raw_bytes = lua_getfield(L, -2, "raw_bytes") == LUA_TNIL ? -1 : luaL_checkinteger(L, -1);
    lua_pop(L, 2);
    if (step->statement == NULL || (step->kind == BACKUP_IN && step->path == NULL))
        luaL_error(L, "a step needs sql, out, or into and from");
}

static int call_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    const struct call *c = (const struct call *)op;
    if (op->status < 0) return err_return(L, &op->err);
    lua_createtable(L, (int)c->count, 0);
    for (size_t i = 0; i < c->count; i++) {
        const struct backup_step *step = &c->steps[i];
        lua_createtable(L, 0, 5);
        lua_pushinteger(L, (lua_Integer)step->rows);
        lua_setfield(L, -2, "rows");
        if (step->kind == BACKUP_OUT) {
            lua_pushstring(L, step->checksum);
            lua_setfield(L, -2, "checksum");
            lua_pushinteger(L, (lua_Integer)step->pack.raw_bytes);
            lua_setfield(L, -2, "raw_bytes");
            lua_pushinteger(L, (lua_Integer)step->pack.file_bytes);
            lua_setfield(L, -2, "bytes");
            lua_pushstring(L, step->pack.sha256);
            lua_setfield(L, -2, "sha256");
        }
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int check_grants(const struct grant *grant, const struct call *c, struct err *e)
{
    if (grant == NULL) return 0;
    int rc = grant_check_url(grant, c->session.url, e);
    for (size_t i = 0; rc == 0 && i < c->count; i++)
        if (c->steps[i].path != NULL)
            rc = grant_check_path(grant, c->steps[i].path, c->steps[i].kind == BACKUP_OUT, true, e);
    return rc;
}

/* run(url, begin, steps, { level, passphrase }) -> array of { rows, checksum, raw_bytes, bytes, sha256 } by
 * step | nil, err */
static int l_run(lua_State *L)
{
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 4);
    size_t count = (size_t)lua_rawlen(L, 3);
    struct call *c = lua_newuserdatauv(L, sizeof *c, 0);
    memset(c, 0, sizeof *c);
    luaL_setmetatable(L, CALL_META);
    c->session = (struct backup_session){
        .url = secret_check_text(L, 1, NULL), .begin = luaL_checkstring(L, 2), .level = 1};
    if (lua_istable(L, 4)) {
        if (lua_getfield(L, 4, "level") != LUA_TNIL) c->session.level = (int)luaL_checkinteger(L, -1);
        if (lua_getfield(L, 4, "passphrase") != LUA_TNIL)
            c->session.passphrase = secret_check_text(L, -1, NULL);
    }
    c->steps = mem_zalloc((count + 1) * sizeof *c->steps);
    if (c->steps == NULL) return luaL_error(L, "not enough memory for %d steps", (int)count);
    c->count = count; /* what is not read yet is zero, and free of nothing */
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 3, (lua_Integer)i + 1);
        if (!lua_istable(L, -1)) return luaL_argerror(L, 3, "steps are tables");
        read_step(L, &c->steps[i]);
        lua_pop(L, 1);
    }
    struct err e;
    for (size_t i = 0; i < c->count; i++)
        if (c->steps[i].path != NULL) task_may_change(L, "backup");
    if (check_grants(runtime_of(L)->grant, c, &e) != 0) return err_return(L, &e);
    struct task *task = await_begin(L);
    if (work_start(&c->work, runtime_of(L)->loop, act, c, OP_NO_TIMEOUT, await_wake, task, &e) < 0)
        return err_return(L, &e);
    return await(L, &c->work.op, call_done);
}

/* environment(url) -> table of libpq's environment variables; the password is a secret */
static int l_environment(lua_State *L)
{
    struct buf pairs = BUF_INIT;
    struct err e;
    int rc = postgres_url_environment(secret_check_text(L, 1, NULL), &pairs, &e);
    lua_pushlstring(L, buf_str(&pairs), pairs.len); /* owned by Lua before anything can raise */
    buf_release(&pairs);
    if (rc != 0) return err_raise(L, &e);
    size_t len;
    const char *at = lua_tolstring(L, -1, &len), *end = at + len;
    lua_newtable(L);
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        if (strcmp(at, "PGPASSWORD") == 0)
            secret_push(L, value, strlen(value), "database password");
        else
            lua_pushstring(L, value);
        lua_setfield(L, -2, at);
        at = value + strlen(value) + 1;
    }
    return 1;
}

/* with_database(url, name) -> url, a secret if it was one */
static int l_with_database(lua_State *L)
{
    struct buf url = BUF_INIT;
    struct err e;
    int rc = postgres_url_with_database(secret_check_text(L, 1, NULL), luaL_checkstring(L, 2), &url, &e);
    lua_pushlstring(L, buf_str(&url), url.len);
    buf_release(&url);
    if (rc != 0) return err_raise(L, &e);
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    if (secret_is(L, 1)) secret_push(L, text, len, "database url");
    return 1;
}

int luaopen_core_backup_postgres(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"run", l_run},
        {"environment", l_environment},
        {"with_database", l_with_database},
        {NULL, NULL},
    };
    if (luaL_newmetatable(L, CALL_META)) {
        lua_pushcfunction(L, call_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
