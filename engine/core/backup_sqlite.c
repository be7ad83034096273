#include "core/backup_sqlite.h"

#include "core/rowsum.h"

#include <sqlite3.h>
#include <string.h>

enum { PAGES_A_STEP = 4096, BUSY_SLEEP_MS = 20, STEPS_BETWEEN_LOOKS = 100000 };

static bool is_damage(int state)
{
    return (state & 0xff) == SQLITE_CORRUPT || (state & 0xff) == SQLITE_NOTADB;
}

static int on_progress(void *arg)
{
    return atomic_load((atomic_bool *)arg);
}

static int open_database(const char *path, int flags, int busy_ms, sqlite3 **out, struct err *e)
{
    /* A connection is used by one thread: SQLite's locks around every column of every row are not needed. */
    int rc = sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        err_set(e, rc == SQLITE_CANTOPEN ? ERR_NOT_FOUND : ERR_BACKUP, "sqlite", "%s cannot be opened: %s",
                path, sqlite3_errstr(rc));
        sqlite3_close(*out);
        return -(int)(rc == SQLITE_CANTOPEN ? ERR_NOT_FOUND : ERR_BACKUP);
    }
    sqlite3_busy_timeout(*out, busy_ms);
    /* What is in the file may have been made to do harm: its schema calls no function that could. */
    sqlite3_db_config(*out, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return 0;
}

