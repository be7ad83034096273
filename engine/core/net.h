/* net: byte streams to and from other programs: TCP and unix sockets, a client and a listener.
 *
 * Every step that waits is an op (core/op.h) inside the connection: connect, write and read may
 * each be under way once, and reading beside writing is fine. Nothing here speaks a protocol or
 * encrypts.
 *
 *     struct net_conn *c = net_new(loop);
 *     net_connect(c, &(struct net_address){.host = "127.0.0.1", .port = 80}, timeout_us, done, arg, &e);
 *     ... in done, when op->status is 0:  net_write(c, ...), net_read_until(c, "\n", 1, ...) ...
 *     net_free(c);
 *
 * A timed out or canceled read leaves the connection and what has arrived as they were. A timed out
 * or canceled connect or write closes it: nobody knows how much the other side got.
 * The process ignores SIGPIPE (host/ sees to it). */
#ifndef ENGINE_CORE_NET_H
#define ENGINE_CORE_NET_H

#include "core/op.h"

#include <stddef.h>

/* Where to: path (a unix socket) or host and port. host: an address or a name that is resolved; to
 * listen only an address, "localhost" or "*" (every interface). */
struct net_address {
    const char *path;
    const char *host;
    int port;
};

struct net_conn;

struct net_conn *net_new(struct loop *loop); /* not connected; NULL if there is no memory */
void net_free(struct net_conn *c);           /* closes; no op of it may be running; NULL is fine */

/* At once. Ops under way end with ERR_CLOSED; what has arrived can still be read. */
void net_close(struct net_conn *c);
bool net_is_open(const struct net_conn *c);
const char *net_peer(const struct net_conn *c); /* "127.0.0.1:80", "/run/x.sock"; for messages */

int net_connect(struct net_conn *c, const struct net_address *to, int64_t timeout_us, op_done_fn done,
                void *arg, struct err *e);

/* Completes when the system took all bytes. They are copied. */
int net_write(struct net_conn *c, const char *bytes, size_t n, int64_t timeout_us, op_done_fn done, void *arg,
              struct err *e);

/* Reading. The end of the stream before the wanted is there is ERR_CLOSED, more than limit_bytes is
 * ERR_LIMIT; either way nothing that arrived is lost: another read gets it. */
int net_read_until(struct net_conn *c, const char *delimiter, size_t delimiter_len, size_t limit_bytes,
                   int64_t timeout_us, op_done_fn done, void *arg, struct err *e);
int net_read_some(struct net_conn *c, size_t limit_bytes, int64_t timeout_us, op_done_fn done, void *arg,
                  struct err *e); /* what is there, at least one byte */
int net_read_all(struct net_conn *c, size_t limit_bytes, int64_t timeout_us, op_done_fn done, void *arg,
                 struct err *e); /* until the other side has closed */

/* What the last read brought, without the delimiter; valid until the next one is started. */
const char *net_data(const struct net_conn *c, size_t *len);

struct op *net_connect_op(struct net_conn *c);
struct op *net_write_op(struct net_conn *c);
struct op *net_read_op(struct net_conn *c);

/* A listener. It listens from net_listen on; connections wait in the system's queue until accepted.
 * A unix socket gets mode 0600 and its file goes with the listener. */
struct net_listener;

int net_listen(struct net_listener **out, struct loop *loop, const struct net_address *at, struct err *e);
int net_listener_port(const struct net_listener *l); /* the real one when 0 was asked for; 0: unix socket */
int net_accept(struct net_listener *l, int64_t timeout_us, op_done_fn done, void *arg, struct err *e);
struct op *net_accept_op(struct net_listener *l);
struct net_conn *
net_accepted(struct net_listener *l);            /* once after a successful accept; the caller's to free */
void net_listener_close(struct net_listener *l); /* at once; an accept under way ends with ERR_CLOSED */
void net_listener_free(struct net_listener *l);  /* its op may not be running; NULL is fine */

/* A port on 127.0.0.1 that nobody uses at this moment, for TCP or UDP, or a negative code. No engine is given
 * the same one as long as this process lives; others may take it. */
int net_free_port(struct err *e);

#endif
