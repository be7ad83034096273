/* The loop, its timers on both clocks, posts, ops and workers. */
#include "core/op.h"
#include "core/work.h"
#include "test.h"

#include <dlfcn.h>
#include <unistd.h>

static bool is_set(void *arg)
{
    return *(int *)arg != 0;
}

static int order[8], order_len;

static void note_one(void *arg)
{
    order[order_len++] = (int)(long)arg;
}

TEST(virtual_clock_jumps_from_timer_to_timer)
{
    struct clock clock;
    struct loop *loop;
    clock_init_virtual(&clock, 0);
    REQUIRE(loop_init(&loop, &clock, NULL) == 0);
    struct timer a = {0}, b = {0}, c = {0};
    order_len = 0;
    timer_start(loop, &a, 7200LL * 1000000, note_one, (void *)3L);
    timer_start(loop, &b, 5, note_one, (void *)1L);
    timer_start(loop, &c, 3600LL * 1000000, note_one, (void *)2L);
    struct err e;
    int never = 0;
    CHECK_INT(loop_run_until(loop, is_set, &never, &e), -ERR_INTERNAL);
    CHECK_INT(order_len, 3);
    CHECK_INT(order[0], 1);
    CHECK_INT(order[1], 2);
    CHECK_INT(order[2], 3);
    CHECK_INT(clock_mono_us(&clock), 7200LL * 1000000);
    loop_free(loop);
}

static void set(struct op *op, void *arg)
{
    (void)op;
    (*(int *)arg)++;
}

TEST(a_sleep_can_be_canceled_and_completes_once)
{
    struct clock clock;
    struct loop *loop;
    clock_init_real(&clock);
    REQUIRE(loop_init(&loop, &clock, NULL) == 0);
    struct op op = {0};
    int fired = 0;
    op_sleep(&op, loop, 3600LL * 1000000, set, &fired);
    CHECK(op_is_running(&op));
    op_cancel(&op, ERR_INTERRUPTED, "test", "somebody pressed Ctrl-C");
    op_cancel(&op, ERR_TIMEOUT, "test", "too late to matter");
    CHECK_INT(fired, 0);
    CHECK_INT(loop_run_until(loop, is_set, &fired, NULL), 0);
    CHECK_INT(fired, 1);
    CHECK_INT(op.status, -ERR_INTERRUPTED);
    CHECK_STR(op.err.message, "somebody pressed Ctrl-C");
    loop_free(loop);
}

static int wait_for_byte(struct work *w, void *arg, struct err *e)
{
    (void)w;
    char c;
    if (read(*(int *)arg, &c, 1) != 1) return err_set(e, ERR_IO, "read", "pipe closed");
    return c == 'x' ? 0 : err_set(e, ERR_PROTOCOL, "read", "got '%c'", c);
}

TEST(work_runs_beside_the_loop_and_brings_back_its_error)
{
    struct clock clock;
    struct loop *loop;
    int fds[2], fired = 0;
    clock_init_virtual(&clock, 0);
    REQUIRE(pipe(fds) == 0);
    REQUIRE(loop_init(&loop, &clock, NULL) == 0);
    struct work w = {0};
    struct timer t = {0};
    order_len = 0;
    REQUIRE(work_start(&w, loop, wait_for_byte, &fds[0], OP_NO_TIMEOUT, set, &fired, NULL) == 0);
    timer_start(loop, &t, 1000000, note_one, (void *)9L);
    CHECK_INT(write(fds[1], "q", 1), 1);
    CHECK_INT(loop_run_until(loop, is_set, &fired, NULL), 0);
    CHECK_INT(order_len, 0); /* the virtual clock stood still while real work was under way */
    CHECK_INT(w.op.status, -ERR_PROTOCOL);
    CHECK_STR(w.op.err.message, "got 'q'");
    timer_stop(loop, &t);
    close(fds[0]);
    close(fds[1]);
    loop_free(loop);
}

/* Stands before libuv's own: lets the millisecond turn between arming the loop's timer and polling. */
static bool is_run_late;
int uv_run(uv_loop_t *uv, uv_run_mode mode)
{
    int (*real)(uv_loop_t *, uv_run_mode) = (int (*)(uv_loop_t *, uv_run_mode))dlsym(RTLD_NEXT, "uv_run");
    if (is_run_late) usleep(3000);
    return real(uv, mode);
}

static void never_called(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
}

TEST(a_short_timer_ends_a_poll_although_a_descriptor_stays_silent)
{
    struct clock clock;
    struct loop *loop;
    int fds[2];
    uv_poll_t silent;
    clock_init_real(&clock);
    REQUIRE(pipe(fds) == 0);
    REQUIRE(loop_init(&loop, &clock, NULL) == 0);
    REQUIRE(uv_poll_init(loop_uv(loop), &silent, fds[0]) == 0);
    uv_poll_start(&silent, UV_READABLE, never_called);
    struct op op = {0};
    int fired = 0;
    is_run_late = true;
    op_sleep(&op, loop, 1000, set, &fired);
    CHECK_INT(loop_run_until(loop, is_set, &fired, NULL), 0);
    is_run_late = false;
    uv_close((uv_handle_t *)&silent, NULL);
    loop_free(loop);
    close(fds[0]);
    close(fds[1]);
}

TEST_MAIN()
