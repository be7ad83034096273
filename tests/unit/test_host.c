/* The machine's readings: the texts of /proc, and shares between readings. */
#include "core/host.h"
#include "test.h"

#include <unistd.h>

TEST(stat_counts_guests_once_and_processors_by_their_lines)
{
    struct host_reading r = {0};
    CHECK(host_parse_stat(
        "cpu  100 10 50 800 20 5 5 10 70 3\ncpu0 1 1 1 1 1 1 1 1 1 1\ncpu1 1 1 1 1 1 1 1 1 1 1\nintr 5\n",
        &r));
    CHECK_INT(r.cpu_ticks, 1000);
    CHECK_INT(r.idle_ticks, 820);
    CHECK_INT(r.processors, 2);
    CHECK(!host_parse_stat("", &r));
    CHECK(!host_parse_stat("cpu 1 2", &r));
    CHECK(!host_parse_stat("cpu 0 0 0 0", &r));
}

TEST(meminfo)
{
    struct host_reading r = {0};
    CHECK(host_parse_meminfo("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    250 kB\n", &r));
    CHECK_INT(r.memory_bytes, 1024000);
    CHECK_INT(r.available_bytes, 256000);
    CHECK(!host_parse_meminfo("MemTotal: 1000 kB\n", &r));
    CHECK(!host_parse_meminfo("MemTotal: 1 kB\nMemAvailable: 2 kB\n", &r));
}

TEST(a_process_with_a_name_that_looks_like_fields)
{
    struct host_process p = {.pid = 7};
    CHECK(host_parse_process("7 (a) S 1 (b) R 1 2 3 4 5 6 7 8 9 10 300 40 11 12 13 14 15 16 999 17 25 18\n",
                             4096, &p));
    CHECK(p.alive);
    CHECK_INT(p.cpu_ticks, 340);
    CHECK_INT(p.started, 999);
    CHECK_INT(p.rss_bytes, 25 * 4096);
    CHECK(
        host_parse_process("7 (x) Z 1 2 3 4 5 6 7 8 9 10 300 40 11 12 13 14 15 16 999 17 25 18\n", 4096, &p));
    CHECK(!p.alive && p.rss_bytes == 0);
    CHECK(!host_parse_process("7 (x) S 1 2", 4096, &p));
    CHECK(!host_parse_process("", 4096, &p));
}

/* One processor: 20 ticks are 0.2 s. */
static struct host_reading at(uint64_t ticks, uint64_t busy, uint64_t of_process, uint64_t started)
{
    struct host_reading r = {
        .cpu_ticks = ticks, .idle_ticks = ticks - busy, .processors = 1, .process_count = 1};
    r.processes[0] =
        (struct host_process){.pid = 7, .alive = true, .cpu_ticks = of_process, .started = started};
    return r;
}

static bool is_near(double a, double b)
{
    return a > b - 1e-9 && a < b + 1e-9;
}

TEST(shares_need_two_readings)
{
    struct host_history h = {0};
    struct host_reading a = at(1000, 100, 50, 1), b = at(1100, 160, 80, 1);
    host_history_add(&h, &a);
    CHECK(a.cpu_share < 0 && a.processes[0].cpu_share < 0);
    host_history_add(&h, &b);
    CHECK(is_near(b.cpu_share, 0.6));
    CHECK(is_near(b.processes[0].cpu_share, 0.3));
}

TEST(a_second_caller_right_behind_does_not_make_it_noise)
{
    struct host_history h = {0};
    struct host_reading a = at(1000, 100, 0, 1), b = at(1100, 150, 0, 1), c = at(1101, 151, 0, 1);
    host_history_add(&h, &a);
    host_history_add(&h, &b);
    host_history_add(&h, &c);
    CHECK(is_near(c.cpu_share, 51.0 / 101)); /* of a to c, not of the one tick from b */
}

TEST(a_pid_that_was_given_again_begins_anew)
{
    struct host_history h = {0};
    struct host_reading a = at(1000, 0, 500, 1), b = at(1100, 0, 2, 77), c = at(1200, 0, 52, 77);
    host_history_add(&h, &a);
    host_history_add(&h, &b);
    CHECK(b.processes[0].cpu_share < 0);
    host_history_add(&h, &c);
    CHECK(is_near(c.processes[0].cpu_share, 0.5));
}

TEST(more_processes_than_places)
{
    struct host_history h = {0};
    for (int i = 0; i < 3 * HOST_MAX_PIDS; i++) {
        struct host_reading r = at(1000 + (uint64_t)i * 100, 0, 1, 1);
        r.processes[0].pid = i + 1;
        host_history_add(&h, &r);
    }
    CHECK_INT(h.process_count, HOST_MAX_PIDS);
}

TEST(this_machine)
{
    struct host_reading r = {.process_count = 2};
    struct err e;
    r.processes[0].pid = (int)getpid();
    r.processes[1].pid = 1 << 30; /* above any limit of pids */
    REQUIRE(host_read(&r, "/", &e) == 0);
    CHECK(r.processors >= 1 && r.cpu_ticks > r.idle_ticks);
    CHECK(r.memory_bytes > r.available_bytes && r.available_bytes > 0);
    CHECK(r.disk_bytes > 0 && r.disk_used >= 0 && r.disk_used <= 1);
    CHECK(r.processes[0].alive && r.processes[0].rss_bytes > 4096);
    CHECK(!r.processes[1].alive);
    CHECK_INT(host_read(&r, "/does/not/exist", &e), -ERR_NOT_FOUND);
    CHECK_HAS(e.message, "/does/not/exist");
}

TEST_MAIN()
