/* postgres_url: what a PostgreSQL URL says, for programs that must not get it as an argument. */
#ifndef ENGINE_CORE_POSTGRES_URL_H
#define ENGINE_CORE_POSTGRES_URL_H

#include "base/buf.h"
#include "base/err.h"

/* Pairs "PGHOST\0value\0" into out, for every setting that has an environment variable of libpq's. The
 * password is among them (PGPASSWORD). */
int postgres_url_environment(const char *url, struct buf *out, struct err *e);

/* The same URL with another database. */
int postgres_url_with_database(const char *url, const char *database, struct buf *out, struct err *e);

#endif
