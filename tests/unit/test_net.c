/* Streams: connect, write, read, accept, and every way in which they end early. */
#include "base/mem.h"
#include "core/net.h"
#include "test.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct clock test_clock;
static struct loop *loop;

static bool is_set(void *arg)
{
    return *(int *)arg != 0;
}

static void note(struct op *op, void *arg)
{
    (void)op;
    (*(int *)arg)++;
}

static void open_loop(void)
{
    signal(SIGPIPE, SIG_IGN);
    clock_init_real(&test_clock);
    loop_init(&loop, &test_clock, NULL);
}

static int wait_for(int *fired)
{
    struct err e;
    int rc = loop_run_until(loop, is_set, fired, &e);
    *fired = 0;
    return rc;
}

enum { SECONDS_5 = 5000000 };

struct pair {
    struct net_listener *listener;
    struct net_conn *near, *far;
};

static bool open_pair(struct pair *p, const struct net_address *at)
{
    int connected = 0, accepted = 0;
    struct err e;
    if (net_listen(&p->listener, loop, at, &e) != 0) return false;
    struct net_address to = *at;
    if (to.path == NULL) to.port = net_listener_port(p->listener);
    p->near = net_new(loop);
    if (p->near == NULL || net_connect(p->near, &to, SECONDS_5, note, &connected, &e) != 0) return false;
    wait_for(&connected);
    if (net_connect_op(p->near)->status != 0) return false;
    if (net_accept(p->listener, SECONDS_5, note, &accepted, &e) != 0) return false;
    wait_for(&accepted);
    p->far = net_accepted(p->listener);
    return p->far != NULL;
}

static void close_pair(struct pair *p)
{
    net_free(p->near); /* as free(): nothing is fine */
    net_free(p->far);
    net_listener_free(p->listener);
}

static const struct net_address LOOPBACK = {.host = "127.0.0.1", .port = 0};

TEST(pieces_of_a_delimiter_are_put_together)
{
    open_loop();
    struct pair p = {0};
    int fired = 0, written = 0;
    size_t len;
    REQUIRE(open_pair(&p, &LOOPBACK));
    REQUIRE(net_read_until(p.far, "END", 3, 100, SECONDS_5, note, &fired, NULL) == 0);
    static const char *const pieces[] = {"abE", "N", "EENDrest"};
    for (int i = 0; i < 3; i++) {
        CHECK_INT(fired, 0);
        REQUIRE(net_write(p.near, pieces[i], strlen(pieces[i]), SECONDS_5, note, &written, NULL) == 0);
        wait_for(&written);
    }
    wait_for(&fired);
    const char *data = net_data(p.far, &len);
    CHECK_INT(len, 5);
    CHECK(memcmp(data, "abENE", 5) == 0);
    REQUIRE(net_read_some(p.far, 2, SECONDS_5, note, &fired, NULL) == 0);
    wait_for(&fired);
    CHECK(memcmp(net_data(p.far, &len), "re", 2) == 0);
    CHECK_INT(len, 2);
    close_pair(&p);
    loop_free(loop);
}

TEST(a_unix_socket_is_private_and_leaves_no_file)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/tmp/test_net_%d.sock", (int)getpid());
    open_loop();
    struct pair p = {0};
    REQUIRE(open_pair(&p, &(struct net_address){.path = path}));
    REQUIRE(stat(path, &st) == 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    struct net_listener *second = NULL;
    struct err e;
    CHECK_INT(net_listen(&second, loop, &(struct net_address){.path = path}, &e), -ERR_EXISTS);
    CHECK_HAS(e.message, path);
    CHECK(stat(path, &st) == 0);
    close_pair(&p);
    CHECK(stat(path, &st) != 0);
    loop_free(loop);
}

TEST(a_timed_out_read_keeps_what_came_and_the_connection)
{
    open_loop();
    struct pair p = {0};
    int fired = 0, written = 0;
    size_t len;
    REQUIRE(open_pair(&p, &LOOPBACK));
    REQUIRE(net_write(p.near, "ha", 2, SECONDS_5, note, &written, NULL) == 0);
    REQUIRE(net_read_until(p.far, "\n", 1, 100, 20000, note, &fired, NULL) == 0);
    wait_for(&fired);
    CHECK_INT(net_read_op(p.far)->status, -ERR_TIMEOUT);
    CHECK(net_is_open(p.far));
    REQUIRE(net_write(p.near, "lf\n", 3, SECONDS_5, note, &written, NULL) == 0);
    REQUIRE(net_read_until(p.far, "\n", 1, 100, SECONDS_5, note, &fired, NULL) == 0);
    wait_for(&fired);
    CHECK(memcmp(net_data(p.far, &len), "half", 4) == 0);
    CHECK_INT(len, 4);
    close_pair(&p);
    loop_free(loop);
}

