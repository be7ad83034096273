#include "core/net.h"

#include "base/mem.h"
#include "core/net_link.h"

#include <assert.h>
#include <sys/un.h>

struct resolving {
    uv_getaddrinfo_t req;
    struct net_conn *conn; /* NULL once nobody wants the answer any more */
};

/* --- links and names ---------------------------------------------------------------------- */

struct link *link_open(struct loop *loop, bool is_local, void *owner)
{
    struct link *link = mem_zalloc(sizeof *link);
    if (link == NULL) return NULL;
    if (is_local)
        uv_pipe_init(loop_uv(loop), &link->uv.pipe, 0);
    else
        uv_tcp_init(loop_uv(loop), &link->uv.tcp);
    link->uv.handle.data = link;
    link->owner = owner;
    return link;
}

static void on_link_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void link_close(struct link *link)
{
    if (link == NULL) return;
    link->owner = NULL;
    uv_close(&link->uv.handle, on_link_closed);
}

void net_name(const struct net_address *address, char *out, size_t size_bytes)
{
    if (address->path != NULL)
        snprintf(out, size_bytes, "%s", address->path);
    else if (strchr(address->host, ':') != NULL)
        snprintf(out, size_bytes, "[%s]:%d", address->host, address->port);
    else
        snprintf(out, size_bytes, "%s:%d", address->host, address->port);
}

int net_check_path(const char *path, struct err *e)
{
    size_t room = sizeof((struct sockaddr_un *)0)->sun_path;
    if (path[0] == '\0') return err_set(e, ERR_USAGE, "net", "the path of a unix socket is empty");
    if (strlen(path) < room) return 0;
    return err_set(e, ERR_LIMIT, "net",
                   "the path of a unix socket has at most %zu bytes, this one has %zu: %s", room - 1,
                   strlen(path), path);
}

/* --- life --------------------------------------------------------------------------------- */

struct net_conn *net_new(struct loop *loop)
{
    struct net_conn *c = mem_zalloc(sizeof *c);
    if (c != NULL) c->loop = loop;
    return c;
}

struct net_conn *net_adopt(struct loop *loop, struct link *link, const char *peer)
{
    struct net_conn *c = net_new(loop);
    if (c == NULL) {
        link_close(link);
        return NULL;
    }
    c->link = link;
    link->owner = c;
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    return c;
}

static void forget_addresses(struct net_conn *c)
{
    if (c->found != NULL) uv_freeaddrinfo(c->found);
    c->found = c->candidate = NULL;
}

static void end_closed(struct net_conn *c, struct op *op)
{
    if (op->state == OP_RUNNING)
        op_fail(op, ERR_CLOSED, "net", "the connection to %s was closed here", c->peer);
}

void net_close(struct net_conn *c)
{
    if (c->resolving != NULL) {
        c->resolving->conn = NULL;
        uv_cancel((uv_req_t *)&c->resolving->req); /* when it cannot be, its answer is dropped */
        c->resolving = NULL;
    }
    forget_addresses(c);
    link_close(c->link);
    c->link = NULL;
    c->has_ended = true;
    end_closed(c, &c->connect_op);
    end_closed(c, &c->write_op);
    end_closed(c, &c->read_op);
}

void net_free(struct net_conn *c)
{
    if (c == NULL) return;
    net_close(c);
    assert(!op_is_running(&c->connect_op) && !op_is_running(&c->write_op) && !op_is_running(&c->read_op));
    buf_release(&c->in);
    mem_free(c);
}

bool net_is_open(const struct net_conn *c)
{
    return c->link != NULL && !op_is_running(&c->connect_op);
}

const char *net_peer(const struct net_conn *c)
{
    return c->peer;
}

struct op *net_connect_op(struct net_conn *c)
{
    return &c->connect_op;
}

struct op *net_write_op(struct net_conn *c)
{
    return &c->write_op;
}

struct op *net_read_op(struct net_conn *c)
{
    return &c->read_op;
}

/* --- connecting --------------------------------------------------------------------------- */

static void connect_cancel(struct op *op)
{
    net_close(CONN_OF(op, connect_op));
}

static const struct op_kind CONNECT = {.name = "net connect", .external = true, .cancel = connect_cancel};

static void connect_failed(struct net_conn *c, int rc)
{
    enum err_code code = rc == UV_EACCES || rc == UV_EPERM ? ERR_PERMISSION : ERR_CONNECT;
    op_fail(&c->connect_op, code, "net connect", "no connection to %s: %s", c->peer, uv_strerror(rc));
}

