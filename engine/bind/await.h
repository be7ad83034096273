/* await: the only yield and the only resume.
 *
 * A task is a coroutine with a parent. A primitive that waits starts a struct op, awaits it and is
 * continued by the op's one completion. The shape of every binding that waits:
 *
 *     static int l_get(lua_State *L)
 *     {
 *         struct http *h = push_http(L);            // inert userdata whose __gc releases it
 *         ... read arguments into it ...
 *         struct task *task = await_begin(L);       // raises if L may not wait, or was canceled
 *         struct err e;
 *         if (http_start(h, runtime_of(L)->loop, timeout_us, await_wake, task, &e) < 0)
 *             return err_return(L, &e);
 *         return await(L, http_op(h), get_done);    // h stays on this stack, so it stays alive
 *     }
 *     static int get_done(lua_State *L, int status, lua_KContext ctx)
 *     {
 *         struct op *op = await_end(L, ctx);        // raises if the task was canceled meanwhile
 *         if (op->status < 0) return err_return(L, &op->err);
 *         ... push results ...
 *     }
 *
 * Structure: a task ends only after its children; a child of `background` that fails cancels its
 * parent; canceling a task cancels its children except shielded ones. Cancellation is raised at
 * every wait of the task until it has ended. */
#ifndef ENGINE_BIND_AWAIT_H
#define ENGINE_BIND_AWAIT_H

#include "bind/runtime.h"
#include "core/op.h"

#include <lua.h>

struct task *await_begin(lua_State *L);
void await_wake(struct op *op, void *task); /* give this and the task as the op's completion */
int await(lua_State *L, struct op *op, lua_KFunction done);
struct op *await_end(lua_State *L, lua_KContext ctx);

enum task_flags {
    TASK_SHIELDED = 1,   /* the parent's cancellation does not reach it */
    TASK_BACKGROUND = 2, /* nobody joins it: its failure cancels the parent */
    TASK_LOOKS = 4,      /* it may only look at the world, and so may what it starts */
    TASK_LOOKED = 8, /* it could only look at some time, or what started it could; for good, also below it */
};

/* Starts fn, which stands under its nargs arguments on L's stack, as a task. [-(nargs+1), +1]: the
 * task as userdata. parent may be NULL. It first runs from the loop. */
struct task *task_spawn(lua_State *L, struct task *parent, int nargs, int flags);

/* Cancels with the error value at the top of L's stack. [-1, +0] */
void task_cancel(lua_State *L, struct task *task);

/* Cancels with ERR_INTERRUPTED; by: "Ctrl-C". */
void task_interrupt(lua_State *L, struct task *task, const char *by);

/* Cancels with ERR_DEADLINE when delay_us has passed and the task has not ended. */
void task_set_deadline(struct task *task, int64_t delay_us, const char *name);

/* The coroutine whose Lua runs at this moment, or NULL. Safe in a signal handler. */
lua_State *task_running(const struct runtime *rt);

/* Would an interrupt end what the running task does? Not clean-up: where it is shielded, or canceled already.
 */
bool task_may_be_interrupted(const struct runtime *rt);

/* Every binding that changes the world calls this first. Raises "read_only", naming what was tried, in a task
 * that may only look. */
void task_may_change(lua_State *L, const char *what);
bool task_looks(const struct runtime *rt);  /* may the running task only look? */
bool task_looked(const struct runtime *rt); /* ... now, or before something was let through? */

bool task_is_ended(const struct task *task);
/* After the end: pushes true, results... or false, err onto L. [-0, +n]; returns n. */
int task_push_results(lua_State *L, struct task *task);
bool task_is_canceled(const struct task *task);

int luaopen_core_task(lua_State *L); /* see stdlib/task.lua */

#endif
