#include "core/log_socket.h"

#include "base/mem.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

enum { BATCH = 64, DATAGRAM_BYTES = 8192, RECEIVE_BYTES = 8 << 20, BATCHES_A_TURN = 32 };

struct log_socket {
    uv_poll_t poll;
    int fd;
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
        for (int i = 0; i < n; i++)
            s->fn(s->bytes[i], s->messages[i].msg_len, s->arg);
        if (n < BATCH) return;
    }
}

static int bind_path(struct log_socket *s, const char *path, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(e, ERR_LIMIT, "log socket", "the path %s is too long for a socket", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    memcpy(s->path, path, strlen(path) + 1);
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return err_set(e, ERR_EXISTS, "log socket", "%s is there, but is no socket", path);
        unlink(path);
    }
    if (bind(s->fd, (struct sockaddr *)&address, sizeof address) != 0)
        return err_errno(e, errno, "log socket", "%s cannot be opened", path);
    chmod(path, 0666); /* the proxy runs as another user */
    return 0;
}

int log_socket_open(struct log_socket **out, struct loop *loop, const char *path, log_socket_fn fn, void *arg,
                    struct err *e)
{
    int size = RECEIVE_BYTES;
    struct log_socket *s = mem_zalloc(sizeof *s);
    if (s == NULL) return err_set(e, ERR_MEMORY, "log socket", "no memory for the log socket");
    s->fn = fn;
    s->arg = arg;
    for (int i = 0; i < BATCH; i++) {
        s->parts[i] = (struct iovec){s->bytes[i], DATAGRAM_BYTES};
        s->messages[i].msg_hdr.msg_iov = &s->parts[i];
        s->messages[i].msg_hdr.msg_iovlen = 1;
    }
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc =
        s->fd >= 0 ? bind_path(s, path, e) : err_errno(e, errno, "log socket", "no socket could be made");
    if (rc != 0) goto failed;
    if (setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    uv_poll_init(loop_uv(loop), &s->poll, s->fd);
    s->poll.data = s;
    uv_poll_start(&s->poll, UV_READABLE, on_readable);
    uv_unref((uv_handle_t *)&s->poll);
    *out = s;
    return 0;

failed:
    if (s->fd >= 0) close(s->fd);
    mem_free(s);
    return rc;
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
    unlink(s->path);
    uv_close((uv_handle_t *)&s->poll, on_closed);
}
