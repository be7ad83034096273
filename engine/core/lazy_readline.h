/* lazy_readline: GNU readline, loaded on first use (see lazy.h). */
#ifndef ENGINE_CORE_LAZY_READLINE_H
#define ENGINE_CORE_LAZY_READLINE_H

#include "core/lazy.h"

#include <stdio.h>

#include <readline/history.h>
#include <readline/readline.h>

int lazy_readline(struct err *e); /* 0, or -ERR_NOT_FOUND */

#define LAZY_READLINE_LIST(X)                                                                                \
    X(rl_callback_handler_install)                                                                           \
    X(rl_callback_handler_remove)                                                                            \
    X(rl_callback_read_char)                                                                                 \
    X(rl_callback_sigcleanup)                                                                                \
    X(rl_variable_bind)                                                                                      \
    X(add_history)                                                                                           \
    X(stifle_history)                                                                                        \
    X(read_history)                                                                                          \
    X(write_history)

#define X(fn) extern __typeof__(fn) *LAZY_SLOT(fn);
LAZY_READLINE_LIST(X)
#undef X

#ifndef LAZY_DEFINING
#define rl_callback_handler_install lazy_rl_callback_handler_install
#define rl_callback_handler_remove  lazy_rl_callback_handler_remove
#define rl_callback_read_char       lazy_rl_callback_read_char
#define rl_callback_sigcleanup      lazy_rl_callback_sigcleanup
#define rl_variable_bind            lazy_rl_variable_bind
#define add_history                 lazy_add_history
#define stifle_history              lazy_stifle_history
#define read_history                lazy_read_history
#define write_history               lazy_write_history
#endif

#endif
