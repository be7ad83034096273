/* Both drivers behind the one interface. PostgreSQL is a real server of the test's own. */
#include "base/buf.h"
#include "base/mem.h"
#include "core/sql.h"
#include "core/sql_driver.h"
#include "test.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static struct clock clock_real;
static struct loop *loop;

/* --- the world ----------------------------------------------------------------------------- */

static bool shell(const char *script, char *out, size_t size)
{
    int fds[2];
    if (pipe(fds) != 0) return false;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_addclose(&actions, fds[0]);
    posix_spawn_file_actions_addclose(&actions, fds[1]);
    pid_t pid;
    char *argv[] = {"bash", "-c", (char *)script, NULL};
    int rc = posix_spawnp(&pid, "bash", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    size_t n = 0;
    ssize_t got;
    while (rc == 0 && n + 1 < size && (got = read(fds[0], out + n, size - 1 - n)) > 0)
        n += (size_t)got;
    close(fds[0]);
    out[n] = '\0';
    if (n > 0 && out[n - 1] == '\n') out[n - 1] = '\0';
    int status = -1;
    if (rc == 0) waitpid(pid, &status, 0);
    return status == 0;
}

static char cluster[64], url[256];

static void stop_cluster(void)
{
    char script[256], out[64];
    snprintf(script, sizeof script, ". tests/lib/postgres.sh; PG_DIR=%s; pg_stop immediate; rm -rf %s",
             cluster, cluster);
    shell(script, out, sizeof out);
}

/* The server's url; one server for all tests of this program. NULL: it could not be started. */
static const char *postgres_url(void)
{
    if (url[0] != '\0') return url;
    char script[256];
    snprintf(cluster, sizeof cluster, "/tmp/test_sql.XXXXXX");
    if (mkdtemp(cluster) == NULL) return NULL;
    atexit(stop_cluster);
    snprintf(script, sizeof script, ". tests/lib/postgres.sh; pg_start %s >/dev/null && echo $URL", cluster);
    return shell(script, url, sizeof url) ? url : NULL;
}

static bool is_set(void *arg)
{
    return *(int *)arg != 0;
}

static void count_done(struct op *op, void *arg)
{
    (void)op;
    ++*(int *)arg;
}

static bool begin_loop(void)
{
    clock_init_real(&clock_real);
    return loop_init(&loop, &clock_real, NULL) == 0;
}

static struct sql_query *query(struct sql *db, const char *text)
{
    struct sql_query *q = sql_query_new(db);
    sql_query_text(q, text, strlen(text));
    return q;
}

/* Runs q to its end. */
static int run(struct sql_query *q)
{
    int done = 0, rc = sql_query_start(q, 30 * 1000000LL, count_done, &done, &sql_query_op(q)->err);
    if (rc < 0) return rc;
    if (loop_run_until(loop, is_set, &done, NULL) < 0) return -ERR_INTERNAL;
    return sql_query_op(q)->status;
}

/* Runs text and drops what it gives. */
static int run_text(struct sql *db, enum sql_role role, const char *text)
{
    struct sql_query *q = query(db, text);
    sql_query_role(q, role, 0);
    int rc = run(q);
    if (rc < 0) printf("%s\n", sql_query_op(q)->err.message);
    sql_query_free(q);
    return rc;
}

/* The integer that text gives, or -1. */
static int64_t run_int(struct sql *db, const char *text)
{
    struct sql_query *q = query(db, text);
    struct sql_value v = {0};
    size_t at = 0;
    int64_t value = run(q) == 0 && sql_next(q, &at, &v) && v.type == SQL_INT ? v.integer : -1;
    sql_query_free(q);
    return value;
}

/* --- what both drivers promise -------------------------------------------------------------- */

static void check_values(struct sql *db, const char *text)
{
    const struct sql_value params[] = {
        {.type = SQL_INT, .integer = INT64_MIN},
        {.type = SQL_REAL, .real = 0.1},
        {.type = SQL_TEXT, .bytes = {"gr\xc3\xbcn $1 ''", 11}},
        {.type = SQL_BLOB, .bytes = {"\0\1\xff", 3}},
        {.type = SQL_NULL},
    };
    struct sql_query *q = query(db, text);
    for (size_t i = 0; i < 5; i++)
        sql_query_add(q, &params[i]);
    CHECK_INT(run(q), 0);
    CHECK_INT(sql_columns(q), 5);
    CHECK_INT(sql_rows(q), 1);
    struct sql_value v[5], more;
    size_t at = 0;
    for (size_t i = 0; i < 5; i++) {
        REQUIRE(sql_next(q, &at, &v[i]));
        CHECK_INT(v[i].type, params[i].type);
    }
    CHECK(!sql_next(q, &at, &more));
    CHECK(v[0].integer == INT64_MIN);
    CHECK(v[1].real == 0.1);
    CHECK(v[2].bytes.len == 11 && memcmp(v[2].bytes.data, params[2].bytes.data, 11) == 0);
    CHECK(v[3].bytes.len == 3 && memcmp(v[3].bytes.data, "\0\1\xff", 3) == 0);
    CHECK_STR(sql_column_name(q, 1), "b");
    sql_query_free(q);
}

static void check_error(struct sql *db, const char *text, const char *state)
{
    struct sql_query *q = query(db, text);
    CHECK_INT(run(q), -ERR_SQL);
    CHECK_STR(sql_state(q), state);
    CHECK_HAS(sql_query_op(q)->err.message, state);
    sql_query_free(q);
}

/* A lease keeps others out until its end; what waits longer than its limit gives up. */
static void check_lease(struct sql *db)
{
    CHECK_INT(run_text(db, SQL_SCRIPT, "CREATE TABLE leased (x INTEGER)"), 0);
    int64_t lease = sql_lease(db);
    struct sql_query *begin = query(db, "BEGIN"), *insert = query(db, "INSERT INTO leased VALUES (1)");
    struct sql_query *other = query(db, "SELECT count(*) FROM leased"), *late = query(db, "SELECT 1");
    sql_query_role(begin, SQL_BEGIN, lease);
    sql_query_role(insert, SQL_QUERY, lease);
    CHECK_INT(run(begin), 0);
    int other_done = 0, late_done = 0;
    CHECK_INT(sql_query_start(other, 30 * 1000000LL, count_done, &other_done, NULL), 0);
    CHECK_INT(sql_query_start(late, 1000, count_done, &late_done, NULL), 0);
    CHECK_INT(run(insert), 0);
    CHECK_INT(sql_affected(insert), 1);
    CHECK_INT(loop_run_until(loop, is_set, &late_done, NULL), 0);
    CHECK_INT(sql_query_op(late)->status, -ERR_TIMEOUT);
    CHECK_HAS(sql_query_op(late)->err.message, "transaction");
    CHECK_INT(other_done, 0);
    sql_abandon(db, lease);
    CHECK_INT(loop_run_until(loop, is_set, &other_done, NULL), 0);
    struct sql_value v = {0};
    size_t at = 0;
    CHECK(sql_next(other, &at, &v) && v.integer == 0);
    struct sql_query *orphan = query(db, "SELECT 1");
    sql_query_role(orphan, SQL_QUERY, lease);
    CHECK_INT(run(orphan), -ERR_CLOSED);
    sql_query_free(begin);
    sql_query_free(insert);
    sql_query_free(other);
    sql_query_free(late);
    sql_query_free(orphan);
}

/* A statement that would never end stops at its limit; the connection is good for the next. */
static void check_stop(struct sql *db, const char *endless)
{
    struct sql_query *q = query(db, endless);
    int done = 0;
    CHECK_INT(sql_query_start(q, 50000, count_done, &done, NULL), 0);
    CHECK_INT(loop_run_until(loop, is_set, &done, NULL), 0);
    CHECK_INT(sql_query_op(q)->status, -ERR_TIMEOUT);
    CHECK_INT(done, 1);
    sql_query_free(q);
    CHECK_INT(run_int(db, "SELECT 5"), 5);
}

static void check_limit(struct sql *db, const char *many)
{
    struct sql_query *q = query(db, many);
    sql_query_limit(q, 10000);
    CHECK_INT(run(q), -ERR_LIMIT);
    sql_query_free(q);
    CHECK_INT(run_int(db, "SELECT 6"), 6);
}

/* Closing ends what runs and what waits, each once. */
static void check_close(struct sql *db, const char *endless)
{
    struct sql_query *running = query(db, endless), *waiting = query(db, "SELECT 1");
    int running_done = 0, waiting_done = 0;
    CHECK_INT(sql_query_start(running, OP_NO_TIMEOUT, count_done, &running_done, NULL), 0);
    CHECK_INT(sql_query_start(waiting, OP_NO_TIMEOUT, count_done, &waiting_done, NULL), 0);
    sql_close(db);
    CHECK_INT(loop_run_until(loop, is_set, &running_done, NULL), 0);
    CHECK_INT(loop_run_until(loop, is_set, &waiting_done, NULL), 0);
    CHECK_INT(sql_query_op(running)->status, -ERR_CLOSED);
    CHECK_INT(sql_query_op(waiting)->status, -ERR_CLOSED);
    CHECK_INT(sql_query_start(waiting, OP_NO_TIMEOUT, count_done, &waiting_done, NULL), -ERR_CLOSED);
    sql_query_free(running);
    sql_query_free(waiting);
}

/* --- SQLite -------------------------------------------------------------------------------- */

#define SQLITE_ENDLESS                                                                                       \
    "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
#define SQLITE_MANY                                                                                          \
    "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 100000) SELECT x FROM n"

TEST(sqlite_keeps_what_the_interface_promises)
{
    REQUIRE(begin_loop());
    struct sql *db;
    struct err e;
    REQUIRE(sql_open(&db, loop, "sqlite::memory:", &e) == 0);
    check_values(db, "SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e -- $9");
    check_error(db, "SELEC 1", "SQLITE_ERROR");
    check_lease(db);
    check_stop(db, SQLITE_ENDLESS);
    check_limit(db, SQLITE_MANY);
    check_close(db, SQLITE_ENDLESS);
    sql_free(db);
    loop_free(loop);
}

TEST(sqlite_makes_private_files_and_waits_for_locks)
{
    REQUIRE(begin_loop());
    char folder[] = "/tmp/test_sql.XXXXXX", path[64], address[80];
    REQUIRE(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/a.db", folder);
    snprintf(address, sizeof address, "sqlite:%s?mode=ro", path);
    struct sql *db, *other;
    struct err e;
    REQUIRE(sql_open(&db, loop, address, &e) == 0);
    struct sql_query *q = query(db, "SELECT 1");
    CHECK_INT(run(q), -ERR_CONNECT); /* reading makes no file */
    CHECK_HAS(sql_query_op(q)->err.message, "a.db");
    sql_query_free(q);
    sql_free(db);
    snprintf(address, sizeof address, "sqlite:%s", path);
    REQUIRE(sql_open(&db, loop, address, &e) == 0);
    REQUIRE(sql_open(&other, loop, address, &e) == 0);
    CHECK_INT(run_text(db, SQL_SCRIPT, "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1), (2)"), 0);
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK_INT(run_text(db, SQL_SCRIPT, "BEGIN IMMEDIATE"), 0);
    q = query(other, "DELETE FROM a");
    int done = 0;
    CHECK_INT(sql_query_start(q, 500000, count_done, &done, NULL), 0);
    CHECK_INT(loop_run_until(loop, is_set, &done, NULL), 0);
    CHECK_INT(sql_query_op(q)->status, -ERR_TIMEOUT);
    CHECK_HAS(sql_query_op(q)->err.cause, "locked");
    sql_query_free(q);
    q = query(other, "DELETE FROM a");
    done = 0;
    CHECK_INT(sql_query_start(q, 30 * 1000000LL, count_done, &done, NULL), 0);
    CHECK_INT(run_text(db, SQL_SCRIPT, "COMMIT"), 0);
    CHECK_INT(loop_run_until(loop, is_set, &done, NULL), 0);
    CHECK_INT(sql_query_op(q)->status, 0);
    CHECK_INT(sql_affected(q), 2);
    sql_query_free(q);
    sql_free(db);
    sql_free(other);
    loop_free(loop); /* closing is done */
    unlink(path);
    CHECK_INT(rmdir(folder), 0);
}

/* --- PostgreSQL ---------------------------------------------------------------------------- */

TEST(postgres_keeps_what_the_interface_promises)
{
    REQUIRE(postgres_url() != NULL);
    REQUIRE(begin_loop());
    struct sql *db;
    struct err e;
    REQUIRE(sql_open(&db, loop, url, &e) == 0);
    CHECK_STR(sql_driver_name(db), "postgres");
    check_values(db, "SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e -- $9");
    check_error(db, "SELEC 1", "42601");
    check_lease(db);
    check_stop(db, "SELECT pg_sleep(600)");
    check_limit(db, "SELECT generate_series(1, 100000)");
    check_close(db, "SELECT pg_sleep(600)");
    sql_free(db);
    loop_free(loop);
}

TEST(postgres_rows_come_without_stopping_the_loop)
{
    REQUIRE(postgres_url() != NULL);
    REQUIRE(begin_loop());
    struct sql *db;
    struct err e;
    REQUIRE(sql_open(&db, loop, url, &e) == 0);
    struct sql_query *q = query(db, "SELECT g, md5(g::text) FROM generate_series(1, 100000) g");
    CHECK_INT(run(q), 0);
    CHECK_INT(sql_rows(q), 100000);
    printf("worst stall while connecting and taking 100,000 rows: %lld us\n",
           (long long)loop_worst_stall_us(loop));
    struct sql_value v = {0};
    size_t at = 0;
    int64_t sum = 0;
    while (sql_next(q, &at, &v))
        if (v.type == SQL_INT) sum += v.integer;
    CHECK_INT(sum, 5000050000LL);
    sql_query_free(q);
    sql_free(db); /* while the connection is up and idle */
    loop_free(loop);
}

TEST(postgres_reconnects_before_a_query_but_not_in_a_transaction)
{
    REQUIRE(postgres_url() != NULL);
    REQUIRE(begin_loop());
    struct sql *db, *other;
    struct err e;
    char end[96];
    REQUIRE(sql_open(&db, loop, url, &e) == 0);
    REQUIRE(sql_open(&other, loop, url, &e) == 0);
    int64_t pid = run_int(db, "SELECT pg_backend_pid()");
    snprintf(end, sizeof end, "SELECT pg_terminate_backend(%lld, 5000)", (long long)pid);
    CHECK_INT(run_text(other, SQL_QUERY, end), 0);
    int64_t second = run_int(db, "SELECT pg_backend_pid()");
    CHECK(second > 0 && second != pid);
    CHECK_INT(run_text(db, SQL_SCRIPT, "BEGIN"), 0);
    snprintf(end, sizeof end, "SELECT pg_terminate_backend(%lld, 5000)", (long long)second);
    CHECK_INT(run_text(other, SQL_QUERY, end), 0);
    struct sql_query *q = query(db, "SELECT 1");
    CHECK_INT(run(q), -ERR_CLOSED);
    CHECK_HAS(sql_query_op(q)->err.message, "transaction");
    sql_query_free(q);
    CHECK_INT(run_int(db, "SELECT 7"), 7);
    sql_free(db);
    sql_free(other);
    loop_free(loop);
}

TEST(a_connection_can_be_freed_while_its_rollback_runs)
{
    REQUIRE(postgres_url() != NULL);
    const char *urls[] = {url, "sqlite::memory:"};
    for (int i = 0; i < 2; i++) {
        REQUIRE(begin_loop());
        struct sql *db;
        struct err e;
        REQUIRE(sql_open(&db, loop, urls[i], &e) == 0);
        struct sql_query *begin = query(db, "BEGIN");
        int64_t lease = sql_lease(db);
        sql_query_role(begin, SQL_BEGIN, lease);
        CHECK_INT(run(begin), 0);
        sql_query_free(begin);
        sql_abandon(db, lease);
        sql_free(db);
        loop_free(loop);
    }
}

TEST(canceling_at_any_stage_completes_once)
{
    REQUIRE(postgres_url() != NULL);
    const char *urls[] = {url, "sqlite::memory:"};
    for (int i = 0; i < 2; i++) {
        for (int64_t after_us = 0; after_us < 20000; after_us = after_us * 2 + 50) {
            REQUIRE(begin_loop());
            struct sql *db;
            struct err e;
            REQUIRE(sql_open(&db, loop, urls[i], &e) == 0);
            struct sql_query *q = query(db, i == 0 ? "SELECT pg_sleep(600)" : SQLITE_ENDLESS);
            int done = 0;
            CHECK_INT(sql_query_start(q, after_us, count_done, &done, NULL), 0);
            CHECK_INT(loop_run_until(loop, is_set, &done, NULL), 0);
            CHECK_INT(sql_query_op(q)->status, -ERR_TIMEOUT);
            sql_query_free(q);
            CHECK_INT(run_int(db, "SELECT 8"), 8);
            sql_free(db);
            loop_free(loop);
        }
    }
}

TEST(no_connection_is_an_error_that_names_the_reason)
{
    REQUIRE(begin_loop());
    struct sql *db;
    struct err e;
    REQUIRE(sql_open(&db, loop, "postgres://app:swordfish@127.0.0.1:1/shop?password=swordfish", &e) == 0);
    CHECK_STR(sql_name(db), "postgres://app@127.0.0.1:1/shop");
    struct sql_query *q = query(db, "SELECT 1");
    CHECK_INT(run(q), -ERR_CONNECT);
    CHECK(strstr(sql_query_op(q)->err.message, "swordfish") == NULL);
    CHECK_HAS(sql_query_op(q)->err.message, "efused");
    sql_query_free(q);
    sql_free(db);
    CHECK_INT(sql_open(&db, loop, "mysql://x", &e), -ERR_USAGE);
    CHECK_INT(sql_open(&db, loop, "sqlite:", &e), -ERR_USAGE);
    CHECK_INT(sql_open(&db, loop, "sqlite:a.db?mode=x", &e), -ERR_USAGE);
    loop_free(loop);
}

/* Every allocation of ours fails once; nothing leaks and nothing hangs (libpq's own are not swept). */
TEST(without_memory_it_is_an_error)
{
    REQUIRE(postgres_url() != NULL);
    const char *urls[] = {url, "sqlite::memory:"};
    for (int i = 0; i < 2; i++) {
        int rc = -1;
        for (long nth = 0; rc != 0 && nth < 200; nth++) {
            REQUIRE(begin_loop());
            struct sql *db = NULL;
            struct err e;
            mem_fail_after(nth);
            rc = sql_open(&db, loop, urls[i], &e);
            struct sql_query *q = rc == 0 ? sql_query_new(db) : NULL;
            if (q != NULL) {
                struct sql_value v = {.type = SQL_TEXT, .bytes = {"x", 1}};
                sql_query_text(q, "SELECT $1 AS a", 14);
                sql_query_add(q, &v);
                rc = run(q);
            } else if (rc == 0) {
                rc = -ERR_MEMORY;
            }
            mem_fail_after(-1);
            CHECK(rc == 0 || rc == -ERR_MEMORY);
            sql_query_free(q);
            sql_free(db);
            loop_free(loop);
        }
        CHECK_INT(rc, 0);
    }
}

/* --- texts --------------------------------------------------------------------------------- */

static unsigned statement_of(const char *script, const char *mark)
{
    return sql_statement_at(script, (size_t)(strstr(script, mark) - script));
}

TEST(the_statement_of_a_position_is_found)
{
    CHECK_INT(statement_of("MARK", "MARK"), 1);
    CHECK_INT(statement_of("a; MARK; b", "MARK"), 2);
    CHECK_INT(statement_of("';'; \";\"\"\"; -- ;\n MARK", "MARK"), 3);
    CHECK_INT(statement_of("/* ; /* ; */ ; */ a; MARK", "MARK"), 2);
    CHECK_INT(statement_of("DO $x$ ; $y$ ; $x$; $$ ; $$; a$b; $1; MARK", "MARK"), 5);
    CHECK_INT(statement_of("E'\\';'; 'it''s;'; MARK", "MARK"), 3);
    CHECK_INT(statement_of("'never ends; MARK", "MARK"), 1);
}

TEST(names_of_addresses_hold_no_password)
{
    char out[64];
    sql_url_redact("postgres://u:p@h:5432/d?sslpassword=p", out, sizeof out);
    CHECK_STR(out, "postgres://u@h:5432/d");
    sql_url_redact("postgres://u:p/w?a@b@h/d", out, sizeof out);
    CHECK_STR(out, "postgres://***");
    sql_url_redact("postgres://u:p/w@a@h/d", out, sizeof out);
    CHECK_STR(out, "postgres://u@h/d");
    sql_url_redact("postgres://h/d?password=p@ss", out, sizeof out);
    CHECK_STR(out, "postgres://***");
    sql_url_redact("postgres://h/d", out, sizeof out);
    CHECK_STR(out, "postgres://h/d");
    sql_url_redact("sqlite:/a/b.db?mode=ro", out, sizeof out);
    CHECK_STR(out, "sqlite:/a/b.db");
}

TEST_MAIN()
