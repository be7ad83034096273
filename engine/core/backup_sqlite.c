#include "core/backup_sqlite.h"

#include "core/rowsum.h"

#include <sqlite3.h>
#include <string.h>

enum { ALL_PAGES = -1, BUSY_SLEEP_MS = 20 };

static int open_database(const char *path, int flags, int busy_ms, sqlite3 **out, struct err *e)
{
    int rc = sqlite3_open_v2(path, out, flags, NULL);
    if (rc != SQLITE_OK) {
        err_set(e, rc == SQLITE_CANTOPEN ? ERR_NOT_FOUND : ERR_BACKUP, "sqlite", "%s cannot be opened: %s",
                path, sqlite3_errstr(rc));
        sqlite3_close(*out);
        return -(int)(rc == SQLITE_CANTOPEN ? ERR_NOT_FOUND : ERR_BACKUP);
    }
    sqlite3_busy_timeout(*out, busy_ms);
    return 0;
}

int backup_sqlite_copy(const char *from, const char *to, int busy_ms, atomic_bool *canceled, struct err *e)
{
    sqlite3 *source, *target;
    int rc = open_database(from, SQLITE_OPEN_READONLY, busy_ms, &source, e);
    if (rc != 0) return rc;
    rc = open_database(to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, busy_ms, &target, e);
    if (rc != 0) {
        sqlite3_close(source);
        return rc;
    }
    sqlite3_backup *backup = sqlite3_backup_init(target, "main", source, "main");
    int waited_ms = 0, state = backup != NULL ? SQLITE_OK : sqlite3_errcode(target);
    while (state == SQLITE_OK || state == SQLITE_BUSY || state == SQLITE_LOCKED) {
        if (atomic_load(canceled)) break;
        if (backup == NULL || waited_ms > busy_ms) break;
        /* In one step, which is one read transaction: in several, every writer makes it start over. */
        state = sqlite3_backup_step(backup, ALL_PAGES);
        if (state == SQLITE_BUSY || state == SQLITE_LOCKED) waited_ms += sqlite3_sleep(BUSY_SLEEP_MS);
    }
    if (backup != NULL) sqlite3_backup_finish(backup);
    if (state != SQLITE_DONE)
        rc = err_set(e, atomic_load(canceled) ? ERR_CANCELED : ERR_BACKUP, "sqlite copy",
                     "%s could not be copied to %s: %s", from, to,
                     atomic_load(canceled) ? "canceled" : sqlite3_errstr(state));
    sqlite3_close(source);
    if (sqlite3_close(target) != SQLITE_OK && rc == 0)
        rc = err_set(e, ERR_BACKUP, "sqlite copy", "%s could not be closed", to);
    return rc;
}

int backup_sqlite_check(const char *path, struct err *e)
{
    sqlite3 *db;
    sqlite3_stmt *stmt = NULL;
    int rc = open_database(path, SQLITE_OPEN_READONLY, 30000, &db, e);
    if (rc != 0) return rc;
    int state = sqlite3_prepare_v2(db, "PRAGMA integrity_check(3)", -1, &stmt, NULL);
    if (state == SQLITE_OK) state = sqlite3_step(stmt);
    const char *words = state == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : sqlite3_errmsg(db);
    if (state != SQLITE_ROW || words == NULL || strcmp(words, "ok") != 0)
        rc = err_set(e, ERR_BACKUP_CORRUPT, "integrity check", "%s is damaged: %.300s", path,
                     words ? words : "no answer");
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return rc;
}

