/* log_socket: datagrams on a socket of our own, such as HAProxy's and nginx's logs.
 *
 * A sender never waits for us: when the socket is full, lines are lost. So the receive buffer is made as
 * large as the system allows, and all that waits is taken in one go. A unix socket has a second limit, which
 * no program can raise: it holds net.unix.max_dgram_qlen + 1 lines (often 11), so above some hundred requests
 * a second it loses lines (HAProxy counts them as DroppedLogs). UDP on loopback has no such limit. */
#ifndef ENGINE_CORE_LOG_SOCKET_H
#define ENGINE_CORE_LOG_SOCKET_H

#include "core/loop.h"

#include <stddef.h>

struct log_socket;
/* text: one datagram. NULL: one that was longer than any line may be; its content was dropped. */
typedef void (*log_socket_fn)(const char *text, size_t len, void *arg);

/* Binds path. An old socket there is replaced unless somebody still reads it; anything else is an error.
 * Everybody may write to it. */
int log_socket_open(struct log_socket **out, struct loop *loop, const char *path, log_socket_fn fn, void *arg,
                    struct err *e);
/* Binds UDP port `port` (0: a free one) of 127.0.0.1. */
int log_socket_open_udp(struct log_socket **out, struct loop *loop, int port, log_socket_fn fn, void *arg,
                        struct err *e);
int log_socket_port(const struct log_socket *s); /* 0 for a path */
/* Of a path: how many lines may wait (net.unix.max_dgram_qlen + 1); 0 when nobody can say, or for UDP. */
int log_socket_queue_lines(const struct log_socket *s);
void log_socket_close(struct log_socket *s); /* removes the path; NULL is fine */

#endif
