/* backup_postgres: rows out of PostgreSQL and back in, as COPY text through pack. Blocking, on a connection
 * of its own; made for worker threads. Which tables, in which order and within which snapshot is decided
 * above. */
#ifndef ENGINE_CORE_BACKUP_POSTGRES_H
#define ENGINE_CORE_BACKUP_POSTGRES_H

#include "core/pack.h"
#include "core/rowsum.h"

#include <stdatomic.h>
#include <stddef.h>

enum backup_step_kind {
    BACKUP_SQL, /* statements without rows */
    BACKUP_OUT, /* COPY ... TO STDOUT, into path; path NULL: only counts and sums */
    BACKUP_IN,  /* COPY ... FROM STDIN, from path */
};

struct backup_step {
    enum backup_step_kind kind;
    const char *statement, *path;
    const char *sha256;      /* BACKUP_IN: what the file must be; NULL: not looked at */
    int64_t raw_bytes;       /* BACKUP_IN: how many come out of it; -1: any */
    int64_t wanted_rows;     /* BACKUP_IN, BACKUP_OUT: another number is a mismatch; -1: any */
    const char *wanted;      /* BACKUP_OUT: another checksum is a mismatch; NULL: any */
    const char *name;        /* of the table, for messages; may be NULL */
    struct pack_result pack; /* set for BACKUP_OUT with a path */
    uint64_t rows;           /* set */
    char checksum[33];       /* set for BACKUP_OUT: of the rows' COPY text lines, see rowsum.h */
};

struct backup_session {
    const char *url;
    const char *begin;      /* statements that begin the transaction in which all steps run */
    int level;              /* of zstd */
    const char *passphrase; /* of the files; NULL: they are not encrypted */
};

/* Runs the steps in one transaction. The first failure ends it, and nothing was changed; files that were
 * written before it stay. */
int backup_postgres_run(const struct backup_session *session, struct backup_step *steps, size_t n,
                        const atomic_bool *canceled, struct err *e);

#endif
