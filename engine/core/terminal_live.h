/* terminal_live: a terminal that is drawn on while keys are read from it. Knows nothing of what is drawn.
 *
 * Between terminal_raw_begin and terminal_raw_end keys come one by one and are not shown, also Ctrl-C and
 * Ctrl-Z. What the terminal was like is given back by terminal_raw_end, at exit, and when a signal kills the
 * process (not by SIGKILL). One terminal, that of standard input and output. */
#ifndef ENGINE_CORE_TERMINAL_LIVE_H
#define ENGINE_CORE_TERMINAL_LIVE_H

#include "core/op.h"

#include <uv.h>

int terminal_raw_begin(struct err *e);
void terminal_raw_end(void); /* harmless when there is nothing to give back */

/* Gives the terminal back, stops this process as Ctrl-Z does, and takes the terminal again when it goes on.
 */
int terminal_suspend(struct err *e);

/* How large it is; false when it does not say. */
bool terminal_size(int fd, int *columns, int *rows);

/* Writes everything, and waits for a slow terminal. -ERR_CLOSED when nobody is there any more. */
int terminal_write(int fd, const char *text, size_t len, struct err *e);

/* Reads what has been typed. Zeroed before each use. */
struct terminal_keys {
    struct op op;
    uv_poll_t poll;
    char text[64];
    size_t len;
};

/* Completes with 0 and at least one byte, or ERR_CLOSED at the end of input, ERR_TIMEOUT, ERR_CANCELED. */
int terminal_read_keys(struct terminal_keys *keys, struct loop *loop, int64_t timeout_us, op_done_fn done,
                       void *arg, struct err *e);

#endif
