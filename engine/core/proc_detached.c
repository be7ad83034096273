#include "core/proc_detached.h"

#include "base/mem.h"
#include "core/proc_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_US = 20000, KILL_US = 5000000 };

/* --- our own children ---------------------------------------------------------------------- */

/* libuv is told to forget a detached process at once, so that no handle keeps the loop; so its exit
 * status is collected here, whenever somebody asks about any process. */
struct child {
    struct child *next;
    struct proc_identity who;
    bool ended;
    int status;
};
static struct child *children; /* only the loop's thread comes here */

static void reap(void)
{
    for (struct child *c = children; c != NULL; c = c->next)
        if (!c->ended && waitpid(c->who.pid, &c->status, WNOHANG) == c->who.pid) c->ended = true;
}

static void remember(const struct proc_identity *who)
{
    enum { KEPT = 256 }; /* of those that ended, for proc_exit_status */
    int ended = 0;
    for (struct child **at = &children; *at != NULL;) {
        struct child *c = *at;
        if (c->ended && ++ended > KEPT) {
            *at = c->next;
            mem_free(c);
        } else {
            at = &c->next;
        }
    }
    struct child *c = mem_zalloc(sizeof *c);
    if (c == NULL) return; /* then it stays a zombie until we end, which harms nobody */
    c->who = *who;
    c->next = children;
    children = c;
}

static bool is_same(const struct proc_identity *a, const struct proc_identity *b)
{
    return a->pid == b->pid && a->started == b->started;
}

bool proc_exit_status(const struct proc_identity *who, int *code, int *signum)
{
    reap();
    for (struct child *c = children; c != NULL; c = c->next) {
        if (!c->ended || !is_same(&c->who, who)) continue;
        *code = WIFEXITED(c->status) ? WEXITSTATUS(c->status) : -1;
        *signum = WIFSIGNALED(c->status) ? WTERMSIG(c->status) : 0;
        return true;
    }
    return false;
}

/* --- identity ------------------------------------------------------------------------------ */

/* Ticks since boot alone would come again after the next boot. */
static uint64_t boot_bits(void)
{
    static uint64_t bits;
    static bool known;
    if (known) return bits;
    char id[4] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, id, 3) == 3) bits = strtoul(id, NULL, 16) & 0xFFF;
    if (fd >= 0) close(fd);
    known = true;
    return bits;
}

bool proc_identify(int pid, struct proc_identity *out)
{
    struct proc_stat st;
    if (pid <= 0 || !proc_read_stat(pid, &st)) return false;
    out->pid = pid;
    out->started = boot_bits() << 40 | (st.started_ticks & ((UINT64_C(1) << 40) - 1));
    return st.state != 'Z' && st.state != 'X';
}

bool proc_is_alive(const struct proc_identity *who)
{
    reap();
    struct proc_identity now;
    return proc_identify(who->pid, &now) && is_same(&now, who);
}

/* --- start --------------------------------------------------------------------------------- */

static void on_forgotten(uv_handle_t *handle)
{
    mem_free(handle);
}

int proc_detached_start(struct loop *loop, const struct proc_detached_options *options,
                        struct proc_identity *out, struct err *e)
{
    reap();
    char file[PATH_MAX];
    int rc = proc_check_start(options->argv, options->cwd, file, sizeof file, e);
    if (rc != 0) return rc;
    int log_fd = -1;
    if (options->log_path != NULL && (log_fd = proc_open_log(options->log_path, e)) < 0) return log_fd;
    uv_process_t *handle = mem_zalloc(sizeof *handle);
    if (handle == NULL) {
        rc = err_set(e, ERR_MEMORY, "process", "no memory to start %s", options->argv[0]);
    } else {
        int fds[3] = {-1, log_fd, log_fd};
        rc = proc_spawn(loop_uv(loop), handle, file, options->argv, options->cwd, options->env, fds, NULL, e);
        int pid = handle->pid;
        uv_close((uv_handle_t *)handle, on_forgotten);
        if (rc == 0) {
            /* Nobody else can reap it, so the number means our child even if it has ended. */
            proc_identify(pid, out);
            remember(out);
        }
    }
    if (log_fd >= 0) close(log_fd);
    return rc;
}

