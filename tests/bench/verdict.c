/* The verdict by simulation, seeded and repeatable: how soon it detects, how rarely it is wrong, and what
 * pollers make of the same worlds. Prints tables; `verdict SECTION` prints one. */
#include "core/verdict_policy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016. */
static uint64_t random_state = 20261123;

static uint64_t random_bits(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 2685821657736338717ULL;
}

static double uniform(void)
{
    return (double)(random_bits() >> 11) * 0x1.0p-53;
}

/* Poisson by inversion; means here are at most some hundreds. */
static uint64_t poisson(double mean)
{
    if (mean > 30) { /* halves are independent */
        uint64_t half = poisson(mean / 2);
        return half + poisson(mean / 2);
    }
    double p = exp(-mean), sum = p, u = uniform();
    uint64_t k = 0;
    while (u > sum && k < 1000)
        sum += p *= mean / (double)++k;
    return k;
}

static uint64_t binomial(uint64_t n, double p)
{
    if (p <= 0) return 0;
    if (p >= 1) return n;
    uint64_t k = 0;
    if (n > 20 && (double)n * p < 5) { /* gaps between successes */
        for (double at = log(uniform()) / log1p(-p); at < (double)n; at += log(uniform()) / log1p(-p) + 1)
            k++;
        return k;
    }
    for (uint64_t i = 0; i < n; i++)
        k += uniform() < p;
    return k;
}

static struct verdict_absolute absolute(double p0)
{
    struct verdict_absolute d;
    struct err e;
    if (verdict_absolute_init(&d, p0, &e) != 0) abort();
    return d;
}

static double divergence(double p, double q)
{
    return (p < 1 ? (1 - p) * log((1 - p) / (1 - q)) : 0) + p * log(p / q);
}

static const double ALPHA = 1e-4;

/* Mean requests of error rate p until the alarm, after `healthy` requests of which 0.2 % failed. */
static double mean_delay(double p0, double p, int healthy, int runs)
{
    double sum = 0;
    for (int run = 0; run < runs; run++) {
        struct verdict_absolute d = absolute(p0);
        for (int i = 0; i < healthy; i++)
            verdict_absolute_update(&d, uniform() < 0.002);
        long n = 1;
        while (verdict_absolute_update(&d, uniform() < p) < 1 / ALPHA)
            n++;
        sum += (double)n;
    }
    return sum / runs;
}

static void delays(void)
{
    static const double rates[] = {0.055, 0.06, 0.08, 0.10, 0.20, 0.50, 1.00};
    static const double nulls[] = {0.05, 0.01};
    puts("\nRequests to detect, alpha = 1e-4; limit = ln(1e4)/KL. Aims: 1.35 from stage start up to 50 %, "
         "2.4 after 1000 healthy.");
    puts("| p0 | rate | limit | from stage start | ratio | after 1000 healthy | ratio "
         "|\n|---|---|---|---|---|---|---|");
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < sizeof rates / sizeof *rates; j++) {
            double p0 = nulls[i], p = rates[j], limit = log(1 / ALPHA) / divergence(p, p0);
            int runs = limit > 10000 ? 300 : limit > 1000 ? 2000 : 10000;
            double start = mean_delay(p0, p, 0, runs), change = mean_delay(p0, p, 1000, runs);
            printf("| %g | %g | %.1f | %.1f | %.2f | %.1f | %.2f |\n", p0, p, limit, start, start / limit,
                   change, change / limit);
        }
}

static void false_alarms(void)
{
    enum { RUNS = 1000, REQUESTS = 100000 };
    static const double nulls[] = {0.05, 0.01};
    printf("\nFalse alarms at the boundary: the rate is exactly p0, %d runs of %d requests.\n", RUNS,
           REQUESTS);
    puts("| p0 | alpha 1e-2 | share | alpha 1e-4 |\n|---|---|---|---|");
    for (size_t i = 0; i < 2; i++) {
        int at_2 = 0, at_4 = 0;
        for (int run = 0; run < RUNS; run++) {
            struct verdict_absolute d = absolute(nulls[i]);
            double most = 0;
            for (int n = 0; n < REQUESTS && most < 1e4; n++) {
                double e = verdict_absolute_update(&d, uniform() < nulls[i]);
                if (e > most) most = e;
            }
            at_2 += most >= 1e2;
            at_4 += most >= 1e4;
        }
        printf("| %g | %d | %.2f %% | %d |\n", nulls[i], at_2, 100.0 * at_2 / RUNS, at_4);
    }
}

