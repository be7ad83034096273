/* The peer of a durable step: two transactions of one INSERT each, WAL and synchronous=FULL, as a plain
 * SQLite program does them.
 *
 *   journal FILE STEPS   prints the microseconds that a step took */
#include <inttypes.h>
#include <sqlite3.h>
#include <time.h>

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* Two commits a step; took[i] is how long the step took. */
static int run_steps(sqlite3 *db, double *took, size_t steps)
{
    static const char INSERT[] =
        "INSERT INTO events (at, kind, data) VALUES ('2026-01-01T00:00:00.000Z', 'step_begin', ?)";
    char data[300];
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(db, INSERT, -1, &stmt, NULL) != SQLITE_OK) return 1;
    memset(data, 'x', sizeof data);
    int rc = SQLITE_DONE;
    for (size_t i = 0; i < 2 * steps && rc == SQLITE_DONE; i++) {
        if (i % 2 == 0) took[i / 2] = -(double)now_us();
        sqlite3_bind_text(stmt, 1, data, sizeof data, SQLITE_STATIC);
        rc = sqlite3_step(stmt); /* outside of a transaction: it is one, and durable when this returns */
        sqlite3_reset(stmt);
        if (i % 2 == 1) took[i / 2] += (double)now_us();
    }
    sqlite3_finalize(stmt);
    return rc != SQLITE_DONE;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static const char SETUP[] =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, at TEXT, kind TEXT, data TEXT)";
    size_t steps = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    double *took = calloc(steps + 1, sizeof *took), sum = 0;
    sqlite3 *db = NULL;
    int rc = steps == 0 || took == NULL || sqlite3_open(argv[1], &db) ||
             sqlite3_exec(db, SETUP, NULL, NULL, NULL) || run_steps(db, took, steps);
    for (size_t i = 0; rc == 0 && i < steps; i++)
        sum += took[i];
    if (rc == 0) {
        qsort(took, steps, sizeof *took, compare);
        printf("%.1f %.1f\n", took[steps / 2], sum / (double)steps);
    }
    sqlite3_close(db);
    free(took);
    return rc;
}
