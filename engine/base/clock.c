#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void clock_init_real(struct clock *c)
{
    *c = (struct clock){.is_virtual = false};
}

void clock_init_virtual(struct clock *c, int64_t wall_us)
{
    *c = (struct clock){.is_virtual = true, .mono_us = 0, .wall_us = wall_us};
}

int64_t clock_mono_us(const struct clock *c)
{
    return c->is_virtual ? c->mono_us : read_us(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(const struct clock *c)
{
    return clock_mono_us(c) / 1000;
}

int64_t clock_wall_us(const struct clock *c)
{
    return c->is_virtual ? c->wall_us : read_us(CLOCK_REALTIME);
}

void clock_advance_to(struct clock *c, int64_t mono_us)
{
    if (!c->is_virtual || mono_us <= c->mono_us) return;
    c->wall_us += mono_us - c->mono_us;
    c->mono_us = mono_us;
}

void clock_format_utc(int64_t wall_us, char *out, size_t size_bytes)
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char day[24];
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, size_bytes, "%s.%03dZ", day, (int)(wall_us / 1000 % 1000));
}
