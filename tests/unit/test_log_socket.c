/* The log's sockets: what is sent arrives, what is too long is said to be, a path that is in use is not
 * taken. */
#include "core/log_socket.h"
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct seen {
    int lines, too_long;
    char last[64];
    int wanted;
};

static void on_line(const char *text, size_t len, void *arg)
{
    struct seen *seen = arg;
    if (text == NULL)
        seen->too_long++;
    else
        seen->lines++;
    snprintf(seen->last, sizeof seen->last, "%.*s", (int)len, text ? text : "");
}

static bool enough(void *arg)
{
    struct seen *seen = arg;
    return seen->lines + seen->too_long >= seen->wanted;
}

static char folder[] = "/tmp/test_log_socket.XXXXXX", path[64];
static struct clock the_clock;
static struct loop *loop;

static bool set_up(void)
{
    clock_init_real(&the_clock);
    if (is_template(folder) && mkdtemp(folder) == NULL) return false;
    snprintf(path, sizeof path, "%s/log", folder);
    return loop_init(&loop, &the_clock, NULL) == 0;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void tear_down(struct log_socket *s)
{
    log_socket_close(s);
    loop_run_until(loop, never, NULL, NULL); /* the handle's own end */
    loop_free(loop);
}

static int sender_to_path(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(to.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
    close(fd);
    return -1;
}

static int nothing_to_do;
static void tick(void *arg)
{
    (void)arg;
}

TEST(lines_to_a_path_arrive_and_a_long_one_is_said_to_be)
{
    REQUIRE(set_up());
    struct seen seen = {.wanted = 3};
    struct log_socket *s;
    struct err e;
    REQUIRE(log_socket_open(&s, loop, path, on_line, &seen, &e) == 0);
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0666);
    CHECK(log_socket_queue_lines(s) > 0);
    CHECK_INT(log_socket_port(s), 0);
    int fd = sender_to_path();
    REQUIRE(fd >= 0);
    static char big[20000];
    memset(big, 'x', sizeof big);
    CHECK(send(fd, "one", 3, 0) == 3 && send(fd, big, sizeof big, 0) == sizeof big &&
          send(fd, "three", 5, 0) == 5);
    struct timer limit = {0};
    timer_start(loop, &limit, 20 * 1000000LL, tick, &nothing_to_do);
    loop_run_until(loop, enough, &seen, NULL);
    timer_stop(loop, &limit);
    CHECK_INT(seen.lines, 2);
    CHECK_INT(seen.too_long, 1);
    CHECK_STR(seen.last, "three");
    close(fd);
    tear_down(s);
    CHECK(access(path, F_OK) != 0);
}

TEST(a_path_in_use_is_not_taken_and_a_dead_one_is)
{
    REQUIRE(set_up());
    struct seen seen = {0};
    struct log_socket *first, *second = NULL;
    struct err e;
    REQUIRE(log_socket_open(&first, loop, path, on_line, &seen, &e) == 0);
    CHECK_INT(log_socket_open(&second, loop, path, on_line, &seen, &e), -ERR_EXISTS);
    CHECK_HAS(e.message, "in use");
    CHECK(access(path, F_OK) == 0); /* the failure did not remove the other's */
    tear_down(first);

    REQUIRE(set_up());
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int dead = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(at.sun_path, path, strlen(path) + 1);
    REQUIRE(bind(dead, (struct sockaddr *)&at, sizeof at) == 0);
    close(dead); /* the file stays */
    CHECK_INT(log_socket_open(&first, loop, path, on_line, &seen, &e), 0);
    tear_down(first);

    REQUIRE(set_up());
    FILE *f = fopen(path, "w");
    REQUIRE(f != NULL);
    fclose(f);
    CHECK_INT(log_socket_open(&first, loop, path, on_line, &seen, &e), -ERR_EXISTS);
    CHECK(access(path, F_OK) == 0);
    unlink(path);
    loop_free(loop);
}

/* A unix socket holds only a dozen; UDP holds thousands while the loop is busy elsewhere. */
TEST(udp_keeps_a_thousand_lines_while_nobody_reads)
{
    REQUIRE(set_up());
    struct seen seen = {.wanted = 1000};
    struct log_socket *s;
    struct err e;
    REQUIRE(log_socket_open_udp(&s, loop, 0, on_line, &seen, &e) == 0);
    CHECK(log_socket_port(s) > 0);
    CHECK_INT(log_socket_queue_lines(s), 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)log_socket_port(s))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    static char line[200];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 1000; i++)
        CHECK(sendto(fd, line, sizeof line, 0, (struct sockaddr *)&to, sizeof to) == sizeof line);
    struct timer limit = {0};
    timer_start(loop, &limit, 20 * 1000000LL, tick, &nothing_to_do);
    loop_run_until(loop, enough, &seen, NULL);
    timer_stop(loop, &limit);
    CHECK_INT(seen.lines, 1000);
    close(fd);
    tear_down(s);
    rmdir(folder);
}

TEST_MAIN()