static int64_t number_of(sqlite3 *db, const char *pragma)
{
    sqlite3_stmt *stmt = NULL;
    int64_t value = 0;
    if (sqlite3_prepare_v2(db, pragma, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

/* All pages, step by step, inside a read transaction of the source's own: without one, every writer between
 * two steps makes the copy start over. */
static int copy_pages(sqlite3_backup *backup, sqlite3 *source, int busy_ms, const atomic_bool *canceled,
                      struct meter *meter)
{
    int64_t page_bytes = number_of(source, "PRAGMA page_size");
    int waited_ms = 0, left = -1, state = SQLITE_OK;
    while (state == SQLITE_OK || state == SQLITE_BUSY || state == SQLITE_LOCKED) {
        if (atomic_load(canceled) || waited_ms > busy_ms) break;
        state = sqlite3_backup_step(backup, PAGES_A_STEP);
        if (state == SQLITE_BUSY || state == SQLITE_LOCKED) {
            waited_ms += sqlite3_sleep(BUSY_SLEEP_MS);
            continue;
        }
        int now_left = sqlite3_backup_remaining(backup), all = sqlite3_backup_pagecount(backup);
        if (left < 0) meter_expect(meter, (uint64_t)all * (uint64_t)page_bytes);
        meter_add(meter, (uint64_t)((left < 0 ? all : left) - now_left) * (uint64_t)page_bytes);
        left = now_left;
    }
    return state;
}

int backup_sqlite_copy(const char *from, const char *to, int busy_ms, bool is_scratch, atomic_bool *canceled,
                       struct meter *meter, struct err *e)
{
    sqlite3 *source, *target;
    int rc = open_database(from, SQLITE_OPEN_READONLY, busy_ms, &source, e);
    if (rc != 0) return rc;
    rc = open_database(to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, busy_ms, &target, e);
    if (rc != 0) {
        sqlite3_close(source);
        return rc;
    }
    if (is_scratch)
        sqlite3_exec(target, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF", NULL, NULL, NULL);
    int state = sqlite3_exec(source, "BEGIN; SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
    sqlite3_backup *backup = NULL;
    if (state == SQLITE_OK) {
        backup = sqlite3_backup_init(target, "main", source, "main");
        state =
            backup != NULL ? copy_pages(backup, source, busy_ms, canceled, meter) : sqlite3_errcode(target);
    }
    if (backup != NULL) sqlite3_backup_finish(backup);
    if (state != SQLITE_DONE)
        rc = err_set(e,
                     atomic_load(canceled) ? ERR_CANCELED
                     : is_damage(state)    ? ERR_BACKUP_CORRUPT
                                           : ERR_BACKUP,
                     "sqlite copy", "%s could not be copied to %s: %s", from, to,
                     atomic_load(canceled) ? "canceled" : sqlite3_errstr(state));
    sqlite3_close(source);
    if (sqlite3_close(target) != SQLITE_OK && rc == 0)
        rc = err_set(e, ERR_BACKUP, "sqlite copy", "%s could not be closed", to);
    return rc;
}

int backup_sqlite_check(const char *path, atomic_bool *canceled, struct err *e)
{
    sqlite3 *db;
    sqlite3_stmt *stmt = NULL;
    int rc = open_database(path, SQLITE_OPEN_READONLY, 30000, &db, e);
    if (rc != 0) return rc;
    sqlite3_progress_handler(db, STEPS_BETWEEN_LOOKS, on_progress, canceled);
    int state = sqlite3_prepare_v2(db, "PRAGMA integrity_check(3)", -1, &stmt, NULL);
    if (state == SQLITE_OK) state = sqlite3_step(stmt);
    const char *words = state == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : sqlite3_errmsg(db);
    if (state == SQLITE_INTERRUPT)
        rc = err_set(e, ERR_CANCELED, "integrity check", "canceled");
    else if (state != SQLITE_ROW || words == NULL || strcmp(words, "ok") != 0)
        rc = err_set(e, ERR_BACKUP_CORRUPT, "integrity check", "%s is damaged: %.300s", path,
                     words ? words : "no answer");
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return rc;
}

/* The digits end before `end`; returns where they begin. printf took more time than reading the row. */
static char *integer_text(char *end, int64_t value)
{
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char *at = end;
    do
        *--at = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (value < 0) *--at = '-';
    return at;
}

static void add_value(struct buf *line, char letter, const void *bytes, size_t len)
{
    char head[32], *end = head + sizeof head;
    end[-1] = ':';
    char *at = integer_text(end - 1, (int64_t)len);
    *--at = letter;
    buf_add(line, at, (size_t)(end - at));
    if (len > 0) buf_add(line, bytes, len);
}

static void add_column(struct buf *line, sqlite3_stmt *stmt, int column)
{
    char number[40], *end = number + sizeof number, *at;
    int len;
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_INTEGER:
        at = integer_text(end, sqlite3_column_int64(stmt, column));
        add_value(line, 'i', at, (size_t)(end - at));
        break;
    case SQLITE_FLOAT:
        len = snprintf(number, sizeof number, "%.17g", sqlite3_column_double(stmt, column));
        add_value(line, 'f', number, (size_t)len);
        break;
    case SQLITE_TEXT:
        add_value(line, 't', sqlite3_column_text(stmt, column), (size_t)sqlite3_column_bytes(stmt, column));
        break;
    case SQLITE_BLOB:
        add_value(line, 'b', sqlite3_column_blob(stmt, column), (size_t)sqlite3_column_bytes(stmt, column));
        break;
    default:
        add_value(line, 'n', NULL, 0);
    }
}

static int sum_table(sqlite3 *db, const char *name, struct buf *out, struct meter *meter, struct err *e)
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
        meter_add(meter, line.len);
    }
    if (state == SQLITE_DONE) {
        char hex[33], rows[24];
        rowsum_text(&sum, hex);
        snprintf(rows, sizeof rows, "%llu", (unsigned long long)sum.rows);
        buf_add(out, name, strlen(name) + 1);
        buf_add(out, rows, strlen(rows) + 1);
        buf_add(out, hex, sizeof hex);
    } else if (state == SQLITE_INTERRUPT) {
        rc = err_set(e, ERR_CANCELED, "sqlite checksum", "canceled");
    } else {
        rc = err_set(e, is_damage(state) ? ERR_BACKUP_CORRUPT : ERR_BACKUP, "sqlite checksum",
                     "table %s cannot be read: %s", name, sqlite3_errmsg(db));
    }
    sqlite3_finalize(stmt);
    buf_release(&line);
    return rc;
}

int backup_sqlite_sums(const char *path, struct buf *out, atomic_bool *canceled, struct meter *meter,
                       struct err *e)
{
    sqlite3 *db;
    sqlite3_stmt *tables = NULL;
    int rc = open_database(path, SQLITE_OPEN_READONLY, 30000, &db, e);
    if (rc != 0) return rc;
    sqlite3_progress_handler(db, STEPS_BETWEEN_LOOKS, on_progress, canceled);
    /* One read transaction, so that all tables are of one moment. Virtual tables hold no rows of their own.
     */
    sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    /* The rows are about as long as the pages that they are in. */
    meter_expect(meter, (uint64_t)(number_of(db, "PRAGMA page_count") * number_of(db, "PRAGMA page_size")));
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
            rc = sum_table(db, (const char *)sqlite3_column_text(tables, 0), out, meter, e);
    }
    if (state != SQLITE_OK && rc == 0)
        rc = err_set(e, is_damage(state) ? ERR_BACKUP_CORRUPT : ERR_BACKUP, "sqlite checksum", "%s: %s", path,
                     sqlite3_errmsg(db));
    if (rc == 0 && !buf_ok(out))
        rc = err_set(e, ERR_MEMORY, "sqlite checksum", "no memory for the checksums of %s", path);
    sqlite3_finalize(tables);
    sqlite3_close(db);
    return rc;
}
