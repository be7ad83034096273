/* Queries on a PostgreSQL connection, without ever blocking the loop: rows are taken as they come,
 * a limited number a turn. */
#include "core/sql_postgres.h"

#include "base/mem.h"

#include <poll.h>

#define RESULTS_A_TURN 256
#define GRACE_US       (3 * 1000000LL) /* for the server to stop a canceled statement */

static void end_query(struct postgres *c, int rc, const struct err *e)
{
    struct sql_query *q = c->q;
    timer_stop(c->loop, &c->grace);
    timer_stop(c->loop, &c->more);
    postgres_unwatch(c); /* an idle connection keeps no loop alive */
    c->q = NULL;
    if (c->state == LINK_BUSY) c->state = LINK_READY;
    sql_ended(q, rc, e); /* may have freed c */
}

void postgres_failed(struct postgres *c, const struct err *e)
{
    end_query(c, -(int)e->code, e);
}

static void fail(struct postgres *c, enum err_code code, const char *text)
{
    struct err e;
    err_set(&e, code, "sql", "%s: %s", c->name, text);
    postgres_failed(c, &e);
}

static void lost(struct postgres *c)
{
    struct err e;
    char text[300];
    const char *server = c->rc < 0 ? c->err.message : PQerrorMessage(c->pq);
    size_t name_len = strlen(c->name);
    if (strncmp(server, c->name, name_len) == 0 && server[name_len] == ':') server += name_len + 2;
    postgres_message(c, server, text, sizeof text);
    bool in_doubt = c->q->role == SQL_END || (c->q->lease == 0 && !c->in_transaction);
    err_set(&e, ERR_CLOSED, "sql", "%s: the connection was lost%s: %s", c->name,
            in_doubt ? ", and whether the statement was carried out is not known"
                     : " and its transaction with it",
            text);
    postgres_drop(c);
    postgres_failed(c, &e);
}

/* --- stopping a statement at the server ---------------------------------------------------- */

/* PQcancel opens a connection of its own and blocks for that. */
struct stop_job {
    uv_work_t job;
    struct postgres *c; /* NULL: nobody waits any more */
    PGcancel *cancel;
};

static void on_worker_stop(uv_work_t *job)
{
    struct stop_job *s = job->data;
    char why[256];
    PQcancel(s->cancel, why, (int)sizeof why); /* if it fails, the grace time ends the connection */
}

/* The query ends only when its cancel request is through, or that could hit the next query. */
static void on_stopped(uv_work_t *job, int status)
{
    (void)status;
    struct stop_job *s = job->data;
    struct postgres *c = s->c;
    PQfreeCancel(s->cancel);
    mem_free(s);
    if (c == NULL) return;
    c->stop = NULL;
    if (c->drained) end_query(c, c->rc, &c->err);
}

static void drop(struct postgres *c)
{
    if (c->stop != NULL) c->stop->c = NULL;
    c->stop = NULL;
    postgres_drop(c);
}

static void on_grace_over(void *arg)
{
    struct postgres *c = arg;
    drop(c);
    fail(c, ERR_CLOSED, "the server did not stop the statement; the connection was dropped");
}

static void stop_statement(struct postgres *c)
{
    if (c->stop != NULL) return;
    struct stop_job *s = mem_zalloc(sizeof *s);
    if (s != NULL) s->cancel = PQgetCancel(c->pq);
    if (s != NULL && s->cancel != NULL) {
        s->job.data = s;
        s->c = c;
        if (uv_queue_work(loop_uv(c->loop), &s->job, on_worker_stop, on_stopped) == 0) {
            c->stop = s;
            timer_start(c->loop, &c->grace, GRACE_US, on_grace_over, c);
            return;
        }
        PQfreeCancel(s->cancel);
    }
    mem_free(s);
    timer_start(c->loop, &c->grace, 0, on_grace_over, c);
}

/* --- results ------------------------------------------------------------------------------- */

static const char *column_name(void *res, size_t column)
{
    return PQfname(res, (int)column);
}

static void take_rows(struct postgres *c, PGresult *res)
{
    struct sql_query *q = c->q;
    if (q->role != SQL_QUERY || c->rc < 0) return;
    if (sql_set_columns(q, (size_t)PQnfields(res), column_name, res) < 0)
        c->rc = err_set(&c->err, ERR_MEMORY, "sql", "no memory for the rows of a query");
    if (c->rc < 0) return;
    for (int row = 0; row < PQntuples(res); row++, q->rows++)
        for (int column = 0; column < (int)q->columns; column++)
            postgres_put(q, res, row, column);
    c->rc = sql_check_size(q, &c->err);
    if (c->rc < 0) stop_statement(c);
}

