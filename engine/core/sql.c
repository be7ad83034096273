/* The queue, leases and life cycle of connections; drivers do the talking (sql_driver.h). */
#include "core/sql.h"

#include "base/mem.h"
#include "core/sql_driver.h"

#include <assert.h>

#define DEFAULT_LIMIT_BYTES ((size_t)256 * 1024 * 1024)
#define ROLLBACK_WAIT_US    (10 * 1000000LL)

struct sql {
    struct loop *loop;
    const struct sql_driver *driver;
    void *conn; /* NULL once closed */
    bool closed;
    struct sql_query *running;
    struct sql_query *first, **last; /* the queue */
    int64_t lease, last_lease;
    /* What nobody waits for is no op: it must be possible to forget it when the connection goes. */
    struct sql_query *rollback;
    bool rollback_wanted;
    struct timer rollback_timer;
    char name[192];
    bool read_only;
};

static void pump(struct sql *db);

/* --- the connection ------------------------------------------------------------------------ */

int sql_open(struct sql **out, struct loop *loop, const char *url, struct err *e)
{
    const struct sql_driver *driver = NULL;
    if (strncmp(url, "sqlite:", 7) == 0) driver = &sql_sqlite;
    if (strncmp(url, "postgres://", 11) == 0 || strncmp(url, "postgresql://", 13) == 0)
        driver = &sql_postgres;
    if (driver == NULL)
        return err_set(e, ERR_USAGE, "sql open",
                       "a database's address begins with postgres://, postgresql:// or sqlite:");
    struct sql *db = mem_zalloc(sizeof *db);
    if (db == NULL) return err_set(e, ERR_MEMORY, "sql open", "no memory for a connection");
    db->loop = loop;
    db->driver = driver;
    db->last = &db->first;
    sql_url_redact(url, db->name, sizeof db->name);
    db->rollback = sql_query_new(db);
    if (db->rollback != NULL) sql_query_text(db->rollback, "ROLLBACK", 8);
    if (db->rollback == NULL || db->rollback->out_of_memory) {
        sql_free(db);
        return err_set(e, ERR_MEMORY, "sql open", "no memory for a connection");
    }
    int rc = driver->open(&db->conn, loop, url, db->name, e);
    if (rc < 0) {
        sql_free(db);
        return rc;
    }
    *out = db;
    return 0;
}

void sql_read_only(struct sql *db)
{
    db->driver->read_only(db->conn);
    db->read_only = true;
}

bool sql_is_read_only(const struct sql *db)
{
    return db->read_only;
}

static void let_go(struct sql *db)
{
    timer_stop(db->loop, &db->rollback_timer);
    struct sql_query *abandoned = db->running; /* only the rollback can still run */
    assert(abandoned == NULL || abandoned == db->rollback);
    if (abandoned != NULL) db->rollback = db->running = NULL;
    if (db->conn != NULL) db->driver->free(db->conn, abandoned);
    db->conn = NULL;
}

void sql_close(struct sql *db)
{
    if (db->closed) return;
    db->closed = true;
    while (db->first != NULL)
        op_cancel(&db->first->op, ERR_CLOSED, "sql", "%s: the connection was closed", db->name);
    if (db->running != NULL && db->running != db->rollback)
        op_cancel(&db->running->op, ERR_CLOSED, "sql", "%s: the connection was closed", db->name);
    else
        let_go(db);
}

void sql_free(struct sql *db)
{
    if (db == NULL) return;
    sql_close(db);
    assert(db->running == NULL && "a query of this connection still runs");
    sql_query_free(db->rollback);
    mem_free(db);
}

bool sql_is_closed(const struct sql *db)
{
    return db->closed;
}

const char *sql_name(const struct sql *db)
{
    return db->name;
}

const char *sql_driver_name(const struct sql *db)
{
    return db->driver->name;
}

int64_t sql_lease(struct sql *db)
{
    return ++db->last_lease;
}

/* --- running ------------------------------------------------------------------------------- */

static void on_rollback_late(void *arg)
{
    struct sql *db = arg;
    db->driver->cancel(db->conn, db->rollback);
}

static void roll_back(struct sql *db)
{
    db->rollback_wanted = false;
    db->running = db->rollback;
    timer_start(db->loop, &db->rollback_timer, ROLLBACK_WAIT_US, on_rollback_late, db);
    db->driver->run(db->conn, db->rollback, false);
}

static void unqueue(struct sql *db, struct sql_query *q)
{
    struct sql_query **at = &db->first;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    if (db->last == &q->next) db->last = at;
    q->queued = false;
}

/* The queue's head must not start while a lease is held by others, but the lease's own may pass. */
static void pump(struct sql *db)
{
    if (db->running != NULL || db->closed) return;
    if (db->rollback_wanted) {
        roll_back(db);
        return;
    }
    struct sql_query *q = db->first;
    while (q != NULL && db->lease != 0 && q->lease != db->lease)
        q = q->next;
    if (q == NULL) return;
    unqueue(db, q);
    db->running = q;
    if (q->role == SQL_BEGIN) db->lease = q->lease;
    /* A query of a lease that ended has nothing left to belong to. */
    bool orphan = q->lease != 0 && q->lease != db->lease;
    if (orphan) {
        struct err e;
        err_set(&e, ERR_CLOSED, "sql", "%s: the transaction of this query has ended", db->name);
        sql_ended(q, -ERR_CLOSED, &e);
        return;
    }
    db->driver->run(db->conn, q, q->lease == 0 || q->role == SQL_BEGIN);
}

