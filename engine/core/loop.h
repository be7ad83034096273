/* loop: one thread, one libuv loop, timers on our clock, and deferred calls.
 *
 * Everything that waits, waits here. Timers follow `struct clock`: with a virtual clock, the loop
 * jumps to the next timer as soon as nothing real (a socket, a process, a worker) is under way, so
 * that hours pass in milliseconds.
 *
 * Life cycle: loop_init, any number of loop_run_until, loop_free. All calls on the loop's thread. */
#ifndef ENGINE_CORE_LOOP_H
#define ENGINE_CORE_LOOP_H

#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct uv_loop_s;
struct loop;

int loop_init(struct loop **out, struct clock *clock, struct err *e); /* clock must outlive the loop */
void loop_free(struct loop *loop); /* every op must have completed and every handle been closed */

struct uv_loop_s *loop_uv(struct loop *loop);
struct clock *loop_clock(struct loop *loop);
int64_t loop_now_us(const struct loop *loop); /* monotonic, of the loop's clock */

/* Runs until done(arg) is true. Returns 0, or -ERR_INTERNAL when nothing is left that could ever
 * make it true (no timer, nothing under way): a wait that can never end is reported, not slept. */
int loop_run_until(struct loop *loop, bool (*done)(void *arg), void *arg, struct err *e);

/* Does anything wait for its time? */
bool loop_has_timers(const struct loop *loop);

/* Real work under way (ops of external kinds call these): keeps a virtual clock from jumping. */
void loop_busy(struct loop *loop);
void loop_idle(struct loop *loop);

/* The longest time that one turn of the loop kept everything else waiting, in microseconds, since
 * the last call of loop_reset_stall. */
int64_t loop_worst_stall_us(const struct loop *loop);
void loop_reset_stall(struct loop *loop);

/* A call made soon, from the loop, never from inside loop_post. Embed it; a post that is pending
 * is not posted twice. */
struct post {
    struct post *next;
    void (*fn)(void *arg);
    void *arg;
    bool pending;
};
void loop_post(struct loop *loop, struct post *p, void (*fn)(void *arg), void *arg);

/* A timer. Embed it, zeroed; starting cannot fail and allocates nothing. One that is due fires
 * from the loop, once. */
struct timer {
    struct timer *prev, *next; /* the loop's list, soonest first */
    int64_t due_us;
    void (*fn)(void *arg);
    void *arg;
    bool active;
};
void timer_start(struct loop *loop, struct timer *t, int64_t delay_us, void (*fn)(void *arg), void *arg);
void timer_stop(struct loop *loop, struct timer *t); /* harmless when it is not active */

#endif
