#include "core/loop.h"

#include "base/mem.h"

#include <assert.h>
#include <uv.h>

enum { POSTS_BUDGET_NS = 4000000 };

struct loop {
    uv_loop_t uv;
    uv_timer_t wake; /* armed for the soonest timer of a real clock */
    uv_idle_t spin;  /* active while posts are pending, so that uv_run does not block */
    struct clock *clock;
    struct timer timers; /* sentinel of a ring, soonest first */
    struct post *posts, **posts_tail;
    int busy;
    unsigned virtual_turns;
    int64_t turn_began_us, worst_stall_us;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
};

static void on_spin(uv_idle_t *handle)
{
    (void)handle;
}

/* libuv runs due timers before it polls, too: when this one fires there (the clock's millisecond
 * turned since it was armed), the poll that follows would have nothing to end it. */
static void on_wake(uv_timer_t *handle)
{
    struct loop *loop = handle->data;
    uv_idle_start(&loop->spin, on_spin);
}

/* A turn of the loop runs from the end of one poll to the beginning of the next. */
static void on_before_poll(uv_prepare_t *handle)
{
    struct loop *loop = handle->data;
    int64_t took_us = (int64_t)(uv_hrtime() / 1000) - loop->turn_began_us;
    if (loop->turn_began_us != 0 && took_us > loop->worst_stall_us) loop->worst_stall_us = took_us;
}

static void on_after_poll(uv_check_t *handle)
{
    struct loop *loop = handle->data;
    loop->turn_began_us = (int64_t)(uv_hrtime() / 1000);
}

int loop_init(struct loop **out, struct clock *clock, struct err *e)
{
    struct loop *loop = mem_zalloc(sizeof *loop);
    if (loop == NULL) return err_set(e, ERR_MEMORY, "loop", "no memory for the event loop");
    int rc = uv_loop_init(&loop->uv);
    if (rc != 0) {
        mem_free(loop);
        return err_set(e, ERR_INTERNAL, "loop", "the event loop could not start: %s", uv_strerror(rc));
    }
    loop->clock = clock;
    loop->timers.prev = loop->timers.next = &loop->timers;
    loop->posts_tail = &loop->posts;
    uv_timer_init(&loop->uv, &loop->wake);
    uv_idle_init(&loop->uv, &loop->spin);
    uv_prepare_init(&loop->uv, &loop->before_poll);
    uv_check_init(&loop->uv, &loop->after_poll);
    loop->wake.data = loop->before_poll.data = loop->after_poll.data = loop;
    uv_prepare_start(&loop->before_poll, on_before_poll);
    uv_check_start(&loop->after_poll, on_after_poll);
    uv_unref((uv_handle_t *)&loop->wake);
    uv_unref((uv_handle_t *)&loop->spin);
    uv_unref((uv_handle_t *)&loop->before_poll);
    uv_unref((uv_handle_t *)&loop->after_poll);
    *out = loop;
    return 0;
}

/* Runs what is posted, but lets the poll and the timers in between when it takes long: a thousand tasks that
 * are started at once must not keep everything else waiting. On a virtual clock nothing else waits, and
 * the order must be the same each time, so there all are run. */
static void run_posts(struct loop *loop)
{
    uint64_t began_ns = uv_hrtime();
    struct post *batch = loop->posts, **batch_tail = loop->posts_tail;
    loop->posts = NULL;
    loop->posts_tail = &loop->posts;
    while (batch != NULL) {
        struct post *p = batch;
        batch = p->next;
        p->pending = false;
        p->fn(p->arg);
        if (batch == NULL || loop->clock->is_virtual || uv_hrtime() - began_ns < POSTS_BUDGET_NS) continue;
        *batch_tail = loop->posts; /* what is left comes before what was posted meanwhile */
        if (loop->posts == NULL) loop->posts_tail = batch_tail;
        loop->posts = batch;
        return;
    }
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) return;
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->spin, NULL);
    uv_close((uv_handle_t *)&loop->before_poll, NULL);
    uv_close((uv_handle_t *)&loop->after_poll, NULL);
    /* Lets every uv_close finish, and what was posted by it. */
    do {
        run_posts(loop);
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    } while (loop->posts != NULL);
    int rc = uv_loop_close(&loop->uv);
    assert(rc == 0 && "a handle was left open on the loop");
    (void)rc;
    mem_free(loop);
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

