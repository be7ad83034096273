/* Every row of tests/reference/canary.json against verdict and rank_sum, and what neither may accept. */
#include "core/rank_sum.h"
#include "core/verdict.h"
#include "test.h"

#include <jansson.h>

static const double RELATIVE = 1e-5;

static json_t *root;

static void forget(void)
{
    json_decref(root);
}

static json_t *reference(void)
{
    if (root == NULL) {
        json_error_t problem;
        root = json_load_file("tests/reference/canary.json", 0, &problem);
        if (root == NULL) {
            printf("tests/reference/canary.json:%d: %s\n", problem.line, problem.text);
            exit(1);
        }
        atexit(forget);
    }
    return root;
}

static double number(const json_t *row, size_t i)
{
    return json_number_value(json_array_get(row, i));
}

static double member(const json_t *row, const char *name)
{
    return json_number_value(json_object_get(row, name));
}

static void check_close(const char *what, size_t row, double actual, double expected)
{
    if (fabs(actual - expected) <= RELATIVE * fabs(expected) + 1e-12) return;
    printf("%s, row %zu: %.8g, expected %.8g\n", what, row, actual, expected);
    test_failures++;
}

static struct verdict_absolute absolute(double p0)
{
    struct verdict_absolute d;
    struct err e;
    CHECK_INT(verdict_absolute_init(&d, p0, &e), 0);
    return d;
}

static void check_first(const json_t *row, const char *name, const struct verdict_absolute *from,
                        double limit)
{
    struct verdict_absolute d = *from;
    long long needed = 1;
    if (json_object_get(row, name) == NULL) return;
    while (verdict_absolute_update(&d, 1) < limit)
        needed++;
    CHECK_INT(needed, json_integer_value(json_object_get(row, name)));
}

static void check_errors_after(const char *what, size_t i, const json_t *row, struct verdict_absolute *d)
{
    const json_t *value;
    size_t k;
    json_array_foreach(json_object_get(row, "E_after_k_errors"), k, value)
        check_close(what, i, verdict_absolute_update(d, 1), json_number_value(value));
}

TEST(absolute_sequences)
{
    json_t *row;
    size_t i;
    CHECK_INT(json_array_size(json_object_get(reference(), "abs_sequences")), 8);
    json_array_foreach(json_object_get(reference(), "abs_sequences"), i, row)
    {
        struct verdict_absolute d = absolute(member(row, "p0"));
        for (int good = 0; good < (int)member(row, "good"); good++)
            verdict_absolute_update(&d, 0);
        check_close("after good", i, d.mixture.e, member(row, "E_after_good"));
        check_first(row, "first_k_E_ge_1e4", &d, 1e4);
        check_first(row, "first_k_E_ge_4e4", &d, 4e4);
        check_errors_after("after errors", i, row, &d);
    }
}

TEST(absolute_in_a_new_stage)
{
    json_t *row;
    size_t i;
    CHECK_INT(json_array_size(json_object_get(reference(), "abs_stage_reentry")), 1);
    json_array_foreach(json_object_get(reference(), "abs_stage_reentry"), i, row)
    {
        struct verdict_absolute d = absolute(member(row, "p0"));
        for (int good = 0; good < (int)member(row, "good_stage1"); good++)
            verdict_absolute_update(&d, 0);
        verdict_absolute_stage(&d);
        check_errors_after("new stage", i, row, &d);
    }
}

static int slots_until(struct verdict_absolute d, double x, double limit)
{
    int slots = 1;
    while (verdict_absolute_update(&d, x) < limit)
        slots++;
    return slots;
}

TEST(absolute_by_slots)
{
    enum { HEALTHY_SLOTS = 40 }; /* ten seconds */
    json_t *row;
    size_t i;
    CHECK_INT(json_array_size(json_object_get(reference(), "abs_slots_to_1e4")), 8);
    json_array_foreach(json_object_get(reference(), "abs_slots_to_1e4"), i, row)
    {
        struct verdict_absolute d = absolute(number(row, 0));
        CHECK_INT(slots_until(d, number(row, 1), 1e4), number(row, 2));
        for (int slot = 0; slot < HEALTHY_SLOTS; slot++)
            verdict_absolute_update(&d, 0);
        CHECK_INT(slots_until(d, number(row, 1), 1e4), number(row, 3));
    }
}

TEST(absolute_in_batches)
{
    json_t *batches = json_object_get(reference(), "batch_p0_0.05_seq"), *row;
    struct verdict_absolute d = absolute(0.05);
    size_t i;
    CHECK_INT(json_array_size(json_object_get(batches, "batches_n_k")), 4);
    json_array_foreach(json_object_get(batches, "batches_n_k"), i, row)
    {
        double e = verdict_absolute_batch(&d, (uint64_t)number(row, 0), (uint64_t)number(row, 1));
        check_close("batch", i, e, number(json_object_get(batches, "E"), i));
    }
}

