#include "core/sql_sqlite_kept.h"

#include <stdbool.h>

/* How long stmt's text is if text begins with it, or 0. SQLite remembers a statement up to its semicolon, if
 * it has one. */
static size_t prefix_of(sqlite3_stmt *stmt, const char *text)
{
    const char *sql = sqlite3_sql(stmt);
    size_t len = strlen(sql);
    if (len == 0 || strncmp(sql, text, len) != 0) return 0;
    return sql[len - 1] == ';' || text[len] == '\0' ? len : 0;
}

int kept_take(struct kept *kept, sqlite3 *handle, const char *text, sqlite3_stmt **out, const char **rest)
{
    for (size_t i = 0; i < KEPT_MAX; i++) {
        struct kept_one *one = &kept->ones[i];
        size_t len = one->stmt != NULL ? prefix_of(one->stmt, text) : 0;
        if (len == 0) continue;
        *out = one->stmt;
        *rest = text + len;
        one->stmt = NULL; /* whoever took it has it alone */
        return SQLITE_OK;
    }
    return sqlite3_prepare_v3(handle, text, -1, SQLITE_PREPARE_PERSISTENT, out, rest);
}

void kept_give(struct kept *kept, sqlite3_stmt *stmt)
{
    if (sqlite3_bind_parameter_count(stmt) == 0) {
        sqlite3_finalize(stmt);
        return;
    }
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    struct kept_one *oldest = &kept->ones[0];
    for (size_t i = 0; i < KEPT_MAX && oldest->stmt != NULL; i++)
        if (kept->ones[i].stmt == NULL || kept->ones[i].used < oldest->used) oldest = &kept->ones[i];
    sqlite3_finalize(oldest->stmt);
    *oldest = (struct kept_one){.stmt = stmt, .used = ++kept->uses};
}

void kept_release(struct kept *kept)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        sqlite3_finalize(kept->ones[i].stmt);
    *kept = (struct kept){0};
}
