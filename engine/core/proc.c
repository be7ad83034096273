#include "core/proc.h"

#include "base/mem.h"

#include <assert.h>
#include <linux/close_range.h>
#include <signal.h>
#include <unistd.h>
#include <uv.h>

enum { STREAMS = 2, MAX_LINE_BYTES = 64 << 10 };

/* The first half of the limit is kept for ever, the second half is a ring of the latest bytes. */
struct capture {
    uv_pipe_t pipe;
    struct buf head, tail;
    size_t half, left_out;
    struct buf line; /* what has come since the last newline */
    bool open;
};

struct line {
    struct line *next;
    size_t len;
    int stream;
    char text[];
};

struct proc {
    struct loop *loop;
    uv_process_t process;
    uv_pipe_t input;
    uv_write_t write;
    struct buf input_data;
    struct capture captures[STREAMS];
    struct line *lines, **lines_tail, *taken;
    struct timer kill_timer;
    struct op wait_op, line_op;
    int64_t grace_us;
    int64_t exit_code;
    int term_signal, pid;
    int open_handles;
    bool keeps_lines, exited, orphaned;
    char name[64];
    char chunk[16 << 10];
};

static void release(struct proc *p)
{
    for (int i = 0; i < STREAMS; i++) {
        buf_release(&p->captures[i].head);
        buf_release(&p->captures[i].tail);
        buf_release(&p->captures[i].line);
    }
    while (p->lines != NULL) {
        struct line *line = p->lines;
        p->lines = line->next;
        mem_free(line);
    }
    mem_free(p->taken);
    buf_release(&p->input_data);
    mem_free(p);
}

static bool is_over(const struct proc *p)
{
    return p->open_handles == 0;
}

static void check_over(struct proc *p)
{
    bool line_is_there = p->lines != NULL && !p->line_op.canceled;
    if (p->line_op.state == OP_RUNNING && (line_is_there || is_over(p))) op_finish(&p->line_op);
    if (!is_over(p)) return;
    timer_stop(p->loop, &p->kill_timer);
    if (p->wait_op.state == OP_RUNNING) op_finish(&p->wait_op);
    if (p->orphaned) release(p);
}

static void on_closed(uv_handle_t *handle)
{
    struct proc *p = handle->data;
    p->open_handles--;
    check_over(p);
}

static void close_handle(void *handle)
{
    if (!uv_is_closing(handle)) uv_close(handle, on_closed);
}

static void on_child_exit(uv_process_t *process, int64_t exit_status, int term_signal)
{
    struct proc *p = process->data;
    p->exited = true;
    p->exit_code = term_signal ? -1 : exit_status;
    p->term_signal = term_signal;
    close_handle(&p->process);
}

static void keep_line(struct proc *p, struct capture *c, int stream)
{
    struct line *line = mem_alloc(sizeof *line + c->line.len + 1);
    if (line != NULL) {
        line->next = NULL;
        line->stream = stream;
        line->len = c->line.len;
        memcpy(line->text, buf_str(&c->line), c->line.len);
        line->text[line->len] = '\0';
        *p->lines_tail = line;
        p->lines_tail = &line->next;
    }
    buf_clear(&c->line);
}

static void take_lines(struct proc *p, struct capture *c, const char *bytes, size_t n)
{
    int stream = (int)(c - p->captures) + 1;
    while (n > 0) {
        const char *newline = memchr(bytes, '\n', n);
        size_t part = newline ? (size_t)(newline - bytes) : n;
        buf_add(&c->line, bytes, part);
        if (newline == NULL && c->line.len < MAX_LINE_BYTES) return;
        keep_line(p, c, stream);
        part += newline != NULL;
        bytes += part;
        n -= part;
    }
}

