/* sql_driver: what sql.c and the drivers know of each other. Internal to core/sql*.c. */
#ifndef ENGINE_CORE_SQL_DRIVER_H
#define ENGINE_CORE_SQL_DRIVER_H

#include "base/buf.h"
#include "core/sql.h"

struct sql_query {
    struct op op; /* first */
    struct sql *db;
    struct sql_query *next; /* in the queue */
    bool queued;
    enum sql_role role;
    int64_t lease;
    int64_t timeout_us;
    struct buf text;
    struct sql_value *params; /* bytes point into one allocation each */
    size_t param_count;
    bool out_of_memory;
    size_t limit_bytes;
    /* Filled by the driver, maybe from a worker. */
    struct buf cells;
    char **names;
    size_t columns, rows;
    int64_t affected;
    char sqlstate[40];
    unsigned statement;
};

struct sql_driver {
    const char *name;
    int (*open)(void **conn, struct loop *loop, const char *url, const char *name, struct err *e);
    void (*read_only)(void *conn); /* from its first connection on */
    /* Connects if need be (only if may_connect), then runs q; ends with sql_ended. One query at a
     * time. */
    void (*run)(void *conn, struct sql_query *q, bool may_connect);
    void (*cancel)(void *conn, struct sql_query *q); /* hurries the running query */
    bool (*in_transaction)(void *conn);
    /* abandoned: a query that still runs and does not end any more, now the driver's to free; or
     * NULL. */
    void (*free)(void *conn, struct sql_query *abandoned);
};

extern const struct sql_driver sql_postgres, sql_sqlite;

/* The driver's end of q: rc is 0, or negative with e filled. On the loop's thread. It may start the
 * next query or free the connection: return at once. */
void sql_ended(struct sql_query *q, int rc, const struct err *e);

/* Filling the result; may be called on a worker. Failures are kept in q->cells.failed. */
int sql_set_columns(struct sql_query *q, size_t count, const char *(*name)(void *from, size_t column),
                    void *from);
void sql_put(struct sql_query *q, const struct sql_value *value);
int sql_check_size(const struct sql_query *q, struct err *e); /* after a row: too large, or no memory? */

/* The number of the statement of script that holds the byte at offset, from 1. */
unsigned sql_statement_at(const char *script, size_t offset);

/* Copies url to out without its password and options. */
void sql_url_redact(const char *url, char *out, size_t size);

#endif
