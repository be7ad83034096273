/* The listening half of net.h. */
#include "base/mem.h"
#include "core/net_link.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 128 };

struct net_listener {
    struct loop *loop;
    struct link *link; /* NULL: closed */
    struct op op;      /* accept */
    bool is_local, has_waiting;
    struct net_conn *accepted;
    int port;
    char name[128];
};

static void accept_ended(struct net_listener *l)
{
    /* A listener that nobody waits for does not keep the loop waiting. */
    if (l->link != NULL) uv_unref(&l->link->uv.handle);
}

static void accept_cancel(struct op *op)
{
    struct net_listener *l = (struct net_listener *)((char *)op - offsetof(struct net_listener, op));
    accept_ended(l);
    op_finish(op);
}

static const struct op_kind ACCEPT = {.name = "net accept", .external = true, .cancel = accept_cancel};

static void accept_failed(struct net_listener *l, int rc)
{
    struct err e;
    err_errno(&e, -rc, "net accept", "accepting a connection at %s failed", l->name);
    accept_ended(l);
    op_fail_with(&l->op, &e);
}

static void take_waiting(struct net_listener *l)
{
    l->has_waiting = false;
    struct link *link = link_open(l->loop, l->is_local, NULL);
    int rc = link == NULL ? UV_ENOMEM : uv_accept(&l->link->uv.stream, &link->uv.stream);
    if (rc == 0) {
        l->accepted = net_adopt(l->loop, link, l->name);
        if (l->accepted == NULL)
            rc = UV_ENOMEM;
        else if (!l->is_local)
            uv_tcp_nodelay(&link->uv.tcp, 1);
    } else {
        link_close(link);
    }
    if (rc != 0) {
        accept_failed(l, rc);
        return;
    }
    accept_ended(l);
    op_finish(&l->op);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct net_listener *l = ((struct link *)stream->data)->owner;
    if (l == NULL) return;
    bool is_awaited = l->op.state == OP_RUNNING;
    if (status == 0) l->has_waiting = true; /* libuv holds it, and asks for no more until it is taken */
    if (!is_awaited) return;
    if (status == 0)
        take_waiting(l);
    else
        accept_failed(l, status);
}

static int listen_error(struct net_listener *l, int rc, struct err *e)
{
    if (rc == UV_EADDRINUSE) return err_set(e, ERR_EXISTS, "net listen", "%s is in use already", l->name);
    return err_errno(e, -rc, "net listen", "cannot listen at %s", l->name);
}

static int bind_path(struct net_listener *l, const char *path, struct err *e)
{
    if (net_check_path(path, e) != 0) return -(int)e->code;
    int rc = uv_pipe_bind(&l->link->uv.pipe, path);
    if (rc != 0) return listen_error(l, rc, e);
    if (chmod(path, 0600) != 0)
        return err_errno(e, errno, "net listen", "the mode of %s cannot be set to 0600", path);
    return 0;
}

static int bind_tcp(struct net_listener *l, const struct net_address *at, struct err *e)
{
    struct sockaddr_storage address;
    const char *host = at->host;
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    else if (strcmp(host, "*") == 0)
        host = "0.0.0.0";
    if (at->port < 0 || at->port > 65535)
        return err_set(e, ERR_USAGE, "net listen", "a port is 0 (any free one) to 65535, not %d", at->port);
    if (uv_ip4_addr(host, at->port, (struct sockaddr_in *)&address) != 0 &&
        uv_ip6_addr(host, at->port, (struct sockaddr_in6 *)&address) != 0)
        return err_set(e, ERR_USAGE, "net listen",
                       "%.200s is not an address of this machine; use 127.0.0.1 or *", host);
    int rc = uv_tcp_bind(&l->link->uv.tcp, (struct sockaddr *)&address, 0);
    return rc == 0 ? 0 : listen_error(l, rc, e);
}

static void learn_port(struct net_listener *l, const struct net_address *at)
{
    struct sockaddr_storage address;
    int size = sizeof address;
    if (uv_tcp_getsockname(&l->link->uv.tcp, (struct sockaddr *)&address, &size) != 0) return;
    l->port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                  : ((struct sockaddr_in *)&address)->sin_port);
    net_name(&(struct net_address){.host = at->host, .port = l->port}, l->name, sizeof l->name);
}

int net_listen(struct net_listener **out, struct loop *loop, const struct net_address *at, struct err *e)
{
    struct err unused;
    if (e == NULL) e = &unused;
    if (at->path == NULL && at->host == NULL)
        return err_set(e, ERR_USAGE, "net listen", "an address is a path, or a host and a port");
    struct net_listener *l = mem_zalloc(sizeof *l);
    if (l == NULL) return err_set(e, ERR_MEMORY, "net listen", "no memory for a listener");
    l->loop = loop;
    l->is_local = at->path != NULL;
    net_name(at, l->name, sizeof l->name);
    l->link = link_open(loop, l->is_local, l);
    if (l->link == NULL) {
        err_set(e, ERR_MEMORY, "net listen", "no memory for a listener");
        goto failed;
    }
    if ((l->is_local ? bind_path(l, at->path, e) : bind_tcp(l, at, e)) != 0) goto failed;
    int rc = uv_listen(&l->link->uv.stream, BACKLOG, on_connection);
    if (rc != 0) {
        listen_error(l, rc, e);
        goto failed;
    }
    uv_unref(&l->link->uv.handle);
    if (!l->is_local) learn_port(l, at);
    *out = l;
    return 0;

failed:
    net_listener_free(l);
    return -(int)e->code;
}

int net_listener_port(const struct net_listener *l)
{
    return l->port;
}

int net_accept(struct net_listener *l, int64_t timeout_us, op_done_fn done, void *arg, struct err *e)
{
    if (op_is_running(&l->op))
        return err_set(e, ERR_USAGE, "net accept", "somebody else waits for connections at %s", l->name);
    if (l->link == NULL) return err_set(e, ERR_CLOSED, "net accept", "the listener at %s is closed", l->name);
    op_begin(&l->op, l->loop, &ACCEPT, timeout_us, done, arg);
    uv_ref(&l->link->uv.handle);
    if (l->accepted != NULL) { /* taken for somebody who was canceled before it saw it */
        accept_ended(l);
        op_finish(&l->op);
    } else if (l->has_waiting) {
        take_waiting(l);
    }
    return 0;
}

struct op *net_accept_op(struct net_listener *l)
{
    return &l->op;
}

struct net_conn *net_accepted(struct net_listener *l)
{
    struct net_conn *c = l->accepted;
    l->accepted = NULL;
    return c;
}

void net_listener_close(struct net_listener *l)
{
    link_close(l->link);
    l->link = NULL;
    if (l->op.state == OP_RUNNING)
        op_fail(&l->op, ERR_CLOSED, "net accept", "the listener at %s was closed here", l->name);
}

void net_listener_free(struct net_listener *l)
{
    if (l == NULL) return;
    net_listener_close(l);
    assert(!op_is_running(&l->op));
    net_free(l->accepted);
    mem_free(l);
}
