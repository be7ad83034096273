/* work: a blocking function on a worker thread, awaited on the loop.
 *
 * For what burns CPU or blocks: compression, hashing, SQLite, worker connections. The function must
 * not touch the loop. It cannot be stopped from outside; a long one looks at work_is_canceled now
 * and then and returns early. Workers come from a pool (UV_THREADPOOL_SIZE, default 4). */
#ifndef ENGINE_CORE_WORK_H
#define ENGINE_CORE_WORK_H

#include "core/op.h"

#include <stdatomic.h>
#include <uv.h>

struct work;
/* Returns 0 or a negative code with e filled. */
typedef int (*work_fn)(struct work *work, void *arg, struct err *e);

struct work {
    struct op op;
    uv_work_t uv;
    work_fn fn;
    void *arg;
    atomic_bool canceled;
    int rc;
    struct err err;
};

/* w is zeroed and stays until done has fired. */
int work_start(struct work *w, struct loop *loop, work_fn fn, void *arg, int64_t timeout_us, op_done_fn done,
               void *done_arg, struct err *e);
bool work_is_canceled(struct work *w); /* from the worker */

#endif
