/* op: one asynchronous operation: started, possibly canceled, limited in time, completed once.
 *
 * A concept (http, proc, sql, ...) embeds a struct op, names its kind and promises:
 *   - If its start function fails, the completion never fires; otherwise it fires exactly once,
 *     from the loop, never from inside the start function.
 *   - After op_cancel its cancel hook makes the operation end soon with op_finish or op_fail.
 *   - Its memory stays until the completion has fired.
 *
 *     concept_start():  op_begin(&c->op, loop, &KIND, timeout_us, done, arg);   ... return 0;
 *     later:            op_finish(&c->op)   or   op_fail(&c->op, ERR_..., "what", "why ...");
 *     done(op):         op->status is 0, or negative with op->err filled. */
#ifndef ENGINE_CORE_OP_H
#define ENGINE_CORE_OP_H

#include "base/err.h"
#include "core/loop.h"

struct op;
typedef void (*op_done_fn)(struct op *op, void *arg);

struct op_kind {
    const char *name; /* "http", for messages */
    bool external;    /* waits for the real world: a virtual clock must not jump over it */
    /* Makes the operation end soon. NULL: it cannot be hurried (a worker thread); then its
     * completion comes when it comes, with the reason of the cancellation. */
    void (*cancel)(struct op *op);
};

enum op_state { OP_IDLE, OP_RUNNING, OP_ENDING, OP_DONE };

#define OP_NO_TIMEOUT (-1)

struct op {
    struct loop *loop;
    const struct op_kind *kind;
    enum op_state state;
    bool canceled;
    int status;     /* 0, or -code; valid in the completion */
    struct err err; /* filled when status < 0 */
    op_done_fn done;
    void *arg;
    struct timer deadline;
    struct post post;
};

/* For concepts. timeout_us: OP_NO_TIMEOUT or the time after which the op is canceled with
 * ERR_TIMEOUT. */
void op_begin(struct op *op, struct loop *loop, const struct op_kind *kind, int64_t timeout_us,
              op_done_fn done, void *arg);
void op_finish(struct op *op);
void op_fail(struct op *op, enum err_code code, const char *what, const char *fmt, ...) ERR_PRINTF(4, 5);
void op_fail_with(struct op *op, const struct err *e);

/* For users. Harmless when the op is not running. The completion still fires, with this reason. */
void op_cancel(struct op *op, enum err_code code, const char *what, const char *fmt, ...) ERR_PRINTF(4, 5);
bool op_is_running(const struct op *op); /* begun and its completion has not fired */

/* An op that only lets time pass. */
void op_sleep(struct op *op, struct loop *loop, int64_t delay_us, op_done_fn done, void *arg);

#endif
