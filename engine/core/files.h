/* files: whole files and folders, blocking; made to run on worker threads (core/work.h).
 *
 * What is written is there or not, never half: a temporary file beside it, fsync, rename, fsync of the
 * folder. New files are 0600, new folders 0700. Symbolic links are never followed when removing. */
#ifndef ENGINE_CORE_FILES_H
#define ENGINE_CORE_FILES_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct files_stat {
    const char *type; /* "file", "directory", "link" or "other" */
    int64_t size_bytes;
    unsigned mode; /* permission bits */
    double modified_s;
};

int files_read(const char *path, int64_t limit_bytes, struct buf *out, struct err *e);
int files_read_tail(const char *path, int64_t bytes, struct buf *out,
                    struct err *e); /* at most the last bytes */
int files_write(const char *path, const void *bytes, size_t n, unsigned mode, struct err *e);
int files_append(const char *path, const void *bytes, size_t n, unsigned mode, struct err *e); /* fsynced */
/* Names in the folder, without . and .., each followed by a NUL; not sorted. */
int files_list(const char *path, struct buf *out, struct err *e);
int files_stat_path(const char *path, struct files_stat *out, struct err *e); /* of a link itself */
int files_make_folders(const char *path, struct err *e);                      /* no error if it is there */
int files_remove(const char *path, struct err *e);      /* a file or link; no error if absent */
int files_rename(const char *from, const char *to, struct err *e);              /* durable; to must not exist */
int files_remove_tree(const char *path, struct err *e); /* refuses "/" and "" */
int files_sha256(const char *path, char hex[65], struct err *e);
int files_sha256_bytes(const void *bytes, size_t n, char hex[65], struct err *e);
int files_sync_folder(const char *path, struct err *e);

#endif
