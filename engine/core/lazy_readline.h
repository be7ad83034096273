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
    X(rl_set_prompt)                                                                                         \
    X(rl_redisplay)                                                                                          \
    X(rl_on_new_line)                                                                                        \
    X(rl_clear_visible_line)                                                                                 \
    X(rl_completion_matches)                                                                                 \
    X(add_history)                                                                                           \
    X(stifle_history)                                                                                        \
    X(rl_attempted_completion_function)                                                                      \
    X(rl_attempted_completion_over)                                                                          \
    X(rl_basic_quote_characters)                                                                             \
    X(rl_completion_append_character)                                                                        \
    X(rl_completer_word_break_characters)                                                                    \
    X(rl_line_buffer)

#define X(fn) extern __typeof__(fn) *LAZY_SLOT(fn);
LAZY_READLINE_LIST(X)
#undef X

#ifndef LAZY_DEFINING
#define rl_callback_handler_install lazy_rl_callback_handler_install
#define rl_callback_handler_remove  lazy_rl_callback_handler_remove
#define rl_callback_read_char       lazy_rl_callback_read_char
#define rl_callback_sigcleanup      lazy_rl_callback_sigcleanup
#define rl_variable_bind            lazy_rl_variable_bind
#define rl_set_prompt               lazy_rl_set_prompt
#define rl_redisplay                lazy_rl_redisplay
#define rl_on_new_line              lazy_rl_on_new_line
#define rl_clear_visible_line       lazy_rl_clear_visible_line
#define rl_completion_matches       lazy_rl_completion_matches
#define add_history                 lazy_add_history
#define stifle_history              lazy_stifle_history
/* variables */
#define rl_attempted_completion_function   (*lazy_rl_attempted_completion_function)
#define rl_attempted_completion_over       (*lazy_rl_attempted_completion_over)
#define rl_completion_append_character     (*lazy_rl_completion_append_character)
#define rl_completer_word_break_characters (*lazy_rl_completer_word_break_characters)
#define rl_basic_quote_characters          (*lazy_rl_basic_quote_characters)
#define rl_line_buffer                     (*lazy_rl_line_buffer)
#endif

#endif