static void settle_lease(struct sql *db, const struct sql_query *q, bool failed)
{
    bool over = q->role == SQL_END || (q->role == SQL_BEGIN && failed);
    if (q != db->rollback && (!over || q->lease != db->lease)) return;
    if (q != db->rollback && !db->closed && db->driver->in_transaction(db->conn))
        db->rollback_wanted = true; /* the lease holds until that is done */
    else
        db->lease = 0;
}

void sql_ended(struct sql_query *q, int rc, const struct err *e)
{
    struct sql *db = q->db;
    assert(db->running == q);
    db->running = NULL;
    settle_lease(db, q, rc < 0 || (q != db->rollback && q->op.canceled));
    if (q == db->rollback) {
        timer_stop(db->loop, &db->rollback_timer);
    } else if (q->op.canceled) {
        snprintf(q->op.err.cause, sizeof q->op.err.cause, "%.255s",
                 rc < 0 ? e->message : "the statement had been carried out by then");
        op_finish(&q->op);
    } else if (rc < 0) {
        op_fail_with(&q->op, e);
    } else {
        op_finish(&q->op);
    }
    if (db->closed) let_go(db);
    pump(db);
}

static void query_cancel(struct op *op)
{
    struct sql_query *q = sql_query_of(op);
    struct sql *db = q->db;
    if (op->err.code == ERR_TIMEOUT) {
        bool locked_out = q->queued && db->lease != 0;
        err_set(&op->err, ERR_TIMEOUT, "sql", "%s: %s %.3g s", db->name,
                locked_out  ? "another transaction kept this connection longer than"
                : q->queued ? "other queries kept this connection longer than"
                            : "the statement was not done within its limit of",
                (double)q->timeout_us / 1e6);
    }
    if (q->queued) {
        unqueue(db, q);
        op_finish(op);
        return;
    }
    db->driver->cancel(db->conn, q);
}

static const struct op_kind SQL = {.name = "sql", .external = true, .cancel = query_cancel};

int sql_query_start(struct sql_query *q, int64_t timeout_us, op_done_fn done, void *arg, struct err *e)
{
    struct sql *db = q->db;
    if (db->closed) return err_set(e, ERR_CLOSED, "sql", "%s: the connection was closed", db->name);
    if (q->role == SQL_BATCH && db->driver != &sql_sqlite)
        return err_set(e, ERR_USAGE, "sql", "%s: a batch is for SQLite", db->name);
    if (q->out_of_memory || q->text.failed) return err_set(e, ERR_MEMORY, "sql", "no memory for a query");
    q->timeout_us = timeout_us;
    op_begin(&q->op, db->loop, &SQL, timeout_us, done, arg);
    q->next = NULL;
    q->queued = true;
    *db->last = q;
    db->last = &q->next;
    pump(db);
    return 0;
}

void sql_abandon(struct sql *db, int64_t lease)
{
    if (db->closed || lease == 0 || db->lease != lease || db->running == db->rollback) return;
    db->rollback_wanted = true;
    pump(db);
}

/* --- queries and results ------------------------------------------------------------------- */

struct sql_query *sql_query_new(struct sql *db)
{
    struct sql_query *q = mem_zalloc(sizeof *q);
    if (q == NULL) return NULL;
    q->db = db;
    q->limit_bytes = DEFAULT_LIMIT_BYTES;
    return q;
}

void sql_query_free(struct sql_query *q)
{
    if (q == NULL) return;
    assert(!op_is_running(&q->op));
    for (size_t i = 0; i < q->param_count; i++)
        if (q->params[i].type == SQL_TEXT || q->params[i].type == SQL_BLOB)
            mem_free((char *)q->params[i].bytes.data);
    mem_free(q->params);
    for (size_t i = 0; i < q->columns; i++)
        mem_free(q->names[i]);
    mem_free(q->names);
    buf_release(&q->text);
    buf_release(&q->cells);
    mem_free(q);
}

void sql_query_text(struct sql_query *q, const char *text, size_t len)
{
    buf_clear(&q->text);
    buf_add(&q->text, text, len);
}

void sql_query_add(struct sql_query *q, const struct sql_value *value)
{
    struct sql_value *grown = mem_realloc(q->params, (q->param_count + 1) * sizeof *grown);
    if (grown == NULL) {
        q->out_of_memory = true;
        return;
    }
    q->params = grown;
    struct sql_value *p = &grown[q->param_count];
    *p = *value;
    if (p->type == SQL_TEXT || p->type == SQL_BLOB) {
        char *copy = mem_alloc(p->bytes.len + 1);
        if (copy == NULL) {
            q->out_of_memory = true;
            return;
        }
        if (p->bytes.len > 0) memcpy(copy, p->bytes.data, p->bytes.len);
        copy[p->bytes.len] = '\0';
        p->bytes.data = copy;
    }
    q->param_count++;
}

void sql_query_role(struct sql_query *q, enum sql_role role, int64_t lease)
{
    q->role = role;
    q->lease = lease;
}

void sql_query_limit(struct sql_query *q, size_t size_bytes)
{
    q->limit_bytes = size_bytes;
}

struct op *sql_query_op(struct sql_query *q)
{
    return &q->op;
}

struct sql_query *sql_query_of(struct op *op)
{
    return (struct sql_query *)op; /* op is the first member */
}

const char *sql_state(const struct sql_query *q)
{
    return q->sqlstate;
}

unsigned sql_statement(const struct sql_query *q)
{
    return q->statement;
}

size_t sql_columns(const struct sql_query *q)
{
    return q->columns;
}

const char *sql_column_name(const struct sql_query *q, size_t column)
{
    return q->names[column];
}

size_t sql_rows(const struct sql_query *q)
{
    return q->rows;
}

int64_t sql_affected(const struct sql_query *q)
{
    return q->affected;
}
