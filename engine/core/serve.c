#include "core/serve.h"

#include "base/mem.h"
#include "core/lazy_microhttpd.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>
#include <uv.h>

enum {
    BACKLOG = 1024,
    MAX_CONNECTIONS = 4096,
    LINGER_MS = 250,
    /* A client that sends too much reads its answer only after it has sent all, so that much more than the
     * limit is read and dropped. */
    MAX_DROPPED_BYTES = 16 << 20,
};

struct serve {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct serve_request *all, *queue, **queue_tail;
    size_t max_body_bytes;
    uv_poll_t poll;
    /* Not our timers: connections are real also where the loop's clock is virtual and stands still. */
    uv_timer_t timer, linger;
    struct post run_soon, free_soon;
    int port, requests; /* requests: begun and not yet sent */
    int open_handles;
    bool stopping, lingered;
    struct op next_op;
    struct serve_end *ends;
};

static void run(void *arg);

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

/* libmicrohttpd says when it wants to run at the latest. */
static void arm(struct serve *s)
{
    unsigned long long timeout_ms;
    if (MHD_get_timeout(s->daemon, &timeout_ms) != MHD_YES) {
        uv_timer_stop(&s->timer);
    } else if (timeout_ms == 0) {
        loop_post(s->loop, &s->run_soon, run, s);
    } else {
        uv_update_time(loop_uv(s->loop));
        uv_timer_start(&s->timer, on_timer, timeout_ms, 0);
    }
}

static void on_lingered(uv_timer_t *timer)
{
    struct serve *s = timer->data;
    s->lingered = true;
    run(s);
}

/* Nothing is under way. A request that is just arriving is not known to us yet: an open connection gets a
 * moment to show one. */
static bool is_stopped(struct serve *s)
{
    if (!s->stopping || s->requests > 0) {
        uv_timer_stop(&s->linger);
        return false;
    }
    if (s->lingered) return true;
    if (MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections == 0)
        return true;
    if (!uv_is_active((uv_handle_t *)&s->linger)) {
        uv_update_time(loop_uv(s->loop));
        uv_timer_start(&s->linger, on_lingered, LINGER_MS, 0);
    }
    return false;
}

static void check_stopped(struct serve *s)
{
    bool stopped = is_stopped(s);
    if (s->next_op.state == OP_RUNNING && (s->queue != NULL || stopped)) op_finish(&s->next_op);
    while (stopped && s->ends != NULL) {
        struct serve_end *end = s->ends;
        s->ends = end->next;
        end->serve = NULL;
        op_finish(&end->op);
    }
}

static void run(void *arg)
{
    struct serve *s = arg;
    if (s->daemon == NULL) return;
    MHD_run(s->daemon);
    arm(s);
    check_stopped(s);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(poll->data);
}

static enum MHD_Result add_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct buf *out = arg;
    (void)kind;
    for (const char *at = name; *at != '\0'; at++)
        buf_addch(out, (char)tolower((unsigned char)*at));
    buf_addf(out, ": %s\n", value ? value : "");
    return MHD_YES;
}

static enum MHD_Result add_query(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct buf *out = arg;
    (void)kind;
    buf_add(out, name, strlen(name) + 1);
    buf_add(out, value ? value : "", value ? strlen(value) + 1 : 1);
    return MHD_YES;
}

static void release_request(struct serve_request *r)
{
    if (r->response != NULL) MHD_destroy_response(r->response);
    buf_release(&r->headers);
    buf_release(&r->query);
    buf_release(&r->body);
    mem_free(r);
}

static enum MHD_Result send_response(struct serve_request *r)
{
    enum MHD_Result result = MHD_queue_response(r->connection, (unsigned)r->status, r->response);
    MHD_destroy_response(r->response);
    r->response = NULL;
    return result;
}

static struct serve_request *begin(struct serve *s, struct MHD_Connection *connection)
{
    struct serve_request *r = mem_zalloc(sizeof *r);
    if (r == NULL) return NULL;
    r->serve = s;
    r->connection = connection;
    r->next = s->all;
    if (s->all != NULL) s->all->prev = r;
    s->all = r;
    s->requests++;
    s->lingered = false;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info == NULL || info->client_addr == NULL) return r;
    if (info->client_addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)info->client_addr)->sin_addr, r->remote, sizeof r->remote);
    else if (info->client_addr->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)info->client_addr)->sin6_addr, r->remote,
                  sizeof r->remote);
    return r;
}

/* Is it clear from the head that the body is too large, and useless to wait for its end? */
static bool refuses_early(const struct serve_request *r)
{
    const char *length = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Content-Length");
    if (length == NULL) return false;
    unsigned long long bytes = strtoull(length, NULL, 10), limit = r->serve->max_body_bytes;
    bool asks_first = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Expect") != NULL;
    return bytes > limit && (asks_first || bytes - limit > MAX_DROPPED_BYTES);
}

