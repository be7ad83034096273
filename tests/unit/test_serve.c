/* The server: answers now and later, limits, hostile clients, and stopping without losing a request. */
#include "base/mem.h"
#include "core/serve.h"
#include "raw.h"
#include "test.h"

static struct clock the_clock;
static struct loop *loop;
static struct serve *server;
static struct serve_request *held[64];
static int held_count, next_fired;

static void on_next(struct op *op, void *arg)
{
    (void)arg;
    next_fired++;
    if (op->status < 0) return;
    struct serve_request *r;
    while ((r = serve_take(server)) != NULL)
        held[held_count++] = r;
}

static bool is_holding(void *arg)
{
    return held_count >= *(int *)arg;
}

static bool open_server(size_t max_body_bytes, int idle_timeout_s, bool is_virtual)
{
    struct serve_options options = {
        .host = "127.0.0.1", .max_body_bytes = max_body_bytes, .idle_timeout_s = idle_timeout_s};
    struct err e;
    held_count = next_fired = 0;
    if (is_virtual)
        clock_init_virtual(&the_clock, 0);
    else
        clock_init_real(&the_clock);
    if (loop_init(&loop, &the_clock, &e) == 0 && serve_start(&server, loop, &options, &e) == 0) return true;
    printf("%s\n", e.message);
    return false;
}

/* Waits until count requests are held. */
static void hold(int count)
{
    while (held_count < count) {
        int before = next_fired;
        serve_next(server, on_next, NULL);
        int more = held_count + 1;
        loop_run_until(loop, is_holding, &more, NULL);
        if (next_fired == before) return;
    }
}

static void answer(struct serve_request *r, int status, const char *body)
{
    static const struct buf none = BUF_INIT;
    serve_answer(r, status, &none, body, strlen(body));
}

struct stop {
    struct serve_end end;
    int fired, status;
};

static void on_stopped(struct op *op, void *arg)
{
    struct stop *stop = arg;
    stop->fired++;
    stop->status = op->status;
}

static bool has_stopped(void *arg)
{
    return ((struct stop *)arg)->fired > 0;
}

static int stop_server(int64_t timeout_us)
{
    struct stop stop = {0};
    serve_stop(server, &stop.end, timeout_us, on_stopped, &stop);
    loop_run_until(loop, has_stopped, &stop, NULL);
    return stop.status;
}

static void close_server(void)
{
    serve_free(server);
    server = NULL;
    loop_free(loop);
}

TEST(a_request_arrives_whole_and_is_answered_later)
{
    REQUIRE(open_server(1000, 60, false));
    int fd = raw_connect(serve_port(server));
    raw_send(fd,
             "POST /a%20b?x=1%262&y HTTP/1.1\r\nHost: h\r\nX-Test: Yes\r\nContent-Length: 5\r\n\r\nhello");
    hold(1);
    struct serve_request *r = held[0];
    CHECK_STR(r->method, "POST");
    CHECK_STR(r->path, "/a b");
    CHECK_STR(r->remote, "127.0.0.1");
    CHECK_STR(buf_str(&r->body), "hello");
    CHECK_HAS(buf_str(&r->headers), "x-test: Yes\n");
    CHECK_INT(r->query.len, 9);
    CHECK(memcmp(r->query.data, "x\0001&2\0y\0", 9) == 0);
    struct buf headers = BUF_INIT;
    buf_addf(&headers, "X-Long: %02000d\n", 7);
    serve_answer(r, 201, &headers, "done", 4);
    buf_release(&headers);
    const char *text = raw_read(loop, fd, "done");
    CHECK_HAS(text, "HTTP/1.1 201");
    CHECK_HAS(text, "0007\r\n");
    close(fd);
    close_server();
}