static struct verdict_policy policy(double alpha)
{
    struct verdict_policy p;
    struct err e;
    const struct verdict_limits limits = {
        .alpha = alpha, .error_rate = 0.05, .target_rate = 0.01, .slow_share = 0.05, .r2 = true, .l2 = true};
    if (verdict_policy_init(&p, &limits, &e) != 0) abort();
    return p;
}

enum { SLOTS_PER_S = 4 };

/* A slot of a colour: Poisson arrivals, independent errors and slow answers, and blue's own quantiles. */
static struct verdict_slot slot_of(double rps, double error_rate, double slow_rate)
{
    static const double beyond[VERDICT_QUANTILES] = {0.40, 0.18, 0.07, 0.035,
                                                     0.007}; /* 1.2 times a quantile */
    struct verdict_slot s = {.requests = poisson(rps / SLOTS_PER_S)};
    s.errors = binomial(s.requests, error_rate);
    s.slow = binomial(s.requests, slow_rate);
    for (int q = 0; q < VERDICT_QUANTILES; q++)
        s.over[q] = binomial(s.requests, beyond[q]);
    return s;
}

/* One deployment: 10, 50 and 100 %, five minutes each. Seconds until the rollback, or -1. */
static double healthy_deployment(double rps, double error_rate, double alpha)
{
    static const double shares[] = {0.1, 0.5, 1};
    struct verdict_policy p = policy(alpha);
    for (int stage = 0; stage < 3; stage++) {
        verdict_policy_stage(&p);
        for (int i = 0; i < 300 * SLOTS_PER_S; i++) {
            struct verdict_slot green = slot_of(rps * shares[stage], error_rate, 0.01),
                                blue = slot_of(rps * (1 - shares[stage]), error_rate, 0.01);
            verdict_policy_slot(&p, &green, &blue);
            if (p.alarmed) return stage * 300 + i / (double)SLOTS_PER_S;
        }
    }
    return -1;
}

static void healthy_hours(void)
{
    static const double rates[] = {10, 100, 1000}, errors[] = {0.001, 0.005, 0.009};
    static const double alphas[] = {1e-4, 1e-2};
    puts("\nWhole policy over 1000 simulated healthy hours (4000 deployments of 15 minutes; 10, 100 and 1000 "
         "requests/s;"
         "\nerror rates of both colours 0.1, 0.5 and 0.9 %, 1 % slow). Aims: 0 at 1e-4, at most 10 at 1e-2.");
    puts("| alpha | deployments | false rollbacks |\n|---|---|---|");
    for (size_t a = 0; a < 2; a++) {
        int rolled_back = 0;
        for (int d = 0; d < 4000; d++)
            rolled_back += healthy_deployment(rates[d % 10 == 0 ? 2 : d % 2], errors[d % 3], alphas[a]) >= 0;
        printf("| %g | 4000 | %d |\n", alphas[a], rolled_back);
    }
}

/* Bursts: a slot in 200 fails whole, so the mean rate is 0.5 %. By slots they are one observation, request by
 * request they would be a run of failures. */
static void bursts(void)
{
    enum { RUNS = 1000, SLOTS = 1200, REQUESTS = 12 };
    int by_slot = 0, by_request = 0;
    for (int run = 0; run < RUNS; run++) {
        struct verdict_absolute slot = absolute(0.05), request = absolute(0.05);
        int alarms = 0;
        for (int i = 0; i < SLOTS; i++) {
            int failed = uniform() < 1.0 / 200;
            if (verdict_absolute_update(&slot, failed) >= 1 / ALPHA) alarms |= 1;
            for (int r = 0; r < REQUESTS; r++)
                if (verdict_absolute_update(&request, failed) >= 1 / ALPHA) alarms |= 2;
        }
        by_slot += alarms & 1;
        by_request += alarms >> 1;
    }
    printf("\nBursts: 1 slot of 250 ms in 200 fails whole (12 requests each, 0.5 %% in all), 5 minutes, %d "
           "runs, A(5 %%) at 1e-4:\n",
           RUNS);
    printf("  false alarms by slots %d, request by request %d\n", by_slot, by_request);
}

/* Lines come when a request ends: errors take 5 ms, successes 50 to 950 ms. */
enum { ORDER_RPS = 1000, ORDER_SECONDS = 5, LAG_SLOTS = 2 };

