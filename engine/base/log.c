#include "base/log.h"

#include "base/err.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SECRET_MIN_BYTES = 4, LINE_BYTES = 2048 };

struct secret {
    struct secret *next;
    size_t len;
    char bytes[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct secret *secrets;
static enum log_level level_now = LOG_WARN;

void log_set_level(enum log_level level)
{
    level_now = level;
}

int log_add_secret(const char *bytes, size_t len)
{
    if (len < SECRET_MIN_BYTES) return 0;
    struct secret *s = mem_alloc(sizeof *s + len);
    if (s == NULL) return -ERR_MEMORY;
    s->len = len;
    memcpy(s->bytes, bytes, len);
    pthread_mutex_lock(&lock);
    s->next = secrets;
    secrets = s;
    pthread_mutex_unlock(&lock);
    return 0;
}

void log_forget_secrets(void)
{
    pthread_mutex_lock(&lock);
    while (secrets != NULL) {
        struct secret *s = secrets;
        secrets = s->next;
        memset(s->bytes, 0, s->len);
        mem_free(s);
    }
    pthread_mutex_unlock(&lock);
}

void log_redact(char *text, size_t len)
{
    pthread_mutex_lock(&lock);
    for (struct secret *s = secrets; s != NULL; s = s->next) {
        char *at = text, *hit;
        while ((hit = memmem(at, len - (size_t)(at - text), s->bytes, s->len)) != NULL) {
            memset(hit, '*', s->len);
            at = hit + s->len;
        }
    }
    pthread_mutex_unlock(&lock);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    if (level > level_now) return;
    char line[LINE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n < 0) return;
    size_t len = (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    log_redact(line, len);
    fprintf(stderr, "engine: %s: %s\n", names[level], line);
}
