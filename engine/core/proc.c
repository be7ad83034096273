#include "core/proc.h"

#include "base/mem.h"
#include "core/proc_output.h"
#include "core/proc_spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 << 10,
    DRAIN_US = 1000000,         /* how long a stream that a grandchild holds open is read after the end */
    GROUP_LOOK_US = 20000,      /* between two looks at whether the group is gone */
    MAX_LOOKS_AFTER_KILL = 250, /* a process that a disk holds may survive SIGKILL for ever */
};

struct proc {
    struct op op;
    uv_process_t process;
    uv_pipe_t in, out[2];
    uv_write_t write;
    uv_shutdown_t shutdown;
    char *input;
    size_t input_len;
    struct proc_output output[2];
    struct proc_lines lines;
    bool has_lines, is_paused;
    void (*on_line)(void *arg);
    void *on_line_arg;
    struct timer timeout, grace, drain, group;
    int64_t timeout_us, grace_us, began_us, ended_us;
    char name[64];
    int pid, code, signum, looks_after_kill;
    int open_handles, open_streams;
    bool exited, killed, closing, abandoned; /* abandoned: the start failed, nobody waits */
    char chunk[READ_BYTES];
};

static void look_at_end(struct proc *p);

static void proc_release(struct proc *p)
{
    if (p->input != NULL) explicit_bzero(p->input, p->input_len);
    mem_free(p->input);
    proc_output_release(&p->output[0]);
    proc_output_release(&p->output[1]);
    proc_lines_release(&p->lines);
    explicit_bzero(p->chunk, sizeof p->chunk);
    mem_free(p);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct proc *p = handle->data;
    if (--p->open_handles > 0) return;
    if (p->abandoned)
        proc_release(p);
    else if (!p->op.canceled && (p->output[0].failed || p->output[1].failed || !proc_lines_ok(&p->lines)))
        op_fail(&p->op, ERR_MEMORY, p->name, "no memory for the output of %s", p->name);
    else
        op_finish(&p->op);
}

static void close_handle(uv_handle_t *handle)
{
    if (handle->data != NULL && !uv_is_closing(handle)) uv_close(handle, on_handle_closed);
}

static void close_all(struct proc *p)
{
    p->closing = true;
    struct timer *timers[] = {&p->timeout, &p->grace, &p->drain, &p->group};
    for (int i = 0; i < 4; i++)
        timer_stop(p->op.loop, timers[i]);
    uv_handle_t *handles[] = {(uv_handle_t *)&p->process, (uv_handle_t *)&p->in, (uv_handle_t *)&p->out[0],
                              (uv_handle_t *)&p->out[1]};
    for (int i = 0; i < 4; i++)
        close_handle(handles[i]);
}

/* --- ending ------------------------------------------------------------------------------- */

static void signal_group(struct proc *p, int signum)
{
    kill(-p->pid, signum); /* ESRCH: it is gone, which is what was wanted */
}

static void on_grace(void *arg)
{
    struct proc *p = arg;
    p->killed = true;
    signal_group(p, SIGKILL);
    look_at_end(p);
}

static void proc_cancel(struct op *op)
{
    struct proc *p = (struct proc *)op; /* op is the first member */
    if (p->closing) return;
    signal_group(p, SIGTERM);
    timer_start(op->loop, &p->grace, p->grace_us, on_grace, p);
    look_at_end(p); /* it may have ended already, with a stream still open */
}

static const struct op_kind PROC = {.name = "process", .external = true, .cancel = proc_cancel};

static void on_timeout(void *arg)
{
    struct proc *p = arg;
    op_cancel(&p->op, ERR_TIMEOUT, p->name, "%s was still running after %.3g s and was stopped", p->name,
              (double)p->timeout_us / 1e6);
}

static void on_drained(void *arg)
{
    struct proc *p = arg;
    p->open_streams = 0;
    look_at_end(p);
}

static void on_group(void *arg)
{
    look_at_end(arg);
}

static int read_streams(struct proc *p);

static void look_at_end(struct proc *p)
{
    if (!p->exited || p->closing) return;
    if (p->op.canceled) {
        if (p->is_paused) read_streams(p); /* nobody takes the lines any more */
        /* The leader is reaped, but the number stays taken as long as the group has a member: it is
         * looked at often enough that it cannot come to mean another group in between. */
        if (p->looks_after_kill < MAX_LOOKS_AFTER_KILL && proc_group_is_alive(p->pid)) {
            p->looks_after_kill += p->killed;
            timer_start(p->op.loop, &p->group, GROUP_LOOK_US, on_group, p);
            return;
        }
    }
    if (p->open_streams > 0) {
        if (!p->is_paused && !p->drain.active) timer_start(p->op.loop, &p->drain, DRAIN_US, on_drained, p);
        return;
    }
    close_all(p);
}

