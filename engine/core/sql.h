/* sql: one interface to PostgreSQL and SQLite.
 *
 * A connection runs one query at a time; others wait their turn, first come first served. The
 * first query connects. A connection that broke is made anew by the next query, but never inside
 * a transaction: what began there is lost, and every query of it says so.
 *
 * PostgreSQL is spoken to on the loop without blocking; SQLite runs on worker threads.
 *
 *     sql_open(&db, loop, "postgres://app@db/shop", &e);
 *     q = sql_query_new(db);
 *     sql_query_text(q, text, len); sql_query_add(q, &value) for $1, $2, ...
 *     sql_query_start(q, timeout_us, done, arg, &e);
 *     done: op->status, then sql_columns(q), sql_rows(q), sql_next(q, &at, &value)
 *     sql_query_free(q); sql_free(db); */
#ifndef ENGINE_CORE_SQL_H
#define ENGINE_CORE_SQL_H

#include "core/op.h"

#include <stddef.h>
#include <stdint.h>

struct sql;
struct sql_query;

enum sql_type { SQL_NULL, SQL_BOOL, SQL_INT, SQL_REAL, SQL_TEXT, SQL_BLOB };

struct sql_value {
    enum sql_type type;
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct {
            const char *data; /* not necessarily NUL-terminated */
            size_t len;
        } bytes; /* of a text or blob */
    };
};

/* url: postgres://..., postgresql://..., sqlite:PATH or sqlite::memory:, a path optionally with
 * ?mode=ro|rw|rwc. Only looks at the url; nothing is connected yet. */
int sql_open(struct sql **out, struct loop *loop, const char *url, struct err *e);

/* Before the first query: the server itself refuses what would write, and no file is made. */
void sql_read_only(struct sql *db);
bool sql_is_read_only(const struct sql *db);

/* Cancels what runs or waits with ERR_CLOSED and lets go of the connection, without waiting. */
void sql_close(struct sql *db);
void sql_free(struct sql *db); /* closes; no query may be running. db may be NULL */

bool sql_is_closed(const struct sql *db);
const char *sql_name(const struct sql *db);        /* the url without password, for messages */
const char *sql_driver_name(const struct sql *db); /* "postgres" or "sqlite" */

/* What a query is for. */
enum sql_role {
    SQL_QUERY, /* one statement with parameters; rows come back */
    SQL_BATCH, /* SQLite: several, all in one transaction or none; $1 of each is its first parameter. None too
                  when the first affects no row */
    SQL_SCRIPT,  /* any number of statements without parameters; rows are dropped */
    SQL_CONNECT, /* only makes sure that there is a connection */
    SQL_BEGIN,   /* takes the connection for a lease ... */
    SQL_END,     /* ... and gives it back */
};

struct sql_query *sql_query_new(struct sql *db);                        /* NULL: no memory */
void sql_query_free(struct sql_query *q);                               /* not while it runs; q may be NULL */
void sql_query_text(struct sql_query *q, const char *text, size_t len); /* copied */
void sql_query_add(struct sql_query *q, const struct sql_value *value); /* the next parameter, copied */

/* From a lease's SQL_BEGIN to its SQL_END only queries of that lease run; others wait. */
int64_t sql_lease(struct sql *db);
void sql_query_role(struct sql_query *q, enum sql_role role, int64_t lease); /* lease 0: none */

/* Ends a lease that still holds: rolls back soon, before any other query, without anybody waiting. */
void sql_abandon(struct sql *db, int64_t lease);

/* Rows of more than this many bytes end the query with ERR_LIMIT (default 256 MiB). */
void sql_query_limit(struct sql_query *q, size_t size_bytes);

/* The time limit includes waiting for the connection. At the limit, or when canceled, the statement
 * is stopped at the server; if that does not help, the connection is dropped. */
int sql_query_start(struct sql_query *q, int64_t timeout_us, op_done_fn done, void *arg, struct err *e);
struct op *sql_query_op(struct sql_query *q);
struct sql_query *sql_query_of(struct op *op);

/* After the completion. */
const char *sql_state(const struct sql_query *q); /* "23505", "SQLITE_CONSTRAINT_UNIQUE" or "" */
unsigned
sql_statement(const struct sql_query *q); /* of a script or batch: the statement that failed, from 1; or 0 */
size_t sql_columns(const struct sql_query *q);
const char *sql_column_name(const struct sql_query *q, size_t column);
size_t sql_rows(const struct sql_query *q);
int64_t sql_affected(const struct sql_query *q); /* rows inserted, updated or deleted */

/* The cells row by row; *at is 0 at first. false at the end. Bytes live as long as the query. */
bool sql_next(const struct sql_query *q, size_t *at, struct sql_value *out);

#endif
