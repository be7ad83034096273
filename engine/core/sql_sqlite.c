/* SQLite on worker threads. One job at a time a connection: the database handle is only touched by
 * the job, except for sqlite3_interrupt, which SQLite allows from any thread.
 *
 * Jobs go to libuv directly, not through work.h: closing, and a rollback that nobody waits for,
 * outlive every operation. */
#include "core/sql_driver.h"

#include "base/mem.h"
#include "core/sql_sqlite_kept.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <strings.h>
#include <unistd.h>
#include <uv.h>

#define PROGRESS_STEPS 1000
#define BUSY_PAUSE_MS  5

struct sqlite {
    struct loop *loop;
    char *path;
    int flags;
    bool read_only;
    char name[192]; /* a job may outlive the struct sql */
    _Atomic(sqlite3 *) handle;
    struct kept kept; /* the job's, like the handle */
    uv_work_t job;
    bool job_runs, orphaned;
    atomic_bool stop;
    bool in_transaction;
    struct sql_query *q;
    bool may_connect;
    int rc;
    struct err err;
};

/* --- on the worker ------------------------------------------------------------------------- */

static int on_progress(void *arg)
{
    return atomic_load(&((struct sqlite *)arg)->stop);
}

/* Another process's lock cannot be waited for, only tried again; the query's own time limit ends it. */
static int on_busy(void *arg, int tries)
{
    (void)tries;
    if (atomic_load(&((struct sqlite *)arg)->stop)) return 0;
    sqlite3_sleep(BUSY_PAUSE_MS);
    return 1;
}

/* A transaction that is held, or an exclusive lock, would keep others from writing although it counts as
 * reading. The transactions of sql.h are begun and ended by whoever waits for them. */
static int on_authorize(void *arg, int action, const char *first, const char *second, const char *database,
                        const char *trigger)
{
    const struct sqlite *s = arg;
    (void)database, (void)trigger;
    switch (action) {
    case SQLITE_TRANSACTION:
        return s->q->role == SQL_BEGIN || s->q->role == SQL_END ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_SAVEPOINT:
        return SQLITE_DENY;
    case SQLITE_PRAGMA:
        if (strcasecmp(first, "optimize") == 0) return SQLITE_DENY; /* it may write what it found */
        return second != NULL && strcasecmp(first, "locking_mode") == 0 ? SQLITE_DENY : SQLITE_OK;
    default:
        return SQLITE_OK;
    }
}

static const char *code_name(int extended)
{
    static const struct {
        int code;
        const char *name;
    } names[] = {
        {SQLITE_CONSTRAINT_CHECK, "SQLITE_CONSTRAINT_CHECK"},
        {SQLITE_CONSTRAINT_FOREIGNKEY, "SQLITE_CONSTRAINT_FOREIGNKEY"},
        {SQLITE_CONSTRAINT_NOTNULL, "SQLITE_CONSTRAINT_NOTNULL"},
        {SQLITE_CONSTRAINT_PRIMARYKEY, "SQLITE_CONSTRAINT_PRIMARYKEY"},
        {SQLITE_CONSTRAINT_TRIGGER, "SQLITE_CONSTRAINT_TRIGGER"},
        {SQLITE_CONSTRAINT_UNIQUE, "SQLITE_CONSTRAINT_UNIQUE"},
        {SQLITE_BUSY_SNAPSHOT, "SQLITE_BUSY_SNAPSHOT"},
        {SQLITE_ERROR, "SQLITE_ERROR"},
        {SQLITE_PERM, "SQLITE_PERM"},
        {SQLITE_AUTH, "SQLITE_AUTH"},
        {SQLITE_BUSY, "SQLITE_BUSY"},
        {SQLITE_LOCKED, "SQLITE_LOCKED"},
        {SQLITE_NOMEM, "SQLITE_NOMEM"},
        {SQLITE_READONLY, "SQLITE_READONLY"},
        {SQLITE_INTERRUPT, "SQLITE_INTERRUPT"},
        {SQLITE_IOERR, "SQLITE_IOERR"},
        {SQLITE_CORRUPT, "SQLITE_CORRUPT"},
        {SQLITE_FULL, "SQLITE_FULL"},
        {SQLITE_CANTOPEN, "SQLITE_CANTOPEN"},
        {SQLITE_TOOBIG, "SQLITE_TOOBIG"},
        {SQLITE_CONSTRAINT, "SQLITE_CONSTRAINT"},
        {SQLITE_MISMATCH, "SQLITE_MISMATCH"},
        {SQLITE_RANGE, "SQLITE_RANGE"},
        {SQLITE_NOTADB, "SQLITE_NOTADB"},
    };
    for (int pass = 0; pass < 2; pass++) {
        int code = pass == 0 ? extended : extended & 0xff;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (names[i].code == code) return names[i].name;
    }
    return "SQLITE_ERROR";
}