TEST(a_write_that_nobody_reads_times_out_and_closes)
{
    open_loop();
    struct pair p = {0};
    int fired = 0;
    size_t big = 64u << 20;
    char *bytes = calloc(1, big);
    REQUIRE(bytes != NULL && open_pair(&p, &LOOPBACK));
    REQUIRE(net_write(p.near, bytes, big, 50000, note, &fired, NULL) == 0);
    CHECK_INT(net_write(p.near, "x", 1, 50000, note, &fired, NULL), -ERR_USAGE);
    wait_for(&fired);
    CHECK_INT(net_write_op(p.near)->status, -ERR_TIMEOUT);
    CHECK(!net_is_open(p.near));
    CHECK_INT(net_write(p.near, "x", 1, 50000, note, &fired, NULL), -ERR_CLOSED);
    free(bytes);
    close_pair(&p);
    loop_free(loop);
}

TEST(the_end_and_a_reset_are_told)
{
    open_loop();
    struct pair p = {0};
    int fired = 0;
    REQUIRE(open_pair(&p, &LOOPBACK));
    net_close(p.near);
    REQUIRE(net_read_until(p.far, "\n", 1, 100, SECONDS_5, note, &fired, NULL) == 0);
    wait_for(&fired);
    CHECK_INT(net_read_op(p.far)->status, -ERR_CLOSED);
    REQUIRE(net_read_all(p.far, 100, SECONDS_5, note, &fired, NULL) == 0);
    wait_for(&fired);
    CHECK_INT(net_read_op(p.far)->status, 0);
    /* The kernel answers the first write to a closed socket with a reset; a later one sees it. */
    for (int i = 0; i < 100 && net_write_op(p.far)->status == 0; i++) {
        if (net_write(p.far, "x", 1, SECONDS_5, note, &fired, NULL) != 0) break;
        wait_for(&fired);
    }
    CHECK_INT(net_write_op(p.far)->status, -ERR_CLOSED);
    close_pair(&p);
    loop_free(loop);
}

TEST(limits_hold)
{
    open_loop();
    struct pair p = {0};
    int fired = 0, written = 0;
    size_t len;
    REQUIRE(open_pair(&p, &LOOPBACK));
    REQUIRE(net_write(p.near, "0123456789\n", 11, SECONDS_5, note, &written, NULL) == 0);
    wait_for(&written);
    REQUIRE(net_read_until(p.far, "\n", 1, 9, SECONDS_5, note, &fired, NULL) == 0);
    wait_for(&fired);
    CHECK_INT(net_read_op(p.far)->status, -ERR_LIMIT);
    REQUIRE(net_read_until(p.far, "\n", 1, 10, SECONDS_5, note, &fired, NULL) == 0);
    wait_for(&fired);
    CHECK_INT(net_read_op(p.far)->status, 0);
    net_data(p.far, &len);
    CHECK_INT(len, 10);
    CHECK_INT(net_read_some(p.far, 0, SECONDS_5, note, &fired, NULL), -ERR_USAGE);
    CHECK_INT(net_read_until(p.far, "", 0, 10, SECONDS_5, note, &fired, NULL), -ERR_USAGE);
    close_pair(&p);
    loop_free(loop);
}

TEST(connecting_fails_with_a_reason)
{
    open_loop();
    struct net_conn *c = net_new(loop);
    int fired = 0, port = net_free_port(NULL);
    struct err e;
    REQUIRE(port > 0);
    REQUIRE(net_connect(c, &(struct net_address){.host = "127.0.0.1", .port = port}, SECONDS_5, note, &fired,
                        &e) == 0);
    wait_for(&fired);
    CHECK_INT(net_connect_op(c)->status, -ERR_CONNECT);
    CHECK_HAS(net_connect_op(c)->err.message, "refused");
    REQUIRE(net_connect(c, &(struct net_address){.path = "/nowhere/x.sock"}, SECONDS_5, note, &fired, &e) ==
            0);
    wait_for(&fired);
    CHECK_INT(net_connect_op(c)->status, -ERR_CONNECT);
    CHECK_INT(net_connect(c, &(struct net_address){.host = "x", .port = 0}, SECONDS_5, note, &fired, &e),
              -ERR_USAGE);
    net_free(c);
    loop_free(loop);
}

