/* The history, unread slots and the other format: what test_metrics.c does not look at. Time is given, not
 * read. */
#include "core/metrics.h"
#include "test.h"

enum { SECOND = 1000000 };
static const int64_t BEGIN = 100LL * SECOND;

static struct metrics *new_metrics(void)
{
    struct metrics *m;
    struct err e;
    if (metrics_new(&m, 500000, &e) != 0) return NULL;
    metrics_add_server(m, "b1", 0, &e);
    metrics_add_server(m, "g1", 1, &e);
    metrics_mark(m, BEGIN);
    return m;
}

static void request(struct metrics *m, const char *server, int status, long total_ms, int64_t end_us)
{
    char text[256];
    int n = snprintf(text, sizeof text,
                     "x [23/Nov/2026:20:10:38.350] p app/%s 0/0/0/%ld/%ld %d 1 - - ---- 1/1/0/0/0 0/0 \"\"",
                     server, total_ms, total_ms, status);
    metrics_line(m, text, (size_t)n, end_us, end_us);
}

TEST(the_history_outlives_the_mark)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    request(m, "g1", 500, 10, BEGIN + SECOND);
    metrics_mark(m, BEGIN + 2 * SECOND);
    request(m, "g1", 200, 10, BEGIN + 3 * SECOND);
    int64_t now = BEGIN + 4 * SECOND;
    metrics_advance(m, now);
    CHECK_INT(metrics_since(m, 1)->requests, 1);
    struct metrics_window all = metrics_history(m, BEGIN, now);
    CHECK_INT(all.counts[1].requests, 2);
    CHECK_INT(all.counts[1].errors, 1);
    CHECK_INT(all.covered_us, 3500000); /* the last half second is still open */
    CHECK_INT(metrics_history(m, BEGIN + 2 * SECOND, now).counts[1].requests, 1);
    metrics_free(m);
}

TEST(in_the_history_a_late_request_stands_where_it_started)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    int64_t now = BEGIN + 30 * SECOND;
    request(m, "g1", 504, 20000, now); /* started at BEGIN + 10 s */
    CHECK_INT(metrics_history(m, BEGIN + 10 * SECOND, now).counts[1].errors, 1);
    CHECK_INT(metrics_history(m, BEGIN + 10 * SECOND + 250000, now).counts[1].errors, 0);
    metrics_free(m);
}

TEST(twenty_minutes_are_kept_and_no_more)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    int64_t now = BEGIN;
    for (int i = 0; i < 3000; i++, now += SECOND)
        request(m, i % 2 ? "g1" : "b1", 200, 1, now + 100000);
    metrics_advance(m, now);
    struct metrics_window window = metrics_history(m, now - 1200LL * SECOND, now);
    CHECK_INT(window.counts[0].requests + window.counts[1].requests, 1200);
    window = metrics_history(m, 0, now); /* an old lap's rows do not count twice */
    CHECK(window.covered_us >= 1200LL * SECOND && window.covered_us <= 1250LL * SECOND);
    CHECK_INT(window.counts[0].requests + window.counts[1].requests, window.covered_us / SECOND);
    static struct histogram h;
    histogram_clear(&h);
    metrics_history_durations(m, 0, 0, now, &h);
    CHECK(h.total >= 600 && h.total <= 625);
    metrics_free(m);
}

TEST(durations_of_the_last_seconds_only)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    for (int i = 0; i < 100; i++)
        request(m, "g1", 200, 400, BEGIN + SECOND);
    int64_t later = BEGIN + 60LL * SECOND;
    for (int i = 0; i < 100; i++)
        request(m, "g1", 200, 10, later);
    static struct histogram h;
    histogram_clear(&h);
    metrics_history_durations(m, 1, later - SECOND, later + SECOND, &h);
    CHECK_INT(h.total, 100);
    CHECK(histogram_quantile(&h, 0.99) < 11000);
    metrics_free(m);
}

