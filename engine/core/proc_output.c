#include "core/proc_output.h"

#include "base/mem.h"

#include <string.h>

void proc_output_init(struct proc_output *o, size_t keep_bytes)
{
    *o = (struct proc_output){.keep_bytes = keep_bytes};
}

static void add_to_tail(struct proc_output *o, const char *bytes, size_t n)
{
    if (n == 0) return;
    if (o->tail == NULL) {
        o->tail_cap = o->keep_bytes - o->keep_bytes / 2;
        if (o->tail_cap == 0) return;
        o->tail = mem_alloc(o->tail_cap);
        if (o->tail == NULL) {
            o->failed = true;
            return;
        }
    }
    if (n > o->tail_cap) {
        bytes += n - o->tail_cap;
        n = o->tail_cap;
    }
    size_t first = o->tail_cap - o->tail_at < n ? o->tail_cap - o->tail_at : n;
    memcpy(o->tail + o->tail_at, bytes, first);
    memcpy(o->tail, bytes + first, n - first);
    o->tail_at = (o->tail_at + n) % o->tail_cap;
    o->tail_len = o->tail_len + n < o->tail_cap ? o->tail_len + n : o->tail_cap;
}

void proc_output_add(struct proc_output *o, const char *bytes, size_t n)
{
    if (o->failed) return;
    o->total_bytes += n;
    size_t room = o->keep_bytes / 2 - o->head.len;
    size_t first = n < room ? n : room;
    buf_add(&o->head, bytes, first);
    if (!buf_ok(&o->head))
        o->failed = true;
    else
        add_to_tail(o, bytes + first, n - first);
}

bool proc_output_text(const struct proc_output *o, struct buf *out)
{
    buf_add(out, buf_str(&o->head), o->head.len);
    uint64_t missing = o->total_bytes - o->head.len - o->tail_len;
    if (missing > 0) buf_addf(out, "\n[... %llu bytes left out ...]\n", (unsigned long long)missing);
    if (o->tail_len < o->tail_cap) {
        buf_add(out, o->tail, o->tail_len);
    } else if (o->tail != NULL) {
        buf_add(out, o->tail + o->tail_at, o->tail_cap - o->tail_at);
        buf_add(out, o->tail, o->tail_at);
    }
    return missing > 0;
}

static void wipe(struct buf *b)
{
    if (b->data != NULL) explicit_bzero(b->data, b->cap);
    buf_release(b);
}

void proc_output_release(struct proc_output *o)
{
    wipe(&o->head); /* a command that gives a secret gives it here */
    if (o->tail != NULL) explicit_bzero(o->tail, o->tail_cap);
    mem_free(o->tail);
    *o = (struct proc_output){0};
}

/* --- lines -------------------------------------------------------------------------------- */

struct record {
    uint32_t len;
    uint32_t stream;
};

static void complete(struct proc_lines *l, int stream)
{
    struct buf *partial = &l->partial[stream];
    struct record r = {(uint32_t)partial->len, (uint32_t)stream};
    buf_add(&l->queue, &r, sizeof r);
    buf_add(&l->queue, buf_str(partial), partial->len);
    partial->len = 0;
}

void proc_lines_add(struct proc_lines *l, int stream, const char *bytes, size_t n)
{
    struct buf *partial = &l->partial[stream];
    while (n > 0) {
        size_t room = PROC_LINE_BYTES - partial->len, part = n < room ? n : room;
        const char *newline = memchr(bytes, '\n', part);
        if (newline != NULL) part = (size_t)(newline - bytes);
        buf_add(partial, bytes, part);
        size_t used = part + (newline != NULL);
        bytes += used;
        n -= used;
        if (newline != NULL || partial->len == PROC_LINE_BYTES) complete(l, stream);
        if (!proc_lines_ok(l)) return;
    }
}

void proc_lines_end(struct proc_lines *l, int stream)
{
    if (l->partial[stream].len > 0) complete(l, stream);
}

bool proc_lines_next(struct proc_lines *l, int *stream, const char **line, size_t *len)
{
    if (l->taken_bytes == l->queue.len) {
        l->queue.len = l->taken_bytes = 0;
        return false;
    }
    if (l->taken_bytes > PROC_QUEUE_BYTES) {
        buf_consume(&l->queue, l->taken_bytes);
        l->taken_bytes = 0;
    }
    struct record r;
    memcpy(&r, l->queue.data + l->taken_bytes, sizeof r);
    *stream = (int)r.stream;
    *line = l->queue.data + l->taken_bytes + sizeof r;
    *len = r.len;
    l->taken_bytes += sizeof r + r.len;
    return true;
}

bool proc_lines_is_full(const struct proc_lines *l)
{
    return l->queue.len - l->taken_bytes >= PROC_QUEUE_BYTES;
}

bool proc_lines_ok(const struct proc_lines *l)
{
    return buf_ok(&l->queue) && buf_ok(&l->partial[0]) && buf_ok(&l->partial[1]);
}

void proc_lines_release(struct proc_lines *l)
{
    buf_release(&l->partial[0]);
    buf_release(&l->partial[1]);
    buf_release(&l->queue);
    l->taken_bytes = 0;
}
