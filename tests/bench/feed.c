/* The feed of log lines: how many one core reads and counts, first without a socket, then by UDP from another
 * process at rising rates until a line is lost. */
#include "core/log_socket.h"
#include "core/metrics.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char LINE[] =
    "<134>Nov 23 18:07:20 haproxy[912]: 127.0.0.1:50412 [23/Nov/2026:18:07:20.123] public app/green1 "
    "0/0/0/12/12 200 1833 - - ---- 4/4/3/1/0 0/0 \"GET /ventures/9f6a1c HTTP/1.1\"";

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct metrics *new_metrics(void)
{
    struct metrics *m;
    struct err e;
    if (metrics_new(&m, 500000, &e) != 0 || metrics_add_server(m, "blue1", 0, &e) != 0 ||
        metrics_add_server(m, "green1", 1, &e) != 0)
        abort();
    metrics_mark(m, 0);
    return m;
}

static void without_socket(void)
{
    enum { LINES = 3000000 };
    struct metrics *m = new_metrics();
    double began = seconds_now();
    for (int i = 0; i < LINES; i++)
        metrics_line(m, LINE, sizeof LINE - 1, i, i);
    double took = seconds_now() - began;
    printf("  read and counted, no socket: %.0f lines/s (aim 500000)\n",
           (double)metrics_received(m, 1) / took);
    metrics_free(m);
}

/* Sends `lines` lines at `rate` a second in batches of 32. */
static void send_lines(int port, int lines, double rate)
{
    enum { BATCH = 32 };
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct iovec part = {(char *)(uintptr_t)LINE, sizeof LINE - 1};
    struct mmsghdr messages[BATCH] = {{{0}, 0}};
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) _exit(1);
    for (int i = 0; i < BATCH; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
    double began = seconds_now();
    for (int sent = 0; sent < lines;) {
        while ((double)sent > (seconds_now() - began) * rate)
            ;
        int n = sendmmsg(fd, messages, BATCH, 0);
        if (n < 0) _exit(1);
        sent += n;
    }
    _exit(0);
}

struct reader {
    struct metrics *metrics;
    struct loop *loop;
    struct timer timer;
    pid_t sender; /* 0: it has ended */
    uint64_t lines, last;
    bool lost;
};

static void on_line(const char *text, size_t len, void *arg)
{
    struct reader *r = arg;
    metrics_line(r->metrics, text, len, loop_now_us(r->loop), 0);
}

/* Lines are lost when the sender has ended and none came since the last look. */
static void look(void *arg)
{
    enum { AGAIN_US = 200000 };
    struct reader *r = arg;
    uint64_t now = metrics_received(r->metrics, 1);
    if (r->sender != 0 && waitpid(r->sender, NULL, WNOHANG) == r->sender)
        r->sender = 0;
    else if (r->sender == 0)
        r->lost = now == r->last;
    r->last = now;
    timer_start(r->loop, &r->timer, AGAIN_US, look, r);
}

static bool is_over(void *arg)
{
    struct reader *r = arg;
    return r->lost || metrics_received(r->metrics, 1) >= r->lines;
}

/* True when every line arrived. */
static bool by_socket(double rate)
{
    enum { SECONDS = 2 };
    struct reader r = {.metrics = new_metrics(), .lines = (uint64_t)(rate * SECONDS) / 32 * 32};
    struct log_socket *s;
    struct clock clock;
    struct err e;
    struct timespec before, after;
    clock_init_real(&clock);
    if (loop_init(&r.loop, &clock, &e) != 0 || log_socket_open_udp(&s, r.loop, 0, on_line, &r, &e) != 0)
        abort();
    r.sender = fork();
    if (r.sender == 0) send_lines(log_socket_port(s), (int)r.lines, rate);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    look(&r);
    if (loop_run_until(r.loop, is_over, &r, &e) != 0) abort();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    double cpu = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
    printf("  by UDP at %.0f lines/s: %llu of %llu lines, %.2f s of CPU for %d s\n", rate,
           (unsigned long long)metrics_received(r.metrics, 1), (unsigned long long)r.lines, cpu, SECONDS);
    if (r.sender != 0) waitpid(r.sender, NULL, 0);
    timer_stop(r.loop, &r.timer);
    log_socket_close(s);
    loop_free(r.loop);
    metrics_free(r.metrics);
    return !r.lost;
}

int main(void)
{
    puts("the feed of log lines, one core");
    without_socket();
    for (double rate = 100000; rate <= 700000 && by_socket(rate); rate += 100000)
        ;
    return 0;
}
