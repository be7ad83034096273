#include "core/rank_sum.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

static const double TOLERANCE = 0.25;
static const double Z_98 = 2.3263478740408408; /* quantile 0.99 of the normal distribution */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sum of t^3 - t over groups of equal values in sorted[]. */
static double tie_sum(const double *sorted, size_t count)
{
    double sum = 0;
    for (size_t i = 0, j; i < count; i = j) {
        for (j = i + 1; j < count && sorted[j] == sorted[i];)
            j++;
        double t = (double)(j - i);
        sum += t * t * t - t;
    }
    return sum;
}

static int check(const double *values, size_t count, struct err *e)
{
    if (count == 0 || count > RANK_SUM_MAX)
        return err_set(e, ERR_USAGE, "rank sum", "a sample has 1 to %d values", RANK_SUM_MAX);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i])) return err_set(e, ERR_USAGE, "rank sum", "value %zu is not finite", i + 1);
    return 0;
}

static double deviation(const double *pooled, size_t n, size_t m)
{
    double all = (double)(n + m), ties = n + m > 1 ? tie_sum(pooled, n + m) / (all * (all - 1)) : 0;
    return sqrt((double)n * (double)m / 12 * (all + 1 - ties));
}

static double two_sided(double u, double mean, double sd)
{
    double distance = fabs(u - mean) - 0.5;
    if (sd == 0 || distance <= 0) return 1;
    return fmin(1, erfc(distance / sd / sqrt(2)));
}

static enum rank_sum_label label_of(const struct rank_sum *r)
{
    double bound = TOLERANCE * fabs(r->estimate);
    if (r->low > bound) return RANK_SUM_HIGH;
    if (r->high < -bound) return RANK_SUM_LOW;
    return RANK_SUM_PASS;
}

int rank_sum(const double *control, size_t n, const double *experiment, size_t m, struct rank_sum *out,
             struct err *e)
{
    int rc = check(control, n, e);
    if (rc == 0) rc = check(experiment, m, e);
    if (rc != 0) return rc;
    size_t pairs = n * m;
    double *differences = mem_alloc((pairs + n + m) * sizeof *differences);
    if (differences == NULL) return err_set(e, ERR_MEMORY, "rank sum", "no memory for %zu pairs", pairs);
    double *pooled = differences + pairs;
    *out = (struct rank_sum){0};
    size_t at = 0;
    for (size_t j = 0; j < m; j++)
        for (size_t i = 0; i < n; i++) {
            double d = experiment[j] - control[i];
            out->u += d > 0 ? 1 : d == 0 ? 0.5 : 0;
            differences[at++] = d;
        }
    for (size_t i = 0; i < n; i++)
        pooled[i] = control[i];
    for (size_t j = 0; j < m; j++)
        pooled[n + j] = experiment[j];
    qsort(differences, pairs, sizeof *differences, ascending);
    qsort(pooled, n + m, sizeof *pooled, ascending);

    double mean = (double)pairs / 2, sd = deviation(pooled, n, m);
    double outside = floor(mean - Z_98 * sd); /* differences beyond each end of the interval */
    size_t skip = outside > 0 ? (size_t)outside : 0;
    out->p = two_sided(out->u, mean, sd);
    out->low = differences[skip];
    out->high = differences[pairs - 1 - skip];
    out->estimate = (differences[(pairs - 1) / 2] + differences[pairs / 2]) / 2;
    out->label = label_of(out);
    mem_free(differences);
    return 0;
}
