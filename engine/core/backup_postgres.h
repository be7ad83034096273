/* backup_postgres: one table's rows out of PostgreSQL and back in, as COPY text through zstd. Blocking, each
 * call on a connection of its own; made for worker threads. Which tables, in which order and within
 * which snapshot is decided above. */
#ifndef ENGINE_CORE_BACKUP_POSTGRES_H
#define ENGINE_CORE_BACKUP_POSTGRES_H

#include "core/pack.h"
#include "core/rowsum.h"

#include <stdatomic.h>

struct backup_copy {
    struct pack_result pack;
    uint64_t rows;
    char checksum[33]; /* of the rows' COPY text lines, see rowsum.h */
};

/* Runs `COPY ... TO STDOUT` (statement) within the exported snapshot (NULL: none). to NULL: only counts and
 * sums. */
int backup_postgres_out(const char *url, const char *snapshot, const char *statement, const char *to,
                        int level, atomic_bool *canceled, struct backup_copy *out, struct err *e);

/* Runs before (statements, may be NULL) and `COPY ... FROM STDIN` (statement) with the file's content in one
 * transaction; nothing is committed unless the file was whole and its hash is the expected one. */
int backup_postgres_in(const char *url, const char *before, const char *statement, const char *from,
                       const char *expected_sha256, atomic_bool *canceled, uint64_t *rows, struct err *e);

#endif
