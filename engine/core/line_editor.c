#include "core/line_editor.h"

#include "core/lazy_readline.h"

#include <stdlib.h>
#include <string.h>
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

void line_editor_prompt(const char *prompt)
{
    if (current == NULL) return;
    /* Drawn anew: what readline changes in place of a prompt with colours and a text of several lines stands
     * at the wrong column. */
    rl_clear_visible_line();
    rl_set_prompt(prompt);
    rl_on_new_line();
    rl_redisplay();
}

bool line_editor_print(const char *text)
{
    if (current == NULL) return false;
    rl_clear_visible_line();
    fflush(stdout); /* readline's; what follows comes after it */
    if (write(STDOUT_FILENO, text, strlen(text)) < 0 || write(STDOUT_FILENO, "\n", 1) < 0) return false;
    rl_on_new_line();
    rl_redisplay();
    return true;
}

int line_editor_remember(const char *text, int most, struct err *e)
{
    int rc = lazy_readline(e);
    if (rc != 0) return rc;
    stifle_history(most);
    add_history(text);
    return 0;
}

/* --- completion ---------------------------------------------------------------------------- */

/* Names have dots and colons in them. */
#define WORD_BREAKS " \t\n\"\\'`@$><=;|&{}(),+-*/^%#~[]"

struct line_words {
    char **words;
    size_t count, at;
};

static struct {
    line_complete_fn fn;
    void *arg;
    struct line_words found; /* while readline takes them */
} completion;

void line_words_add(struct line_words *words, const char *word)
{
    char **more = realloc(words->words, (words->count + 1) * sizeof *more);
    if (more == NULL) return; /* one word less is offered */
    words->words = more;
    char *copy = strdup(word);
    if (copy != NULL) more[words->count++] = copy;
}

/* readline asks until NULL, and frees what it gets. */
static char *next_word(const char *text, int state)
{
    struct line_words *found = &completion.found;
    (void)text;
    if (state == 0) found->at = 0;
    return found->at < found->count ? found->words[found->at++] : NULL;
}

static char **complete(const char *text, int start, int end)
{
    rl_attempted_completion_over = 1; /* no names of files */
    rl_completion_append_character = '\0';
    if (completion.fn == NULL) return NULL;
    completion.fn(completion.arg, rl_line_buffer, start, end, &completion.found);
    char **matches = completion.found.count > 0 ? rl_completion_matches(text, next_word) : NULL;
    free(completion.found.words);
    completion.found = (struct line_words){0};
    return matches;
}

int line_editor_complete(line_complete_fn fn, void *arg, struct err *e)
{
    int rc = lazy_readline(e);
    if (rc != 0) return rc;
    completion.fn = fn;
    completion.arg = arg;
    rl_attempted_completion_function = complete;
    rl_completer_word_break_characters = WORD_BREAKS;
    rl_basic_quote_characters = ""; /* what is quoted may go on: nothing is closed by itself */
    return 0;
}
