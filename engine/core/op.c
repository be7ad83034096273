#include "core/op.h"

#include <assert.h>

static void on_deadline(void *arg)
{
    struct op *op = arg;
    op_cancel(op, ERR_TIMEOUT, op->kind->name, "no answer within the time limit");
}

void op_begin(struct op *op, struct loop *loop, const struct op_kind *kind, int64_t timeout_us,
              op_done_fn done, void *arg)
{
    assert(!op_is_running(op));
    op->loop = loop;
    op->kind = kind;
    op->state = OP_RUNNING;
    op->canceled = false;
    op->status = 0;
    err_clear(&op->err);
    op->done = done;
    op->arg = arg;
    if (kind->external) loop_busy(loop);
    if (timeout_us >= 0) timer_start(loop, &op->deadline, timeout_us, on_deadline, op);
}

static void complete(void *arg)
{
    struct op *op = arg;
    op->state = OP_DONE;
    op->done(op, op->arg); /* op may be freed by now */
}

static void end(struct op *op)
{
    assert(op->state == OP_RUNNING && "an op completes once");
    op->state = OP_ENDING;
    timer_stop(op->loop, &op->deadline);
    if (op->kind->external) loop_idle(op->loop);
    loop_post(op->loop, &op->post, complete, op);
}

void op_finish(struct op *op)
{
    /* A canceled op reports why it was canceled even if its work was done by then: whoever
     * canceled it has already acted on that. */
    op->status = op->canceled ? -(int)op->err.code : 0;
    end(op);
}

void op_fail_with(struct op *op, const struct err *e)
{
    if (!op->canceled) op->err = *e;
    op->status = -(int)op->err.code;
    end(op);
}

void op_fail(struct op *op, enum err_code code, const char *what, const char *fmt, ...)
{
    struct err e;
    va_list ap;
    va_start(ap, fmt);
    err_vset(&e, code, what, fmt, ap);
    va_end(ap);
    op_fail_with(op, &e);
}

void op_cancel(struct op *op, enum err_code code, const char *what, const char *fmt, ...)
{
    if (op->state != OP_RUNNING || op->canceled) return;
    va_list ap;
    va_start(ap, fmt);
    err_vset(&op->err, code, what, fmt, ap);
    va_end(ap);
    op->canceled = true;
    if (op->kind->cancel != NULL) op->kind->cancel(op);
}

bool op_is_running(const struct op *op)
{
    return op->state == OP_RUNNING || op->state == OP_ENDING;
}

static void sleep_cancel(struct op *op)
{
    timer_stop(op->loop, &op->deadline);
    op_finish(op);
}

static const struct op_kind SLEEP = {.name = "sleep", .external = false, .cancel = sleep_cancel};

static void on_slept(void *arg)
{
    op_finish(arg);
}

void op_sleep(struct op *op, struct loop *loop, int64_t delay_us, op_done_fn done, void *arg)
{
    op_begin(op, loop, &SLEEP, OP_NO_TIMEOUT, done, arg);
    timer_start(loop, &op->deadline, delay_us, on_slept, op);
}