/* --- waiting and stopping ------------------------------------------------------------------ */

static void finish(struct proc_end *end)
{
    if (!end->op.canceled && end->stop && proc_is_alive(&end->who))
        op_fail(&end->op, ERR_PROCESS, "process", "pid %d is still there after SIGKILL", end->who.pid);
    else
        op_finish(&end->op);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct proc_end *end = handle->data;
    close(end->pidfd);
    finish(end);
}

static void end_wait(struct proc_end *end)
{
    if (end->closing) return;
    end->closing = true;
    timer_stop(end->op.loop, &end->grace);
    timer_stop(end->op.loop, &end->look);
    if (end->polling)
        uv_close((uv_handle_t *)&end->poll, on_poll_closed);
    else
        finish(end);
}

static void send_signal(struct proc_end *end, int signum)
{
    if (end->leads_group)
        kill(-end->who.pid, signum);
    else if (end->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, end->pidfd, signum, NULL, 0);
    else if (proc_is_alive(&end->who))
        kill(end->who.pid, signum);
}

static void on_kill_failed(void *arg)
{
    end_wait(arg);
}

static void on_grace(void *arg)
{
    struct proc_end *end = arg;
    send_signal(end, SIGKILL);
    /* A process ends some time after SIGKILL was sent; one that a disk holds may take for ever. */
    timer_start(end->op.loop, &end->grace, KILL_US, on_kill_failed, end);
}

/* Ends the wait when the process, and what is left of its group when it is to be stopped, is gone.
 * A pidfd tells of the leader's end; for a group there is nothing to poll. */
static void look(void *arg)
{
    struct proc_end *end = arg;
    if (!end->ended) end->ended = !proc_is_alive(&end->who);
    bool more = !end->ended || (end->stop && end->leads_group && proc_group_is_alive(end->who.pid));
    if (!more)
        end_wait(end);
    else if (end->ended || !end->polling)
        timer_start(end->op.loop, &end->look, LOOK_US, look, end);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    uv_poll_stop(poll);
    struct proc_end *end = poll->data;
    end->ended = true;
    reap();
    look(end);
}

static void end_cancel(struct op *op)
{
    end_wait((struct proc_end *)op); /* op is the first member */
}

static const struct op_kind END = {.name = "process", .external = true, .cancel = end_cancel};

static void start_polling(struct proc_end *end)
{
    end->pidfd = (int)syscall(SYS_pidfd_open, end->who.pid, 0);
    if (end->pidfd < 0) return; /* gone, or forbidden by a container: look() finds out which */
    fcntl(end->pidfd, F_SETFD, FD_CLOEXEC);
    if (uv_poll_init(loop_uv(end->op.loop), &end->poll, end->pidfd) != 0) {
        close(end->pidfd);
        end->pidfd = -1;
        return;
    }
    end->poll.data = end;
    end->polling = true;
    uv_poll_start(&end->poll, UV_READABLE, on_poll);
}

int proc_end_start(struct proc_end *end, struct loop *loop, int64_t timeout_us, op_done_fn done, void *arg,
                   struct err *e)
{
    (void)e; /* nothing here can fail: what cannot be polled is looked at */
    op_begin(&end->op, loop, &END, timeout_us, done, arg);
    start_polling(end);
    /* Only now that the pidfd holds on to whoever has the number is it asked who that is. */
    if (proc_is_alive(&end->who)) {
        end->leads_group = getpgid(end->who.pid) == end->who.pid;
        if (end->stop) {
            send_signal(end, SIGTERM);
            timer_start(loop, &end->grace, end->grace_us, on_grace, end);
        }
    } else {
        end->stop = false;
    }
    look(end);
    return 0;
}