/* The error's position counts characters; scripts are searched by bytes. */
static size_t byte_offset(const char *text, long characters)
{
    const char *p = text;
    for (; *p != '\0' && characters > 0; p++)
        if (((unsigned char)p[1] & 0xc0) != 0x80) characters--;
    return (size_t)(p - text);
}

static void take_error(struct postgres *c, PGresult *res)
{
    if (c->rc < 0) return; /* the first error counts */
    struct sql_query *q = c->q;
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE),
               *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL),
               *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
    char text[400], where[40] = "";
    snprintf(q->sqlstate, sizeof q->sqlstate, "%s", state != NULL ? state : "");
    if (q->role == SQL_SCRIPT) {
        q->statement = c->results + 1;
        /* A script is parsed as a whole before its first statement runs. */
        if (c->results == 0 && position != NULL)
            q->statement = sql_statement_at(buf_str(&q->text),
                                            byte_offset(buf_str(&q->text), strtol(position, NULL, 10) - 1));
        snprintf(where, sizeof where, "statement %u: ", q->statement);
    }
    postgres_message(c, primary != NULL ? primary : PQresultErrorMessage(res), text, sizeof text);
    c->rc = err_set(&c->err, ERR_SQL, "sql", "%s: %s%s%s%s%s", c->name, where, text,
                    state != NULL ? " (SQLSTATE " : "", state != NULL ? state : "", state != NULL ? ")" : "");
    if (detail != NULL) postgres_message(c, detail, c->err.cause, sizeof c->err.cause);
}

static void take_end(struct postgres *c, PGresult *res)
{
    const char *done = PQcmdStatus(res);
    bool changes = strncmp(done, "INSERT", 6) == 0 || strncmp(done, "UPDATE", 6) == 0 ||
                   strncmp(done, "DELETE", 6) == 0 || strncmp(done, "MERGE", 5) == 0 ||
                   strncmp(done, "COPY", 4) == 0;
    if (changes) c->q->affected += strtoll(PQcmdTuples(res), NULL, 10);
    c->results++;
}

/* Returns false when the connection had to be given up. */
static bool take(struct postgres *c, PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);
    bool copy = status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
    if (status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK) take_rows(c, res);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY)
        take_end(c, res);
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) take_error(c, res);
    PQclear(res);
    if (!copy) return true;
    drop(c);
    fail(c, ERR_SQL, "COPY to or from the client is not possible here; the connection was dropped");
    return false;
}

static void drained(struct postgres *c)
{
    if (PQstatus(c->pq) == CONNECTION_BAD) {
        if (c->stop != NULL) c->stop->c = NULL;
        c->stop = NULL;
        lost(c);
        return;
    }
    c->in_transaction = PQtransactionStatus(c->pq) != PQTRANS_IDLE;
    c->drained = true;
    postgres_unwatch(c);
    if (c->stop == NULL) end_query(c, c->rc, &c->err);
}

/* --- talking ------------------------------------------------------------------------------- */

static void on_socket(struct postgres *c);

static void drain(void *arg)
{
    struct postgres *c = arg;
    for (int i = 0; i < RESULTS_A_TURN; i++) {
        if (PQisBusy(c->pq)) return;
        PGresult *res = PQgetResult(c->pq);
        if (res == NULL) {
            drained(c);
            return;
        }
        if (!take(c, res)) return;
    }
    timer_start(c->loop, &c->more, 0, drain, c); /* what is read already makes the socket no readier */
}

static bool flush(struct postgres *c)
{
    struct err e;
    int left = PQflush(c->pq); /* a failure shows up as a result */
    if (postgres_watch(c, left == 1 ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_socket, &e) == 0)
        return true;
    drop(c);
    postgres_failed(c, &e);
    return false;
}

static void drop_notifications(struct postgres *c)
{
    PGnotify *n;
    while ((n = PQnotifies(c->pq)) != NULL)
        PQfreemem(n);
}

