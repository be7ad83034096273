#include "core/serve.h"

#include "base/mem.h"
#include "core/lazy_microhttpd.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <unistd.h>
#include <uv.h>

struct serve {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct serve_request *all, *queue, **queue_tail;
    size_t max_body_bytes;
    uv_poll_t poll;
    struct timer timer;
    struct post run_soon, free_soon;
    int port, requests; /* requests: begun and not yet sent */
    bool stopping;
    struct op stop_op, next_op;
};

static void run(void *arg);

/* libmicrohttpd says when it wants to run at the latest. */
static void arm(struct serve *s)
{
    unsigned long long timeout_ms;
    if (MHD_get_timeout(s->daemon, &timeout_ms) == MHD_YES)
        timer_start(s->loop, &s->timer, (int64_t)timeout_ms * 1000, run, s);
    else
        timer_stop(s->loop, &s->timer);
}

static void check_stopped(struct serve *s)
{
    if (s->next_op.state == OP_RUNNING && (s->queue != NULL || (s->stopping && s->requests == 0)))
        op_finish(&s->next_op);
    if (s->stopping && s->requests == 0 && s->stop_op.state == OP_RUNNING) op_finish(&s->stop_op);
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
        r = *request = mem_zalloc(sizeof *r);
        if (r == NULL) return MHD_NO;
        r->serve = s;
        r->connection = connection;
        r->next = s->all;
        if (s->all != NULL) s->all->prev = r;
        s->all = r;
        s->requests++;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        if (r->body.len + *upload_size > s->max_body_bytes)
            r->too_large = true;
        else
            buf_add(&r->body, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    if (r->answered) return r->response != NULL ? send_response(r) : MHD_YES;
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

static void add_response_headers(struct MHD_Response *response, const struct buf *headers)
{
    const char *at = buf_str(headers), *end = at + headers->len;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)),
                   *colon = memchr(at, ':', (size_t)(newline - at));
        char name[128], value[4096];
        snprintf(name, sizeof name, "%.*s", (int)(colon - at), at);
        snprintf(value, sizeof value, "%.*s", (int)(newline - colon - 2), colon + 2);
        MHD_add_response_header(response, name, value);
        at = newline + 1;
    }
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
    if (r->response != NULL) {
        add_response_headers(r->response, headers);
        if (s->stopping) MHD_add_response_header(r->response, "Connection", "close");
    }
    MHD_resume_connection(r->connection);
    loop_post(s->loop, &s->run_soon, run, s);
}

static int bind_port(struct serve *s, const struct serve_options *o, struct sockaddr_in *address,
                     struct err *e)
{
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)o->port)};
    if (inet_pton(AF_INET, o->host, &address->sin_addr) != 1)
        return err_set(e, ERR_USAGE, "serve", "'%s' is not an IPv4 address", o->host);
    s->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
                                 (uint16_t)o->port, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, address,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_CONNECTION_TIMEOUT,
                                 (unsigned)o->idle_timeout_s, MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024U,
                                 MHD_OPTION_CONNECTION_LIMIT, 4096U, MHD_OPTION_END);
    if (s->daemon == NULL)
        return err_set(e, ERR_CONNECT, "serve",
                       "nothing can listen on %s:%d: the port is taken or not allowed", o->host, o->port);
    return 0;
}

int serve_start(struct serve **out, struct loop *loop, const struct serve_options *o, struct err *e)
{
    int rc = lazy_microhttpd(e);
    if (rc != 0) return rc;
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    struct serve *s = mem_zalloc(sizeof *s);
    if (s == NULL) return err_set(e, ERR_MEMORY, "serve", "no memory for a server");
    s->loop = loop;
    s->queue_tail = &s->queue;
    s->max_body_bytes = o->max_body_bytes;
    rc = bind_port(s, o, &address, e);
    if (rc != 0) {
        mem_free(s);
        return rc;
    }
    getsockname(MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_LISTEN_FD)->listen_fd,
                (struct sockaddr *)&address, &size);
    s->port = ntohs(address.sin_port);
    uv_poll_init(loop_uv(loop), &s->poll, MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    s->poll.data = s;
    uv_poll_start(&s->poll, UV_READABLE, on_readable);
    arm(s);
    *out = s;
    return 0;
}

int serve_port(const struct serve *s)
{
    return s->port;
}

static void cancel_stop(struct op *op)
{
    op_finish(op);
}

static const struct op_kind NEXT = {.name = "next request", .external = true, .cancel = cancel_stop};

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

static const struct op_kind STOP = {.name = "stop server", .external = true, .cancel = cancel_stop};

struct op *serve_stop(struct serve *s, int64_t timeout_us, op_done_fn done, void *arg)
{
    if (!s->stopping) {
        int listen_fd = MHD_quiesce_daemon(s->daemon); /* ours to close from now on */
        if (listen_fd >= 0) close(listen_fd);
    }
    s->stopping = true;
    op_begin(&s->stop_op, s->loop, &STOP, timeout_us, done, arg);
    check_stopped(s);
    return &s->stop_op;
}

static void free_serve(void *arg)
{
    mem_free(arg);
}

/* A run may still be posted: posts come in their order, so this one comes after it. */
static void on_poll_closed(uv_handle_t *handle)
{
    struct serve *s = handle->data;
    loop_post(s->loop, &s->free_soon, free_serve, s);
}

void serve_free(struct serve *s)
{
    if (s == NULL) return;
    timer_stop(s->loop, &s->timer);
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
    timer_stop(s->loop, &s->timer);
    uv_close((uv_handle_t *)&s->poll, on_poll_closed);
}