static bool order_alarms(bool by_start)
{
    enum { SLOTS = (ORDER_SECONDS + 2) * SLOTS_PER_S, OPEN = LAG_SLOTS + 1 };
    static uint64_t requests[SLOTS], errors[SLOTS];
    memset(requests, 0, sizeof requests);
    memset(errors, 0, sizeof errors);
    for (int i = 0; i < ORDER_RPS * ORDER_SECONDS; i++) {
        double start = (double)i / ORDER_RPS, failed = uniform() < 0.01;
        double took = failed ? 0.005 : 0.05 + 0.9 * uniform(), end = start + took;
        int arrived = (int)(end * SLOTS_PER_S), slot = by_start ? (int)(start * SLOTS_PER_S) : arrived;
        /* By start with the lag: a line whose slot has closed counts in the oldest open one. */
        if (by_start && slot < arrived - LAG_SLOTS) slot = arrived - LAG_SLOTS;
        if (slot >= SLOTS) continue;
        requests[slot]++;
        errors[slot] += failed > 0;
    }
    struct verdict_absolute d = absolute(0.05);
    for (int s = 0; s < SLOTS; s++)
        if (requests[s] > 0 &&
            verdict_absolute_update(&d, (double)errors[s] / (double)requests[s]) >= 1 / ALPHA)
            return true;
    return false;
}

static bool completion_order_alarms_per_request(void)
{
    /* The first 100 ms of a stage at 1000 requests/s: nothing slow has ended yet. */
    struct verdict_absolute d = absolute(0.05);
    double ends[ORDER_RPS];
    bool failed[ORDER_RPS];
    for (int i = 0; i < ORDER_RPS; i++) {
        failed[i] = uniform() < 0.01;
        ends[i] = (double)i / ORDER_RPS + (failed[i] ? 0.005 : 0.3 + 0.6 * uniform());
    }
    for (int step = 0; step < ORDER_RPS; step++) {
        int next = 0;
        for (int i = 1; i < ORDER_RPS; i++)
            if (ends[i] < ends[next]) next = i;
        if (verdict_absolute_update(&d, failed[next]) >= 1 / ALPHA) return true;
        ends[next] = INFINITY;
    }
    return false;
}

static void completion_order(void)
{
    enum { RUNS = 500 };
    int request = 0, completion = 0, start = 0;
    for (int run = 0; run < RUNS; run++) {
        request += run < 200 && completion_order_alarms_per_request();
        completion += order_alarms(false);
        start += order_alarms(true);
    }
    printf("\nOrder of the lines, 1000 requests/s, 1 %% fast errors, slow successes, A(5 %%) at 1e-4; false "
           "alarms:\n"
           "  as they end, one by one %.0f %% of 200; as they end, by slots %.0f %% of %d; by start with the "
           "lag of 500 ms %.0f %% of %d\n",
           request / 2.0, 100.0 * completion / RUNS, RUNS, 100.0 * start / RUNS, RUNS);
}

/* A poller: every `interval` seconds the success rate of the window; more than `limit` failed checks roll
 * back. */
struct poller {
    const char *name;
    int interval, limit;
    double threshold;
};

static const struct poller POLLERS[] = {
    {"Argo Rollouts' documented template: 5 min, 95 %, failureLimit 3", 300, 3, 0.05},
    {"Flagger's documented analysis: 1 min, 99 %, threshold 5", 60, 4, 0.01},
    {"one failed check of 1 min at 99 %", 60, 0, 0.01},
};
enum { POLLER_COUNT = sizeof POLLERS / sizeof *POLLERS, DECIDERS = POLLER_COUNT + 1 };

struct world {
    const char *name;
    double rps, before, after; /* error rates of green, which changes at `onset`; blue keeps `before` */
    int onset_s, lasts_s;
};

struct outcome {
    double sum, worst;
    int decided;
};

/* Seconds from the onset to each decider's rollback, -1 for none. */
static void live(const struct world *w, double at[DECIDERS])
{
    struct verdict_policy p = policy(ALPHA);
    uint64_t requests[POLLER_COUNT] = {0}, errors[POLLER_COUNT] = {0};
    int failed[POLLER_COUNT] = {0};
    for (int i = 0; i < DECIDERS; i++)
        at[i] = -1;
    verdict_policy_stage(&p);
    for (int i = 0; i < w->lasts_s * SLOTS_PER_S; i++) {
        double now = (i + 1) / (double)SLOTS_PER_S, rate = now > w->onset_s ? w->after : w->before;
        struct verdict_slot green = slot_of(w->rps * 0.1, rate, 0),
                            blue = slot_of(w->rps * 0.9, w->before, 0);
        verdict_policy_slot(&p, &green, &blue);
        if (p.alarmed && at[0] < 0) at[0] = now + 0.5 - w->onset_s; /* the lag of 500 ms */
        for (int j = 0; j < POLLER_COUNT; j++) {
            requests[j] += green.requests;
            errors[j] += green.errors;
            if ((i + 1) % (POLLERS[j].interval * SLOTS_PER_S) != 0) continue;
            failed[j] += requests[j] > 0 && (double)errors[j] > POLLERS[j].threshold * (double)requests[j];
            requests[j] = errors[j] = 0;
            if (failed[j] > POLLERS[j].limit && at[j + 1] < 0) at[j + 1] = now - w->onset_s;
        }
    }
}

