/* clock: the one source of time.
 *
 * A real clock reads the system. A virtual clock stands still until somebody advances it, which is
 * the loop's job: when nothing real is under way it jumps to the next timer. Code that asks the
 * system for the time elsewhere breaks simulation; there is none. */
#ifndef ENGINE_BASE_CLOCK_H
#define ENGINE_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clock {
    bool is_virtual;
    int64_t mono_us; /* of a virtual clock */
    int64_t wall_us; /* of a virtual clock, since 1970-01-01T00:00:00Z */
};

void clock_init_real(struct clock *c);
void clock_init_virtual(struct clock *c, int64_t wall_us);

int64_t clock_mono_us(const struct clock *c); /* monotonic; only differences mean something */
int64_t clock_mono_ms(const struct clock *c);
int64_t clock_wall_us(const struct clock *c); /* since the Unix epoch, UTC */

/* Moves a virtual clock forward to mono_us (never back); a real clock is not moved. */
void clock_advance_to(struct clock *c, int64_t mono_us);

/* "2026-11-23T18:07:20.123Z"; out holds at least CLOCK_TEXT_BYTES. */
#define CLOCK_TEXT_BYTES 32
void clock_format_utc(int64_t wall_us, char *out, size_t size_bytes);

#endif
