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

/* name: of a long statement, for messages; NULL: the statement itself says what it is. */
static int run_named(PGconn *conn, const char *statement, const char *name, const char *what, struct err *e)
{
    PGresult *result = PQexec(conn, statement);
    ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY) return 0;
    return failed(conn, what, name ? name : statement, e);
}

static int run(PGconn *conn, const char *statement, const char *what, struct err *e)
{
    return run_named(conn, statement, NULL, what, e);
}

/* A script with a COMMIT of its own would make half a restore last. */
static int run_sql(PGconn *conn, const struct backup_step *step, struct err *e)
{
    int rc = run_named(conn, step->statement, step->name, "backup", e);
    if (rc != 0 || PQtransactionStatus(conn) == PQTRANS_INTRANS) return rc;
    return err_set(e, ERR_BACKUP_CORRUPT, "backup", "%.80s ended the transaction that it was to be part of",
                   step->name ? step->name : step->statement);
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

/* What a role or a database is set to must not cut short, hide or write differently: a row that row security
 * hides is an error, and a value's text means the same to every session, also to psql in restore.sh. */
static const char SETTINGS[] =
    "SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '30s'; "
    "SET row_security = off; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; "
    "SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'; "
    "SET xmloption = 'content'; SET standard_conforming_strings = on; "
    "SELECT pg_catalog.set_config('client_encoding', CASE pg_catalog.current_setting('server_encoding') "
    "WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END, false)";

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
    /* By itself: a role's limit would count for all the others together. */
    rc = run(*out, "SET statement_timeout = 0", what, e);
    if (rc == 0) rc = run(*out, SETTINGS, what, e);
    if (rc != 0) PQfinish(*out);
    return rc;
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
                 const atomic_bool *canceled, struct err *e)
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

static int copy_out(PGconn *conn, const struct backup_session *session, struct backup_step *step,
                    const atomic_bool *canceled, struct err *e)
{
    struct pack_writer *pack = NULL;
    struct rowsum sum = {0};
    int rc = step->path ? pack_open(&pack, step->path, session->level, session->passphrase, e) : 0;
    if (rc == 0) rc = begin_copy(conn, step->statement, PGRES_COPY_OUT, "copy out", e);
    if (rc == 0) rc = drain(conn, step->statement, pack, &sum, canceled, e);
    if (rc == 0 && pack != NULL)
        rc = pack_close(pack, &step->pack, e);
    else
        pack_abandon(pack);
    rowsum_text(&sum, step->checksum);
    step->rows = sum.rows;
    return rc;
}

static int feed(PGconn *conn, const char *statement, struct pack_reader *pack, const atomic_bool *canceled,
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

static int copy_in(PGconn *conn, const struct backup_session *session, struct backup_step *step,
                   const atomic_bool *canceled, struct err *e)
{
    struct pack_reader *pack;
    const struct pack_expected expected = {step->sha256, step->raw_bytes, session->passphrase};
    int rc = pack_reader_open(&pack, step->path, &expected, e);
    if (rc != 0) return rc;
    rc = begin_copy(conn, step->statement, PGRES_COPY_IN, "copy in", e);
    if (rc == 0) rc = feed(conn, step->statement, pack, canceled, e);
    /* Closing the connection without COMMIT takes everything back: that is the way out of every failure. */
    struct err end;
    int ended = pack_reader_close(pack, rc == 0, &end);
    if (rc == 0 && ended != 0) {
        *e = end;
        rc = ended;
    }
    return rc == 0 ? end_copy(conn, step->statement, &step->rows, e) : rc;
}

static int look(const struct backup_step *step, struct err *e)
{
    const char *name = step->name ? step->name : step->statement;
    if (step->wanted_rows >= 0 && step->rows != (uint64_t)step->wanted_rows)
        return err_set(e, ERR_BACKUP_MISMATCH, "compare", "table %.200s: %llu rows; the backup has %lld",
                       name, (unsigned long long)step->rows, (long long)step->wanted_rows);
    if (step->wanted != NULL && strcmp(step->wanted, step->checksum) != 0)
        return err_set(e, ERR_BACKUP_MISMATCH, "compare",
                       "table %.200s: the rows have the checksum %s; those of the backup %s", name,
                       step->checksum, step->wanted);
    return 0;
}

int backup_postgres_run(const struct backup_session *session, struct backup_step *steps, size_t n,
                        const atomic_bool *canceled, struct err *e)
{
    PGconn *conn;
    int rc = connect_to(session->url, "backup", &conn, e);
    if (rc != 0) return rc;
    rc = run(conn, session->begin, "backup", e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct backup_step *step = &steps[i];
        if (atomic_load(canceled))
            rc = err_set(e, ERR_CANCELED, "backup", "canceled");
        else if (step->kind == BACKUP_SQL)
            rc = run_sql(conn, step, e);
        else
            rc = step->kind == BACKUP_OUT ? copy_out(conn, session, step, canceled, e)
                                          : copy_in(conn, session, step, canceled, e);
        if (rc == 0 && step->kind != BACKUP_SQL) rc = look(step, e);
    }
    if (rc == 0) rc = run(conn, "COMMIT", "backup", e);
    PQfinish(conn);
    return rc;
}
