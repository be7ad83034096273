#include "core/verdict.h"

#include <math.h>
#include <string.h>

static void mixture_init(struct verdict_mixture *m, int bets)
{
    *m = (struct verdict_mixture){.bets = bets, .reserve = 1, .reserve_of_stage = 1, .e = 1};
}

static void mixture_stage(struct verdict_mixture *m)
{
    m->reserve_of_stage = m->reserve;
    m->updates = 0;
}

/* What each bet gets out of the reserve at this update. */
static double mixture_ration(struct verdict_mixture *m)
{
    m->updates++;
    double reserve = m->reserve_of_stage * 0.35 * pow((double)m->updates + 1, -0.1);
    double ration = (m->reserve - reserve) / m->bets;
    m->reserve = reserve;
    return ration;
}

/* stake * factor without overflow. */
static double staked(double stake, double factor)
{
    double product = stake * factor;
    return product < VERDICT_E_MAX ? product : VERDICT_E_MAX;
}

static double mixture_sum(struct verdict_mixture *m)
{
    double e = m->reserve;
    for (int j = 0; j < m->bets; j++)
        e += m->stake[j];
    m->e = e;
    return e;
}

static double log_odds(double p)
{
    return log(p / (1 - p));
}

int verdict_absolute_init(struct verdict_absolute *d, double p0, struct err *e)
{
    static const double rates_5[] = {0.056, 0.07, 0.10, 0.18, 0.40, 0.90};
    static const double rates_1[] = {0.025, 0.06, 0.15, 0.40, 0.90};
    enum { COUNT_5 = sizeof rates_5 / sizeof *rates_5, COUNT_1 = sizeof rates_1 / sizeof *rates_1 };
    double rates[VERDICT_MAX_BETS];
    int count = COUNT_5;

    if (!(p0 > 0 && p0 < 1)) return err_set(e, ERR_USAGE, "verdict", "p0 is above 0 and below 1");
    if (p0 == 0.01) {
        count = COUNT_1;
        memcpy(rates, rates_1, sizeof rates_1);
    } else {
        double top = p0 < 0.8 ? 0.9 : 1 - (1 - p0) / 2, from = log_odds(0.05);
        for (int j = 0; j < count; j++) {
            double place = (log_odds(rates_5[j]) - from) / (log_odds(0.9) - from);
            double odds = log_odds(p0) + place * (log_odds(top) - log_odds(p0));
            rates[j] = p0 == 0.05 ? rates_5[j] : 1 / (1 + exp(-odds));
        }
    }
    *d = (struct verdict_absolute){.p0 = p0};
    mixture_init(&d->mixture, count);
    for (int j = 0; j < count; j++)
        d->lambda[j] = (rates[j] - p0) / (p0 * (1 - p0));
    return 0;
}

double verdict_absolute_update(struct verdict_absolute *d, double x)
{
    struct verdict_mixture *m = &d->mixture;
    double ration = mixture_ration(m);
    for (int j = 0; j < m->bets; j++)
        m->stake[j] = staked(m->stake[j] + ration, 1 + d->lambda[j] * (x - d->p0));
    return mixture_sum(m);
}

double verdict_absolute_batch(struct verdict_absolute *d, uint64_t n, uint64_t k)
{
    struct verdict_mixture *m = &d->mixture;
    double ration = mixture_ration(m);
    for (int j = 0; j < m->bets; j++) {
        double log_factor =
            (double)k * log1p(d->lambda[j] * (1 - d->p0)) + (double)(n - k) * log1p(-d->lambda[j] * d->p0);
        m->stake[j] = staked(m->stake[j] + ration, exp(log_factor));
    }
    return mixture_sum(m);
}

void verdict_absolute_stage(struct verdict_absolute *d)
{
    mixture_stage(&d->mixture);
}

void verdict_absolute_forget(struct verdict_absolute *d)
{
    memset(d->mixture.stake, 0, sizeof d->mixture.stake);
    mixture_sum(&d->mixture);
}

int verdict_relative_init(struct verdict_relative *d, const double *ratios, int count, struct err *e)
{
    if (count < 1 || count > VERDICT_MAX_BETS)
        return err_set(e, ERR_USAGE, "verdict", "1 to %d ratios", VERDICT_MAX_BETS);
    *d = (struct verdict_relative){0};
    mixture_init(&d->mixture, count);
    for (int j = 0; j < count; j++) {
        if (!(ratios[j] > 0 && ratios[j] <= 1e6))
            return err_set(e, ERR_USAGE, "verdict", "a ratio is above 0 and at most a million");
        d->ratio[j] = ratios[j];
    }
    return 0;
}

static double log_choose(double n, double k)
{
    int sign;
    return lgamma_r(n + 1, &sign) - lgamma_r(k + 1, &sign) - lgamma_r(n - k + 1, &sign);
}

/* The distribution of green's failures when kg+kb failures fell on ng+nb requests without regard to colour,
 * as seen from kg: from there to both ends, until what comes adds nothing. */
struct hypergeometric {
    double kg, ng, nb, k;
    double log_at_kg;
};

