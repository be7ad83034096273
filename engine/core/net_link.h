/* net_link: what net*.c share, and nobody else: the insides of a connection, and links.
 *
 * A link is one libuv stream with a life of its own: libuv lets go of a handle some time after it
 * was closed; the link waits for that by itself, so that its owner can go at once. Callbacks find
 * owner NULL once the link was closed. */
#ifndef ENGINE_CORE_NET_LINK_H
#define ENGINE_CORE_NET_LINK_H

#include "base/buf.h"
#include "core/net.h"

#include <stddef.h>
#include <uv.h>

struct link {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv; /* uv.handle.data is the link */
    uv_connect_t connect;
    void *owner;
};

struct link *link_open(struct loop *loop, bool is_local, void *owner); /* NULL if there is no memory */
void link_close(struct link *link);                                    /* NULL is fine */

enum read_mode { READ_UNTIL, READ_SOME, READ_ALL };

struct resolving;

struct net_conn {
    struct loop *loop;
    struct link *link; /* NULL: not connected, or closed */
    struct op connect_op, write_op, read_op;
    char peer[128];

    struct resolving *resolving;
    struct addrinfo *found, *candidate; /* the addresses of the host, and the next to try */

    struct buf in;
    size_t result_len, consumed_len; /* of the last read, at the front of in */
    bool has_ended;
    enum read_mode mode;
    char delimiter[64];
    size_t delimiter_len, limit_bytes, searched_len;
};

#define CONN_OF(op_ptr, member) ((struct net_conn *)((char *)(op_ptr)-offsetof(struct net_conn, member)))

void net_name(const struct net_address *address, char *out, size_t size_bytes);
/* Is the path short enough for the system? libuv would cut it. */
int net_check_path(const char *path, struct err *e);

/* A connection around a link that was accepted. On failure the link is closed, NULL returned. */
struct net_conn *net_adopt(struct loop *loop, struct link *link, const char *peer);

#endif
