/* Histogram and request counts: exact counts, ordered by the requests' start. */
#include "core/metrics.h"
#include "test.h"

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

TEST(quantiles_are_within_one_percent)
{
    static struct histogram h;
    static int64_t values[20000];
    unsigned seed = 7;
    histogram_clear(&h);
    CHECK_INT(histogram_quantile(&h, 0.5), -1);
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1103515245 + 12345;
        values[i] = (int64_t)(seed >> 8) % 3000000;
        histogram_add(&h, values[i]);
    }
    qsort(values, 20000, sizeof *values, compare);
    static const double shares[] = {0.01, 0.5, 0.9, 0.95, 0.99, 1};
    for (int i = 0; i < 6; i++) {
        int64_t exact = values[(int)ceil(shares[i] * 20000) - 1], got = histogram_quantile(&h, shares[i]);
        CHECK(got >= exact && (double)got <= (double)exact * 1.01 + 1);
    }
}

TEST(histograms_add_up_and_extremes_are_kept)
{
    static struct histogram a, b;
    histogram_clear(&a);
    histogram_clear(&b);
    histogram_add(&a, -5);
    histogram_add(&b, INT64_MAX);
    histogram_merge(&a, &b);
    CHECK_INT(a.total, 2);
    CHECK_INT(histogram_quantile(&a, 0.5), 0);
    CHECK(histogram_quantile(&a, 1) > 4000000000LL);
}

enum { SECOND = 1000000 };

static struct metrics *new_metrics(void)
{
    struct metrics *m;
    struct err e;
    if (metrics_new(&m, 500000, &e) != 0) return NULL;
    metrics_add_server(m, "b1", 0, &e);
    metrics_add_server(m, "g1", 1, &e);
    metrics_mark(m, 10 * SECOND);
    return m;
}

/* A request of total_ms that ends at end_us. */
static void request(struct metrics *m, const char *server, int status, long total_ms, int64_t end_us)
{
    char text[256];
    int n = snprintf(text, sizeof text,
                     "x [23/Nov/2026:20:10:38.350] p app/%s 0/0/0/%ld/%ld %d 1 - - ---- 1/1/0/0/0 0/0 \"\"",
                     server, total_ms, total_ms, status);
    metrics_line(m, text, (size_t)n, end_us, end_us);
}

TEST(a_slot_counts_half_a_second_after_its_end)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    request(m, "g1", 200, 10, 10 * SECOND + 100000);
    request(m, "g1", 500, 10, 10 * SECOND + 120000);
    request(m, "b1", 200, 10, 10 * SECOND + 130000);
    CHECK_INT(metrics_advance(m, 10 * SECOND + 749999), 0);
    CHECK_INT(metrics_since(m, 1)->requests, 0);
    CHECK_INT(metrics_next_close_us(m, 10 * SECOND + 700000), 10 * SECOND + 750000);
    CHECK(metrics_advance(m, 10 * SECOND + 750000) >= 1);
    CHECK_INT(metrics_since(m, 1)->requests, 2);
    CHECK_INT(metrics_since(m, 1)->errors, 1);
    CHECK_INT(metrics_since(m, 0)->requests, 1);
    CHECK_INT(metrics_last_slot(m, 1)->errors, 1);
    CHECK_INT(metrics_first_failure_wall_us(m, 1), 10 * SECOND + 110000);
    CHECK_INT(metrics_first_failure_wall_us(m, 0), 0);
    metrics_free(m);
}

/* Lines come when requests end: a slow success that began first must be counted beside a fast error. */
TEST(order_is_that_of_the_starts)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    request(m, "g1", 500, 1, 10 * SECOND + 300000);   /* began at .299 */
    request(m, "g1", 200, 400, 10 * SECOND + 600000); /* began at .200, in the slot before */
    metrics_advance(m, 10 * SECOND + 750000);
    CHECK_INT(metrics_last_slot(m, 1)->requests, 1);
    CHECK_INT(metrics_last_slot(m, 1)->errors, 0);
    metrics_advance(m, 11 * SECOND);
    CHECK_INT(metrics_last_slot(m, 1)->errors, 1);
    metrics_free(m);
}

