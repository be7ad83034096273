/* line_editor: one line typed at a terminal, edited with readline, without stopping the loop.
 *
 * readline has one state for the whole program, so only one line is edited at a time. A paste never executes:
 * readline's bracketed paste puts it into the line. Nothing here knows what the lines mean. */
#ifndef ENGINE_CORE_LINE_EDITOR_H
#define ENGINE_CORE_LINE_EDITOR_H

#include "core/op.h"

#include <uv.h>

/* Zeroed before its first use; stays until its completion has fired. */
struct line_editor {
    struct op op;
    uv_poll_t poll;
    char *text; /* after success: the line, or NULL at the end of input (Ctrl-D); line_editor_release frees it
                 */
};

int line_editor_start(struct line_editor *editor, struct loop *loop, const char *prompt, op_done_fn done,
                      void *arg, struct err *e);
void line_editor_release(struct line_editor *editor);

/* The history: kept in a file (0600), at most so many lines. */
int line_editor_load_history(const char *path, int lines, struct err *e); /* no file is no error */
int line_editor_add_history(const char *line, const char *path, struct err *e);

#endif