static void side_by_side(void)
{
    enum { RUNS = 300 };
    static const struct world worlds[] = {
        {"healthy, 0.5 % errors", 10, 0.005, 0.005, 0, 300},
        {"healthy, 0.5 % errors", 100, 0.005, 0.005, 0, 300},
        {"outage of green after 100 s", 10, 0.002, 1, 100, 2100},
        {"outage of green after 100 s", 100, 0.002, 1, 100, 2100},
        {"20 % errors after 100 s", 100, 0.002, 0.2, 100, 2100},
        {"6 % errors after 100 s", 100, 0.002, 0.06, 100, 2100},
        {"2 % errors from the start", 100, 0.002, 0.02, 0, 2100},
    };
    const char *names[DECIDERS] = {"verdict, alpha 1e-4"};
    for (int j = 0; j < POLLER_COUNT; j++)
        names[j + 1] = POLLERS[j].name;
    printf("\nThe same worlds under pollers, 10 %% of the traffic at green, %d runs each: share rolled back, "
           "seconds from the"
           " onset (mean, worst). A poller that runs for five minutes sees one check of five minutes.\n",
           RUNS);
    puts("| world | requests/s | decides | rolled back | mean s | worst s |\n|---|---|---|---|---|---|");
    for (size_t w = 0; w < sizeof worlds / sizeof *worlds; w++) {
        struct outcome out[DECIDERS] = {{0}};
        for (int run = 0; run < RUNS; run++) {
            double at[DECIDERS];
            live(&worlds[w], at);
            for (int j = 0; j < DECIDERS; j++) {
                if (at[j] < 0) continue;
                out[j].decided++;
                out[j].sum += at[j];
                if (at[j] > out[j].worst) out[j].worst = at[j];
            }
        }
        for (int j = 0; j < DECIDERS; j++) {
            printf("| %s | %g | %s | %.1f %% |", worlds[w].name, worlds[w].rps, names[j],
                   100.0 * out[j].decided / RUNS);
            if (out[j].decided)
                printf(" %.1f | %.1f |\n", out[j].sum / out[j].decided, out[j].worst);
            else
                puts(" never | never |");
        }
    }
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void cost(void)
{
    enum { UPDATES = 20000000, SLOTS = 2000000 };
    struct verdict_absolute d = absolute(0.05);
    double began = seconds_now();
    for (int i = 0; i < UPDATES; i++)
        verdict_absolute_update(&d, (i & 127) == 0);
    double each = (seconds_now() - began) / UPDATES;
    struct verdict_policy p = policy(ALPHA);
    const struct verdict_slot green = {.requests = 3}, blue = {.requests = 22, .over = {9, 4, 1, 1, 0}};
    began = seconds_now();
    for (int i = 0; i < SLOTS; i++)
        verdict_policy_slot(&p, &green, &blue);
    double slot = (seconds_now() - began) / SLOTS;
    printf("\nCost: one update of a detector %.0f ns (e %.3g); a slot of the whole policy %.2f us; memory of "
           "a policy %zu bytes, constant.\n",
           each * 1e9, d.mixture.e, slot * 1e6, sizeof p);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } sections[] = {{"delays", delays}, {"false_alarms", false_alarms},         {"healthy", healthy_hours},
                    {"bursts", bursts}, {"completion_order", completion_order}, {"pollers", side_by_side},
                    {"cost", cost}};
    int printed = 0;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        if (argc > 1 && strcmp(argv[1], sections[i].name) != 0) continue;
        random_state = 20261123;
        sections[i].print();
        fflush(stdout);
        printed++;
    }
    if (printed == 0) fprintf(stderr, "verdict: there is no section '%s'\n", argv[1]);
    return printed ? 0 : 2;
}
