/* tree_write: makes folders, files and links below a folder, by names that somebody else chose. Blocking.
 *
 * A name never leads out: it is followed from the folder's descriptor, one part after the other, through real
 * folders only. Nothing that is there is replaced, so each name can be made once; a folder may be named
 * again. Working folder and umask of the process stay as they are. Errors name the entry. Memory: about a
 * hundred bytes for each folder. */
#ifndef ENGINE_CORE_TREE_WRITE_H
#define ENGINE_CORE_TREE_WRITE_H

#include "base/err.h"

#include <sys/stat.h>
#include <time.h>

struct tree_writer;

int tree_writer_open(struct tree_writer **out, const char *root, struct err *e); /* an empty folder */

/* Folders that a name needs are made, too, with mode 0700. */
int tree_writer_folder(struct tree_writer *w, const char *name, mode_t mode, struct timespec mtime,
                       struct err *e);
/* *fd: the new file with mode 0600, for writing; the caller closes it. */
int tree_writer_file(struct tree_writer *w, const char *name, int *fd, struct err *e);
int tree_writer_symlink(struct tree_writer *w, const char *name, const char *target, struct timespec mtime,
                        struct err *e);
/* Another name for `first`, which this writer has made. */
int tree_writer_link(struct tree_writer *w, const char *name, const char *first, struct err *e);

/* The folders get their modes and times at last: one that may not be written is full by then. */
int tree_writer_finish(struct tree_writer *w, struct err *e);
void tree_writer_free(struct tree_writer *w); /* NULL is fine */

#endif