TEST(who_reads_slots_late_misses_nothing)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    for (int i = 0; i < 40; i++) /* ten seconds, four a second */
        request(m, "g1", i % 4 ? 200 : 500, 0, BEGIN + i * METRICS_SLOT_US + 1000);
    metrics_advance(m, BEGIN + 11 * SECOND);
    struct metrics_unread unread = metrics_take_unread(m);
    CHECK_INT(unread.counts[1].requests, 40);
    CHECK_INT(unread.counts[1].errors, 10);
    CHECK_INT(unread.slots, 42);
    CHECK(!metrics_has_unread(m));
    CHECK_INT(metrics_take_unread(m).counts[1].requests, 0);
    metrics_free(m);
}

/* Errors come at once, successes after 400 ms: in the order of the lines the first half second is all errors.
 */
TEST(slots_are_as_good_as_the_truth_whatever_the_order_of_lines)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    struct metrics_counts seen[40] = {0};
    int count = 0;
    for (int ms = 0; ms < 8000; ms++) {
        int64_t now = BEGIN + ms * 1000LL;
        if (metrics_advance(m, now) > 0 && count < 40) seen[count++] = metrics_take_unread(m).counts[1];
        if (ms % 20 == 0) request(m, "g1", 500, 0, now);
        if (ms >= 400 && ms % 2 == 0) request(m, "g1", 200, 400, now);
    }
    CHECK(count > 25);
    for (int i = 0; i < count - 1; i++) {
        CHECK_INT(seen[i].requests, i == 0 ? 138 : seen[i].requests);
        CHECK(seen[i].errors * 7 <
              seen[i].requests); /* one in eleven; the lines' order would begin with all */
    }
    metrics_free(m);
}

TEST(after_a_silence_the_last_slot_is_an_empty_one)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    for (int i = 0; i < 4; i++)
        request(m, "g1", 500, 0, BEGIN + i * METRICS_SLOT_US + 1000);
    metrics_advance(m, BEGIN + 60LL * SECOND);
    CHECK_INT(metrics_last_slot(m, 1)->requests, 0);
    CHECK_INT(metrics_since(m, 1)->requests, 4);
    CHECK_INT(metrics_take_unread(m).slots, 4 * 60 - 2);
    metrics_free(m);
}

TEST(nginx_s_lines)
{
    struct metrics *m;
    REQUIRE(metrics_new(&m, 500000, NULL) == 0);
    metrics_set_format(m, METRICS_NGINX);
    REQUIRE(metrics_add_server(m, "127.0.0.1:51593", 1, NULL) == 0);
    metrics_mark(m, BEGIN);
    static const char LINE[] =
        "<134>Nov 23 20:30:14 vm nginx: 127.0.0.1 - - [23/Nov/2026:20:30:14 +0000] \"GET / HTTP/1.1\" 502 2 "
        "\"-\" \"-\" 127.0.0.1:51593 0.700 0.700";
    metrics_line(m, LINE, sizeof LINE - 1, BEGIN + SECOND, 0);
    metrics_advance(m, BEGIN + 3 * SECOND);
    CHECK_INT(metrics_since(m, 1)->errors, 1);
    CHECK_INT(metrics_since(m, 1)->slow, 1);
    metrics_free(m);
}

TEST(an_aborted_request_is_nothing_else)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    static const char LINE[] =
        "x [23/Nov/2026:20:10:38.350] p app/g1 0/0/0/-1/900 -1 0 - - CH-- 1/1/0/0/0 0/0 \"\"";
    metrics_line(m, LINE, sizeof LINE - 1, BEGIN + SECOND, 0);
    metrics_advance(m, BEGIN + 3 * SECOND);
    const struct metrics_counts *c = metrics_since(m, 1);
    CHECK_INT(c->aborted, 1);
    CHECK_INT(c->requests + c->errors + c->slow + c->client_errors + c->retried, 0);
    CHECK_INT(metrics_durations(m, 1)->total, 0);
    CHECK_INT(metrics_history(m, BEGIN, BEGIN + 3 * SECOND).counts[1].aborted, 1);
    metrics_free(m);
}

TEST_MAIN()
