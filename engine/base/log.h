/* log: diagnostics on stderr, one line an entry, with secrets taken out.
 *
 * Secrets are registered once, when they are read; from then on no line that passes through here,
 * and no text that passes through log_redact, shows them. Output that the operator asked for (the
 * run's display) is not made here. */
#ifndef ENGINE_BASE_LOG_H
#define ENGINE_BASE_LOG_H

#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level); /* default LOG_WARN */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Remembers a secret for redaction. Shorter than 4 bytes is ignored: it would redact everything.
 * Thread-safe. Returns 0, or -ERR_MEMORY. */
int log_add_secret(const char *secret, size_t len);
void log_forget_secrets(void);

/* Overwrites every registered secret inside text[0..len) with '*', in place. */
void log_redact(char *text, size_t len);

#endif