static struct hypergeometric hypergeometric_at(uint64_t kg, uint64_t ng, uint64_t kb, uint64_t nb)
{
    struct hypergeometric h = {
        .kg = (double)kg, .ng = (double)ng, .nb = (double)nb, .k = (double)kg + (double)kb};
    h.log_at_kg = log_choose(h.ng, h.kg) + log_choose(h.nb, h.k - h.kg) - log_choose(h.ng + h.nb, h.k);
    return h;
}

/* One end of the sum over x of Hyp(x) ratio^(x-kg) / Hyp(kg), from kg (left out) to `last`. Terms may grow
 * beyond any double before they fall, so the sum is kept as sum * exp(scale). */
struct scaled {
    double sum, scale;
};

static struct scaled tail_sum(const struct hypergeometric *h, double ratio, double last)
{
    struct scaled s = {0};
    double term = 1, x = h->kg, direction = last > x ? 1 : -1;
    while (x != last) {
        double up = direction > 0 ? x : x - 1; /* the lower of the two neighbours */
        double step = (h->k - up) * (h->ng - up) / ((up + 1) * (h->nb - h->k + up + 1)) * ratio;
        if (direction < 0) step = 1 / step;
        x += direction;
        term *= step;
        s.sum += term;
        if (step < 1 && term < s.sum * 1e-17) break;
        if (s.sum > 1e200) {
            s.sum *= 1e-200;
            term *= 1e-200;
            s.scale += 200 * log(10);
        }
    }
    return s;
}

static double log_of(struct scaled s)
{
    return s.sum > 0 ? log(s.sum) + s.scale : -INFINITY;
}

static double factor_of(const struct hypergeometric *h, double ratio)
{
    double above = log_of(tail_sum(h, ratio, fmin(h->k, h->ng)));
    double below = log_of(tail_sum(h, ratio, fmax(0, h->k - h->nb)));
    double most = fmax(0, fmax(above, below)); /* 0: the term at kg itself */
    double log_sum = most + log(exp(-most) + exp(above - most) + exp(below - most));
    return exp(-h->log_at_kg - log_sum);
}

double verdict_relative_factor(uint64_t kg, uint64_t ng, uint64_t kb, uint64_t nb, double ratio)
{
    struct hypergeometric h = hypergeometric_at(kg, ng, kb, nb);
    return factor_of(&h, ratio);
}

double verdict_relative_block(struct verdict_relative *d, uint64_t kg, uint64_t ng, uint64_t kb, uint64_t nb)
{
    struct verdict_mixture *m = &d->mixture;
    if (ng == 0 || nb == 0) return m->e;
    double ration = mixture_ration(m);
    struct hypergeometric h = hypergeometric_at(kg, ng, kb, nb);
    for (int j = 0; j < m->bets; j++)
        m->stake[j] = staked(m->stake[j] + ration, kg + kb == 0 ? 1 : factor_of(&h, d->ratio[j]));
    return mixture_sum(m);
}

void verdict_relative_stage(struct verdict_relative *d)
{
    mixture_stage(&d->mixture);
}

double verdict_promotion(uint64_t n, uint64_t k, double p1)
{
    static const double shares[] = {0.01, 0.1, 0.3, 0.6};
    enum { COUNT = sizeof shares / sizeof *shares };
    double sum = 0;
    for (int j = 0; j < COUNT; j++) {
        double f = shares[j];
        double log_e = (double)k * log(f) + (double)(n - k) * (log1p(-f * p1) - log1p(-p1));
        sum += log_e < 230 ? exp(log_e) : VERDICT_E_MAX;
    }
    return fmin(sum / COUNT, VERDICT_E_MAX);
}

uint64_t verdict_promotion_requests(uint64_t k, double p1, double alpha)
{
    uint64_t low = k, high = k + 1;
    while (verdict_promotion(high, k, p1) < 1 / alpha && high < UINT64_MAX / 4)
        high *= 2;
    while (low + 1 < high) {
        uint64_t middle = low + (high - low) / 2;
        if (verdict_promotion(middle, k, p1) >= 1 / alpha)
            high = middle;
        else
            low = middle;
    }
    return high;
}

static double log_beta(double a, double b)
{
    int sign;
    return lgamma_r(a, &sign) + lgamma_r(b, &sign) - lgamma_r(a + b, &sign);
}

/* From `inside`, where the martingale is below the limit, towards `outside`, where it is above. */
static double boundary(double inside, double outside, double n, double k, double log_mass, double log_limit)
{
    for (int i = 0; i < 100; i++) {
        double p = (inside + outside) / 2;
        if (log_mass - k * log(p) - (n - k) * log1p(-p) < log_limit)
            inside = p;
        else
            outside = p;
    }
    return inside;
}

void verdict_interval(uint64_t n, uint64_t k, double alpha, double *low, double *high)
{
    *low = 0;
    *high = 1;
    if (n == 0) return;
    double total = (double)n, failures = (double)k, rate = failures / total;
    double log_mass = log_beta(failures + 0.5, total - failures + 0.5) - log_beta(0.5, 0.5);
    if (k > 0) *low = boundary(rate, 0, total, failures, log_mass, -log(alpha));
    if (k < n) *high = boundary(rate, 1, total, failures, log_mass, -log(alpha));
}