static void keep(struct capture *c, const char *bytes, size_t n)
{
    size_t to_head = c->half > c->head.len ? c->half - c->head.len : 0;
    if (to_head > n) to_head = n;
    buf_add(&c->head, bytes, to_head);
    buf_add(&c->tail, bytes + to_head, n - to_head);
    if (c->tail.len <= 2 * c->half) return; /* trimmed in large steps: moving is amortised */
    size_t excess = c->tail.len - c->half;
    c->left_out += excess;
    buf_consume(&c->tail, excess);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct proc *p = handle->data;
    (void)suggested;
    *out = uv_buf_init(p->chunk, sizeof p->chunk); /* one read at a time on this loop */
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    struct proc *p = stream->data;
    struct capture *c = stream == (uv_stream_t *)&p->captures[0].pipe ? &p->captures[0] : &p->captures[1];
    if (n > 0) {
        keep(c, bytes->base, (size_t)n);
        if (p->keeps_lines) take_lines(p, c, bytes->base, (size_t)n);
    } else if (n < 0) {
        if (p->keeps_lines && c->line.len > 0) keep_line(p, c, (int)(c - p->captures) + 1);
        close_handle(stream);
    }
    check_over(p);
}

static void on_written(uv_write_t *write, int status)
{
    struct proc *p = write->data;
    (void)status; /* a child that reads no input is no error */
    close_handle(&p->input);
}

static void kill_group(struct proc *p, int signum)
{
    if (!p->exited) kill(-p->pid, signum);
}

static void on_kill_timer(void *arg)
{
    struct proc *p = arg;
    kill_group(p, SIGKILL);
    /* Grandchildren may hold the pipes although the child is gone: stop listening. */
    for (int i = 0; i < STREAMS; i++)
        close_handle(&p->captures[i].pipe);
}

static void end_child(struct proc *p)
{
    kill_group(p, SIGTERM);
    if (!p->kill_timer.active) timer_start(p->loop, &p->kill_timer, p->grace_us, on_kill_timer, p);
}

static void cancel_wait(struct op *op)
{
    struct proc *p = (struct proc *)((char *)op - offsetof(struct proc, wait_op));
    if (is_over(p))
        op_finish(op);
    else
        end_child(p);
}

static void cancel_line(struct op *op)
{
    struct proc *p = (struct proc *)((char *)op - offsetof(struct proc, line_op));
    if (is_over(p))
        op_finish(op);
    else
        end_child(p);
}

static const struct op_kind WAIT = {.name = "process", .external = true, .cancel = cancel_wait};
static const struct op_kind LINE = {.name = "process output", .external = true, .cancel = cancel_line};

static int spawn(struct proc *p, const struct proc_options *o, struct err *e)
{
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}};
    if (o->input != NULL) {
        stdio[0].flags = UV_CREATE_PIPE | UV_READABLE_PIPE;
        stdio[0].data.stream = (uv_stream_t *)&p->input;
    }
    for (int i = 0; i < STREAMS; i++) {
        stdio[i + 1].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
        stdio[i + 1].data.stream = (uv_stream_t *)&p->captures[i].pipe;
    }
    uv_process_options_t options = {
        .exit_cb = on_child_exit,
        .file = o->argv[0],
        .args = (char **)o->argv,
        .env = (char **)o->env,
        .cwd = o->cwd,
        .flags = UV_PROCESS_DETACHED, /* a group of its own */
        .stdio_count = 3,
        .stdio = stdio,
    };
    /* Libraries open sockets without close-on-exec; a child that held one would keep its peer waiting. */
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    int rc = uv_spawn(loop_uv(p->loop), &p->process, &options);
    if (rc == 0) return 0;
    enum err_code code = rc == UV_ENOENT ? ERR_NOT_FOUND : rc == UV_EACCES ? ERR_PERMISSION : ERR_PROCESS;
    return err_set(e, code, p->name, "%s could not be started: %s", o->argv[0], uv_strerror(rc));
}

