/* rank_sum: Kayenta's judge: do two samples differ in place, and by how much? Pure.
 *
 * Mann and Whitney's U with mid-ranks, normal approximation with continuity and tie correction; the
 * confidence interval of the shift by inverting the test over the pairwise differences, its middle the
 * Hodges-Lehmann estimate. Source: Hollander and Wolfe, "Nonparametric Statistical Methods", 4.1 to 4.3. */
#ifndef ENGINE_CORE_RANK_SUM_H
#define ENGINE_CORE_RANK_SUM_H

#include "base/err.h"

#include <stddef.h>

enum rank_sum_label { RANK_SUM_PASS, RANK_SUM_HIGH, RANK_SUM_LOW };

enum { RANK_SUM_MAX = 4096 }; /* values a side */

struct rank_sum {
    double u;         /* of the experiment */
    double p;         /* two-sided */
    double low, high; /* confidence interval of experiment - control, 98 % */
    double estimate;  /* Hodges-Lehmann */
    enum rank_sum_label label;
};

/* Label: high or low when the whole interval lies beyond a quarter of the estimate's size, as Kayenta's
 * default classifier has it. Allocates nxm differences. ERR_USAGE for an empty side, too many values, or a
 * value that is not a finite number. */
int rank_sum(const double *control, size_t n, const double *experiment, size_t m, struct rank_sum *out,
             struct err *e);

#endif
