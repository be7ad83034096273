#include "core/traffic.h"

#include <assert.h>

static int greatest_common_divisor(int a, int b)
{
    while (b != 0) {
        int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int check_shares(const struct traffic_colour *colours, size_t count, int *divisor, struct err *e)
{
    int sum = 0;
    *divisor = 0;
    if (count == 0 || count > TRAFFIC_COLOURS_MAX)
        return err_set(e, ERR_USAGE, "traffic split", "there are 1 to %d colours, not %zu",
                       TRAFFIC_COLOURS_MAX, count);
    for (size_t i = 0; i < count; i++) {
        if (colours[i].share < 0 || colours[i].share > 100)
            return err_set(e, ERR_USAGE, "traffic split", "%s cannot get %d %%", colours[i].name,
                           colours[i].share);
        if (colours[i].servers < 1)
            return err_set(e, ERR_USAGE, "traffic split", "%s has no server", colours[i].name);
        sum += colours[i].share;
        *divisor = greatest_common_divisor(colours[i].share, *divisor);
    }
    if (sum != 100)
        return err_set(e, ERR_USAGE, "traffic split", "the shares add up to %d %%, not to 100 %%", sum);
    return 0;
}

/* Would totals of unit * share / divisor do? */
static bool fits(const struct traffic_colour *colours, size_t count, int divisor, int unit, bool evenly)
{
    for (size_t i = 0; i < count; i++) {
        int64_t total = (int64_t)unit * (colours[i].share / divisor), servers = colours[i].servers;
        if (total == 0) continue;
        if (total < servers || (total + servers - 1) / servers > TRAFFIC_WEIGHT_MAX) return false;
        if (evenly && total % servers != 0) return false;
    }
    return true;
}

/* The largest unit that could fit: some colour's total reaches the limit there. */
static int largest_unit(const struct traffic_colour *colours, size_t count, int divisor)
{
    int64_t largest = INT32_MAX;
    for (size_t i = 0; i < count; i++) {
        if (colours[i].share == 0) continue;
        int64_t unit = (int64_t)TRAFFIC_WEIGHT_MAX * colours[i].servers / (colours[i].share / divisor);
        if (unit < largest) largest = unit;
    }
    return (int)largest;
}

static int find_unit(const struct traffic_colour *colours, size_t count, int divisor)
{
    int largest = largest_unit(colours, count, divisor);
    for (int evenly = 1; evenly >= 0; evenly--) {
        /* Steps of divisor keep the totals multiples of the percentages, which people can read. */
        for (int unit = divisor; unit <= largest; unit += divisor)
            if (fits(colours, count, divisor, unit, evenly)) return unit;
        for (int unit = 1; unit <= largest; unit++)
            if (fits(colours, count, divisor, unit, evenly)) return unit;
    }
    return 0;
}

int traffic_split(struct traffic_colour *colours, size_t count, struct err *e)
{
    int divisor;
    if (check_shares(colours, count, &divisor, e) != 0) return -ERR_USAGE;
    int unit = find_unit(colours, count, divisor);
    if (unit == 0) {
        char what[256] = "";
        size_t used = 0;
        for (size_t i = 0; i < count && used < sizeof what; i++)
            used += (size_t)snprintf(what + used, sizeof what - used, "%s%s %d %% on %d", i ? ", " : "",
                                     colours[i].name, colours[i].share, colours[i].servers);
        return err_set(e, ERR_LIMIT, "traffic split",
                       "no whole weights from 1 to %d give these shares exactly (%s servers)",
                       TRAFFIC_WEIGHT_MAX, what);
    }
    for (size_t i = 0; i < count; i++)
        colours[i].total = unit * (colours[i].share / divisor);
    return 0;
}

int traffic_weight(const struct traffic_colour *colour, int index)
{
    assert(index >= 0 && index < colour->servers);
    return colour->total / colour->servers + (index < colour->total % colour->servers ? 1 : 0);
}
