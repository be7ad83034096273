/* serve: a small HTTP/1.1 server on libmicrohttpd, driven by our loop.
 *
 * A request is collected whole (up to a limit) and queued; whoever takes it answers at once or later, its
 * connection is suspended meanwhile. Stopping is graceful: no new connection is taken, what is under way
 * is answered, then connections are closed. */
#ifndef ENGINE_CORE_SERVE_H
#define ENGINE_CORE_SERVE_H

#include "base/buf.h"
#include "core/op.h"

struct serve;

struct serve_request {
    struct serve *serve;
    const char *method, *path;
    struct buf headers; /* "name: value\n", names in lower case */
    struct buf query;   /* "name\0value\0" pairs, decoded */
    struct buf body;
    bool too_large;
    /* internal */
    void *connection, *response;
    struct serve_request *prev, *next; /* all of the server */
    struct serve_request *next_queued;
    int status;
    bool queued, answered, gone;
};

struct serve_options {
    const char *host; /* an IPv4 address: "127.0.0.1" */
    int port;         /* 0: a free one */
    size_t max_body_bytes;
    int idle_timeout_s; /* of a connection */
};

int serve_start(struct serve **out, struct loop *loop, const struct serve_options *options, struct err *e);
int serve_port(const struct serve *serve);

/* Completes when a request is queued (serve_take gives it) or the server has stopped (then it gives NULL).
 * One at a time. Every request that was taken must be answered once. */
struct op *serve_next(struct serve *serve, op_done_fn done, void *arg);
struct serve_request *serve_take(struct serve *serve);

/* headers: lines "name: value\n". The request is gone after this. */
void serve_answer(struct serve_request *request, int status, const struct buf *headers, const void *body,
                  size_t body_bytes);

/* Takes no more connections; completes when all requests under way are answered and sent, or at the timeout.
 */
struct op *serve_stop(struct serve *serve, int64_t timeout_us, op_done_fn done, void *arg);
/* Closes what is still open. Requests that were taken may be answered after it, into the void. NULL is fine.
 */
void serve_free(struct serve *serve);

#endif
