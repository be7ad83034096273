/* histogram: durations in log-linear buckets (after Gil Tene's HdrHistogram): every power of two is cut
 * into 128 equal buckets, so that a quantile is within 1 % of the true value. Fixed memory, no allocation.
 * merge is addition. */
#ifndef ENGINE_CORE_HISTOGRAM_H
#define ENGINE_CORE_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 7,
    HISTOGRAM_MAX_BITS = 32, /* longer than 71 minutes counts as that */
    HISTOGRAM_BUCKETS = (HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};

struct histogram {
    uint64_t total;
    uint32_t counts[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *h);
void histogram_add(struct histogram *h, int64_t duration_us); /* negative counts as 0 */
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The duration that the share q (0 to 1) of all does not exceed, in microseconds; -1 if empty. */
int64_t histogram_quantile(const struct histogram *h, double q);

#endif
