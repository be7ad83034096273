#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct err_info infos[ERR_CODE_COUNT] = {
#define X(id, number, name, retryable, about, next) [ERR_##id] = {number, name, retryable, about, next},
#include "base/err_codes.def"
#undef X
};

int err_vset(struct err *e, enum err_code code, const char *op, const char *fmt, va_list ap)
{
    if (e != NULL) {
        e->code = code;
        e->cause[0] = '\0';
        snprintf(e->op, sizeof e->op, "%s", op ? op : "");
        vsnprintf(e->message, sizeof e->message, fmt, ap);
    }
    return -(int)code;
}

int err_set(struct err *e, enum err_code code, const char *op, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = err_vset(e, code, op, fmt, ap);
    va_end(ap);
    return rc;
}

static enum err_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return ERR_PERMISSION;
    case EEXIST:
        return ERR_EXISTS;
    case ENOMEM:
        return ERR_MEMORY;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECANCELED:
        return ERR_CANCELED;
    case EPIPE:
    case ECONNRESET:
        return ERR_CLOSED;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return ERR_CONNECT;
    default:
        return ERR_IO;
    }
}

int err_errno(struct err *e, int errnum, const char *op, const char *fmt, ...)
{
    enum err_code code = code_of_errno(errnum);
    if (e == NULL) return -(int)code;
    va_list ap;
    va_start(ap, fmt);
    err_vset(e, code, op, fmt, ap);
    va_end(ap);
    size_t used = strlen(e->message);
    snprintf(e->message + used, sizeof e->message - used, ": %s", strerror(errnum));
    return -(int)code;
}

int err_wrap(struct err *e, enum err_code code, const char *op, const char *fmt, ...)
{
    if (e == NULL) return -(int)code;
    char below[sizeof e->cause];
    snprintf(below, sizeof below, "%.*s", (int)sizeof below - 1, e->message);
    va_list ap;
    va_start(ap, fmt);
    err_vset(e, code, op, fmt, ap);
    va_end(ap);
    memcpy(e->cause, below, sizeof below);
    return -(int)code;
}

void err_clear(struct err *e)
{
    e->code = ERR_NONE;
    e->op[0] = e->message[0] = e->cause[0] = '\0';
}

const struct err_info *err_info(enum err_code code)
{
    if (code <= ERR_NONE || code >= ERR_CODE_COUNT) code = ERR_INTERNAL;
    return &infos[code];
}

enum err_code err_find(const char *name_or_number)
{
    for (int code = ERR_NONE + 1; code < ERR_CODE_COUNT; code++)
        if (strcmp(infos[code].name, name_or_number) == 0 || strcmp(infos[code].number, name_or_number) == 0)
            return (enum err_code)code;
    return ERR_NONE;
}
