/* core.sql: connections and queries for Lua. What a playbook sees is stdlib/sql.lua.
 *
 *   open(url) -> db | nil, err                 looks at the url only
 *   run(db, role, lease, seconds, text, ...) -> rows | nil, err
 *        role: "query", "batch", "script", "connect", "begin", "end"; lease: 0 or lease(db)
 *   for_records(db)                            also whoever may only look may write by it: the journal
 *   lease(db), abandon(db, lease), close(db), is_closed(db), is_read_only(db), name(db), driver(db)
 *   blob(text), null */
#include "bind/await.h"
#include "bind/b_err.h"
#include "bind/b_secret.h"
#include "core/grant.h"
#include "core/sql.h"

#include <lauxlib.h>
#include <string.h>

#define DB_META    "engine.sql"
#define QUERY_META "engine.sql.query"
#define BLOB_META  "engine.sql.blob"
#define NULL_META  "engine.sql.null"

/* Cells that are made into Lua values in one turn of the loop: about a millisecond. */
#define CELLS_A_TURN 4000

struct db {
    struct sql *sql;
    struct task *lease_task; /* which task began the lease that holds; only compared */
    int64_t lease;
    bool let_through; /* it writes because an effect was confirmed, and only as long as one is */
};

struct pending {
    struct sql_query *query;
    struct op pause;
    size_t at, row; /* how far the rows have become Lua values */
};

static struct db *check_db(lua_State *L)
{
    return luaL_checkudata(L, 1, DB_META);
}

static int l_open(lua_State *L)
{
    const char *url = secret_check_text(L, 1, NULL);
    struct err e;
    if (grant_check_url(runtime_of(L)->grant, url, &e) != 0) return err_return(L, &e);
    struct db *db = lua_newuserdatauv(L, sizeof *db, 0);
    memset(db, 0, sizeof *db);
    luaL_setmetatable(L, DB_META);
    if (sql_open(&db->sql, runtime_of(L)->loop, url, &e) < 0) return err_return(L, &e);
    if (task_looks(runtime_of(L)))
        sql_read_only(db->sql);
    else
        db->let_through = task_looked(runtime_of(L));
    return 1;
}

static int db_gc(lua_State *L)
{
    struct db *db = check_db(L);
    sql_free(db->sql);
    db->sql = NULL;
    return 0;
}

static int query_gc(lua_State *L)
{
    struct pending *p = luaL_checkudata(L, 1, QUERY_META);
    sql_query_free(p->query);
    p->query = NULL;
    return 0;
}

/* --- parameters ---------------------------------------------------------------------------- */

static void read_param(lua_State *L, int index, int number, struct sql_value *v)
{
    memset(v, 0, sizeof *v);
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        v->type = SQL_BOOL;
        v->boolean = lua_toboolean(L, index);
        return;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            v->type = SQL_INT;
            v->integer = lua_tointeger(L, index);
        } else {
            v->type = SQL_REAL;
            v->real = lua_tonumber(L, index);
        }
        return;
    case LUA_TSTRING:
        v->type = SQL_TEXT;
        v->bytes.data = lua_tolstring(L, index, &v->bytes.len);
        return;
    case LUA_TUSERDATA:
        if (luaL_testudata(L, index, NULL_META)) {
            v->type = SQL_NULL;
        } else if (luaL_testudata(L, index, BLOB_META)) {
            lua_getiuservalue(L, index, 1);
            v->type = SQL_BLOB;
            v->bytes.data = lua_tolstring(L, -1, &v->bytes.len);
            lua_pop(L, 1); /* the blob keeps its string */
        } else {
            v->type = SQL_TEXT;
            v->bytes.data = secret_check_text(L, index, &v->bytes.len);
        }
        return;
    case LUA_TNIL:
        err_misuse(L, "parameter $%d is nil; NULL is written sql.null", number);
        return;
    default:
        err_misuse(L, "parameter $%d is a %s; use a boolean, number, string, sql.blob or sql.null", number,
                   luaL_typename(L, index));
    }
}

/* --- results ------------------------------------------------------------------------------- */

static void push_value(lua_State *L, const struct sql_value *v)
{
    switch (v->type) {
    case SQL_NULL:
        lua_pushnil(L);
        break;
    case SQL_BOOL:
        lua_pushboolean(L, v->boolean);
        break;
    case SQL_INT:
        lua_pushinteger(L, v->integer);
        break;
    case SQL_REAL:
        lua_pushnumber(L, v->real);
        break;
    case SQL_TEXT:
    case SQL_BLOB:
        lua_pushlstring(L, v->bytes.data, v->bytes.len);
        break;
    }
}