static void on_exit_status(uv_process_t *handle, int64_t status, int signum)
{
    struct proc *p = handle->data;
    p->exited = true;
    p->code = signum ? -1 : (int)status;
    p->signum = signum;
    p->ended_us = loop_now_us(p->op.loop);
    timer_stop(p->op.loop, &p->timeout);
    close_handle((uv_handle_t *)handle);
    look_at_end(p);
}

/* --- streams ------------------------------------------------------------------------------ */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct proc *p = handle->data;
    *buf = uv_buf_init(p->chunk, sizeof p->chunk);
}

static void pause_streams(struct proc *p)
{
    p->is_paused = true;
    for (int i = 0; i < 2; i++)
        if (p->out[i].data != NULL && !uv_is_closing((uv_handle_t *)&p->out[i]))
            uv_read_stop((uv_stream_t *)&p->out[i]);
    timer_stop(p->op.loop, &p->drain);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct proc *p = stream->data;
    int which = stream == (uv_stream_t *)&p->out[1];
    bool wants_lines = p->has_lines && !p->op.canceled;
    if (n > 0) {
        proc_output_add(&p->output[which], buf->base, (size_t)n);
        if (wants_lines) proc_lines_add(&p->lines, which, buf->base, (size_t)n);
    } else if (n < 0) { /* the end, or an error that ends it as well */
        if (wants_lines) proc_lines_end(&p->lines, which);
        close_handle((uv_handle_t *)stream);
        p->open_streams--;
        look_at_end(p);
    }
    if (!wants_lines) return;
    if (proc_lines_is_full(&p->lines)) pause_streams(p);
    if (p->on_line != NULL) p->on_line(p->on_line_arg);
}

static int read_streams(struct proc *p)
{
    p->is_paused = false;
    for (int i = 0; i < 2; i++)
        if (p->out[i].data != NULL && !uv_is_closing((uv_handle_t *)&p->out[i]))
            uv_read_start((uv_stream_t *)&p->out[i], on_alloc, on_read);
    return 0;
}

static void on_written(uv_write_t *write, int status)
{
    (void)status; /* a command need not read its input: EPIPE is its business */
    struct proc *p = write->data;
    explicit_bzero(p->input, p->input_len);
    close_handle((uv_handle_t *)&p->in);
}

static void send_input(struct proc *p)
{
    uv_buf_t buf = uv_buf_init(p->input, (unsigned)p->input_len);
    p->write.data = p;
    if (p->input_len == 0 || uv_write(&p->write, (uv_stream_t *)&p->in, &buf, 1, on_written) != 0)
        close_handle((uv_handle_t *)&p->in);
}

bool proc_next_line(struct proc *p, int *stream, const char **line, size_t *len)
{
    bool found = proc_lines_next(&p->lines, stream, line, len);
    if (p->is_paused && !proc_lines_is_full(&p->lines)) {
        read_streams(p);
        if (p->exited) look_at_end(p);
    }
    return found;
}

/* --- starting ----------------------------------------------------------------------------- */

/* Makes a real pipe (a socket pair would break a script that opens /dev/stderr): one end becomes a
 * handle of ours, the other is for the child. */
static int open_pipe(struct proc *p, uv_pipe_t *ours, bool child_reads, int *child_fd, struct err *e)
{
    uv_file fds[2];
    int rc = uv_pipe(fds, child_reads ? 0 : UV_NONBLOCK_PIPE, child_reads ? UV_NONBLOCK_PIPE : 0);
    if (rc != 0)
        return err_set(e, ERR_PROCESS, "process", "no pipe to %s could be made: %s", p->name,
                       uv_strerror(rc));
    *child_fd = fds[child_reads ? 0 : 1];
    int our_fd = fds[child_reads ? 1 : 0];
    uv_pipe_init(loop_uv(p->op.loop), ours, 0);
    ours->data = p;
    p->open_handles++;
    rc = uv_pipe_open(ours, our_fd);
    if (rc == 0) return 0;
    close(our_fd);
    return err_set(e, ERR_PROCESS, "process", "no pipe to %s could be made: %s", p->name, uv_strerror(rc));
}