static void on_socket(struct postgres *c)
{
    bool alive = PQconsumeInput(c->pq) == 1;
    if (!alive) postgres_unwatch(c); /* libpq has closed the socket */
    drop_notifications(c);
    if (alive && !flush(c)) return;
    drain(c);
}

static void send_query(struct postgres *c)
{
    struct sql_query *q = c->q;
    if (q->role == SQL_CONNECT) {
        end_query(c, 0, NULL);
        return;
    }
    c->state = LINK_BUSY;
    int sent = q->role == SQL_QUERY ? postgres_send(c) : PQsendQuery(c->pq, buf_str(&q->text));
    if (sent < 0) {
        fail(c, ERR_MEMORY, "no memory for the parameters");
    } else if (sent == 0 && PQstatus(c->pq) == CONNECTION_BAD) {
        lost(c);
    } else if (sent == 0) {
        char text[300];
        postgres_message(c, PQerrorMessage(c->pq), text, sizeof text);
        fail(c, ERR_SQL, text);
    } else {
        PQsetSingleRowMode(c->pq);
        flush(c);
    }
}

void postgres_connected(struct postgres *c)
{
    send_query(c);
}

/* Has the server hung up meanwhile? Found now, nothing of the query has been sent. */
static bool is_alive(struct postgres *c)
{
    if (c->state != LINK_READY) return false;
    for (int i = 0; i < 16; i++) {
        struct pollfd fd = {.fd = PQsocket(c->pq), .events = POLLIN};
        if (PQstatus(c->pq) == CONNECTION_BAD || fd.fd < 0) return false;
        if (poll(&fd, 1, 0) <= 0) return true;
        if (PQconsumeInput(c->pq) == 0) return false;
        PQisBusy(c->pq); /* takes in notices */
        drop_notifications(c);
    }
    return PQstatus(c->pq) == CONNECTION_OK;
}

static bool holds_nul(const struct sql_query *q)
{
    for (size_t i = 0; i < q->param_count; i++)
        if (q->params[i].type == SQL_TEXT && strlen(q->params[i].bytes.data) != q->params[i].bytes.len)
            return true;
    return strlen(buf_str(&q->text)) != q->text.len;
}

static void postgres_run(void *conn, struct sql_query *q, bool may_connect)
{
    struct postgres *c = conn;
    c->q = q;
    c->results = 0;
    c->rc = 0;
    c->drained = false;
    err_clear(&c->err);
    if (holds_nul(q)) {
        fail(c, ERR_USAGE, "PostgreSQL takes no NUL byte in a text; pass bytes as a blob");
        return;
    }
    if (is_alive(c)) {
        send_query(c);
        return;
    }
    bool had_transaction = c->in_transaction;
    postgres_drop(c);
    if (had_transaction || !may_connect)
        fail(c, ERR_CLOSED, "the connection was lost, and its transaction with it");
    else
        postgres_connect(c);
}

static void postgres_cancel(void *conn, struct sql_query *q)
{
    struct postgres *c = conn;
    (void)q;
    if (c->state == LINK_BUSY) {
        stop_statement(c);
        return;
    }
    postgres_drop(c);
    fail(c, ERR_CANCELED, "canceled while connecting");
}

static bool postgres_in_transaction(void *conn)
{
    return ((struct postgres *)conn)->in_transaction;
}

static void postgres_free(void *conn, struct sql_query *abandoned)
{
    struct postgres *c = conn;
    sql_query_free(abandoned);
    drop(c);
    mem_free(c->password);
    mem_free(c->url);
    mem_free(c);
}

static int postgres_open(void **out, struct loop *loop, const char *url, const char *name, struct err *e)
{
    struct postgres *c = mem_zalloc(sizeof *c);
    if (c != NULL) c->url = mem_strdup(url);
    if (c == NULL || c->url == NULL) {
        mem_free(c);
        return err_set(e, ERR_MEMORY, "sql open", "no memory for a connection");
    }
    c->loop = loop;
    snprintf(c->name, sizeof c->name, "%s", name);
    *out = c;
    return 0;
}

static void postgres_read_only(void *conn)
{
    ((struct postgres *)conn)->read_only = true;
}

const struct sql_driver sql_postgres = {
    .name = "postgres",
    .open = postgres_open,
    .read_only = postgres_read_only,
    .run = postgres_run,
    .cancel = postgres_cancel,
    .in_transaction = postgres_in_transaction,
    .free = postgres_free,
};