static int refused(struct sqlite *s, sqlite3 *handle, struct err *e)
{
    int code = handle != NULL ? sqlite3_extended_errcode(handle) : SQLITE_NOMEM;
    const char *name = code_name(code);
    struct sql_query *q = s->q;
    snprintf(q->sqlstate, sizeof q->sqlstate, "%s", name);
    char where[32] = "";
    if (q->role == SQL_SCRIPT || (q->role == SQL_BATCH && q->statement > 0))
        snprintf(where, sizeof where, "statement %u: ", q->statement);
    enum err_code kind = ERR_SQL;
    if ((code & 0xff) == SQLITE_AUTH)
        return err_set(
            e, kind, "sql",
            "%s: %sthis connection only reads, and holds no lock: transactions by db:transaction, no "
            "savepoints, no PRAGMA locking_mode or optimize (%s)",
            s->name, where, name);
    if ((code & 0xff) == SQLITE_CANTOPEN) kind = ERR_CONNECT;
    if ((code & 0xff) == SQLITE_NOMEM) kind = ERR_MEMORY;
    return err_set(e, kind, "sql", "%s: %s%s (%s)", s->name, where,
                   handle != NULL ? sqlite3_errmsg(handle) : "no memory", name);
}

/* SQLite would create the file readable for everybody. A file that exists is not even opened here:
 * closing it again would drop the locks that this process holds on it. */