static enum MHD_Result refuse(struct serve_request *r)
{
    static char text[] = "too large\n";
    r->answered = true;
    r->status = 413;
    r->response = MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
    return r->response != NULL ? send_response(r) : MHD_NO;
}

static enum MHD_Result take_part(struct serve_request *r, const char *bytes, size_t n)
{
    r->received += n;
    if (r->received > r->serve->max_body_bytes) {
        r->too_large = true;
        buf_release(&r->body);
        return r->received - r->serve->max_body_bytes <= MAX_DROPPED_BYTES ? MHD_YES : MHD_NO;
    }
    buf_add(&r->body, bytes, n);
    return buf_ok(&r->body) ? MHD_YES : MHD_NO;
}

/* Called by libmicrohttpd first with the head, then with parts of the body, then at its end, and again after
 * a suspended connection was resumed. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **request)
{
    struct serve *s = arg;
    struct serve_request *r = *request;
    (void)version;
    if (r == NULL) {
        r = *request = begin(s, connection);
        if (r == NULL) return MHD_NO;
        return refuses_early(r) ? refuse(r) : MHD_YES;
    }
    if (*upload_size > 0) {
        size_t n = *upload_size;
        *upload_size = 0;
        return take_part(r, upload, n);
    }
    if (r->answered) return r->response != NULL ? send_response(r) : MHD_NO;
    if (r->queued) return MHD_YES;
    r->method = method;
    r->path = path;
    MHD_get_connection_values(connection, MHD_HEADER_KIND, add_header, &r->headers);
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_query, &r->query);
    if (!buf_ok(&r->body) || !buf_ok(&r->headers) || !buf_ok(&r->query)) return MHD_NO;
    MHD_suspend_connection(connection);
    r->queued = true;
    *s->queue_tail = r;
    s->queue_tail = &r->next_queued;
    return MHD_YES;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode code)
{
    struct serve *s = arg;
    struct serve_request *r = *request;
    (void)connection;
    (void)code;
    if (r == NULL) return;
    *request = NULL;
    s->requests--;
    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        s->all = r->next;
    if (r->next != NULL) r->next->prev = r->prev;
    if (r->queued && !r->answered)
        r->gone = true; /* whoever took it will answer into the void */
    else
        release_request(r);
}

static bool add_response_headers(struct MHD_Response *response, const struct buf *headers)
{
    struct buf line = BUF_INIT;
    bool ok = true;
    const char *at = buf_str(headers), *end = at + headers->len;
    while (ok && at < end) {
        size_t n = strcspn(at, "\n");
        buf_clear(&line);
        buf_add(&line, at, n);
        char *colon = buf_ok(&line) ? strstr(line.data, ": ") : NULL;
        if (colon != NULL) *colon = '\0';
        ok = colon != NULL && MHD_add_response_header(response, line.data, colon + 2) == MHD_YES;
        at += n + 1;
    }
    buf_release(&line);
    return ok;
}

void serve_answer(struct serve_request *r, int status, const struct buf *headers, const void *body,
                  size_t body_bytes)
{
    if (r->gone) {
        release_request(r);
        return;
    }
    struct serve *s = r->serve;
    r->answered = true;
    r->status = status;
    r->response = MHD_create_response_from_buffer(body_bytes, (void *)body, MHD_RESPMEM_MUST_COPY);
    if (r->response != NULL && !add_response_headers(r->response, headers)) r->status = 500;
    if (r->response != NULL && s->stopping) MHD_add_response_header(r->response, "Connection", "close");
    MHD_resume_connection(r->connection);
    loop_post(s->loop, &s->run_soon, run, s);
}

/* Returns a listening socket, or a negative code. */
static int listen_on(const struct serve_options *o, int *port, struct err *e)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    socklen_t size = sizeof address;
    if (inet_pton(AF_INET, o->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)o->port);
    } else if (inet_pton(AF_INET6, o->host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)o->port);
    } else {
        return err_set(e, ERR_USAGE, "serve", "'%s' is not an address such as 127.0.0.1 or ::1", o->host);
    }
    int one = 1, fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_errno(e, errno, "serve", "no socket for %s:%d", o->host, o->port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        int rc = errno == EADDRINUSE
                     ? err_set(e, ERR_CONNECT, "serve", "nothing can listen on %s:%d: the port is taken",
                               o->host, o->port)
                     : err_errno(e, errno, "serve", "nothing can listen on %s:%d", o->host, o->port);
        close(fd);
        return rc;
    }
    *port = ntohs(address.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
    return fd;
}