TEST(a_free_port_is_given_to_one_of_two_that_look)
{
    int first = net_free_port(NULL), of_child = 0, to_parent[2], to_child[2];
    REQUIRE(first > 0);
    REQUIRE(pipe(to_parent) == 0 && pipe(to_child) == 0);
    pid_t child = fork(); /* from here on both would look at the same port next */
    if (child == 0) {
        int port = net_free_port(NULL);
        bool is_told = write(to_parent[1], &port, sizeof port) == sizeof port;
        close(to_child[1]);
        _exit(is_told && read(to_child[0], &port, 1) == 0
                  ? 0
                  : 1); /* it has the port until the parent has looked */
    }
    REQUIRE(read(to_parent[0], &of_child, sizeof of_child) == sizeof of_child);
    int second = net_free_port(NULL), status = -1;
    CHECK(of_child > 0 && second > 0 && second != of_child);
    CHECK(first != second && first != of_child);
    close(to_child[1]);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    close(to_child[0]);
    close(to_parent[0]);
    close(to_parent[1]);
}

TEST(closing_ends_what_waits_and_canceling_has_the_last_word)
{
    open_loop();
    struct pair p = {0};
    int fired = 0, accepted = 0, connected = 0;
    REQUIRE(open_pair(&p, &LOOPBACK));
    REQUIRE(net_read_all(p.far, 100, SECONDS_5, note, &fired, NULL) == 0);
    REQUIRE(net_accept(p.listener, SECONDS_5, note, &accepted, NULL) == 0);
    net_close(p.far);
    op_cancel(net_accept_op(p.listener), ERR_INTERRUPTED, "test", "somebody pressed Ctrl-C");
    CHECK_INT(fired + accepted, 0);
    wait_for(&fired);
    wait_for(&accepted);
    CHECK_INT(net_read_op(p.far)->status, -ERR_CLOSED);
    CHECK_INT(net_accept_op(p.listener)->status, -ERR_INTERRUPTED);

    /* A name that is being resolved: the op ends at once, the resolver's answer finds nobody. */
    struct net_conn *c = net_new(loop);
    REQUIRE(net_connect(c, &(struct net_address){.host = "localhost", .port = 1}, SECONDS_5, note, &connected,
                        NULL) == 0);
    op_cancel(net_connect_op(c), ERR_INTERRUPTED, "test", "enough");
    wait_for(&connected);
    CHECK_INT(net_connect_op(c)->status, -ERR_INTERRUPTED);
    net_free(c);
    close_pair(&p);
    loop_free(loop);
}

TEST(a_connection_accepted_for_nobody_goes_to_the_next)
{
    open_loop();
    struct net_listener *l = NULL;
    int connected = 0, accepted = 0;
    REQUIRE(net_listen(&l, loop, &LOOPBACK, NULL) == 0);
    struct net_address to = {.host = "localhost",
                             .port = net_listener_port(l)}; /* tries ::1 first where that exists */
    struct net_conn *c = net_new(loop);
    REQUIRE(net_accept(l, SECONDS_5, note, &accepted, NULL) == 0);
    REQUIRE(net_connect(c, &to, SECONDS_5, note, &connected, NULL) == 0);
    wait_for(&accepted);
    if (!connected) wait_for(&connected);
    CHECK_INT(net_connect_op(c)->status, 0);
    REQUIRE(net_accept(l, SECONDS_5, note, &accepted, NULL) == 0); /* the first one was never asked for */
    wait_for(&accepted);
    struct net_conn *far = net_accepted(l);
    CHECK(far != NULL);
    CHECK(net_accepted(l) == NULL);
    net_free(far);
    net_free(c);
    net_listener_free(l);
    loop_free(loop);
}

TEST(an_idle_listener_does_not_keep_a_wait_alive)
{
    open_loop();
    struct net_listener *l = NULL;
    int never = 0;
    struct err e;
    REQUIRE(net_listen(&l, loop, &LOOPBACK, NULL) == 0);
    CHECK_INT(loop_run_until(loop, is_set, &never, &e), -ERR_INTERNAL);
    net_listener_free(l);
    loop_free(loop);
}

TEST(running_out_of_memory_is_an_error_everywhere)
{
    signal(SIGPIPE, SIG_IGN);
    for (long nth = 0; nth < 16; nth++) {
        struct pair p = {0};
        open_loop();
        int fired = 0, written = 0;
        struct net_address at = LOOPBACK;
        mem_fail_after(nth);
        bool is_open = open_pair(&p, &at);
        if (is_open && net_write(p.near, "a\n", 2, SECONDS_5, note, &written, NULL) == 0) wait_for(&written);
        if (is_open && net_read_until(p.far, "\n", 1, 10, SECONDS_5, note, &fired, NULL) == 0) {
            if (written == 0 && net_write_op(p.near)->state == OP_IDLE) net_close(p.near);
            wait_for(&fired);
            CHECK(net_read_op(p.far)->status <= 0);
        }
        mem_fail_after(-1);
        close_pair(&p);
        loop_free(loop);
    }
}

TEST_MAIN()
