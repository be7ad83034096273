#include "core/verdict_policy.h"

#include <math.h>

/* A block of the comparison closes with the first slot that makes it this large. */
enum { BLOCK_REQUESTS = 20 };

/* Blue's own evidence from which on it is no standard to judge green by. */
static const double BLUE_BAD = 20;

/* After an outage of everything, 19 good slots (5 s) bring the recent share of failures below 5 %. */
static const double RECENT_WEIGHT = 0.15;

static const double ERROR_RATIOS[] = {2, 5, 20, 150};
static const double LATENCY_RATIOS[] = {1.5, 2.5, 5, 20};

static int measure_init(struct verdict_measure *m, double p0, struct err *e)
{
    *m = (struct verdict_measure){0};
    int rc = verdict_absolute_init(&m->green, p0, e);
    return rc ? rc : verdict_absolute_init(&m->blue, p0, e);
}

int verdict_policy_init(struct verdict_policy *p, const struct verdict_limits *limits, struct err *e)
{
    *p = (struct verdict_policy){.limits = *limits};
    if (!(limits->alpha > 0 && limits->alpha < 1))
        return err_set(e, ERR_USAGE, "verdict", "alpha is above 0 and below 1");
    int rc = measure_init(&p->errors, limits->error_rate, e);
    if (rc == 0) rc = measure_init(&p->slow, limits->slow_share, e);
    if (rc == 0) rc = verdict_absolute_init(&p->target, limits->target_rate, e);
    if (rc == 0) rc = verdict_relative_init(&p->errors_relative, ERROR_RATIOS, 4, e);
    if (rc == 0) rc = verdict_relative_init(&p->slow_relative, ERROR_RATIOS, 4, e);
    for (int q = 0; rc == 0 && q < VERDICT_QUANTILES; q++)
        rc = verdict_relative_init(&p->latency[q], LATENCY_RATIOS, 4, e);
    return rc;
}

static void add(struct verdict_slot *into, const struct verdict_slot *from)
{
    into->requests += from->requests;
    into->errors += from->errors;
    into->client_errors += from->client_errors;
    into->slow += from->slow;
    for (int q = 0; q < VERDICT_QUANTILES; q++)
        into->over[q] += from->over[q];
}

/* A client's error may be the release's fault: it counts where both colours are asked the same. */
static uint64_t suspicious(const struct verdict_slot *s)
{
    return s->errors + s->client_errors;
}

static void close_block(struct verdict_policy *p)
{
    const struct verdict_slot *g = &p->block.green, *b = &p->block.blue;
    if (g->requests > 0 && b->requests > 0) {
        verdict_relative_block(&p->errors_relative, suspicious(g), g->requests, suspicious(b), b->requests);
        verdict_relative_block(&p->slow_relative, g->slow, g->requests, b->slow, b->requests);
        for (int q = 0; q < VERDICT_QUANTILES; q++)
            verdict_relative_block(&p->latency[q], g->over[q], g->requests, b->over[q], b->requests);
    }
    p->block = (struct verdict_block){0};
}

void verdict_policy_stage(struct verdict_policy *p)
{
    close_block(p);
    verdict_absolute_stage(&p->errors.green);
    verdict_absolute_stage(&p->errors.blue);
    verdict_absolute_stage(&p->slow.green);
    verdict_absolute_stage(&p->slow.blue);
    verdict_absolute_stage(&p->target);
    verdict_relative_stage(&p->errors_relative);
    verdict_relative_stage(&p->slow_relative);
    for (int q = 0; q < VERDICT_QUANTILES; q++)
        verdict_relative_stage(&p->latency[q]);
    p->green = p->blue = (struct verdict_slot){0};
}

/* Blue is bad once the evidence says so, and well again when it has been for some seconds, however long it
 * was bad. What was won against green meanwhile is thrown away, lest it be blamed for what both went through.
 */
static void update_blue(struct verdict_measure *m, double x)
{
    verdict_absolute_update(&m->blue, x);
    m->blue_recent += RECENT_WEIGHT * (x - m->blue_recent);
    if (m->blue.mixture.e >= BLUE_BAD) m->blue_bad = true;
    if (!m->blue_bad || m->blue_recent >= m->blue.p0) return;
    m->blue_bad = false;
    verdict_absolute_forget(&m->blue);
    verdict_absolute_forget(&m->green);
}

static void update_side(struct verdict_absolute *d, uint64_t failures, uint64_t requests)
{
    if (requests > 0) verdict_absolute_update(d, (double)failures / (double)requests);
}

static void update_measure(struct verdict_measure *m, uint64_t kg, uint64_t ng, uint64_t kb, uint64_t nb)
{
    update_side(&m->green, kg, ng);
    if (nb > 0) update_blue(m, (double)kb / (double)nb);
}

