#include "core/work.h"

static void work_cancel(struct op *op)
{
    struct work *w = (struct work *)op; /* op is the first member */
    atomic_store(&w->canceled, true);
    uv_cancel((uv_req_t *)&w->uv); /* succeeds only while it is still queued */
}

static const struct op_kind WORK = {.name = "work", .external = true, .cancel = work_cancel};

static void on_worker(uv_work_t *uv)
{
    struct work *w = uv->data;
    w->rc = w->fn(w, w->arg, &w->err);
}

static void on_back(uv_work_t *uv, int status)
{
    struct work *w = uv->data;
    if (status == 0 && w->rc < 0)
        op_fail_with(&w->op, &w->err);
    else
        op_finish(&w->op);
}

int work_start(struct work *w, struct loop *loop, work_fn fn, void *arg, int64_t timeout_us, op_done_fn done,
               void *done_arg, struct err *e)
{
    w->fn = fn;
    w->arg = arg;
    w->rc = 0;
    w->uv.data = w;
    atomic_store(&w->canceled, false);
    int rc = uv_queue_work(loop_uv(loop), &w->uv, on_worker, on_back);
    if (rc != 0) return err_set(e, ERR_INTERNAL, "work", "no worker could be started: %s", uv_strerror(rc));
    op_begin(&w->op, loop, &WORK, timeout_us, done, done_arg);
    return 0;
}

bool work_is_canceled(struct work *w)
{
    return atomic_load(&w->canceled);
}