enum { STACK_QUERY = 1, STACK_ROWS, STACK_NAMES }; /* of run, while it makes rows */

static void push_rows_table(lua_State *L, const struct sql_query *q)
{
    size_t columns = sql_columns(q), rows = sql_rows(q);
    lua_createtable(L, rows < (1 << 26) ? (int)rows : 0, 2);
    lua_createtable(L, (int)columns, 0);
    for (size_t i = 0; i < columns; i++) {
        lua_pushstring(L, sql_column_name(q, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "columns");
    lua_pushinteger(L, sql_affected(q));
    lua_setfield(L, -3, "affected");
}

static void push_row(lua_State *L, struct pending *p)
{
    size_t columns = sql_columns(p->query);
    struct sql_value v;
    lua_createtable(L, 0, (int)columns);
    for (size_t i = 0; i < columns && sql_next(p->query, &p->at, &v); i++) {
        if (v.type == SQL_NULL) continue; /* absent is how Lua says NULL */
        lua_rawgeti(L, STACK_NAMES, (lua_Integer)i + 1);
        push_value(L, &v);
        lua_rawset(L, -3);
    }
    lua_rawseti(L, STACK_ROWS, (lua_Integer)++p->row);
}

/* Makes rows for a turn, then lets the loop have its turn; ends with the rows. */
static int make_rows(lua_State *L)
{
    struct pending *p = luaL_checkudata(L, STACK_QUERY, QUERY_META);
    size_t columns = sql_columns(p->query), rows = columns > 0 ? sql_rows(p->query) : 0;
    size_t turn = columns > 0 ? CELLS_A_TURN / columns + 1 : 1;
    for (size_t i = 0; i < turn && p->row < rows; i++)
        push_row(L, p);
    return p->row < rows;
}

static int rows_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    await_end(L, ctx);
    if (make_rows(L)) {
        struct pending *p = luaL_checkudata(L, STACK_QUERY, QUERY_META);
        struct task *task = await_begin(L);
        op_sleep(&p->pause, runtime_of(L)->loop, 0, await_wake, task);
        return await(L, &p->pause, rows_done);
    }
    lua_settop(L, STACK_ROWS);
    return 1;
}

static int return_err(lua_State *L, const struct sql_query *q, const struct err *e)
{
    err_return(L, e);
    if (sql_state(q)[0] != '\0') {
        lua_pushstring(L, sql_state(q));
        lua_setfield(L, -2, "sqlstate");
    }
    if (sql_statement(q) > 0) {
        lua_pushinteger(L, sql_statement(q));
        lua_setfield(L, -2, "statement");
    }
    return 2;
}

static int run_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    struct pending *p = luaL_checkudata(L, STACK_QUERY, QUERY_META);
    if (op->status < 0) return return_err(L, p->query, &op->err);
    lua_settop(L, STACK_QUERY);
    push_rows_table(L, p->query);
    if (!make_rows(L)) {
        lua_settop(L, STACK_ROWS);
        return 1;
    }
    struct task *task = await_begin(L);
    op_sleep(&p->pause, runtime_of(L)->loop, 0, await_wake, task);
    return await(L, &p->pause, rows_done);
}