static int open_streams(struct proc *p, const struct proc_options *options, int child_fd[3], struct err *e)
{
    int rc;
    if (options->input != NULL) {
        p->input_len = options->input_len;
        p->input = mem_alloc(p->input_len + 1);
        if (p->input == NULL || p->input_len > INT_MAX)
            return err_set(e, ERR_MEMORY, "process", "no memory for the input of %s", p->name);
        memcpy(p->input, options->input, p->input_len);
        if ((rc = open_pipe(p, &p->in, true, &child_fd[0], e)) != 0) return rc;
    }
    for (int i = 0; i < 2; i++) {
        switch (options->output) {
        case PROC_CAPTURE:
            if ((rc = open_pipe(p, &p->out[i], false, &child_fd[1 + i], e)) != 0) return rc;
            p->open_streams++;
            break;
        case PROC_INHERIT:
            child_fd[1 + i] = fcntl(1 + i, F_DUPFD_CLOEXEC, 3);
            break;
        case PROC_FILE:
            child_fd[1 + i] = proc_open_log(options->file, e);
            if (child_fd[1 + i] < 0) return child_fd[1 + i];
            break;
        }
    }
    return 0;
}

int proc_start(struct proc **out, struct loop *loop, const struct proc_options *options, op_done_fn done,
               void *arg, struct err *e)
{
    char file[PATH_MAX];
    int rc = proc_check_start(options->argv, options->cwd, file, sizeof file, e);
    if (rc != 0) return rc;
    struct proc *p = mem_zalloc(sizeof *p);
    if (p == NULL) return err_set(e, ERR_MEMORY, "process", "no memory to start %s", options->argv[0]);
    p->op.loop = loop;
    snprintf(p->name, sizeof p->name, "%s", options->argv[0]);
    p->has_lines = options->lines;
    p->on_line = options->on_line;
    p->on_line_arg = options->on_line_arg;
    p->timeout_us = options->timeout_us;
    p->grace_us = options->grace_us;
    proc_output_init(&p->output[0], options->keep_bytes);
    proc_output_init(&p->output[1], options->keep_bytes);
    int child_fd[3] = {-1, -1, -1};
    rc = open_streams(p, options, child_fd, e);
    if (rc == 0) {
        p->process.data = p;
        p->open_handles++;
        rc = proc_spawn(loop_uv(loop), &p->process, file, options->argv, options->cwd, options->env, child_fd,
                        on_exit_status, e);
    }
    for (int i = 0; i < 3; i++)
        if (child_fd[i] >= 0) close(child_fd[i]);
    if (rc != 0) {
        p->abandoned = true;
        if (p->open_handles == 0)
            proc_release(p);
        else
            close_all(p);
        return rc;
    }
    p->pid = p->process.pid;
    p->began_us = loop_now_us(loop);
    read_streams(p);
    if (p->input != NULL) send_input(p);
    op_begin(&p->op, loop, &PROC, OP_NO_TIMEOUT, done, arg);
    if (p->timeout_us >= 0) timer_start(loop, &p->timeout, p->timeout_us, on_timeout, p);
    *out = p;
    return 0;
}

struct op *proc_op(struct proc *p)
{
    return &p->op;
}

void proc_free(struct proc *p)
{
    if (p == NULL) return;
    assert(!op_is_running(&p->op));
    proc_release(p);
}

static void free_after_all(struct op *op, void *arg)
{
    (void)arg;
    proc_release((struct proc *)op);
}

void proc_abandon(struct proc *p)
{
    if (!op_is_running(&p->op)) {
        proc_release(p);
        return;
    }
    p->op.done = free_after_all;
    p->on_line = NULL;
    if (p->op.state != OP_RUNNING) return; /* its completion is on the way, and frees it */
    p->abandoned = true;
    loop_idle(p->op.loop);
    if (p->closing) return;
    if (!p->exited) signal_group(p, SIGKILL);
    close_all(p);
}

int proc_pid(const struct proc *p)
{
    return p->pid;
}

int proc_exit_code(const struct proc *p)
{
    return p->code;
}

int proc_exit_signal(const struct proc *p)
{
    return p->signum;
}

int64_t proc_elapsed_us(const struct proc *p)
{
    return p->ended_us - p->began_us;
}

bool proc_text(const struct proc *p, int stream, struct buf *out)
{
    return proc_output_text(&p->output[stream], out);
}
