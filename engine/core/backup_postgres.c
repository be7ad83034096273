#include "core/backup_postgres.h"

#include "core/lazy_pq.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 128 << 10, GATHER_BYTES = 64 << 10 };

/* libpq's messages end in a newline and may have several lines. */
static int failed(PGconn *conn, const char *what, const char *statement, struct err *e)
{
    char words[400];
    snprintf(words, sizeof words, "%s", PQerrorMessage(conn));
    for (char *at = words; *at != '\0'; at++)
        if (*at == '\n') *at = at[1] != '\0' ? ' ' : '\0';
    return err_set(e, ERR_BACKUP, what, "%.80s: %s", statement, words);
}

static int run(PGconn *conn, const char *statement, const char *what, struct err *e)
{
    PGresult *result = PQexec(conn, statement);
    ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY) return 0;
    return failed(conn, what, statement, e);
}

static int begin_copy(PGconn *conn, const char *statement, ExecStatusType wanted, const char *what,
                      struct err *e)
{
    PGresult *result = PQexec(conn, statement);
    ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    return status == wanted ? 0 : failed(conn, what, statement, e);
}

static void keep_quiet(void *arg, const char *message)
{
    (void)arg;
    (void)message; /* notices; what matters comes back as an error */
}

static int connect_to(const char *url, const char *what, PGconn **out, struct err *e)
{
    int rc = lazy_pq(e);
    if (rc != 0) return rc;
    *out = PQconnectdb(url);
    if (PQstatus(*out) != CONNECTION_OK) {
        failed(*out, what, "connect", e);
        e->code = ERR_CONNECT;
        PQfinish(*out);
        return -ERR_CONNECT;
    }
    PQsetNoticeProcessor(*out, keep_quiet, NULL);
    /* What a role's own settings might cut short or hide must not: a row that row security hides is an error.
     */
    rc = run(*out,
             "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET row_security = "
             "off; SET client_encoding = 'UTF8'; SET DateStyle = 'ISO'; SET extra_float_digits = 3; SET "
             "lock_timeout = '30s'",
             what, e);
    if (rc != 0) PQfinish(*out);
    return rc;
}

