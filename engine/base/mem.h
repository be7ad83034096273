/* mem: allocation that can be made to fail on purpose.
 *
 * mem_alloc and friends behave as malloc, calloc, realloc and free. Tests sweep failure paths by
 * letting the nth allocation fail: mem_fail_after(0) fails the next one, mem_fail_after(-1) none. */
#ifndef ENGINE_BASE_MEM_H
#define ENGINE_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size_bytes);            /* not initialised; NULL if there is none */
void *mem_zalloc(size_t size_bytes);           /* zeroed */
void *mem_realloc(void *p, size_t size_bytes); /* p may be NULL; on NULL p is untouched */
char *mem_strdup(const char *s);               /* s may be NULL, then NULL is returned */
void mem_free(void *p);                        /* p may be NULL */

/* Not thread-safe: for tests, before threads start. */
void mem_fail_after(long countdown);

#endif