int serve_start(struct serve **out, struct loop *loop, const struct serve_options *o, struct err *e)
{
    int rc = lazy_microhttpd(e);
    if (rc != 0) return rc;
    struct serve *s = mem_zalloc(sizeof *s);
    if (s == NULL) return err_set(e, ERR_MEMORY, "serve", "no memory for a server");
    s->loop = loop;
    s->queue_tail = &s->queue;
    s->max_body_bytes = o->max_body_bytes;
    int fd = rc = listen_on(o, &s->port, e);
    if (fd < 0) goto no_socket;
    s->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
                                 MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)o->idle_timeout_s,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS, MHD_OPTION_END);
    if (s->daemon == NULL) {
        rc = err_set(e, ERR_MEMORY, "serve", "a server on %s:%d could not be set up", o->host, s->port);
        goto no_daemon;
    }
    int epoll_fd = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    rc = uv_poll_init(loop_uv(loop), &s->poll, epoll_fd);
    if (rc != 0) {
        rc = err_set(e, ERR_INTERNAL, "serve", "a server cannot be watched: %s", uv_strerror(rc));
        goto no_poll;
    }
    uv_timer_init(loop_uv(loop), &s->timer);
    uv_timer_init(loop_uv(loop), &s->linger);
    s->open_handles = 3;
    s->poll.data = s->timer.data = s->linger.data = s;
    uv_poll_start(&s->poll, UV_READABLE, on_readable);
    arm(s);
    *out = s;
    return 0;

no_poll:
    MHD_stop_daemon(s->daemon); /* closes the socket too */
    mem_free(s);
    return rc;
no_daemon:
    close(fd);
no_socket:
    mem_free(s);
    return rc;
}

int serve_port(const struct serve *s)
{
    return s->port;
}

static void cancel_next(struct op *op)
{
    op_finish(op);
}

/* Not external: a server that nobody asks anything must not hold a virtual clock. */
static const struct op_kind NEXT = {.name = "next request", .external = false, .cancel = cancel_next};

struct op *serve_next(struct serve *s, op_done_fn done, void *arg)
{
    op_begin(&s->next_op, s->loop, &NEXT, OP_NO_TIMEOUT, done, arg);
    check_stopped(s);
    return &s->next_op;
}

struct serve_request *serve_take(struct serve *s)
{
    struct serve_request *r = s->queue;
    if (r == NULL) return NULL;
    s->queue = r->next_queued;
    if (s->queue == NULL) s->queue_tail = &s->queue;
    return r;
}

static void cancel_end(struct op *op)
{
    struct serve_end *end = (struct serve_end *)op;
    if (end->serve != NULL)
        for (struct serve_end **at = &end->serve->ends; *at != NULL; at = &(*at)->next)
            if (*at == end) {
                *at = end->next;
                break;
            }
    op_finish(op);
}

static const struct op_kind END = {.name = "stop server", .external = false, .cancel = cancel_end};

/* Connections that the system has accepted and we have not would be reset with the listening socket. */
static void stop_listening(struct serve *s)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    MHD_socket listener = MHD_quiesce_daemon(s->daemon); /* ours to close from now on */
    if (listener == MHD_INVALID_SOCKET) return;
    int fd;
    while ((fd = accept4(listener, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        MHD_add_connection(s->daemon, fd, (struct sockaddr *)&address, size); /* closes it if it fails */
        size = sizeof address;
    }
    close(listener);
}

void serve_stop(struct serve *s, struct serve_end *end, int64_t timeout_us, op_done_fn done, void *arg)
{
    if (!s->stopping) stop_listening(s);
    s->stopping = true;
    end->serve = s;
    end->next = s->ends;
    s->ends = end;
    op_begin(&end->op, s->loop, &END, timeout_us, done, arg);
    loop_post(s->loop, &s->run_soon, run, s);
}

static void free_serve(void *arg)
{
    mem_free(arg);
}

/* A run may still be posted: posts come in their order, so this one comes after it. */
static void on_closed(uv_handle_t *handle)
{
    struct serve *s = handle->data;
    if (--s->open_handles > 0) return;
    loop_post(s->loop, &s->free_soon, free_serve, s);
}

void serve_free(struct serve *s)
{
    if (s == NULL) return;
    uv_poll_stop(&s->poll);
    struct serve_request *r;
    while ((r = serve_take(s)) != NULL) { /* nobody took it: nobody will answer it */
        static const struct buf none = BUF_INIT;
        serve_answer(r, 503, &none, "", 0);
    }
    for (r = s->all; r != NULL; r = r->next)
        if (r->queued && !r->answered)
            MHD_resume_connection(r->connection); /* a suspended one must not be stopped */
    struct MHD_Daemon *daemon = s->daemon;
    s->daemon = NULL;
    MHD_stop_daemon(daemon);
    uv_close((uv_handle_t *)&s->poll, on_closed);
    uv_close((uv_handle_t *)&s->timer, on_closed);
    uv_close((uv_handle_t *)&s->linger, on_closed);
}