/* The mixture without reserve, which the table calls plain: the same bets, all staked at once. */
TEST(plain_mixture)
{
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(reference(), "plain_mixture"), i, row)
    {
        struct verdict_absolute d = absolute(number(row, 0));
        struct verdict_mixture *m = &d.mixture;
        for (int j = 0; j < m->bets; j++)
            m->stake[j] = 1.0 / m->bets;
        m->reserve = m->reserve_of_stage = 0;
        double e = verdict_absolute_batch(&d, (uint64_t)number(row, 1), (uint64_t)number(row, 2));
        check_close("plain", i, e, number(row, 3));
    }
}

TEST(relative_factors)
{
    json_t *row;
    size_t i;
    CHECK_INT(json_array_size(json_object_get(reference(), "rel_factors_kg_ng_kb_nb_omega_e")), 4);
    json_array_foreach(json_object_get(reference(), "rel_factors_kg_ng_kb_nb_omega_e"), i, row)
    {
        double e =
            verdict_relative_factor((uint64_t)number(row, 0), (uint64_t)number(row, 1),
                                    (uint64_t)number(row, 2), (uint64_t)number(row, 3), number(row, 4));
        check_close("factor", i, e, number(row, 5));
    }
}

TEST(relative_sequence)
{
    const double ratios[] = {2, 5, 20, 150};
    struct verdict_relative d;
    struct err e;
    json_t *value;
    size_t i;
    REQUIRE(verdict_relative_init(&d, ratios, 4, &e) == 0);
    CHECK_INT(json_array_size(json_object_get(reference(), "rel_seq_2of2_vs_0of18")), 4);
    json_array_foreach(json_object_get(reference(), "rel_seq_2of2_vs_0of18"), i, value)
        check_close("sequence", i, verdict_relative_block(&d, 2, 2, 0, 18), json_number_value(value));
}

/* The mean of the factor under the hypothesis is 1: the definition of an e-value, by counting every outcome.
 */
TEST(relative_factor_is_an_e_value)
{
    for (uint64_t k = 0; k <= 12; k++) {
        double mean = 0;
        for (uint64_t x = k > 8 ? k - 8 : 0; x <= k && x <= 5; x++) { /* 5 green, 8 blue */
            double ways = exp(lgamma(6) - lgamma((double)x + 1) - lgamma(6 - (double)x) + lgamma(9) -
                              lgamma((double)(k - x) + 1) - lgamma(9 - (double)(k - x)) -
                              (lgamma(14) - lgamma((double)k + 1) - lgamma(14 - (double)k)));
            mean += ways * verdict_relative_factor(x, 5, k - x, 8, 20);
        }
        check_close("mean", k, mean, 1);
    }
}

TEST(relative_of_large_blocks)
{
    double e = verdict_relative_factor(3000, 50000, 5000, 50000, 150);
    CHECK(e >= 0 && e < 1);
    e = verdict_relative_factor(5000, 5000, 0, 50000, 150);
    CHECK(e > 1e12);
    CHECK(verdict_relative_factor(0, 5000, 0, 50000, 150) == 1);
}

TEST(promotion_needs)
{
    const json_t *rates = json_object_get(reference(), "promote_min_n_by_k"), *alphas, *needs, *value;
    const char *rate, *alpha, *k;
    size_t rows = 0;
    json_object_foreach((json_t *)rates, rate, alphas) json_object_foreach((json_t *)alphas, alpha, needs)
        json_object_foreach((json_t *)needs, k, value)
    {
        uint64_t n = verdict_promotion_requests((uint64_t)atoi(k), atof(strchr(rate, '=') + 1),
                                                atof(strchr(alpha, '=') + 1));
        CHECK_INT(n, json_integer_value(value));
        rows++;
    }
    CHECK_INT(rows, 24);
}

TEST(promotion_evidence)
{
    json_t *row;
    size_t i;
    CHECK_INT(json_array_size(json_object_get(reference(), "promote_E")), 3);
    json_array_foreach(json_object_get(reference(), "promote_E"), i, row) check_close(
        "promotion", i, verdict_promotion((uint64_t)number(row, 0), (uint64_t)number(row, 1), number(row, 2)),
        number(row, 3));
}

