#include "core/log_socket.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

enum { BATCH = 64, DATAGRAM_BYTES = 8192, RECEIVE_BYTES = 8 << 20, BATCHES_A_TURN = 32 };

struct log_socket {
    uv_poll_t poll;
    int fd, port;
    log_socket_fn fn;
    void *arg;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    char bytes[BATCH][DATAGRAM_BYTES];
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct log_socket *s = poll->data;
    (void)status;
    (void)events;
    /* A turn is limited, so that a flood of lines does not keep everything else waiting. */
    for (int round = 0; round < BATCHES_A_TURN; round++) {
        int n = recvmmsg(s->fd, s->messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) {
            bool cut = s->messages[i].msg_hdr.msg_flags & MSG_TRUNC;
            s->fn(cut ? NULL : s->bytes[i], cut ? 0 : s->messages[i].msg_len, s->arg);
        }
        if (n < BATCH) return;
    }
}

/* Is there somebody behind this path? A socket whose owner died refuses. */
static bool is_read(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool answered = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    if (fd >= 0) close(fd);
    return answered;
}

static int bind_path(struct log_socket *s, const char *path, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(e, ERR_LIMIT, "log socket", "the path %s is too long for a socket", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return err_set(e, ERR_EXISTS, "log socket", "%s is there, but is no socket", path);
        if (is_read(&address))
            return err_set(e, ERR_EXISTS, "log socket", "%s is in use: another program reads this log", path);
        unlink(path);
    }
    if (bind(s->fd, (struct sockaddr *)&address, sizeof address) != 0)
        return err_errno(e, errno, "log socket", "%s cannot be opened", path);
    memcpy(s->path, path, strlen(path) + 1); /* from here on it is ours to remove */
    chmod(path, 0666);                       /* the proxy runs as another user */
    return 0;
}

static int bind_udp(struct log_socket *s, int port, struct err *e)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* who else could send would decide over releases */
    if (bind(s->fd, (struct sockaddr *)&address, len) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&address, &len) != 0)
        return err_errno(e, errno, "log socket", "UDP port %d of 127.0.0.1 cannot be opened", port);
    s->port = ntohs(address.sin_port);
    return 0;
}

/* path, or NULL for UDP. */
static int open_socket(struct log_socket **out, struct loop *loop, const char *path, int port,
                       log_socket_fn fn, void *arg, struct err *e)
{
    int size = RECEIVE_BYTES, rc;
    struct log_socket *s = mem_zalloc(sizeof *s);
    if (s == NULL) return err_set(e, ERR_MEMORY, "log socket", "no memory for the log socket");
    s->fn = fn;
    s->arg = arg;
    for (int i = 0; i < BATCH; i++) {
        s->parts[i] = (struct iovec){s->bytes[i], DATAGRAM_BYTES};
        s->messages[i].msg_hdr.msg_iov = &s->parts[i];
        s->messages[i].msg_hdr.msg_iovlen = 1;
    }
    s->fd = socket(path != NULL ? AF_UNIX : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        rc = err_errno(e, errno, "log socket", "no socket could be made");
    else
        rc = path != NULL ? bind_path(s, path, e) : bind_udp(s, port, e);
    if (rc != 0) goto failed;
    if (setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    rc = uv_poll_init(loop_uv(loop), &s->poll, s->fd);
    if (rc != 0) {
        rc = err_set(e, ERR_INTERNAL, "log socket", "the loop did not take it: %s", uv_strerror(rc));
        goto failed;
    }
    s->poll.data = s;
    uv_poll_start(&s->poll, UV_READABLE, on_readable);
    uv_unref((uv_handle_t *)&s->poll);
    *out = s;
    return 0;

failed:
    if (s->path[0] != '\0') unlink(s->path);
    if (s->fd >= 0) close(s->fd);
    mem_free(s);
    return rc;
}

int log_socket_open(struct log_socket **out, struct loop *loop, const char *path, log_socket_fn fn, void *arg,
                    struct err *e)
{
    return open_socket(out, loop, path, 0, fn, arg, e);
}

int log_socket_open_udp(struct log_socket **out, struct loop *loop, int port, log_socket_fn fn, void *arg,
                        struct err *e)
{
    return open_socket(out, loop, NULL, port, fn, arg, e);
}

int log_socket_port(const struct log_socket *s)
{
    return s->port;
}

int log_socket_queue_lines(const struct log_socket *s)
{
    int lines = 0;
    FILE *f = s->port == 0 ? fopen("/proc/sys/net/unix/max_dgram_qlen", "re") : NULL;
    if (f == NULL) return 0;
    if (fscanf(f, "%d", &lines) == 1) lines++;
    fclose(f);
    return lines;
}

static void on_closed(uv_handle_t *handle)
{
    struct log_socket *s = handle->data;
    close(s->fd);
    mem_free(s);
}

void log_socket_close(struct log_socket *s)
{
    if (s == NULL) return;
    if (s->path[0] != '\0') unlink(s->path);
    uv_close((uv_handle_t *)&s->poll, on_closed);
}