TEST(stopping_loses_no_request_not_even_one_that_was_never_accepted)
{
    enum { CLIENTS = 20 };
    int fds[CLIENTS];
    REQUIRE(open_server(1000, 60, false));
    for (int i = 0; i < CLIENTS; i++) {
        /* The loop has not run: all of these wait in the backlog. */
        fds[i] = raw_connect(serve_port(server));
        REQUIRE(fds[i] >= 0);
        raw_send(fds[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    struct stop first = {0}, second = {0};
    serve_stop(server, &first.end, 20 * 1000000LL, on_stopped, &first);
    serve_stop(server, &second.end, 20 * 1000000LL, on_stopped, &second);
    CHECK_INT(raw_connect(serve_port(server)), -1);
    hold(CLIENTS);
    CHECK_INT(held_count, CLIENTS);
    CHECK_INT(first.fired, 0);
    for (int i = 0; i < held_count; i++)
        answer(held[i], 200, "kept");
    loop_run_until(loop, has_stopped, &first, NULL);
    loop_run_until(loop, has_stopped, &second, NULL);
    CHECK_INT(first.status, 0);
    CHECK_INT(second.status, 0);
    for (int i = 0; i < CLIENTS; i++) {
        const char *text = raw_read(loop, fds[i], NULL);
        CHECK_HAS(text, "HTTP/1.1 200");
        CHECK_HAS(text, "Connection: close");
        CHECK_HAS(text, "kept");
        close(fds[i]);
    }
    close_server();
}

TEST(an_idle_connection_does_not_hold_a_stop)
{
    REQUIRE(open_server(1000, 60, false));
    int fd = raw_connect(serve_port(server));
    CHECK_INT(stop_server(20 * 1000000LL), 0);
    close(fd);
    close_server();
}

TEST(a_stop_gives_up_at_its_timeout_and_late_answers_go_nowhere)
{
    REQUIRE(open_server(1000, 60, false));
    int fd = raw_connect(serve_port(server));
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    hold(1);
    CHECK_INT(stop_server(1000), -ERR_TIMEOUT);
    serve_free(server);
    server = NULL;
    answer(held[0], 200, "too late");
    close(fd);
    loop_free(loop);
}

TEST(a_client_that_goes_away_harms_nobody)
{
    REQUIRE(open_server(1000, 60, false));
    int gone = raw_connect(serve_port(server)), stays = raw_connect(serve_port(server));
    raw_send(gone, "GET /gone HTTP/1.1\r\nHost: h\r\n\r\n");
    hold(1);
    struct linger reset = {.l_onoff = 1};
    setsockopt(gone, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(gone);
    answer(held[0], 200, "nobody reads this");
    raw_send(stays, "GET /stays HTTP/1.1\r\nHost: h\r\n\r\n");
    hold(2);
    CHECK_STR(held[1]->path, "/stays");
    answer(held[1], 200, "fine");
    CHECK_HAS(raw_read(loop, stays, "fine"), "HTTP/1.1 200");
    close(stays);
    CHECK_INT(stop_server(20 * 1000000LL), 0);
    close_server();
}

TEST(a_body_over_the_limit_is_not_kept)
{
    REQUIRE(open_server(10, 60, false));
    int fd = raw_connect(serve_port(server));
    raw_send(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n12345678901");
    hold(1);
    CHECK(held[0]->too_large);
    CHECK_INT(held[0]->body.len, 0);
    answer(held[0], 413, "too large");
    CHECK_HAS(raw_read(loop, fd, "too large"), "413");
    close(fd);
    /* Who asks first, or announces far too much, is refused before sending. */
    fd = raw_connect(serve_port(server));
    raw_send(fd, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    CHECK_HAS(raw_read(loop, fd, "too large"), "HTTP/1.1 413");
    close(fd);
    fd = raw_connect(serve_port(server));
    raw_send(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n");
    CHECK_HAS(raw_read(loop, fd, "too large"), "HTTP/1.1 413");
    close(fd);
    CHECK_INT(held_count, 1);
    close_server();
}

TEST(a_huge_head_and_nonsense_are_refused)
{
    static char huge[100000];
    REQUIRE(open_server(10, 60, false));
    int fd = raw_connect(serve_port(server));
    memset(huge, 'x', sizeof huge - 1);
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
    raw_send(fd, huge);
    raw_send(fd, "\r\n\r\n");
    CHECK(strstr(raw_read(loop, fd, NULL), "HTTP/1.1 200") == NULL);
    close(fd);
    fd = raw_connect(serve_port(server));
    raw_send(fd, "\x16\x03\x01 this is no HTTP\r\n\r\n");
    CHECK(strstr(raw_read(loop, fd, NULL), "HTTP/1.1 200") == NULL);
    close(fd);
    CHECK_INT(held_count, 0);
    close_server();
}

TEST(a_slow_client_is_cut_off)
{
    REQUIRE(open_server(10, 1, false));
    int fd = raw_connect(serve_port(server));
    raw_send(fd, "GET / HTTP/1.1\r\nHost: ");
    CHECK(strstr(raw_read(loop, fd, NULL), "HTTP/1.1 200") == NULL); /* returns when it was closed */
    close(fd);
    close_server();
}

static void set(void *arg)
{
    *(bool *)arg = true;
}

static bool is_set(void *arg)
{
    return *(bool *)arg;
}

TEST(a_server_does_not_hold_a_virtual_clock)
{
    REQUIRE(open_server(10, 60, true));
    struct timer hour = {0};
    bool fired = false;
    serve_next(server, on_next, NULL);
    timer_start(loop, &hour, 3600 * 1000000LL, set, &fired);
    CHECK_INT(loop_run_until(loop, is_set, &fired, NULL), 0);
    close_server();
}

TEST(what_cannot_be_listened_on_is_said)
{
    struct serve *other;
    struct err e;
    REQUIRE(open_server(10, 60, false));
    struct serve_options options = {.host = "127.0.0.1", .port = serve_port(server), .idle_timeout_s = 1};
    CHECK_INT(serve_start(&other, loop, &options, &e), -ERR_CONNECT);
    CHECK_HAS(e.message, "is taken");
    options.host = "localhost";
    CHECK_INT(serve_start(&other, loop, &options, &e), -ERR_USAGE);
    close_server();
}

TEST_MAIN()
