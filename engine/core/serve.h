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
    char remote[64];    /* the client's address: "127.0.0.1" */
    struct buf headers; /* "name: value\n", names in lower case */
    struct buf query;   /* "name\0value\0" pairs, decoded */
    struct buf body;
    bool too_large;
    /* internal */
    size_t received; /* of the body, also what was dropped */
    void *connection, *response;
    struct serve_request *prev, *next; /* all of the server */
    struct serve_request *next_queued;
    int status;
    bool queued, answered, gone;
};

struct serve_options {
    const char *host; /* an address: "127.0.0.1", "::1" */
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

/* One who waits for the end of a server. */
struct serve_end {
    struct op op; /* first */
    struct serve *serve;
    struct serve_end *next;
};

/* Takes no more connections; completes when what is under way has been answered and sent, or at the timeout.
 * Connections in which nothing is under way are closed after a short while, in which a request that is still
 * arriving may show itself. May be called again meanwhile. end is zeroed and stays until its completion. */
void serve_stop(struct serve *serve, struct serve_end *end, int64_t timeout_us, op_done_fn done, void *arg);
/* Closes what is still open. Nobody may wait for a request or the end any more. Requests that were taken may
 * be answered after it, into the void. NULL is fine. */
void serve_free(struct serve *serve);

#endif