static int l_run(lua_State *L)
{
    static const char *const names[] = {"query", "batch", "script", "connect", "begin", "end", NULL};
    static const enum sql_role roles[] = {SQL_QUERY, SQL_BATCH, SQL_SCRIPT, SQL_CONNECT, SQL_BEGIN, SQL_END};
    enum { DB = 1, ROLE, LEASE, SECONDS, TEXT, FIRST_PARAM };
    struct db *db = check_db(L);
    if (db->let_through) task_may_change(L, "a connection that an effect opened");
    enum sql_role role = roles[luaL_checkoption(L, ROLE, NULL, names)];
    int64_t lease = luaL_checkinteger(L, LEASE);
    lua_Number seconds = luaL_checknumber(L, SECONDS);
    size_t len;
    const char *text = luaL_checklstring(L, TEXT, &len);
    if (!(seconds > 0 && seconds < 1e9)) return err_misuse(L, "timeout is a positive number of seconds");
    int top = lua_gettop(L);
    struct pending *p = lua_newuserdatauv(L, sizeof *p, 1);
    memset(p, 0, sizeof *p);
    luaL_setmetatable(L, QUERY_META);
    lua_pushvalue(L, DB);
    lua_setiuservalue(L, -2, 1); /* the connection outlives its query */
    struct err e;
    err_set(&e, ERR_MEMORY, "sql", "no memory for a query");
    p->query = sql_query_new(db->sql);
    if (p->query == NULL) return err_return(L, &e);
    sql_query_text(p->query, text, len);
    sql_query_role(p->query, role, lease);
    for (int i = FIRST_PARAM; i <= top; i++) {
        struct sql_value v;
        read_param(L, i, i - FIRST_PARAM + 1, &v);
        sql_query_add(p->query, &v);
    }
    struct task *task = await_begin(L);
    if (lease == 0 && role != SQL_BEGIN && db->lease != 0 && db->lease_task == task)
        return err_misuse(L, "inside db:transaction(function(tx) ... end) use tx, not db: db waits for the "
                             "transaction to end");
    if (sql_query_start(p->query, (int64_t)(seconds * 1e6), await_wake, task, &e) < 0)
        return err_return(L, &e);
    if (role == SQL_BEGIN) {
        db->lease = lease;
        db->lease_task = task;
    }
    if (role == SQL_END && db->lease == lease) db->lease = 0;
    lua_replace(L, STACK_QUERY);
    lua_settop(L, STACK_QUERY);
    return await(L, sql_query_op(p->query), run_done);
}

/* --- the rest ------------------------------------------------------------------------------ */

static int l_for_records(lua_State *L)
{
    check_db(L)->let_through = false;
    return 0;
}

static int l_lease(lua_State *L)
{
    lua_pushinteger(L, sql_lease(check_db(L)->sql));
    return 1;
}

static int l_abandon(lua_State *L)
{
    struct db *db = check_db(L);
    int64_t lease = luaL_checkinteger(L, 2);
    if (db->lease == lease) db->lease = 0;
    sql_abandon(db->sql, lease);
    return 0;
}

static int l_close(lua_State *L)
{
    sql_close(check_db(L)->sql);
    return 0;
}

static int l_is_closed(lua_State *L)
{
    lua_pushboolean(L, sql_is_closed(check_db(L)->sql));
    return 1;
}

static int l_is_read_only(lua_State *L)
{
    lua_pushboolean(L, sql_is_read_only(check_db(L)->sql));
    return 1;
}

static int l_name(lua_State *L)
{
    lua_pushstring(L, sql_name(check_db(L)->sql));
    return 1;
}

static int l_driver(lua_State *L)
{
    lua_pushstring(L, sql_driver_name(check_db(L)->sql));
    return 1;
}

static int l_blob(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_newuserdatauv(L, 0, 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, BLOB_META);
    return 1;
}

static int blob_tostring(lua_State *L)
{
    luaL_checkudata(L, 1, BLOB_META);
    lua_getiuservalue(L, 1, 1);
    lua_pushfstring(L, "blob(%I bytes)", (LUAI_UACINT)lua_rawlen(L, -1));
    return 1;
}

static int null_tostring(lua_State *L)
{
    lua_pushliteral(L, "sql.null");
    return 1;
}

static void new_meta(lua_State *L, const char *name, const char *event, lua_CFunction fn)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, fn);
    lua_setfield(L, -2, event);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

int luaopen_core_sql(lua_State *L);

int luaopen_core_sql(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"open", l_open},
        {"run", l_run},
        {"lease", l_lease},
        {"abandon", l_abandon},
        {"close", l_close},
        {"is_closed", l_is_closed},
        {"name", l_name},
        {"is_read_only", l_is_read_only},
        {"driver", l_driver},
        {"blob", l_blob},
        {"for_records", l_for_records},
        {NULL, NULL},
    };
    new_meta(L, DB_META, "__gc", db_gc);
    new_meta(L, QUERY_META, "__gc", query_gc);
    new_meta(L, BLOB_META, "__tostring", blob_tostring);
    new_meta(L, NULL_META, "__tostring", null_tostring);
    luaL_newlib(L, functions);
    lua_newuserdatauv(L, 0, 0);
    luaL_setmetatable(L, NULL_META);
    lua_setfield(L, -2, "null");
    return 1;
}
