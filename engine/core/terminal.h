/* terminal: is somebody there, and one line from them. Knows nothing of what is asked. */
#ifndef ENGINE_CORE_TERMINAL_H
#define ENGINE_CORE_TERMINAL_H

#include "core/op.h"

#include <uv.h>

bool terminal_is_interactive(int fd);
/* May colour be used on fd? A terminal, NO_COLOR not set, TERM not "dumb". */
bool terminal_has_colour(int fd);

int terminal_columns(int fd); /* how wide it is; 0: not a terminal, or it does not say */

/* Reads one line of standard input without stopping the loop. Zeroed before the first use. */
struct terminal_line {
    struct op op;
    uv_poll_t poll;
    char text[512]; /* without the newline, NUL-terminated, cut if longer */
    size_t len;
};

/* Completes with 0 and text, or ERR_CLOSED at the end of input, ERR_TIMEOUT, ERR_CANCELED. */
int terminal_read_line(struct terminal_line *line, struct loop *loop, int64_t timeout_us, op_done_fn done,
                       void *arg, struct err *e);

#endif
