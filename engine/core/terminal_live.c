#include "core/terminal_live.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct {
    struct termios settings;
    int flags;
    volatile sig_atomic_t is_raw;
} before;

static const char HIDE_CURSOR[] = "\033[?25l", SHOW_CURSOR[] = "\033[?25h";

/* Only calls that a signal handler may make. */
void terminal_raw_end(void)
{
    if (!before.is_raw) return;
    before.is_raw = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &before.settings);
    /* The loop reads without blocking; whoever has the terminal after us does not expect that. */
    fcntl(STDIN_FILENO, F_SETFL, before.flags);
    if (write(STDOUT_FILENO, SHOW_CURSOR, sizeof SHOW_CURSOR - 1) < 0) return; /* nobody sees it */
}

static void on_fatal(int signum)
{
    terminal_raw_end();
    raise(signum); /* the handler is gone by now: see SA_RESETHAND */
}

/* A signal that somebody else handles is left alone: whoever handles it ends in exit. */
static void give_back_when_killed(void)
{
    static const int signums[] = {SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = on_fatal, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER)}, now;
    for (size_t i = 0; i < sizeof signums / sizeof *signums; i++) {
        if (sigaction(signums[i], NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
            now.sa_handler == SIG_DFL)
            sigaction(signums[i], &action, NULL);
    }
}

int terminal_raw_begin(struct err *e)
{
    static bool is_prepared;
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &before.settings) != 0 || (before.flags = fcntl(STDIN_FILENO, F_GETFL)) < 0)
        return err_set(e, ERR_IO, "terminal", "standard input is no terminal: %s", strerror(errno));
    if (!is_prepared) {
        is_prepared = true;
        give_back_when_killed();
        atexit(terminal_raw_end);
    }
    raw = before.settings;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= ~(tcflag_t)IXON; /* nor does Ctrl-S stop the display */
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    before.is_raw = 1;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) {
        before.is_raw = 0;
        return err_set(e, ERR_IO, "terminal", "the terminal cannot be set: %s", strerror(errno));
    }
    return terminal_write(STDOUT_FILENO, HIDE_CURSOR, sizeof HIDE_CURSOR - 1, e);
}

int terminal_suspend(struct err *e)
{
    bool was_raw = before.is_raw;
    terminal_raw_end();
    raise(SIGTSTP); /* comes back when somebody lets us go on */
    return was_raw ? terminal_raw_begin(e) : 0;
}

bool terminal_size(int fd, int *columns, int *rows)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return false;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return true;
}

int terminal_write(int fd, const char *text, size_t len, struct err *e)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n >= 0) {
            text += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            poll(&ready, 1, 1000);
            if (ready.revents & (POLLHUP | POLLERR | POLLNVAL))
                return err_set(e, ERR_CLOSED, "terminal", "nobody is there any more");
        } else if (errno != EINTR) {
            return err_set(e, ERR_CLOSED, "terminal", "nobody is there any more: %s", strerror(errno));
        }
    }
    return 0;
}

/* The completion is posted once the handle is closed, so that the struct may then go away. */
static void on_closed(uv_handle_t *handle)
{
    struct terminal_keys *keys = handle->data;
    op_finish(&keys->op); /* a canceled one keeps its reason */
}

static void finish(struct terminal_keys *keys)
{
    if (!uv_is_closing((uv_handle_t *)&keys->poll)) uv_close((uv_handle_t *)&keys->poll, on_closed);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct terminal_keys *keys = poll->data;
    (void)events;
    ssize_t n = status == 0 ? read(STDIN_FILENO, keys->text, sizeof keys->text) : -1;
    if (n > 0) {
        keys->len = (size_t)n;
        finish(keys);
    } else if (n == 0 || status != 0 || (errno != EAGAIN && errno != EINTR)) {
        op_cancel(&keys->op, ERR_CLOSED, "terminal", "nobody is there any more");
    }
}

static void cancel(struct op *op)
{
    finish((struct terminal_keys *)op);
}

static const struct op_kind KEYS = {.name = "keys", .external = true, .cancel = cancel};

int terminal_read_keys(struct terminal_keys *keys, struct loop *loop, int64_t timeout_us, op_done_fn done,
                       void *arg, struct err *e)
{
    int rc = uv_poll_init(loop_uv(loop), &keys->poll, STDIN_FILENO);
    if (rc == 0) rc = uv_poll_start(&keys->poll, UV_READABLE, on_readable);
    if (rc != 0)
        return err_set(e, ERR_IO, "terminal", "standard input cannot be watched: %s", uv_strerror(rc));
    keys->poll.data = keys;
    op_begin(&keys->op, loop, &KEYS, timeout_us, done, arg);
    return 0;
}
