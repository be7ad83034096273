/* sql_postgres: a connection to PostgreSQL on the loop. Internal to core/sql_postgres*.c:
 * sql_postgres.c runs queries, sql_postgres_connect.c makes connections, sql_postgres_values.c
 * knows the types. */
#ifndef ENGINE_CORE_SQL_POSTGRES_H
#define ENGINE_CORE_SQL_POSTGRES_H

#include "core/lazy_pq.h"
#include "core/sql_driver.h"

#include <uv.h>

enum link_state { LINK_DOWN, LINK_RESOLVING, LINK_CONNECTING, LINK_READY, LINK_BUSY };

struct postgres {
    struct loop *loop;
    char *url;
    char name[192];
    char *password; /* known after the first connect; only to keep it out of messages */
    enum link_state state;
    bool read_only;
    PGconn *pq;
    struct watch *watch;     /* of the connection's socket */
    struct resolve *resolve; /* a job under way, or NULL */
    struct stop_job *stop;   /* a job under way, or NULL */
    struct timer more, grace;
    bool in_transaction;
    /* Of the query that runs. */
    struct sql_query *q;
    unsigned results;
    bool drained; /* all results are here; only the stop job is missing */
    int rc;
    struct err err;
};

/* Connects for c->q; ends in postgres_connected or postgres_failed. */
void postgres_connect(struct postgres *c);
void postgres_connected(struct postgres *c);
void postgres_failed(struct postgres *c, const struct err *e);

/* Closes the connection, whatever its state. */
void postgres_drop(struct postgres *c);

/* Adds a cell of res to q's rows. */
void postgres_put(struct sql_query *q, PGresult *res, int row, int column);

/* Sends c->q with its parameters: what PQsendQueryParams returns, or -1 without memory. */
int postgres_send(struct postgres *c);

/* libpq's message as one line without the password. */
void postgres_message(const struct postgres *c, const char *message, char *out, size_t size);

/* Calls fn(c) when the socket is ready for events (UV_READABLE, UV_WRITABLE); one watch a connection.
 * libpq closes its socket when it likes, so a watch ends before each call that may do that. */
int postgres_watch(struct postgres *c, int events, void (*fn)(struct postgres *c), struct err *e);
void postgres_unwatch(struct postgres *c);

#endif
