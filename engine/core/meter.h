/* meter: how far a long piece of blocking work is, in bytes: how many there are, and how many are done. The
 * worker writes it, anybody reads it, at any time; who is given none (NULL) measures nothing. */
#ifndef ENGINE_CORE_METER_H
#define ENGINE_CORE_METER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct meter {
    atomic_uint_least64_t done, all;
};

/* Several pieces of work may share a meter: what each expects is added up. */
static inline void meter_expect(struct meter *m, uint64_t bytes)
{
    if (m != NULL) atomic_fetch_add_explicit(&m->all, bytes, memory_order_relaxed);
}

static inline void meter_add(struct meter *m, uint64_t bytes)
{
    if (m != NULL) atomic_fetch_add_explicit(&m->done, bytes, memory_order_relaxed);
}

#endif
