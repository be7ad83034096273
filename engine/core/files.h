/* files: blocking operations on files, for worker threads (core/work.h).
 *
 * Written files appear whole or not at all and are 0600 unless said otherwise. Everything returns 0
 * or a negative code: not_found, permission, exists, io, limit, memory. Knows nothing of the loop. */
#ifndef ENGINE_CORE_FILES_H
#define ENGINE_CORE_FILES_H

#include "base/buf.h"
#include "base/err.h"
#include "core/meter.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

/* Appends the content to out; ERR_LIMIT if it is larger than limit_bytes. */
int files_read(const char *path, size_t limit_bytes, struct buf *out, struct err *e);
/* The end of it, from the beginning of a line: at most limit_bytes. */
int files_read_tail(const char *path, size_t limit_bytes, struct buf *out, struct err *e);

/* A file beside it (path.0.tmp) is written, made durable and renamed over path; writers of the same path wait
 * for each other, 10 s at most. What one that was killed has left, the next one removes. */
int files_write(const char *path, const void *data, size_t size_bytes, mode_t mode, struct err *e);
/* Durable, too. */
int files_append(const char *path, const void *data, size_t size_bytes, mode_t mode, struct err *e);
/* Content and permission bits; the copy appears whole, as with files_write. */
int files_copy(const char *from, const char *to, struct err *e);

/* Names without . and .., each with its NUL, in the order of their bytes. */
int files_list(const char *path, struct buf *names, struct err *e);
int files_mkdir(const char *path, mode_t mode, struct err *e); /* and its parents; existing is fine */
int files_mkdtemp(const char *prefix, char out[PATH_MAX], struct err *e); /* prefix + 6 letters, 0700 */

int files_remove(const char *path, struct err *e); /* a file, a link or an empty folder; absent is fine */
/* With everything in it; links are removed, not followed. Refuses / and the present folder. One that does not
 * exist is a success. */
int files_remove_tree(const char *path, struct err *e);

/* replace: an existing link (nothing else) is replaced in one step. */
int files_symlink(const char *target, const char *path, bool replace, struct err *e);
/* A second name for the same file; to must not exist. Durable with files_sync_tree. */
int files_hard_link(const char *from, const char *to, struct err *e);
/* Durable; to must not exist. */
int files_rename(const char *from, const char *to, struct err *e);
/* Makes a change of names in the folder that holds path durable. */
int files_sync_folder_of(const char *path, struct err *e);
/* Makes every file and folder of a tree durable, itself too. */
int files_sync_tree(const char *path, struct err *e);
int files_realpath(const char *path, char out[PATH_MAX], struct err *e);

struct files_stat {
    const char *type; /* "file", "directory", "link", "other" */
    int64_t size_bytes;
    int64_t modified_us; /* wall */
    unsigned mode, owner, group;
};
int files_stat(const char *path, bool follow, struct files_stat *out, struct err *e);

/* 64 hexadecimal digits and a NUL. canceled may be NULL; once true, it ends early with ERR_CANCELED. */
int files_sha256(const char *path, const atomic_bool *canceled, struct meter *meter, char out[65],
                 struct err *e);
/* Of size_bytes from offset on; ERR_IO if the file is shorter. */
int files_sha256_part(const char *path, int64_t offset, int64_t size_bytes, const atomic_bool *canceled,
                      char out[65], struct err *e);
int files_sha256_text(const void *data, size_t size_bytes, char out[65], struct err *e);

#endif
