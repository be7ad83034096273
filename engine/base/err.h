/* err: what went wrong, as one value that travels upwards.
 *
 * Every function that can fail returns 0 or a negative code (-enum err_code) and fills a
 * `struct err *` with one complete sentence. Nobody below host/ prints. A struct err is a plain
 * value: copy it, keep it, drop it; it owns nothing.
 *
 * This layer knows libc only. */
#ifndef ENGINE_BASE_ERR_H
#define ENGINE_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

enum err_code {
    ERR_NONE = 0,
#define X(id, number, name, retryable, about, next) ERR_##id,
#include "base/err_codes.def"
#undef X
    ERR_CODE_COUNT
};

struct err {
    enum err_code code;
    char op[64];       /* what was being done: "http GET http://127.0.0.1:80/health" */
    char message[512]; /* one sentence: what failed, where and why */
    char cause[256];   /* the message of the error underneath, or "" */
};

/* What is known about a code, whatever the occasion. */
struct err_info {
    const char *number; /* "E0200" */
    const char *name;   /* "timeout" */
    bool retryable;     /* the same call may succeed later without anybody changing anything */
    const char *about;  /* what it means */
    const char *next;   /* what to do next */
};

#if defined(__GNUC__)
#define ERR_PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#define ERR_PRINTF(a, b)
#endif

/* Fills e (which may be NULL) and returns -code, so that `return err_set(e, ...)` reads well.
 * op and the text are cut to their fields; they never overflow. */
int err_set(struct err *e, enum err_code code, const char *op, const char *fmt, ...) ERR_PRINTF(4, 5);
int err_vset(struct err *e, enum err_code code, const char *op, const char *fmt, va_list ap);

/* As err_set, for an errno value: appends strerror(errnum) and chooses the code that fits it. */
int err_errno(struct err *e, int errnum, const char *op, const char *fmt, ...) ERR_PRINTF(4, 5);

/* Puts the present message of e under a new one: e->cause keeps the old sentence. Returns -code. */
int err_wrap(struct err *e, enum err_code code, const char *op, const char *fmt, ...) ERR_PRINTF(4, 5);

void err_clear(struct err *e);

/* Never NULL; ERR_NONE and unknown codes give the entry of "internal". */
const struct err_info *err_info(enum err_code code);

/* Finds a code by its name ("timeout") or number ("E0200"); ERR_NONE if there is none. */
enum err_code err_find(const char *name_or_number);

#endif
