/* log_socket: datagrams on a unix socket of our own, such as HAProxy's and nginx's logs.
 *
 * A sender never waits for us: when no more may wait, the kernel drops lines in silence. Besides the receive
 * buffer, which is made large, net.unix.max_dgram_qlen (often 10) limits how many wait; at high rates raise
 * it, and compare with the proxy's own counters. All that waits is taken in one go. */
#ifndef ENGINE_CORE_LOG_SOCKET_H
#define ENGINE_CORE_LOG_SOCKET_H

#include "core/loop.h"

#include <stddef.h>

struct log_socket;
typedef void (*log_socket_fn)(const char *text, size_t len, void *arg);

/* Binds path (an old socket there is replaced; anything else is an error). Everybody may write to it. */
int log_socket_open(struct log_socket **out, struct loop *loop, const char *path, log_socket_fn fn, void *arg,
                    struct err *e);
void log_socket_close(struct log_socket *s); /* removes the path; NULL is fine */

#endif