static void create_private(const struct sqlite *s)
{
    if (!(s->flags & SQLITE_OPEN_CREATE) || s->path[0] == ':' || s->path[0] == '\0') return;
    int fd = open(s->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

static int connect_file(struct sqlite *s, struct err *e)
{
    create_private(s);
    sqlite3 *handle = NULL;
    if (sqlite3_open_v2(s->path, &handle, s->flags, NULL) != SQLITE_OK) {
        int rc = refused(s, handle, e);
        sqlite3_close(handle);
        return rc;
    }
    sqlite3_extended_result_codes(handle, 1);
    sqlite3_busy_handler(handle, on_busy, s);
    sqlite3_progress_handler(handle, PROGRESS_STEPS, on_progress, s);
    int rc = 0;
    /* The second reads the file's header: what is no database fails now, not at some query. */
    if (sqlite3_exec(handle, "PRAGMA foreign_keys = ON; PRAGMA schema_version", NULL, NULL, NULL) !=
        SQLITE_OK) {
        rc = refused(s, handle, e);
        sqlite3_close(handle);
        return rc;
    }
    if (s->read_only) {
        sqlite3_exec(handle, "PRAGMA query_only = ON", NULL, NULL, NULL);
        sqlite3_set_authorizer(handle, on_authorize, s);
    }
    atomic_store(&s->handle, handle);
    return rc;
}

static int bind_one(sqlite3_stmt *stmt, int index, const struct sql_value *v)
{
    switch (v->type) {
    case SQL_NULL:
        break;
    case SQL_BOOL:
        return sqlite3_bind_int(stmt, index, v->boolean);
    case SQL_INT:
        return sqlite3_bind_int64(stmt, index, v->integer);
    case SQL_REAL:
        return sqlite3_bind_double(stmt, index, v->real);
    case SQL_TEXT:
        return sqlite3_bind_text64(stmt, index, v->bytes.data, v->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
    case SQL_BLOB:
        return sqlite3_bind_blob64(stmt, index, v->bytes.data, v->bytes.len, SQLITE_STATIC);
    }
    return sqlite3_bind_null(stmt, index);
}

/* $1 is, to SQLite, a variable named "$1"; its index is the order of appearance. The statement's own
 * parameters begin behind the first `taken` of the query's; taken grows by them. */
static int bind_all(struct sqlite *s, sqlite3 *handle, sqlite3_stmt *stmt, size_t *taken, struct err *e)
{
    struct sql_query *q = s->q;
    size_t highest = 0, given = q->param_count - *taken;
    for (int i = 1; i <= sqlite3_bind_parameter_count(stmt); i++) {
        const char *variable = sqlite3_bind_parameter_name(stmt, i);
        char *end = NULL;
        unsigned long number = variable != NULL ? strtoul(variable + 1, &end, 10) : 0;
        if (variable == NULL || number == 0 || *end != '\0')
            return err_set(e, ERR_SQL, "sql", "%s: the parameter %s is not of the form $1", s->name,
                           variable != NULL ? variable : "?");
        if (number > highest) highest = number;
        if (number <= given && bind_one(stmt, i, &q->params[*taken + number - 1]) != SQLITE_OK)
            return refused(s, handle, e);
    }
    if (highest > given || (highest < given && q->role == SQL_QUERY))
        return err_set(e, ERR_SQL, "sql", "%s: the statement takes %zu parameters, %zu were given", s->name,
                       highest, given);
    *taken += highest;
    return 0;
}

static const char *column_name(void *stmt, size_t column)
{
    const char *name = sqlite3_column_name(stmt, (int)column);
    return name != NULL ? name : "";
}

/* SQLite has no boolean values; a column that is declared as one holds them as 0 and 1. */
static bool is_boolean(sqlite3_stmt *stmt, int column, int64_t value)
{
    const char *declared = sqlite3_column_decltype(stmt, column);
    return (value == 0 || value == 1) && declared != NULL && strncasecmp(declared, "bool", 4) == 0;
}

static void put_row(struct sql_query *q, sqlite3_stmt *stmt)
{
    for (int i = 0; i < (int)q->columns; i++) {
        struct sql_value v = {.type = SQL_NULL};
        switch (sqlite3_column_type(stmt, i)) {
        case SQLITE_INTEGER:
            v.type = SQL_INT;
            v.integer = sqlite3_column_int64(stmt, i);
            if (is_boolean(stmt, i, v.integer)) {
                v.boolean = v.integer != 0;
                v.type = SQL_BOOL;
            }
            break;
        case SQLITE_FLOAT:
            v.type = SQL_REAL;
            v.real = sqlite3_column_double(stmt, i);
            break;
        case SQLITE_TEXT:
            v.type = SQL_TEXT;
            v.bytes.data = (const char *)sqlite3_column_text(stmt, i);
            v.bytes.len = (size_t)sqlite3_column_bytes(stmt, i);
            break;
        case SQLITE_BLOB:
            v.type = SQL_BLOB;
            v.bytes.data = sqlite3_column_blob(stmt, i);
            v.bytes.len = (size_t)sqlite3_column_bytes(stmt, i);
            break;
        }
        sql_put(q, &v);
    }
    q->rows++;
}

static int only_reads(struct sqlite *s, struct err *e)
{
    snprintf(s->q->sqlstate, sizeof s->q->sqlstate, "SQLITE_READONLY");
    return err_set(e, ERR_SQL, "sql", "%s: this connection only reads (SQLITE_READONLY)", s->name);
}

/* The columns are asked for after the first step: a statement that was kept may be prepared anew by it. */
static int step_all(struct sqlite *s, sqlite3 *handle, sqlite3_stmt *stmt, struct err *e)
{
    struct sql_query *q = s->q;
    bool keep = q->role == SQL_QUERY;
    /* What a statement before may have said of query_only does not matter. */
    if (s->read_only && !sqlite3_stmt_readonly(stmt)) return only_reads(s, e);
    int64_t changes_before = sqlite3_total_changes64(handle);
    int step = sqlite3_step(stmt);
    if (keep && sql_set_columns(q, (size_t)sqlite3_column_count(stmt), column_name, stmt) < 0)
        return err_set(e, ERR_MEMORY, "sql", "no memory for the rows of a query");
    for (; step == SQLITE_ROW; step = sqlite3_step(stmt)) {
        if (!keep) continue;
        put_row(q, stmt);
        int rc = sql_check_size(q, e);
        if (rc < 0) return rc;
    }
    if (step != SQLITE_DONE) return refused(s, handle, e);
    /* sqlite3_changes keeps the figure of an earlier statement when this one changes no rows. */
    if (sqlite3_total_changes64(handle) != changes_before) q->affected += sqlite3_changes64(handle);
    return 0;
}

static bool is_blank(const char *sql)
{
    for (;;) {
        sql += strspn(sql, " \t\r\n\f;");
        if (sql[0] == '-' && sql[1] == '-')
            sql += strcspn(sql, "\n");
        else if (sql[0] == '/' && sql[1] == '*' && strstr(sql + 2, "*/") != NULL)
            sql = strstr(sql + 2, "*/") + 2;
        else
            return *sql == '\0';
    }
}

static int run_statement(struct sqlite *s, sqlite3 *handle, const char **rest, size_t *taken, struct err *e)
{
    struct sql_query *q = s->q;
    sqlite3_stmt *stmt = NULL;
    int rc = 0;
    if (atomic_load(&s->stop))
        return err_set(e, ERR_CANCELED, "sql", "%s: canceled before statement %u", s->name, q->statement);
    if (kept_take(&s->kept, handle, *rest, &stmt, rest) != SQLITE_OK) return refused(s, handle, e);
    if (stmt == NULL) return 0; /* a comment at the end */
    if (q->role != SQL_SCRIPT && q->role != SQL_BATCH && !is_blank(*rest))
        rc = err_set(e, ERR_SQL, "sql", "%s: a query is one statement; use execute for several", s->name);
    if (rc == 0 && (q->role == SQL_QUERY || q->role == SQL_BATCH)) rc = bind_all(s, handle, stmt, taken, e);
    if (rc == 0) rc = step_all(s, handle, stmt, e);
    kept_give(&s->kept, stmt);
    return rc;
}

static int run_text(struct sqlite *s, struct err *e)
{
    sqlite3 *handle = atomic_load(&s->handle);
    struct sql_query *q = s->q;
    const char *rest = buf_str(&q->text);
    size_t taken = 0;
    if (strlen(rest) != q->text.len)
        return err_set(e, ERR_USAGE, "sql", "%s: the statement holds a NUL byte", s->name);
    for (q->statement = 1; !is_blank(rest); q->statement++) {
        int rc = run_statement(s, handle, &rest, &taken, e);
        if (rc < 0) return rc;
        if (q->role == SQL_BATCH && q->affected == 0) break;
    }
    if (q->role == SQL_BATCH && q->affected > 0 && taken != q->param_count)
        return err_set(e, ERR_SQL, "sql", "%s: the statements take %zu parameters, %zu were given", s->name,
                       taken, q->param_count);
    q->statement = 0;
    return 0;
}

/* A whole transaction in one job: nobody else's turn of the loop lies inside. */
static int run_batch(struct sqlite *s, struct err *e)
{
    sqlite3 *handle = atomic_load(&s->handle);
    if (s->read_only) return only_reads(s, e); /* nobody asks for a batch to read */
    if (sqlite3_exec(handle, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) return refused(s, handle, e);
    int rc = run_text(s, e);
    if (rc == 0 && s->q->affected > 0 && sqlite3_exec(handle, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        rc = refused(s, handle, e);
    /* Some errors have rolled back by themselves. */
    if (!sqlite3_get_autocommit(handle)) sqlite3_exec(handle, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

static void on_worker(uv_work_t *job)
{
    struct sqlite *s = job->data;
    s->rc = 0;
    err_clear(&s->err);
    if (atomic_load(&s->handle) == NULL) s->rc = connect_file(s, &s->err);
    if (s->rc == 0 && s->q->role != SQL_CONNECT)
        s->rc = s->q->role == SQL_BATCH ? run_batch(s, &s->err) : run_text(s, &s->err);
    sqlite3 *handle = atomic_load(&s->handle);
    s->in_transaction = handle != NULL && !sqlite3_get_autocommit(handle);
}

static void close_now(struct sqlite *s)
{
    kept_release(&s->kept);
    sqlite3_close_v2(atomic_load(&s->handle));
}

/* Closing may write (a WAL is moved into the file), so it is a job too. */
static void on_worker_close(uv_work_t *job)
{
    close_now(job->data);
}

/* --- on the loop --------------------------------------------------------------------------- */

static void release(struct sqlite *s)
{
    mem_free(s->path);
    mem_free(s);
}

static void on_closed(uv_work_t *job, int status)
{
    (void)status;
    release(job->data);
}

static void close_handle(struct sqlite *s)
{
    if (atomic_load(&s->handle) == NULL ||
        uv_queue_work(loop_uv(s->loop), &s->job, on_worker_close, on_closed) != 0) {
        close_now(s);
        release(s);
    }
}

/* The worker still reads the query of a job that runs: both go when it is back. */
static void sqlite_free(void *conn, struct sql_query *abandoned)
{
    struct sqlite *s = conn;
    s->orphaned = s->job_runs;
    if (s->orphaned) return;
    sql_query_free(abandoned);
    close_handle(s);
}

static void on_back(uv_work_t *job, int status)
{
    struct sqlite *s = job->data;
    s->job_runs = false;
    if (s->orphaned) {
        sql_query_free(s->q);
        close_handle(s);
        return;
    }
    if (status != 0) s->rc = err_set(&s->err, ERR_CANCELED, "sql", "%s: canceled before it began", s->name);
    struct sql_query *q = s->q;
    s->q = NULL;
    sql_ended(q, s->rc, &s->err); /* may have freed s */
}

static void sqlite_run(void *conn, struct sql_query *q, bool may_connect)
{
    struct sqlite *s = conn;
    (void)may_connect; /* a connection to a file does not break */
    assert(!s->job_runs);
    s->q = q;
    s->job.data = s;
    atomic_store(&s->stop, false);
    s->job_runs = true;
    int rc = uv_queue_work(loop_uv(s->loop), &s->job, on_worker, on_back);
    assert(rc == 0);
    (void)rc;
}

static void sqlite_cancel(void *conn, struct sql_query *q)
{
    struct sqlite *s = conn;
    (void)q;
    atomic_store(&s->stop, true);
    sqlite3 *handle = atomic_load(&s->handle);
    if (handle != NULL) sqlite3_interrupt(handle);
    uv_cancel((uv_req_t *)&s->job); /* succeeds only while it is still queued */
}

static bool sqlite_in_transaction(void *conn)
{
    return ((struct sqlite *)conn)->in_transaction;
}

static int read_mode(const char *options, int *flags)
{
    static const struct {
        const char *text;
        int flags;
    } modes[] = {
        {"", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE},
        {"?mode=rwc", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE},
        {"?mode=rw", SQLITE_OPEN_READWRITE},
        {"?mode=ro", SQLITE_OPEN_READONLY},
    };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(options, modes[i].text) != 0) continue;
        *flags = modes[i].flags | SQLITE_OPEN_NOMUTEX; /* one job at a time */
        return 0;
    }
    return -ERR_USAGE;
}

static int sqlite_open(void **out, struct loop *loop, const char *url, const char *name, struct err *e)
{
    const char *path = url + strlen("sqlite:");
    size_t path_len = strcspn(path, "?");
    int flags;
    if (path_len == 0) return err_set(e, ERR_USAGE, "sql open", "sqlite: needs a path or :memory:");
    if (read_mode(path + path_len, &flags) < 0)
        return err_set(e, ERR_USAGE, "sql open", "%s: the only option is ?mode=ro, rw or rwc", name);
    struct sqlite *s = mem_zalloc(sizeof *s);
    if (s != NULL) s->path = mem_alloc(path_len + 1);
    if (s == NULL || s->path == NULL) {
        mem_free(s);
        return err_set(e, ERR_MEMORY, "sql open", "no memory for a connection");
    }
    memcpy(s->path, path, path_len);
    s->path[path_len] = '\0';
    s->loop = loop;
    s->flags = flags;
    snprintf(s->name, sizeof s->name, "%s", name);
    *out = s;
    return 0;
}

static void sqlite_read_only(void *conn)
{
    struct sqlite *s = conn;
    s->read_only = true;
    s->flags &= ~SQLITE_OPEN_CREATE;
}

const struct sql_driver sql_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .read_only = sqlite_read_only,
    .run = sqlite_run,
    .cancel = sqlite_cancel,
    .in_transaction = sqlite_in_transaction,
    .free = sqlite_free,
};