int proc_start(struct proc **out, struct loop *loop, const struct proc_options *o, struct err *e)
{
    struct proc *p = mem_zalloc(sizeof *p);
    if (p == NULL) return err_set(e, ERR_MEMORY, "process", "no memory to start %s", o->argv[0]);
    p->loop = loop;
    p->grace_us = o->grace_us;
    p->keeps_lines = o->lines;
    p->lines_tail = &p->lines;
    snprintf(p->name, sizeof p->name, "run %s", o->argv[0]);
    buf_add(&p->input_data, o->input ? o->input : "", o->input ? o->input_bytes : 0);
    uv_pipe_init(loop_uv(loop), &p->input, 0);
    for (int i = 0; i < STREAMS; i++) {
        p->captures[i].half = o->max_output_bytes / 2 + 1;
        uv_pipe_init(loop_uv(loop), &p->captures[i].pipe, 0);
        p->captures[i].pipe.data = p;
    }
    p->process.data = p->input.data = p->write.data = p;
    p->open_handles = 2 + STREAMS;
    int rc =
        buf_ok(&p->input_data) ? spawn(p, o, e) : err_set(e, ERR_MEMORY, p->name, "no memory for its input");
    if (rc != 0) {
        p->orphaned = true; /* released when its handles have closed */
        close_handle(&p->process);
        close_handle(&p->input);
        for (int i = 0; i < STREAMS; i++)
            close_handle(&p->captures[i].pipe);
        return rc;
    }
    p->pid = p->process.pid;
    for (int i = 0; i < STREAMS; i++)
        uv_read_start((uv_stream_t *)&p->captures[i].pipe, on_alloc, on_read);
    uv_buf_t input = uv_buf_init(p->input_data.data, (unsigned)p->input_data.len);
    if (o->input == NULL || uv_write(&p->write, (uv_stream_t *)&p->input, &input, 1, on_written) != 0)
        close_handle(&p->input);
    *out = p;
    return 0;
}

struct op *proc_wait(struct proc *p, int64_t timeout_us, op_done_fn done, void *arg)
{
    op_begin(&p->wait_op, p->loop, &WAIT, timeout_us, done, arg);
    check_over(p);
    return &p->wait_op;
}

struct op *proc_next_line(struct proc *p, int64_t timeout_us, op_done_fn done, void *arg)
{
    op_begin(&p->line_op, p->loop, &LINE, timeout_us, done, arg);
    check_over(p);
    return &p->line_op;
}

const char *proc_line(struct proc *p, size_t *len, int *stream)
{
    struct line *line = p->lines;
    if (line == NULL) return NULL;
    p->lines = line->next;
    if (p->lines == NULL) p->lines_tail = &p->lines;
    mem_free(p->taken);
    p->taken = line;
    *len = line->len;
    *stream = line->stream;
    return line->text;
}

int proc_exit_code(const struct proc *p)
{
    return (int)p->exit_code;
}

int proc_term_signal(const struct proc *p)
{
    return p->term_signal;
}

int proc_pid(const struct proc *p)
{
    return p->pid;
}

void proc_output(const struct proc *p, int stream, struct buf *out)
{
    const struct capture *c = &p->captures[stream - 1];
    size_t surplus = c->tail.len > c->half ? c->tail.len - c->half : 0, left_out = c->left_out + surplus;
    buf_add(out, buf_str(&c->head), c->head.len);
    if (left_out > 0) buf_addf(out, "\n... %zu bytes left out ...\n", left_out);
    buf_add(out, buf_str(&c->tail) + surplus, c->tail.len - surplus);
}

void proc_free(struct proc *p)
{
    if (p == NULL) return;
    assert(!op_is_running(&p->wait_op) && !op_is_running(&p->line_op));
    p->orphaned = true;
    if (is_over(p)) {
        release(p);
        return;
    }
    kill_group(p, SIGKILL); /* nobody waits for it any more */
    close_handle(&p->input);
    for (int i = 0; i < STREAMS; i++)
        close_handle(&p->captures[i].pipe);
}