static void try_next(struct net_conn *c, int rc);

static void on_connected(uv_connect_t *req, int status)
{
    struct link *link = req->handle->data;
    struct net_conn *c = link->owner;
    if (c == NULL) return; /* closed meanwhile */
    if (status < 0) {
        link_close(link);
        c->link = NULL;
        try_next(c, status);
        return;
    }
    forget_addresses(c);
    if (link->uv.handle.type == UV_TCP) uv_tcp_nodelay(&link->uv.tcp, 1);
    op_finish(&c->connect_op);
}

static int try_address(struct net_conn *c, const struct sockaddr *address)
{
    c->link = link_open(c->loop, false, c);
    if (c->link == NULL) return UV_ENOMEM;
    int rc = uv_tcp_connect(&c->link->connect, &c->link->uv.tcp, address, on_connected);
    if (rc == 0) return 0;
    link_close(c->link);
    c->link = NULL;
    return rc;
}

/* rc: why the address before did not do. */
static void try_next(struct net_conn *c, int rc)
{
    while (c->candidate != NULL) {
        struct addrinfo *candidate = c->candidate;
        c->candidate = candidate->ai_next;
        rc = try_address(c, candidate->ai_addr);
        if (rc == 0) return;
    }
    forget_addresses(c);
    connect_failed(c, rc);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct resolving *resolving = (struct resolving *)req;
    struct net_conn *c = resolving->conn;
    mem_free(resolving);
    if (c == NULL) {
        uv_freeaddrinfo(found);
        return;
    }
    c->resolving = NULL;
    c->found = c->candidate = found;
    if (status == 0)
        try_next(c, UV_EAI_NODATA);
    else
        op_fail(&c->connect_op, ERR_RESOLVE, "net connect", "the host of %s could not be resolved: %s",
                c->peer, uv_strerror(status));
}

static int resolve(struct net_conn *c, const struct net_address *to, struct err *e)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char port[16];
    snprintf(port, sizeof port, "%d", to->port);
    struct resolving *resolving = mem_zalloc(sizeof *resolving);
    if (resolving == NULL) return err_set(e, ERR_MEMORY, "net connect", "no memory to resolve %s", to->host);
    resolving->conn = c;
    int rc = uv_getaddrinfo(loop_uv(c->loop), &resolving->req, on_resolved, to->host, port, &hints);
    if (rc != 0) {
        mem_free(resolving);
        return err_set(e, ERR_RESOLVE, "net connect", "%.200s is not a host name: %s", to->host,
                       uv_strerror(rc));
    }
    c->resolving = resolving;
    return 0;
}

static int connect_path(struct net_conn *c, const char *path, struct err *e)
{
    if (net_check_path(path, e) != 0) return -(int)e->code;
    c->link = link_open(c->loop, true, c);
    if (c->link == NULL) return err_set(e, ERR_MEMORY, "net connect", "no memory to connect to %s", path);
    uv_pipe_connect(&c->link->connect, &c->link->uv.pipe, path, on_connected);
    return 0;
}

int net_connect(struct net_conn *c, const struct net_address *to, int64_t timeout_us, op_done_fn done,
                void *arg, struct err *e)
{
    struct err unused;
    if (e == NULL) e = &unused;
    if (c->link != NULL || op_is_running(&c->connect_op))
        return err_set(e, ERR_USAGE, "net connect", "this connection to %s is in use", c->peer);
    if (to->path == NULL && (to->host == NULL || to->port < 1 || to->port > 65535))
        return err_set(e, ERR_USAGE, "net connect",
                       "an address is a path, or a host and a port from 1 to 65535");
    net_name(to, c->peer, sizeof c->peer);
    c->has_ended = false;
    c->result_len = c->consumed_len = 0;
    buf_clear(&c->in);

    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    const struct sockaddr *known = NULL; /* an address needs no resolver, whose threads may be busy */
    int rc = 0;
    if (to->path != NULL)
        rc = connect_path(c, to->path, e);
    else if (uv_ip4_addr(to->host, to->port, &v4) == 0)
        known = (struct sockaddr *)&v4;
    else if (uv_ip6_addr(to->host, to->port, &v6) == 0)
        known = (struct sockaddr *)&v6;
    else
        rc = resolve(c, to, e);
    if (rc != 0) return rc;
    op_begin(&c->connect_op, c->loop, &CONNECT, timeout_us, done, arg);
    if (known == NULL) return 0;
    rc = try_address(c, known);
    if (rc != 0) connect_failed(c, rc);
    return 0;
}
