#include "core/histogram.h"

#include <math.h>
#include <string.h>

enum { SUB_COUNT = 1 << HISTOGRAM_SUB_BITS };

void histogram_clear(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}

/* Below SUB_COUNT each value has its bucket; above, the top SUB_BITS + 1 bits choose it. */
static int bucket_of(uint64_t value)
{
    if (value < SUB_COUNT) return (int)value;
    int shift = 63 - __builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return ((shift + 1) << HISTOGRAM_SUB_BITS) + (int)((value >> shift) - SUB_COUNT);
}

static int64_t upper_end(int bucket)
{
    if (bucket < SUB_COUNT) return bucket;
    int shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t top = (uint64_t)(bucket & (SUB_COUNT - 1)) + SUB_COUNT;
    return (int64_t)(((top + 1) << shift) - 1);
}

void histogram_add(struct histogram *h, int64_t duration_us)
{
    uint64_t value = duration_us > 0 ? (uint64_t)duration_us : 0;
    if (value >> HISTOGRAM_MAX_BITS) value = (UINT64_C(1) << HISTOGRAM_MAX_BITS) - 1;
    h->counts[bucket_of(value)]++;
    h->total++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
}

int64_t histogram_quantile(const struct histogram *h, double q)
{
    if (h->total == 0) return -1;
    uint64_t rank = (uint64_t)ceil(q * (double)h->total), seen = 0;
    if (rank == 0) rank = 1;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= rank) return upper_end(i);
    }
    return upper_end(HISTOGRAM_BUCKETS - 1);
}
