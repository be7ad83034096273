/* tree_walk: visits everything in a folder, a folder before what is in it. Blocking.
 *
 * The working folder of the process stays as it is, and every name is opened from its own folder's
 * descriptor: whoever renames folders meanwhile leads the walk nowhere else. Links are visited, never
 * followed, except that the root may be one. Folders of other file systems are visited, not entered. What
 * goes away during the walk was not there. Memory: one name and a descriptor for each level. */
#ifndef ENGINE_CORE_TREE_WALK_H
#define ENGINE_CORE_TREE_WALK_H

#include "base/err.h"

#include <sys/stat.h>

struct tree_item {
    const char *name; /* "a/b" for root/a/b; "." for the root */
    const char *last; /* "b" */
    int folder_fd;    /* of root/a; -1 for the root */
    int fd;           /* regular files and folders, for reading; otherwise -1 */
    struct stat st;   /* of fd where there is one */
};

/* Returns 0, or a negative code with e filled, which ends the walk. */
typedef int (*tree_visit_fn)(void *arg, const struct tree_item *item, struct err *e);

int tree_walk(const char *root, tree_visit_fn visit, void *arg, struct err *e);

#endif
