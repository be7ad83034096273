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

/* What could stand in place of line[start, end). */
struct line_words;
typedef void (*line_complete_fn)(void *arg, const char *line, int start, int end, struct line_words *words);
void line_words_add(struct line_words *words, const char *word);

/* Who is asked when somebody wants a word completed; fn NULL: nobody. It must not wait. */
int line_editor_complete(line_complete_fn fn, void *arg, struct err *e);

int line_editor_start(struct line_editor *editor, struct loop *loop, const char *prompt, op_done_fn done,
                      void *arg, struct err *e);
void line_editor_release(struct line_editor *editor);

/* While a line is edited: another prompt, and text above the line. Nothing happens while none is. */
void line_editor_prompt(const char *prompt);
bool line_editor_print(const char *text); /* false: no line is edited, nothing was printed */

/* One more entry of the history, which the arrows find; it may have several lines. At most so many are kept.
 */
int line_editor_remember(const char *text, int most, struct err *e);

#endif