/* Looked at after every slot, so that a crossing is not forgotten when the e-value falls again. */
static void remember_alarm(struct verdict_policy *p)
{
    if (p->alarmed) return;
    struct verdict_evidence now = verdict_policy_evidence(p);
    p->alarmed = now.rollback;
    p->alarm_rule = now.rule;
}

void verdict_policy_slot(struct verdict_policy *p, const struct verdict_slot *green,
                         const struct verdict_slot *blue)
{
    add(&p->green, green);
    add(&p->blue, blue);
    update_measure(&p->errors, green->errors, green->requests, blue->errors, blue->requests);
    update_measure(&p->slow, green->slow, green->requests, blue->slow, blue->requests);
    update_side(&p->target, green->errors, green->requests);
    add(&p->block.green, green);
    add(&p->block.blue, blue);
    const struct verdict_block *b = &p->block;
    if (b->green.requests > 0 && b->blue.requests > 0 &&
        b->green.requests + b->blue.requests >= BLOCK_REQUESTS)
        close_block(p);
    remember_alarm(p);
}

void verdict_policy_probe_blue(struct verdict_policy *p, bool failed)
{
    update_blue(&p->errors, failed ? 1 : 0);
}

static double guarded(const struct verdict_measure *m, const struct verdict_relative *relative)
{
    double e = m->green.mixture.e;
    return m->blue_bad ? fmin(e, relative->mixture.e) : e;
}

static double latency_mean(const struct verdict_policy *p)
{
    double sum = 0;
    for (int q = 0; q < VERDICT_QUANTILES; q++)
        sum += p->latency[q].mixture.e;
    return sum / VERDICT_QUANTILES;
}

struct verdict_evidence verdict_policy_evidence(const struct verdict_policy *p)
{
    struct verdict_evidence v = {.limit = 1 / p->limits.alpha};
    int in_force = 2 + p->limits.r2 + p->limits.l2;
    v.e[VERDICT_R1] = guarded(&p->errors, &p->errors_relative);
    v.e[VERDICT_L1] = guarded(&p->slow, &p->slow_relative);
    if (p->limits.r2) v.e[VERDICT_R2] = fmin(p->target.mixture.e, p->errors_relative.mixture.e);
    if (p->limits.l2) v.e[VERDICT_L2] = latency_mean(p);
    v.mean = (v.e[VERDICT_R1] + v.e[VERDICT_R2] + v.e[VERDICT_L1]) / in_force;
    v.rule = v.e[VERDICT_R2] > v.e[VERDICT_R1] ? VERDICT_R2 : VERDICT_R1;
    if (v.e[VERDICT_L1] > v.e[v.rule]) v.rule = VERDICT_L1;
    if (p->alarmed) v.rule = p->alarm_rule;
    v.rollback = p->alarmed || v.mean >= v.limit;
    v.hold_latency = v.e[VERDICT_L2] / in_force >= v.limit;
    v.blue_errors = p->errors.blue.mixture.e;
    v.blue_slow = p->slow.blue.mixture.e;
    v.blue_bad = p->errors.blue_bad || p->slow.blue_bad;
    v.both_bad = (p->errors.blue_bad && p->errors.green.mixture.e >= BLUE_BAD) ||
                 (p->slow.blue_bad && p->slow.green.mixture.e >= BLUE_BAD);
    return v;
}

struct verdict_gate_result verdict_policy_gate(const struct verdict_policy *p,
                                               const struct verdict_gate *gate)
{
    const struct verdict_slot *g = &p->green, *b = &p->blue;
    struct verdict_gate_result r = {.enough = g->requests >= gate->min_requests && g->requests > 0};
    double low, high, unused;
    r.errors_good = r.slow_good = r.difference_good = true;
    if (gate->error_rate > 0) {
        r.e_errors = verdict_promotion(g->requests, g->errors, gate->error_rate);
        r.errors_good = r.e_errors >= 1 / gate->error_alpha;
    }
    if (gate->slow_share > 0) {
        r.e_slow = verdict_promotion(g->requests, g->slow, gate->slow_share);
        r.slow_good = r.e_slow >= 1 / gate->slow_alpha;
    }
    if (gate->difference > 0) {
        verdict_interval(g->requests, g->errors, gate->difference_alpha, &unused, &high);
        verdict_interval(b->requests, b->errors, gate->difference_alpha, &low, &unused);
        r.difference = high - low;
        r.difference_good = r.difference <= gate->difference;
    }
    r.open = r.enough && r.errors_good && r.slow_good && r.difference_good;
    return r;
}

uint64_t verdict_gate_requests(const struct verdict_gate *gate)
{
    uint64_t most = gate->min_requests, needed = 0;
    if (gate->error_rate > 0) needed = verdict_promotion_requests(0, gate->error_rate, gate->error_alpha);
    if (needed > most) most = needed;
    if (gate->slow_share > 0) needed = verdict_promotion_requests(0, gate->slow_share, gate->slow_alpha);
    return needed > most ? needed : most;
}
