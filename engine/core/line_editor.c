#include "core/line_editor.h"

#include "core/lazy_readline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct line_editor *current;

static void on_closed(uv_handle_t *handle)
{
    struct line_editor *editor = handle->data;
    op_finish(&editor->op);
}

static void finish(struct line_editor *editor)
{
    rl_callback_handler_remove(); /* gives the terminal its settings back */
    current = NULL;
    uv_close((uv_handle_t *)&editor->poll, on_closed);
}

static void on_line(char *text)
{
    struct line_editor *editor = current;
    editor->text = text;
    if (text == NULL && write(STDOUT_FILENO, "\n", 1) < 0) editor->text = NULL;
    finish(editor);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
    if (current != NULL) rl_callback_read_char();
}

static void cancel(struct op *op)
{
    struct line_editor *editor = (struct line_editor *)op;
    if (current != editor) return;
    rl_callback_sigcleanup();
    if (write(STDOUT_FILENO, "^C\n", 3) < 0) editor->text = NULL;
    finish(editor);
}

static const struct op_kind LINE = {.name = "line", .external = true, .cancel = cancel};

int line_editor_start(struct line_editor *editor, struct loop *loop, const char *prompt, op_done_fn done,
                      void *arg, struct err *e)
{
    int rc = lazy_readline(e);
    if (rc != 0) return rc;
    if (current != NULL) return err_set(e, ERR_INTERNAL, "line editor", "a line is being edited already");
    rc = uv_poll_init(loop_uv(loop), &editor->poll, STDIN_FILENO);
    if (rc != 0)
        return err_set(e, ERR_IO, "line editor", "the terminal cannot be watched: %s", uv_strerror(rc));
    editor->poll.data = editor;
    editor->text = NULL;
    current = editor;
    rl_variable_bind("enable-bracketed-paste", "on");
    rl_callback_handler_install(prompt, on_line);
    uv_poll_start(&editor->poll, UV_READABLE, on_readable);
    op_begin(&editor->op, loop, &LINE, OP_NO_TIMEOUT, done, arg);
    return 0;
}

void line_editor_release(struct line_editor *editor)
{
    free(editor->text); /* readline allocates with malloc */
    editor->text = NULL;
}

int line_editor_load_history(const char *path, int lines, struct err *e)
{
    int rc = lazy_readline(e);
    if (rc != 0) return rc;
    stifle_history(lines);
    int failed = read_history(path);
    return failed == 0 || failed == ENOENT
               ? 0
               : err_errno(e, failed, "line editor", "the history %s cannot be read", path);
}

int line_editor_add_history(const char *line, const char *path, struct err *e)
{
    int rc = lazy_readline(e);
    if (rc != 0) return rc;
    add_history(line);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return err_errno(e, errno, "line editor", "the history %s cannot be written", path);
    fchmod(fd, 0600);
    close(fd);
    int failed = write_history(path);
    return failed == 0 ? 0 : err_errno(e, failed, "line editor", "the history %s cannot be written", path);
}
