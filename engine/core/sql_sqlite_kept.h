/* sql_sqlite_kept: statements of one SQLite connection that stay prepared, because the same ones come again
 * and again. SQLite itself prepares one anew when the schema has changed. For whoever may touch the
 * connection at the time; it knows no threads.
 *
 *     kept_take(&kept, handle, text, &stmt, &rest)   bind, step, read, then
 *     kept_give(&kept, stmt)
 *     kept_release(&kept)                            before the connection is closed */
#ifndef ENGINE_CORE_SQL_SQLITE_KEPT_H
#define ENGINE_CORE_SQL_SQLITE_KEPT_H

#include <sqlite3.h>
#include <stdint.h>

#define KEPT_MAX 32

struct kept {
    struct kept_one {
        sqlite3_stmt *stmt; /* NULL: free */
        uint64_t used;
    } ones[KEPT_MAX];
    uint64_t uses;
};

/* The first statement of text; *rest is behind it. *out is NULL when text is blank. Returns SQLite's code. */
int kept_take(struct kept *kept, sqlite3 *handle, const char *text, sqlite3_stmt **out, const char **rest);

/* Keeps one that takes parameters; any other goes (a PRAGMA may act while it is prepared). stmt may be NULL.
 */
void kept_give(struct kept *kept, sqlite3_stmt *stmt);

void kept_release(struct kept *kept);

#endif