static int begin_snapshot(PGconn *conn, const char *snapshot, const char *what, struct err *e)
{
    char statement[256];
    int rc = run(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", what, e);
    if (rc != 0 || snapshot == NULL) return rc;
    snprintf(statement, sizeof statement, "SET TRANSACTION SNAPSHOT '%.100s'", snapshot);
    return run(conn, statement, what, e);
}

/* Lines on their way to the compressor, which is better fed with more than one at a time. */
struct gathered {
    struct pack_writer *pack; /* NULL: nothing is written */
    size_t len;
    char bytes[GATHER_BYTES];
};

static int pass_on(struct gathered *g, const char *bytes, size_t n, struct err *e)
{
    return g->pack != NULL && n > 0 ? pack_write(g->pack, bytes, n, e) : 0;
}

static int gather(struct gathered *g, const char *line, size_t n, struct err *e)
{
    int rc = 0;
    if (g->len + n > sizeof g->bytes) {
        rc = pass_on(g, g->bytes, g->len, e);
        g->len = 0;
    }
    if (rc != 0 || n > sizeof g->bytes) return rc ? rc : pass_on(g, line, n, e);
    memcpy(g->bytes + g->len, line, n);
    g->len += n;
    return 0;
}

static int drain(PGconn *conn, const char *statement, struct pack_writer *pack, struct rowsum *sum,
                 atomic_bool *canceled, struct err *e)
{
    static _Thread_local struct gathered g;
    char *line;
    int n, rc;
    g.pack = pack;
    g.len = 0;
    while ((n = PQgetCopyData(conn, &line, 0)) > 0) {
        rowsum_line(sum, line, (size_t)(line[n - 1] == '\n' ? n - 1 : n));
        rc = gather(&g, line, (size_t)n, e);
        PQfreemem(line);
        if (rc == 0 && atomic_load(canceled)) rc = err_set(e, ERR_CANCELED, "copy out", "canceled");
        if (rc != 0) return rc;
    }
    if (n != -1) return failed(conn, "copy out", statement, e);
    rc = pass_on(&g, g.bytes, g.len, e);
    if (rc != 0) return rc;
    /* The rows came, but only this says that they were all. */
    PGresult *result = PQgetResult(conn);
    ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    return status == PGRES_COMMAND_OK ? 0 : failed(conn, "copy out", statement, e);
}

int backup_postgres_out(const char *url, const char *snapshot, const char *statement, const char *to,
                        int level, atomic_bool *canceled, struct backup_copy *out, struct err *e)
{
    PGconn *conn;
    struct pack_writer *pack = NULL;
    struct rowsum sum = {0};
    int rc = connect_to(url, "copy out", &conn, e);
    if (rc != 0) return rc;
    memset(out, 0, sizeof *out);
    rc = begin_snapshot(conn, snapshot, "copy out", e);
    if (rc == 0 && to != NULL) rc = pack_open(&pack, to, level, e);
    if (rc == 0) rc = begin_copy(conn, statement, PGRES_COPY_OUT, "copy out", e);
    if (rc == 0) rc = drain(conn, statement, pack, &sum, canceled, e);
    if (rc == 0 && pack != NULL)
        rc = pack_close(pack, &out->pack, e);
    else
        pack_abandon(pack);
    rowsum_text(&sum, out->checksum);
    out->rows = sum.rows;
    PQfinish(conn);
    return rc;
}

static int feed(PGconn *conn, const char *statement, struct pack_reader *pack, atomic_bool *canceled,
                struct err *e)
{
    char *chunk = malloc(CHUNK_BYTES);
    long n = chunk != NULL ? 1 : err_set(e, ERR_MEMORY, "copy in", "no memory");
    while (n > 0 && (n = pack_read(pack, chunk, CHUNK_BYTES, e)) > 0) {
        if (atomic_load(canceled))
            n = err_set(e, ERR_CANCELED, "copy in", "canceled");
        else if (PQputCopyData(conn, chunk, (int)n) != 1)
            n = failed(conn, "copy in", statement, e);
    }
    free(chunk);
    return (int)n;
}

static int end_copy(PGconn *conn, const char *statement, uint64_t *rows, struct err *e)
{
    if (PQputCopyEnd(conn, NULL) != 1) return failed(conn, "copy in", statement, e);
    PGresult *result = PQgetResult(conn);
    bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (ok) *rows = strtoull(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    while ((result = PQgetResult(conn)) != NULL)
        PQclear(result);
    return ok ? 0 : failed(conn, "copy in", statement, e);
}

int backup_postgres_in(const char *url, const char *before, const char *statement, const char *from,
                       const char *expected_sha256, atomic_bool *canceled, uint64_t *rows, struct err *e)
{
    PGconn *conn;
    struct pack_reader *pack = NULL;
    int rc = connect_to(url, "copy in", &conn, e);
    if (rc != 0) return rc;
    rc = run(conn, "BEGIN", "copy in", e);
    if (rc == 0 && before != NULL) rc = run(conn, before, "copy in", e);
    if (rc == 0) rc = pack_reader_open(&pack, from, expected_sha256, e);
    if (rc == 0) rc = begin_copy(conn, statement, PGRES_COPY_IN, "copy in", e);
    if (rc == 0) rc = feed(conn, statement, pack, canceled, e);
    /* Closing the connection without COMMIT takes everything back: that is the way out of every failure. */
    if (pack != NULL) {
        struct err end;
        int ended = pack_reader_close(pack, rc == 0, &end);
        if (rc == 0 && ended != 0) {
            *e = end;
            rc = ended;
        }
    }
    if (rc == 0) rc = end_copy(conn, statement, rows, e);
    if (rc == 0) rc = run(conn, "COMMIT", "copy in", e);
    PQfinish(conn);
    return rc;
}