static void add_column(struct buf *line, sqlite3_stmt *stmt, int column)
{
    static const char letters[] = {[SQLITE_INTEGER] = 'i',
                                   [SQLITE_FLOAT] = 'f',
                                   [SQLITE_TEXT] = 't',
                                   [SQLITE_BLOB] = 'b',
                                   [SQLITE_NULL] = 'n'};
    int type = sqlite3_column_type(stmt, column);
    char number[40];
    const void *bytes = number;
    size_t len = 0;
    switch (type) {
    case SQLITE_INTEGER:
        len = (size_t)snprintf(number, sizeof number, "%lld", (long long)sqlite3_column_int64(stmt, column));
        break;
    case SQLITE_FLOAT:
        len = (size_t)snprintf(number, sizeof number, "%.17g", sqlite3_column_double(stmt, column));
        break;
    case SQLITE_TEXT:
        bytes = sqlite3_column_text(stmt, column);
        len = (size_t)sqlite3_column_bytes(stmt, column);
        break;
    case SQLITE_BLOB:
        bytes = sqlite3_column_blob(stmt, column);
        len = (size_t)sqlite3_column_bytes(stmt, column);
        break;
    default:
        break;
    }
    buf_addf(line, "%c%zu:", letters[type], len);
    if (len > 0) buf_add(line, bytes, len);
}

static int sum_table(sqlite3 *db, const char *name, struct buf *out, struct err *e)
{
    struct rowsum sum;
    struct buf line = BUF_INIT;
    sqlite3_stmt *stmt = NULL;
    int rc = 0;
    rowsum_init(&sum);
    char *text = sqlite3_mprintf("SELECT * FROM \"%w\"", name);
    int state = text ? sqlite3_prepare_v2(db, text, -1, &stmt, NULL) : SQLITE_NOMEM;
    sqlite3_free(text);
    while (state == SQLITE_OK || state == SQLITE_ROW) {
        state = sqlite3_step(stmt);
        if (state != SQLITE_ROW) break;
        buf_clear(&line);
        for (int column = 0; column < sqlite3_column_count(stmt); column++)
            add_column(&line, stmt, column);
        if (!buf_ok(&line))
            state = SQLITE_NOMEM;
        else
            rowsum_line(&sum, buf_str(&line), line.len);
    }
    if (state == SQLITE_DONE) {
        char hex[33], rows[24];
        rowsum_text(&sum, hex);
        snprintf(rows, sizeof rows, "%llu", (unsigned long long)sum.rows);
        buf_add(out, name, strlen(name) + 1);
        buf_add(out, rows, strlen(rows) + 1);
        buf_add(out, hex, sizeof hex);
    } else {
        rc = err_set(e, state == SQLITE_CORRUPT ? ERR_BACKUP_CORRUPT : ERR_BACKUP, "sqlite checksum",
                     "table %s cannot be read: %s", name, sqlite3_errmsg(db));
    }
    sqlite3_finalize(stmt);
    buf_release(&line);
    return rc;
}

int backup_sqlite_sums(const char *path, struct buf *out, struct err *e)
{
    sqlite3 *db;
    sqlite3_stmt *tables = NULL;
    int rc = open_database(path, SQLITE_OPEN_READONLY, 30000, &db, e);
    if (rc != 0) return rc;
    /* One read transaction, so that all tables are of one moment. Virtual tables hold no rows of their own.
     */
    sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    int state =
        sqlite3_prepare_v2(db,
                           "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE "
                           "'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name",
                           -1, &tables, NULL);
    while (state == SQLITE_OK && rc == 0) {
        int step = sqlite3_step(tables);
        if (step == SQLITE_DONE) break;
        if (step != SQLITE_ROW)
            state = step;
        else
            rc = sum_table(db, (const char *)sqlite3_column_text(tables, 0), out, e);
    }
    if (state != SQLITE_OK && rc == 0)
        rc = err_set(e, ERR_BACKUP, "sqlite checksum", "%s: %s", path, sqlite3_errmsg(db));
    if (rc == 0 && !buf_ok(out))
        rc = err_set(e, ERR_MEMORY, "sqlite checksum", "no memory for the checksums of %s", path);
    sqlite3_finalize(tables);
    sqlite3_close(db);
    return rc;
}