struct clock *loop_clock(struct loop *loop)
{
    return loop->clock;
}

int64_t loop_now_us(const struct loop *loop)
{
    return clock_mono_us(loop->clock);
}

void loop_busy(struct loop *loop)
{
    loop->busy++;
}

void loop_idle(struct loop *loop)
{
    assert(loop->busy > 0);
    loop->busy--;
}

int64_t loop_worst_stall_us(const struct loop *loop)
{
    return loop->worst_stall_us;
}

void loop_reset_stall(struct loop *loop)
{
    loop->worst_stall_us = 0;
    loop->turn_began_us = 0;
}

void loop_post(struct loop *loop, struct post *p, void (*fn)(void *arg), void *arg)
{
    p->fn = fn;
    p->arg = arg;
    if (p->pending) return;
    p->pending = true;
    p->next = NULL;
    *loop->posts_tail = p;
    loop->posts_tail = &p->next;
}

/* Timers with the same delay are started in the order in which they are due, so searching from the
 * far end finds the place at once; a heap would need memory and could fail. */
void timer_start(struct loop *loop, struct timer *t, int64_t delay_us, void (*fn)(void *arg), void *arg)
{
    timer_stop(loop, t);
    t->fn = fn;
    t->arg = arg;
    t->due_us = loop_now_us(loop) + (delay_us > 0 ? delay_us : 0);
    struct timer *after = loop->timers.prev;
    while (after != &loop->timers && after->due_us > t->due_us)
        after = after->prev;
    t->prev = after;
    t->next = after->next;
    after->next->prev = t;
    after->next = t;
    t->active = true;
}

void timer_stop(struct loop *loop, struct timer *t)
{
    (void)loop;
    if (!t->active) return;
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->active = false;
}

static void run_due_timers(struct loop *loop)
{
    int64_t now_us = loop_now_us(loop);
    while (loop->timers.next != &loop->timers && loop->timers.next->due_us <= now_us) {
        struct timer *t = loop->timers.next;
        timer_stop(loop, t);
        t->fn(t->arg);
    }
}

bool loop_has_timers(const struct loop *loop)
{
    return loop->timers.next != &loop->timers;
}

/* Decides how long the next poll may block, and arms libuv for it. */
static uv_run_mode prepare_poll(struct loop *loop)
{
    uv_timer_stop(&loop->wake);
    if (loop->posts != NULL) return UV_RUN_NOWAIT;
    if (!loop_has_timers(loop)) return UV_RUN_ONCE;
    int64_t wait_us = loop->timers.next->due_us - loop_now_us(loop);
    if (wait_us <= 0) return UV_RUN_NOWAIT;
    if (loop->clock->is_virtual) {
        if (loop->busy == 0) clock_advance_to(loop->clock, loop->timers.next->due_us);
        return loop->busy == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE;
    }
    uv_update_time(&loop->uv);
    uv_timer_start(&loop->wake, on_wake, (uint64_t)((wait_us + 999) / 1000), 0);
    return UV_RUN_ONCE;
}

int loop_run_until(struct loop *loop, bool (*done)(void *arg), void *arg, struct err *e)
{
    for (;;) {
        run_posts(loop);
        run_due_timers(loop);
        if (done(arg)) return 0;
        uv_run_mode mode = prepare_poll(loop);
        /* In virtual time nothing comes from outside, so only now and then libuv is asked, for signals. */
        if (mode == UV_RUN_NOWAIT && loop->clock->is_virtual && loop->busy == 0 &&
            ++loop->virtual_turns % 256 != 0)
            continue;
        if (mode == UV_RUN_ONCE && !uv_loop_alive(&loop->uv)) {
            if (!loop_has_timers(loop))
                return err_set(e, ERR_INTERNAL, "loop", "waiting for something that can no longer happen");
            /* Only our own timer is left: keep the poll alive for it. */
            uv_ref((uv_handle_t *)&loop->wake);
            uv_run(&loop->uv, mode);
            uv_unref((uv_handle_t *)&loop->wake);
            uv_idle_stop(&loop->spin);
            continue;
        }
        if (mode == UV_RUN_NOWAIT) uv_idle_start(&loop->spin, on_spin);
        uv_run(&loop->uv, mode);
        uv_idle_stop(&loop->spin);
    }
}
