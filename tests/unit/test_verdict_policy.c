/* The policy: what rolls back, what holds, who is blamed, and what a gate needs. */
#include "core/verdict_policy.h"
#include "test.h"

static const struct verdict_limits USUAL = {
    .alpha = 1e-4, .error_rate = 0.05, .target_rate = 0.01, .slow_share = 0.05, .r2 = true, .l2 = true};

static struct verdict_policy policy(void)
{
    struct verdict_policy p;
    struct err e;
    CHECK_INT(verdict_policy_init(&p, &USUAL, &e), 0);
    verdict_policy_stage(&p);
    return p;
}

/* Slots with these failures of 3 green and 20 blue requests. */
static void slots(struct verdict_policy *p, int count, uint64_t green_errors, uint64_t blue_errors)
{
    struct verdict_slot green = {.requests = 3, .errors = green_errors},
                        blue = {.requests = 20, .errors = blue_errors};
    for (int i = 0; i < count; i++)
        verdict_policy_slot(p, &green, &blue);
}

TEST(healthy)
{
    struct verdict_policy p = policy();
    slots(&p, 2000, 0, 0);
    struct verdict_evidence v = verdict_policy_evidence(&p);
    CHECK(!v.rollback && !v.hold_latency && !v.blue_bad && !v.both_bad);
    CHECK(v.mean < 1);
    CHECK_INT(p.green.requests, 6000);
}

TEST(green_fails)
{
    struct verdict_policy p = policy();
    slots(&p, 400, 0, 0);
    slots(&p, 10, 3, 0);
    struct verdict_evidence v = verdict_policy_evidence(&p);
    CHECK(v.rollback && !v.blue_bad);
    slots(&p, 4000, 0, 0);
    CHECK(verdict_policy_evidence(&p).rollback); /* alarmed once, alarmed for good */
}

TEST(both_fail)
{
    struct verdict_policy p = policy();
    slots(&p, 400, 0, 0);
    slots(&p, 200, 3, 20);
    struct verdict_evidence v = verdict_policy_evidence(&p);
    CHECK(!v.rollback && v.blue_bad && v.both_bad);
    /* And when it is over, nobody is blamed for it either, though blue recovers sooner. */
    struct verdict_slot green = {.requests = 1}, blue = {.requests = 20}, none = {0};
    for (int i = 0; i < 4000; i++) {
        verdict_policy_slot(&p, i % 8 == 0 ? &green : &none, &blue);
    }
    CHECK(!p.alarmed);
    CHECK(!verdict_policy_evidence(&p).blue_bad);
    slots(&p, 12, 3, 0);
    CHECK(verdict_policy_evidence(&p).rollback); /* but for what it does later */
}

TEST(green_is_worse_than_a_bad_blue)
{
    struct verdict_policy p = policy();
    slots(&p, 400, 0, 3); /* 15 % */
    CHECK(verdict_policy_evidence(&p).blue_bad);
    slots(&p, 60, 3, 3);
    CHECK(verdict_policy_evidence(&p).rollback);
}

TEST(above_target_and_worse_than_blue)
{
    struct verdict_policy p = policy();
    for (int i = 0; i < 3000 && !p.alarmed; i++)
        slots(&p, 1, i % 9 == 0, 0); /* 3.7 %, below the rollback limit of 5 % */
    CHECK(p.alarmed && p.alarm_rule == VERDICT_R2);
    struct verdict_limits without = USUAL;
    struct err e;
    without.r2 = false;
    REQUIRE(verdict_policy_init(&p, &without, &e) == 0);
    for (int i = 0; i < 3000; i++)
        slots(&p, 1, i % 9 == 0, 0);
    CHECK(!p.alarmed);
    CHECK(verdict_policy_evidence(&p).e[VERDICT_R2] == 0);
}

TEST(slow_green)
{
    struct verdict_policy p = policy();
    struct verdict_slot green = {.requests = 3, .slow = 3}, blue = {.requests = 20};
    for (int i = 0; i < 8; i++)
        verdict_policy_slot(&p, &green, &blue);
    CHECK(p.alarmed && p.alarm_rule == VERDICT_L1);
}

TEST(latency_above_blues_holds_only)
{
    struct verdict_policy p = policy();
    struct verdict_slot green = {.requests = 3, .over = {3, 3, 2, 1, 0}},
                        blue = {.requests = 20, .over = {10, 5, 2, 1, 0}};
    for (int i = 0; i < 400; i++)
        verdict_policy_slot(&p, &green, &blue);
    struct verdict_evidence v = verdict_policy_evidence(&p);
    CHECK(v.hold_latency && !v.rollback);
}

TEST(probes_of_blue_guard_green)
{
    struct verdict_policy p = policy();
    struct verdict_slot green = {.requests = 20, .errors = 20}, none = {0};
    for (int i = 0; i < 10; i++)
        verdict_policy_probe_blue(&p, true);
    CHECK(verdict_policy_evidence(&p).blue_bad);
    for (int i = 0; i < 40; i++)
        verdict_policy_slot(&p, &green, &none);
    CHECK(!p.alarmed && verdict_policy_evidence(&p).both_bad);
    CHECK_INT(p.blue.requests, 0);
}

TEST(a_gate)
{
    const struct verdict_gate gate = {
        .min_requests = 100, .error_rate = 0.05, .error_alpha = 0.01, .slow_share = 0.10, .slow_alpha = 0.01};
    struct verdict_policy p = policy();
    CHECK_INT(verdict_gate_requests(&gate), 106);
    slots(&p, 35, 0, 0);
    struct verdict_gate_result r = verdict_policy_gate(&p, &gate);
    CHECK(r.enough && r.slow_good && !r.errors_good && !r.open); /* 105 requests */
    slots(&p, 1, 0, 0);
    CHECK(verdict_policy_gate(&p, &gate).open);
    slots(&p, 1, 3, 0);
    CHECK(!verdict_policy_gate(&p, &gate).open);
    verdict_policy_stage(&p);
    CHECK(!verdict_policy_gate(&p, &gate).enough); /* a stage's gate counts the stage */
}

TEST(a_gate_on_the_difference)
{
    const struct verdict_gate gate = {.difference = 0.005, .difference_alpha = 0.05};
    struct verdict_policy p = policy();
    CHECK(!verdict_policy_gate(&p, &gate).open); /* no data is no small difference */
    slots(&p, 200, 0, 0);
    CHECK(!verdict_policy_gate(&p, &gate).difference_good);
    slots(&p, 800, 0, 0);
    CHECK(verdict_policy_gate(&p, &gate).open);
}

TEST(limits_out_of_range)
{
    struct verdict_policy p;
    struct verdict_limits bad = USUAL;
    struct err e;
    bad.alpha = 0;
    CHECK_INT(verdict_policy_init(&p, &bad, &e), -ERR_USAGE);
    bad = USUAL;
    bad.error_rate = 1;
    CHECK_INT(verdict_policy_init(&p, &bad, &e), -ERR_USAGE);
    bad = USUAL;
    bad.slow_share = NAN;
    CHECK_INT(verdict_policy_init(&p, &bad, &e), -ERR_USAGE);
}

TEST_MAIN()
