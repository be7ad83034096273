/* The writing and reading half of net.h. */
#include "base/mem.h"
#include "core/net_link.h"

/* --- writing ------------------------------------------------------------------------------ */

struct outgoing {
    uv_write_t req;
    char bytes[];
};

static void write_cancel(struct op *op)
{
    net_close(CONN_OF(op, write_op));
}

static const struct op_kind WRITE = {.name = "net write", .external = true, .cancel = write_cancel};

static void on_written(uv_write_t *req, int status)
{
    struct link *link = req->handle->data;
    struct net_conn *c = link->owner;
    mem_free(req);
    if (c == NULL) return; /* closed meanwhile; its op has ended */
    if (status == 0) {
        op_finish(&c->write_op);
        return;
    }
    struct err e;
    err_errno(&e, -status, "net write", "writing to %s failed", c->peer);
    op_fail_with(&c->write_op, &e);
}

int net_write(struct net_conn *c, const char *bytes, size_t n, int64_t timeout_us, op_done_fn done, void *arg,
              struct err *e)
{
    if (op_is_running(&c->write_op))
        return err_set(e, ERR_USAGE, "net write", "another write to %s is under way", c->peer);
    if (!net_is_open(c))
        return err_set(e, ERR_CLOSED, "net write", "the connection to %s is closed", c->peer);
    if (n > UINT32_MAX) return err_set(e, ERR_LIMIT, "net write", "%zu bytes are too many for one write", n);
    struct outgoing *out = mem_alloc(sizeof *out + n);
    if (out == NULL) return err_set(e, ERR_MEMORY, "net write", "no memory for %zu bytes to %s", n, c->peer);
    if (n > 0) memcpy(out->bytes, bytes, n);
    uv_buf_t piece = uv_buf_init(out->bytes, (unsigned)n);
    int rc = uv_write(&out->req, &c->link->uv.stream, &piece, 1, on_written);
    if (rc != 0) {
        mem_free(out);
        return err_errno(e, -rc, "net write", "writing to %s failed", c->peer);
    }
    op_begin(&c->write_op, c->loop, &WRITE, timeout_us, done, arg);
    return 0;
}

/* --- reading ------------------------------------------------------------------------------ */

static void stop_reading(struct net_conn *c)
{
    if (c->link != NULL) uv_read_stop(&c->link->uv.stream);
}

static void read_cancel(struct op *op)
{
    stop_reading(CONN_OF(op, read_op));
    op_finish(op);
}

static const struct op_kind READ = {.name = "net read", .external = true, .cancel = read_cancel};

static void give(struct net_conn *c, size_t result_len, size_t consumed_len)
{
    c->result_len = result_len;
    c->consumed_len = consumed_len;
    op_finish(&c->read_op);
}

static bool find_delimiter(struct net_conn *c)
{
    if (c->in.len < c->delimiter_len) return false;
    char *at =
        memmem(c->in.data + c->searched_len, c->in.len - c->searched_len, c->delimiter, c->delimiter_len);
    if (at == NULL) {
        c->searched_len = c->in.len - (c->delimiter_len - 1); /* it may have begun in the last bytes */
        return false;
    }
    size_t len = (size_t)(at - c->in.data);
    if (len > c->limit_bytes) return false;
    give(c, len, len + c->delimiter_len);
    return true;
}

