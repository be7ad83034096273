/* raw: the other side of a connection, byte by byte, for tests of clients and servers. */
#ifndef TESTS_UNIT_RAW_H
#define TESTS_UNIT_RAW_H

#include "core/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* A listening socket on a free port of 127.0.0.1. */
static inline int raw_listen(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 64) != 0) abort();
    getsockname(fd, (struct sockaddr *)&address, &size);
    *port = ntohs(address.sin_port);
    return fd;
}

static inline int raw_connect(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static inline void raw_send(int fd, const char *text)
{
    size_t n = strlen(text);
    while (n > 0) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent <= 0) return;
        text += sent;
        n -= (size_t)sent;
    }
}

/* What has come over a connection so far. */
struct raw {
    struct loop *loop;
    int fd;
    bool closed;
    size_t len;
    char text[4096];
    const char *wanted;
    struct timer tick;
};

static inline void raw_on_tick(void *arg)
{
    struct raw *raw = arg;
    timer_start(raw->loop, &raw->tick, 5000, raw_on_tick, raw);
}

static inline bool raw_has(void *arg)
{
    struct raw *raw = arg;
    for (;;) {
        ssize_t n = recv(raw->fd, raw->text + raw->len, sizeof raw->text - 1 - raw->len, MSG_DONTWAIT);
        if (n <= 0) {
            raw->closed = n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
            break;
        }
        raw->len += (size_t)n;
    }
    raw->text[raw->len] = '\0';
    return raw->closed || (raw->wanted != NULL && strstr(raw->text, raw->wanted) != NULL);
}

/* Runs the loop until `wanted` has come (NULL: until the other side has closed). The text that came. */
static inline const char *raw_read(struct loop *loop, int fd, const char *wanted)
{
    static struct raw raw;
    raw = (struct raw){.loop = loop, .fd = fd, .wanted = wanted};
    raw_on_tick(&raw);
    if (loop_run_until(loop, raw_has, &raw, NULL) != 0) abort();
    timer_stop(loop, &raw.tick);
    return raw.text;
}

#endif
