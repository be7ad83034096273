/* verdict_policy: which evidence rolls a release back, holds it, or lets it go on. Pure: fed with counts of
 * slots, it decides the same from the same counts, so that a verdict can be replayed from its record.
 *
 *   R1  green fails more often than error_rate                         rolls back
 *   R2  green fails more often than target_rate, and than blue         rolls back (may be turned off)
 *   L1  more than slow_share of green's requests are slow              rolls back
 *   L2  green is slower than blue's own quantiles at the same moment   holds promotion (may be turned off)
 * While blue is bad itself, R1 and L1 need the comparison with blue too, and what green did in that time is
 * not held against it later. The mean of the rules in force is compared with 1/alpha, so that alpha bounds
 * the probability of one false rollback in a whole deployment. Memory is constant, nothing is allocated. */
#ifndef ENGINE_CORE_VERDICT_POLICY_H
#define ENGINE_CORE_VERDICT_POLICY_H

#include "core/verdict.h"

#include <stdbool.h>

enum { VERDICT_QUANTILES = 5 }; /* blue's p50, p75, p90, p95 and p99 */

/* One colour's requests of one slot. */
struct verdict_slot {
    uint64_t requests, errors, client_errors, slow;
    uint64_t over[VERDICT_QUANTILES]; /* slower than 1.2 times blue's frozen quantile */
};

struct verdict_limits {
    double alpha;       /* false rollbacks a deployment, at most */
    double error_rate;  /* R1 */
    double target_rate; /* R2 */
    double slow_share;  /* L1: 0.05 is the p95 rule */
    bool r2, l2;        /* in force */
};

enum verdict_rule { VERDICT_R1, VERDICT_R2, VERDICT_L1, VERDICT_L2, VERDICT_RULES };

/* Two detectors of one measure, and the same for blue alone. */
struct verdict_measure {
    struct verdict_absolute green, blue;
    bool blue_bad;
    double blue_recent; /* blue's share of failures, of the last seconds above all */
};

/* Requests that wait for a block of the comparison to close. */
struct verdict_block {
    struct verdict_slot green, blue;
};

struct verdict_policy {
    struct verdict_limits limits;
    struct verdict_measure errors, slow;
    struct verdict_absolute target;
    struct verdict_relative errors_relative, slow_relative, latency[VERDICT_QUANTILES];
    struct verdict_block block;
    struct verdict_slot green, blue; /* since the stage began */
    bool alarmed;                    /* the budget was crossed once: it stays so */
    enum verdict_rule alarm_rule;
};

int verdict_policy_init(struct verdict_policy *p, const struct verdict_limits *limits, struct err *e);
/* A stage begins: the weights have changed. Evidence is kept, the counts since the stage begin anew. */
void verdict_policy_stage(struct verdict_policy *p);
/* A closed slot. A colour without requests says nothing. */
void verdict_policy_slot(struct verdict_policy *p, const struct verdict_slot *green,
                         const struct verdict_slot *blue);
/* A probe of blue, for the time in which it gets no requests: guards green from blame, counts nowhere else.
 */
void verdict_policy_probe_blue(struct verdict_policy *p, bool failed);

struct verdict_evidence {
    double e[VERDICT_RULES];       /* 0 for a rule that is not in force */
    double mean;                   /* of the rules that roll back, over all in force */
    double limit;                  /* 1/alpha */
    double blue_errors, blue_slow; /* blue's own e-values */
    bool rollback;                 /* the mean reached the limit, now or before */
    enum verdict_rule rule;        /* the strongest rule that can roll back */
    bool hold_latency;             /* L2 */
    bool blue_bad, both_bad;       /* both_bad: green's evidence stands too, nobody is blamed */
};
struct verdict_evidence verdict_policy_evidence(const struct verdict_policy *p);

/* What a stage needs before the next may begin. 0 leaves a requirement out. */
struct verdict_gate {
    uint64_t min_requests;
    double error_rate, error_alpha; /* "errors are error_rate or more" must be rejected */
    double slow_share, slow_alpha;  /* "slow requests are slow_share or more" too */
    double difference; /* upper(green) - lower(blue) of the errors at most this, at difference_alpha */
    double difference_alpha;
};

struct verdict_gate_result {
    bool enough, errors_good, slow_good, difference_good, open; /* open: all of them */
    double e_errors, e_slow, difference;
};
struct verdict_gate_result verdict_policy_gate(const struct verdict_policy *p,
                                               const struct verdict_gate *gate);

/* How many requests without a failure green needs for the gate at least: the forecast. The difference's part
 * is left out, for it depends on what blue does. */
uint64_t verdict_gate_requests(const struct verdict_gate *gate);

#endif
