#include "core/proc_detached.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Field 22 of /proc/PID/stat; the name in field 2 may hold spaces and brackets, so count from its end. */
static bool read_stat(int pid, char *state, uint64_t *started)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return false;
    text[n] = '\0';
    char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ') return false;
    *state = at[2];
    at += 2;
    for (int field = 3; field < 22 && at != NULL; field++) {
        at = strchr(at, ' ');
        if (at != NULL) at++;
    }
    if (at == NULL) return false;
    *started = strtoull(at, NULL, 10);
    return true;
}

int proc_identify(int pid, struct proc_identity *out, struct err *e)
{
    char state;
    if (!read_stat(pid, &state, &out->started))
        return err_set(e, ERR_NOT_FOUND, "process", "there is no process %d", pid);
    out->pid = pid;
    return 0;
}

bool proc_is_alive(const struct proc_identity *id)
{
    char state;
    uint64_t started;
    return id->pid > 0 && read_stat(id->pid, &state, &started) && started == id->started && state != 'Z' &&
           state != 'X';
}

/* In the grandchild. Only async-signal-safe calls: other threads may hold any lock. */
static void become(char *const *argv, char *const *env, const char *cwd, int log, int null, int report)
{
    static const int signums[] = {SIGPIPE, SIGINT, SIGTERM, SIGVTALRM};
    sigset_t none;
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    sigemptyset(&none);
    for (size_t i = 0; i < sizeof signums / sizeof *signums; i++)
        signal(signums[i], SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if ((cwd == NULL || chdir(cwd) == 0) && dup2(null, 0) == 0 && dup2(log, 1) == 1 && dup2(log, 2) == 2) {
        environ = (char **)env;
        execvp(argv[0], argv);
    }
    int failed = errno;
    if (write(report, &failed, sizeof failed) < 0) _exit(126);
    _exit(127);
}

/* The middle process ends at once, so that the grandchild belongs to init and leaves us no zombie. */
static void launch(char *const *argv, char *const *env, const char *cwd, int log, int null, int report)
{
    pid_t pid = setsid() < 0 ? -1 : fork();
    if (pid == 0) {
        /* A leader of a session could get a terminal; a group of its own is enough to end it whole. */
        setpgid(0, 0);
        become(argv, env, cwd, log, null, report);
    }
    int message[2] = {pid < 0 ? errno : 0, (int)pid};
    if (write(report, message, sizeof message) < 0) _exit(126);
    _exit(0);
}

int proc_detached_start(struct proc_identity *out, char *const *argv, char *const *env, const char *cwd,
                        const char *log_path, struct err *e)
{
    int rc = 0, report[2] = {-1, -1}, message[2] = {0, 0}, exec_errno = 0;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) {
        rc = err_errno(e, errno, "start process", "the log %s cannot be opened", log_path);
        goto done;
    }
    if (null < 0 || pipe2(report, O_CLOEXEC) != 0) {
        rc = err_errno(e, errno, "start process", "%s could not be started", argv[0]);
        goto done;
    }
    pid_t middle = fork();
    if (middle == 0) launch(argv, env ? env : environ, cwd, log, null, report[1]);
    close(report[1]);
    report[1] = -1;
    if (middle < 0) {
        rc = err_errno(e, errno, "start process", "%s could not be started", argv[0]);
        goto done;
    }
    /* First the middle process's message, and, only if exec failed, one more number: in any order. */
    int numbers[3], got = 0;
    ssize_t n;
    while (got < 3 && (n = read(report[0], &numbers[got], sizeof numbers - (size_t)got * sizeof(int))) > 0)
        got += (int)((size_t)n / sizeof(int));
    while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
        ;
    if (got == 2 && numbers[0] == 0)
        message[1] = numbers[1];
    else
        exec_errno = got > 0 ? (numbers[0] ? numbers[0] : numbers[2]) : EIO;
    if (exec_errno != 0) {
        rc = err_errno(e, exec_errno, "start process", "%s could not be started", argv[0]);
        goto done;
    }
    rc = proc_identify(message[1], out, NULL);
    if (rc != 0)
        rc = err_set(e, ERR_PROCESS, "start process", "%s ended at once; its output is in %s", argv[0],
                     log_path);
done:
    if (report[0] >= 0) close(report[0]);
    if (report[1] >= 0) close(report[1]);
    if (log >= 0) close(log);
    if (null >= 0) close(null);
    return rc;
}

static void on_closed(uv_handle_t *handle)
{
    struct proc_stop *stop = handle->data;
    close(stop->pidfd);
    op_finish(&stop->op);
}

static void finish(struct proc_stop *stop)
{
    timer_stop(stop->op.loop, &stop->kill_timer);
    if (!uv_is_closing((uv_handle_t *)&stop->poll)) uv_close((uv_handle_t *)&stop->poll, on_closed);
}

static void on_ended(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    finish(poll->data);
}

static void on_cancel(struct op *op)
{
    finish((struct proc_stop *)op);
}

static void on_kill_timer(void *arg)
{
    struct proc_stop *stop = arg;
    if (proc_is_alive(&stop->id)) kill(-stop->id.pid, SIGKILL);
}

static const struct op_kind STOP = {.name = "end of process", .external = true, .cancel = on_cancel};

static const struct op_kind ENDED = {.name = "end of process"};

static void already_ended(void *arg)
{
    op_finish(arg);
}

int proc_stop_start(struct proc_stop *stop, struct loop *loop, const struct proc_identity *id,
                    int64_t grace_us, int64_t timeout_us, bool send_signals, op_done_fn done, void *arg,
                    struct err *e)
{
    stop->id = *id;
    stop->pidfd = (int)syscall(SYS_pidfd_open, id->pid, 0);
    /* Looked at after the pidfd was opened: from here on the pidfd means this very process. */
    if (stop->pidfd < 0 || !proc_is_alive(id)) {
        int failed = stop->pidfd < 0 ? errno : ESRCH;
        if (stop->pidfd >= 0) close(stop->pidfd);
        if (failed != ESRCH)
            return err_errno(e, failed, "stop process", "process %d cannot be watched", id->pid);
        op_begin(&stop->op, loop, &ENDED, OP_NO_TIMEOUT, done, arg);
        loop_post(loop, &stop->post, already_ended, &stop->op);
        return 0;
    }
    int rc = uv_poll_init(loop_uv(loop), &stop->poll, stop->pidfd);
    if (rc == 0) rc = uv_poll_start(&stop->poll, UV_READABLE, on_ended);
    if (rc != 0) {
        close(stop->pidfd);
        return err_set(e, ERR_INTERNAL, "stop process", "process %d cannot be watched: %s", id->pid,
                       uv_strerror(rc));
    }
    stop->poll.data = stop;
    op_begin(&stop->op, loop, &STOP, timeout_us, done, arg);
    if (!send_signals) return 0;
    kill(-id->pid, grace_us > 0 ? SIGTERM : SIGKILL);
    if (grace_us > 0) timer_start(loop, &stop->kill_timer, grace_us, on_kill_timer, stop);
    return 0;
}
