#include "core/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_is_interactive(int fd)
{
    return isatty(fd) == 1;
}

bool terminal_has_colour(int fd)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    return isatty(fd) == 1 && (no_color == NULL || no_color[0] == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0;
}

int terminal_columns(int fd)
{
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* The completion is posted once the handle is closed, so that the struct may then go away. */
static void on_closed_finish(uv_handle_t *handle)
{
    struct terminal_line *line = handle->data;
    op_finish(&line->op); /* a canceled one keeps its reason */
}

static void finish(struct terminal_line *line)
{
    uv_close((uv_handle_t *)&line->poll, on_closed_finish);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct terminal_line *line = poll->data;
    (void)events;
    char c;
    ssize_t n = status == 0 ? read(STDIN_FILENO, &c, 1) : -1;
    if (n == 1 && c != '\n') {
        if (line->len + 1 < sizeof line->text) line->text[line->len++] = c;
        line->text[line->len] = '\0';
        return;
    }
    if (n != 1 && !line->op.canceled)
        op_cancel(&line->op, ERR_CLOSED, "terminal", "the input ended before an answer came");
    else if (!uv_is_closing((uv_handle_t *)poll))
        finish(line);
}

static void cancel(struct op *op)
{
    struct terminal_line *line = (struct terminal_line *)op;
    if (!uv_is_closing((uv_handle_t *)&line->poll)) finish(line);
}

static const struct op_kind TERMINAL = {.name = "terminal", .external = true, .cancel = cancel};

int terminal_read_line(struct terminal_line *line, struct loop *loop, int64_t timeout_us, op_done_fn done,
                       void *arg, struct err *e)
{
    line->len = 0;
    line->text[0] = '\0';
    int rc = uv_poll_init(loop_uv(loop), &line->poll, STDIN_FILENO);
    if (rc == 0) rc = uv_poll_start(&line->poll, UV_READABLE, on_readable);
    if (rc != 0)
        return err_set(e, ERR_IO, "terminal", "standard input cannot be watched: %s", uv_strerror(rc));
    line->poll.data = line;
    op_begin(&line->op, loop, &TERMINAL, timeout_us, done, arg);
    return 0;
}