TEST(a_request_that_ends_late_still_counts)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    request(m, "g1", 200, 3000, 13 * SECOND + 100000); /* its slot closed long ago */
    metrics_advance(m, 14 * SECOND);
    CHECK_INT(metrics_since(m, 1)->requests, 1);
    CHECK_INT(metrics_since(m, 1)->slow, 1);
    metrics_free(m);
}

TEST(what_began_before_the_mark_does_not_count)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    request(m, "g1", 500, 10, 10 * SECOND + 500000);
    metrics_mark(m, 11 * SECOND);
    request(m, "g1", 500, 400, 11 * SECOND + 100000); /* began before the mark */
    request(m, "g1", 200, 10, 11 * SECOND + 100000);
    metrics_advance(m, 13 * SECOND);
    CHECK_INT(metrics_since(m, 1)->requests, 1);
    CHECK_INT(metrics_since(m, 1)->errors, 0);
    CHECK_INT(metrics_first_failure_wall_us(m, 1), 0);
    metrics_free(m);
}

TEST(a_long_silence_loses_nothing)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    request(m, "g1", 200, 10, 10 * SECOND + 100000);
    metrics_advance(m, 4000LL * SECOND);
    request(m, "g1", 200, 10, 4000LL * SECOND + 1000);
    metrics_advance(m, 4002LL * SECOND);
    CHECK_INT(metrics_since(m, 1)->requests, 2);
    metrics_free(m);
}

TEST(strangers_and_nonsense_are_counted_as_such)
{
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    request(m, "other", 200, 10, 10 * SECOND + 100000);
    metrics_line(m, "nonsense", 8, 10 * SECOND, 0);
    metrics_advance(m, 12 * SECOND);
    CHECK_INT(metrics_unattributed(m), 1);
    CHECK_INT(metrics_unreadable(m), 1);
    CHECK_INT(metrics_since(m, 0)->requests + metrics_since(m, 1)->requests, 0);
    metrics_free(m);
}

TEST(a_redispatch_hides_a_failure_of_the_other_colour)
{
    static const char line[] = "haproxy[9]: 127.0.0.1:5000 [23/Nov/2026:18:07:20.123] public "
                               "app/b1 0/0/0/5/5 200 120 - - ---- 1/1/0/0/+1 0/0 \"GET / HTTP/1.1\"";
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    metrics_line(m, line, sizeof line - 1, 11 * SECOND, 11 * SECOND);
    metrics_advance(m, 12 * SECOND);
    CHECK_INT(metrics_since(m, 0)->requests, 1);
    CHECK_INT(metrics_since(m, 0)->errors, 0);
    CHECK_INT(metrics_since(m, 1)->requests, 1);
    CHECK_INT(metrics_since(m, 1)->errors, 1);
    CHECK_INT(metrics_since(m, 1)->hidden, 1);
    metrics_free(m);
}

TEST(thresholds)
{
    static const char line[] = "haproxy[9]: 127.0.0.1:5000 [23/Nov/2026:18:07:20.123] public "
                               "app/g1 0/0/0/30/30 200 120 - - ---- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\"";
    static const int64_t thresholds[METRICS_THRESHOLDS] = {10000, 20000, 30000, 40000, 50000};
    struct metrics *m = new_metrics();
    REQUIRE(m != NULL);
    metrics_line(m, line, sizeof line - 1, 11 * SECOND, 11 * SECOND);
    metrics_set_thresholds(m, thresholds);
    metrics_line(m, line, sizeof line - 1, 11 * SECOND, 11 * SECOND);
    metrics_advance(m, 12 * SECOND);
    const struct metrics_counts *c = metrics_since(m, 1);
    CHECK_INT(c->requests, 2);
    CHECK(c->over[0] == 1 && c->over[1] == 1 && c->over[2] == 0 && c->over[4] == 0);
    metrics_free(m);
}

TEST_MAIN()
