/* backup_sqlite: consistent copies of SQLite databases through SQLite's online backup API. Blocking. */
#ifndef ENGINE_CORE_BACKUP_SQLITE_H
#define ENGINE_CORE_BACKUP_SQLITE_H

#include "base/buf.h"
#include "base/err.h"
#include "core/meter.h"

#include <stdatomic.h>

/* Copies the database at from into the database at to, page by page in one transaction: who uses `to` sees
 * all of the old or all of the new. Waits up to busy_ms for locks. Fails with ERR_BACKUP if it cannot be
 * whole. is_scratch: `to` is new and of no use to anybody after a crash, so nothing is made durable. */
int backup_sqlite_copy(const char *from, const char *to, int busy_ms, bool is_scratch, atomic_bool *canceled,
                       struct meter *meter, struct err *e);

/* PRAGMA integrity_check; ERR_BACKUP_CORRUPT with SQLite's first words if it is not "ok". */
int backup_sqlite_check(const char *path, atomic_bool *canceled, struct err *e);

/* For every table a line "name\0rows\0checksum\0" into out, sorted by name. A row's line (see rowsum.h) has
 * its columns in their order, each as type letter (n i f t b), its length in bytes, ":" and its bytes;
 * numbers as SQLite prints them (%.17g for floats). */
int backup_sqlite_sums(const char *path, struct buf *out, atomic_bool *canceled, struct meter *meter,
                       struct err *e);

#endif
