#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static long fail_countdown = -1;

static bool must_fail(void)
{
    if (fail_countdown < 0) return false;
    if (fail_countdown > 0) {
        fail_countdown--;
        return false;
    }
    return true; /* stays at 0: after the first failure everything fails, as on a full machine */
}

void *mem_alloc(size_t size_bytes)
{
    return must_fail() ? NULL : malloc(size_bytes ? size_bytes : 1);
}

void *mem_zalloc(size_t size_bytes)
{
    return must_fail() ? NULL : calloc(1, size_bytes ? size_bytes : 1);
}

void *mem_realloc(void *p, size_t size_bytes)
{
    return must_fail() ? NULL : realloc(p, size_bytes ? size_bytes : 1);
}

char *mem_strdup(const char *s)
{
    if (s == NULL) return NULL;
    size_t size = strlen(s) + 1;
    char *copy = mem_alloc(size);
    if (copy != NULL) memcpy(copy, s, size);
    return copy;
}

void mem_free(void *p)
{
    free(p);
}

void mem_fail_after(long countdown)
{
    fail_countdown = countdown;
}
