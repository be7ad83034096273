/* verdict: evidence for and against a release, request by request. Pure: no I/O, no clock, no allocation.
 *
 * An e-value is a bet against a hypothesis H: while H holds, its mean never exceeds 1, so that the
 * probability that it ever reaches 1/alpha is at most alpha, however often one looks (Ville's inequality; see
 * Ramdas et al., "Game-theoretic statistics and safe anytime-valid inference", 2023). What is done about the
 * evidence is verdict_policy's subject. Probabilities are 0 to 1; e-values are clamped at VERDICT_E_MAX. */
#ifndef ENGINE_CORE_VERDICT_H
#define ENGINE_CORE_VERDICT_H

#include "base/err.h"

#include <stdint.h>

enum { VERDICT_MAX_BETS = 8 };
#define VERDICT_E_MAX 1e100

/* A mixture of bets, into which a part of the reserve flows at every update, so that a long healthy past does
 * not blunt it: with m updates since the stage began, reserve = reserve_of_stage * 0.35 * (m+1)^-0.1. */
struct verdict_mixture {
    int bets;
    double stake[VERDICT_MAX_BETS];
    double reserve, reserve_of_stage, e;
    uint64_t updates; /* since the stage began */
};

/* H: "the mean of each observation, given the past, is at most p0". */
struct verdict_absolute {
    double p0;
    double lambda[VERDICT_MAX_BETS];
    struct verdict_mixture mixture;
};

/* p0 0.05 and 0.01 bet on the rates that the procedure's limits were tuned with, any other p0 on rates at the
 * same places between p0 and 0.9 on the log-odds scale. ERR_USAGE unless 0 < p0 < 1. */
int verdict_absolute_init(struct verdict_absolute *d, double p0, struct err *e);
/* One observation x from 0 to 1: a request (0 or 1) or the share of failures in a slot, within which any
 * dependence does no harm. Gives the e-value. */
double verdict_absolute_update(struct verdict_absolute *d, double x);
/* k failures of n requests that are independent of each other: sharper than their share. 0 <= k <= n. */
double verdict_absolute_batch(struct verdict_absolute *d, uint64_t n, uint64_t k);
void verdict_absolute_stage(
    struct verdict_absolute *d); /* a new stage begins: the reserve is rationed anew */
void verdict_absolute_forget(struct verdict_absolute *d); /* throws away what was won, which H allows */
void verdict_absolute_cap(struct verdict_absolute *d,
                          double most); /* throws away what a bet won above this */

/* H: "at the same moment, green does not fail more often than blue". */
struct verdict_relative {
    double ratio[VERDICT_MAX_BETS]; /* odds ratios that are bet on */
    struct verdict_mixture mixture;
};

int verdict_relative_init(struct verdict_relative *d, const double *ratios, int count, struct err *e);
/* A block: kg of ng green and kb of nb blue requests failed. A block without one of the sides says nothing.
 */
double verdict_relative_block(struct verdict_relative *d, uint64_t kg, uint64_t ng, uint64_t kb, uint64_t nb);
void verdict_relative_stage(struct verdict_relative *d);

/* ratio^kg / sum_x Hyp(x; ng+nb, ng, kg+kb) ratio^x : exact whatever both sides share, given kg+kb. */
double verdict_relative_factor(uint64_t kg, uint64_t ng, uint64_t kb, uint64_t nb, double ratio);

/* Evidence against "the rate is p1 or more" after k failures of n requests: promotion rejects it. */
double verdict_promotion(uint64_t n, uint64_t k, double p1);
/* How many requests without a failure that takes: the least n with verdict_promotion(n, k, p1) >= 1/alpha. */
uint64_t verdict_promotion_requests(uint64_t k, double p1, double alpha);

/* The rate's confidence sequence by Krichevsky and Trofimov: valid at every n at once, 1 - alpha. For
 * display, and for the difference of two rates. n = 0 gives 0 and 1. */
void verdict_interval(uint64_t n, uint64_t k, double alpha, double *low, double *high);

#endif