/* Ends the read if what has arrived decides it. */
static bool settle(struct net_conn *c)
{
    if (c->mode == READ_UNTIL && find_delimiter(c)) return true;
    if (c->mode == READ_SOME && c->in.len > 0) {
        size_t n = c->in.len < c->limit_bytes ? c->in.len : c->limit_bytes;
        give(c, n, n);
        return true;
    }
    size_t room = c->limit_bytes + (c->mode == READ_UNTIL ? c->delimiter_len - 1 : 0);
    if (c->in.len > room) {
        op_fail(&c->read_op, ERR_LIMIT, "net read", "%s sent more than the limit of %zu bytes", c->peer,
                c->limit_bytes);
        return true;
    }
    if (!c->has_ended) return false;
    if (c->mode == READ_ALL)
        give(c, c->in.len, c->in.len);
    else
        op_fail(&c->read_op, ERR_CLOSED, "net read",
                "the connection to %s ended after %zu of the awaited bytes", c->peer, c->in.len);
    return true;
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct net_conn *c = ((struct link *)handle->data)->owner;
    *out = uv_buf_init(NULL, 0);
    if (c == NULL || !buf_reserve(&c->in, suggested)) return;
    *out = uv_buf_init(c->in.data + c->in.len, (unsigned)suggested);
}

static void on_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    struct net_conn *c = ((struct link *)stream->data)->owner;
    (void)bytes;
    if (c == NULL || n == 0) return;
    if (n > 0) {
        c->in.len += (size_t)n;
        c->in.data[c->in.len] = '\0';
    } else if (n == UV_EOF) {
        c->has_ended = true;
    } else {
        struct err e;
        stop_reading(c);
        if (n == UV_ENOBUFS)
            err_set(&e, ERR_MEMORY, "net read", "no memory for what %s sends", c->peer);
        else
            err_errno(&e, (int)-n, "net read", "reading from %s failed", c->peer);
        op_fail_with(&c->read_op, &e);
        return;
    }
    if (settle(c)) stop_reading(c);
}

static int start_read(struct net_conn *c, enum read_mode mode, size_t limit_bytes, int64_t timeout_us,
                      op_done_fn done, void *arg, struct err *e)
{
    if (op_is_running(&c->read_op))
        return err_set(e, ERR_USAGE, "net read", "another read from %s is under way", c->peer);
    if (c->link == NULL && !c->has_ended)
        return err_set(e, ERR_CLOSED, "net read", "this connection was never made");
    if (limit_bytes == 0 || limit_bytes > SIZE_MAX / 4)
        return err_set(e, ERR_USAGE, "net read", "a read's limit is at least 1 byte");
    buf_consume(&c->in, c->consumed_len);
    c->result_len = c->consumed_len = c->searched_len = 0;
    c->mode = mode;
    c->limit_bytes = limit_bytes;
    op_begin(&c->read_op, c->loop, &READ, timeout_us, done, arg);
    if (settle(c)) return 0;
    int rc = uv_read_start(&c->link->uv.stream, on_room, on_bytes);
    if (rc == 0) return 0;
    struct err why;
    err_errno(&why, -rc, "net read", "reading from %s failed", c->peer);
    op_fail_with(&c->read_op, &why);
    return 0;
}

int net_read_until(struct net_conn *c, const char *delimiter, size_t delimiter_len, size_t limit_bytes,
                   int64_t timeout_us, op_done_fn done, void *arg, struct err *e)
{
    if (delimiter_len == 0 || delimiter_len > sizeof c->delimiter)
        return err_set(e, ERR_USAGE, "net read", "a delimiter has 1 to %zu bytes", sizeof c->delimiter);
    if (!op_is_running(&c->read_op)) {
        memcpy(c->delimiter, delimiter, delimiter_len);
        c->delimiter_len = delimiter_len;
    }
    return start_read(c, READ_UNTIL, limit_bytes, timeout_us, done, arg, e);
}

int net_read_some(struct net_conn *c, size_t limit_bytes, int64_t timeout_us, op_done_fn done, void *arg,
                  struct err *e)
{
    return start_read(c, READ_SOME, limit_bytes, timeout_us, done, arg, e);
}

int net_read_all(struct net_conn *c, size_t limit_bytes, int64_t timeout_us, op_done_fn done, void *arg,
                 struct err *e)
{
    return start_read(c, READ_ALL, limit_bytes, timeout_us, done, arg, e);
}

const char *net_data(const struct net_conn *c, size_t *len)
{
    *len = c->result_len;
    return buf_str(&c->in);
}