TEST(intervals)
{
    json_t *row;
    size_t i;
    CHECK_INT(json_array_size(json_object_get(reference(), "ci_n_k_alpha_L_U")), 3);
    json_array_foreach(json_object_get(reference(), "ci_n_k_alpha_L_U"), i, row)
    {
        double low, high;
        verdict_interval((uint64_t)number(row, 0), (uint64_t)number(row, 1), number(row, 2), &low, &high);
        check_close("low", i, low, number(row, 3));
        check_close("high", i, high, number(row, 4));
    }
    double low, high;
    verdict_interval(0, 0, 0.05, &low, &high);
    CHECK(low == 0 && high == 1);
    verdict_interval(10, 10, 0.05, &low, &high);
    CHECK(low > 0.5 && high == 1);
}

static size_t values_of(const json_t *list, double *out)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        out[i] = number(list, i);
    return json_array_size(list);
}

TEST(kayentas_judge)
{
    static const char *const labels[] = {"Pass", "High", "Low"};
    const json_t *kayenta = json_object_get(reference(), "kayenta"), *row;
    const json_t *values = json_object_get(kayenta, "experiment_values");
    double control[64], experiment[64];
    size_t n = values_of(json_object_get(kayenta, "control"), control), rows = 0;
    const char *name;
    json_object_foreach(json_object_get(kayenta, "cases"), name, row)
    {
        struct rank_sum r;
        struct err e;
        size_t m = values_of(json_object_get(values, name), experiment);
        REQUIRE(rank_sum(control, n, experiment, m, &r, &e) == 0);
        check_close("U", rows, r.u, member(row, "U"));
        check_close("p", rows, r.p, member(row, "p"));
        check_close("low", rows, r.low, number(json_object_get(row, "ci"), 0));
        check_close("high", rows, r.high, number(json_object_get(row, "ci"), 1));
        check_close("estimate", rows, r.estimate, member(row, "estimate"));
        CHECK_STR(labels[r.label], json_string_value(json_object_get(row, "label")));
        rows++;
    }
    CHECK_INT(rows, 3);
}

TEST(rank_sum_of_little)
{
    const double one = 1, same[] = {5, 5, 5}, bad = NAN;
    struct rank_sum r;
    struct err e;
    CHECK_INT(rank_sum(&one, 1, &one, 1, &r, &e), 0);
    CHECK(r.label == RANK_SUM_PASS && r.p == 1 && r.low == 0 && r.high == 0);
    CHECK_INT(rank_sum(same, 3, same, 3, &r, &e), 0);
    CHECK(r.label == RANK_SUM_PASS && r.p == 1 && r.estimate == 0);
    CHECK_INT(rank_sum(&one, 0, &one, 1, &r, &e), -ERR_USAGE);
    CHECK_INT(rank_sum(&one, 1, &bad, 1, &r, &e), -ERR_USAGE);
}

TEST(arguments_out_of_range)
{
    const double ratios[] = {2, 0}, many[VERDICT_MAX_BETS + 1] = {1};
    struct verdict_absolute a;
    struct verdict_relative r;
    struct err e;
    CHECK_INT(verdict_absolute_init(&a, 0, &e), -ERR_USAGE);
    CHECK_INT(verdict_absolute_init(&a, 1, &e), -ERR_USAGE);
    CHECK_INT(verdict_absolute_init(&a, NAN, &e), -ERR_USAGE);
    CHECK_INT(verdict_relative_init(&r, ratios, 2, &e), -ERR_USAGE);
    CHECK_INT(verdict_relative_init(&r, ratios, 0, &e), -ERR_USAGE);
    CHECK_INT(verdict_relative_init(&r, many, VERDICT_MAX_BETS + 1, &e), -ERR_USAGE);
}

/* Any p0 has bets above it that lose nothing they do not have. */
TEST(absolute_for_any_rate)
{
    for (double p0 = 0.001; p0 < 1; p0 += 0.0333) {
        struct verdict_absolute d = absolute(p0);
        for (int j = 0; j < d.mixture.bets; j++)
            CHECK(d.lambda[j] > 0 && d.lambda[j] * p0 < 1);
        CHECK(slots_until(d, 1, 1e4) < 2000);
    }
}

/* E-values stay finite, whatever comes. */
TEST(clamped)
{
    const double ratios[] = {2, 150};
    struct verdict_absolute d = absolute(0.01);
    struct verdict_relative r;
    struct err e;
    REQUIRE(verdict_relative_init(&r, ratios, 2, &e) == 0);
    for (int i = 0; i < 2000; i++) {
        verdict_absolute_update(&d, 1);
        verdict_absolute_batch(&d, 1000000, 1000000);
        verdict_relative_block(&r, 1000, 1000, 0, 9000);
    }
    CHECK(isfinite(d.mixture.e) && d.mixture.e >= 1e100);
    CHECK(isfinite(r.mixture.e) && r.mixture.e >= 1e100);
    CHECK(isfinite(verdict_promotion(UINT64_MAX / 2, 0, 0.5)));
}

TEST_MAIN()
