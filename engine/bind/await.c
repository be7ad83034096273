#include "bind/await.h"

#include "bind/b_err.h"

#include <assert.h>
#include <lauxlib.h>
#include <string.h>

#define TASK_META "engine.task"

enum task_state { TASK_NEW, TASK_RUNNING, TASK_WAITING, TASK_CLOSING, TASK_ENDED };

/* Lives in a userdata. User value 1: the coroutine. User value 2: the reason of a cancellation. User
 * value 3: the context, which children inherit.
 * While it has not ended, the registry holds it under its own address. */
struct task {
    struct runtime *rt;
    lua_State *co;
    struct task *parent, *children, *prev, *next; /* prev, next: among siblings */
    enum task_state state;
    int flags;
    bool canceled, ok;
    int nresults; /* on top of co's stack */
    struct op *waiting;
    struct join *joins; /* who waits for the end */
    struct timer deadline;
    int64_t deadline_us;
    char name[64];
    struct post first_run;
};

struct join {
    struct op op;
    struct task *target;
    struct join *next;
};

struct runtime *runtime_of(lua_State *L)
{
    return *(struct runtime **)lua_getextraspace(L);
}

void runtime_attach(lua_State *L, struct runtime *rt)
{
    *(struct runtime **)lua_getextraspace(L) = rt;
}

static void push_task(lua_State *L, struct task *t)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, t);
}

static void body_ended(struct task *t);

static void run(struct task *t, int nargs)
{
    struct runtime *rt = t->rt;
    struct task *before = rt->current;
    rt->current = t;
    rt->turns++;
    t->state = TASK_RUNNING;
    int nresults = 0;
    int status = lua_resume(t->co, rt->L, nargs, &nresults);
    assert(status != LUA_YIELD || t->waiting != NULL); /* the sandbox has no other yield than await() */
    rt->current = before;
    if (status == LUA_YIELD) {
        t->state = TASK_WAITING;
        return;
    }
    t->ok = status == LUA_OK;
    if (t->ok) {
        t->nresults = nresults;
    } else {
        err_adopt(t->co, t->co);
        t->nresults = 1;
    }
    body_ended(t);
}

/* Every error becomes an error table where it is raised, while the call stack is still there. */
static int on_error(lua_State *L)
{
    err_adopt(L, L);
    return 1;
}

static int body_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
    return lua_gettop(L) - 1; /* without on_error */
}

/* The bottom of every task: its function runs protected inside the coroutine, so that variables which are to
 * be closed are closed in it too, where they may wait, also after an error. */
static int body(lua_State *L)
{
    lua_pushcfunction(L, on_error);
    lua_insert(L, 1);
    return body_done(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, body_done), 0);
}

static void unlink_child(struct task *t)
{
    if (t->parent == NULL) return;
    if (t->prev != NULL)
        t->prev->next = t->next;
    else
        t->parent->children = t->next;
    if (t->next != NULL) t->next->prev = t->prev;
}

static void finish(struct task *t)
{
    struct task *parent = t->parent;
    if (t->rt->interruptible == t) t->rt->interruptible = NULL;
    timer_stop(t->rt->loop, &t->deadline);
    t->state = TASK_ENDED;
    unlink_child(t);
    t->parent = NULL;
    while (t->joins != NULL) {
        struct join *j = t->joins;
        t->joins = j->next;
        op_finish(&j->op);
    }
    /* One that was canceled on purpose is no failure. */
    if (parent != NULL && !t->ok && !t->canceled && (t->flags & TASK_BACKGROUND) && !parent->canceled) {
        lua_pushvalue(t->co, -1);
        lua_xmove(t->co, t->rt->L, 1);
        task_cancel(t->rt->L, parent);
    }
    if (parent != NULL && parent->state == TASK_CLOSING && parent->children == NULL) finish(parent);
    /* From here on only Lua's references keep it. */
    lua_pushnil(t->rt->L);
    lua_rawsetp(t->rt->L, LUA_REGISTRYINDEX, t);
}

static void cancel_children(lua_State *L, struct task *t)
{
    /* The reason is on top of L. A child may end, and leave the list, only later, from the loop. */
    for (struct task *child = t->children; child != NULL; child = child->next) {
        if (child->flags & TASK_SHIELDED) continue;
        lua_pushvalue(L, -1);
        task_cancel(L, child);
    }
}

/* The function has returned or raised; the task ends when its children have. */
static void body_ended(struct task *t)
{
    if (t->children == NULL) {
        finish(t);
        return;
    }
    t->state = TASK_CLOSING;
    struct err e;
    err_set(&e, ERR_CANCELED, "", "the work that started this ended");
    err_push(t->rt->L, &e);
    cancel_children(t->rt->L, t);
    lua_pop(t->rt->L, 1);
}

static void first_run(void *arg)
{
    struct task *t = arg;
    if (t->canceled) {
        push_task(t->rt->L, t);
        lua_getiuservalue(t->rt->L, -1, 2);
        lua_xmove(t->rt->L, t->co, 1);
        lua_pop(t->rt->L, 1);
        t->ok = false;
        t->nresults = 1;
        body_ended(t);
        return;
    }
    run(t, lua_gettop(t->co) - 1);
}

struct task *task_spawn(lua_State *L, struct task *parent, int nargs, int flags)
{
    struct runtime *rt = runtime_of(L);
    struct task *t = lua_newuserdatauv(L, sizeof *t, 3); /* fn args... task */
    memset(t, 0, sizeof *t);
    luaL_setmetatable(L, TASK_META);
    t->rt = rt;
    t->flags = flags | (parent != NULL ? parent->flags & (TASK_LOOKS | TASK_LOOKED) : 0);
    lua_insert(L, -(nargs + 2)); /* task fn args... */
    t->co = lua_newthread(L);    /* task fn args... co */
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -(nargs + 4), 1);
    lua_insert(L, -(nargs + 2)); /* task co fn args... */
    luaL_checkstack(t->co, nargs + 2, "too many arguments");
    lua_pushcfunction(t->co, body);
    lua_xmove(L, t->co, nargs + 1);
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, t);
    t->parent = parent;
    if (parent != NULL) {
        t->next = parent->children;
        if (t->next != NULL) t->next->prev = t;
        parent->children = t;
        push_task(L, parent);
        lua_getiuservalue(L, -1, 3);
        lua_setiuservalue(L, -3, 3);
        lua_pop(L, 1);
        if (parent->canceled && !(flags & TASK_SHIELDED)) t->canceled = true;
        if (t->canceled) {
            push_task(L, parent);
            lua_getiuservalue(L, -1, 2);
            lua_setiuservalue(L, -3, 2);
            lua_pop(L, 1);
        }
    }
    loop_post(rt->loop, &t->first_run, first_run, t);
    return t;
}

void task_cancel(lua_State *L, struct task *t)
{
    if (t->state == TASK_ENDED || t->canceled) {
        lua_pop(L, 1);
        return;
    }
    t->canceled = true;
    push_task(L, t);
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, -2, 2);
    lua_pop(L, 1);
    cancel_children(L, t);
    if (t->waiting != NULL) op_cancel(t->waiting, ERR_CANCELED, "", "the work around it was canceled");
    lua_pop(L, 1);
}

void task_interrupt(lua_State *L, struct task *t, const char *by)
{
    struct err e;
    err_set(&e, ERR_INTERRUPTED, "", "interrupted by %s", by);
    err_push(L, &e);
    task_cancel(L, t);
}

static void on_deadline(void *arg)
{
    struct task *t = arg;
    struct err e;
    err_set(&e, ERR_DEADLINE, t->name, "%s%snot done within its deadline of %.3g s", t->name,
            t->name[0] ? ": " : "", (double)t->deadline_us / 1e6);
    err_push(t->rt->L, &e);
    task_cancel(t->rt->L, t);
}

void task_set_deadline(struct task *t, int64_t delay_us, const char *name)
{
    t->deadline_us = delay_us;
    snprintf(t->name, sizeof t->name, "%s", name ? name : "");
    timer_start(t->rt->loop, &t->deadline, delay_us, on_deadline, t);
}

lua_State *task_running(const struct runtime *rt)
{
    const struct task *t = rt->current;
    return t != NULL ? t->co : NULL;
}

bool task_may_be_interrupted(const struct runtime *rt)
{
    for (const struct task *t = rt->current; t != NULL; t = t->parent)
        if (t->canceled || (t->flags & TASK_SHIELDED)) return false;
    return rt->current != NULL;
}

bool task_looks(const struct runtime *rt)
{
    return rt->current != NULL && (rt->current->flags & TASK_LOOKS);
}

bool task_looked(const struct runtime *rt)
{
    return rt->current != NULL && (rt->current->flags & TASK_LOOKED);
}

void task_may_change(lua_State *L, const char *what)
{
    if (!task_looks(runtime_of(L))) return;
    struct err e;
    err_set(&e, ERR_READ_ONLY, what, "%s changes the world, and here it may only be looked at", what);
    err_raise(L, &e);
}

bool task_is_ended(const struct task *t)
{
    return t->state == TASK_ENDED;
}

bool task_is_canceled(const struct task *t)
{
    return t->canceled;
}

int task_push_results(lua_State *L, struct task *t)
{
    assert(t->state == TASK_ENDED);
    luaL_checkstack(L, t->nresults + 1, "too many results");
    lua_pushboolean(L, t->ok);
    int base = lua_gettop(t->co) - t->nresults;
    for (int i = 1; i <= t->nresults; i++) {
        lua_pushvalue(t->co, base + i);
        lua_xmove(t->co, L, 1);
    }
    return t->nresults + 1;
}

static int raise_reason(lua_State *L, struct task *t)
{
    push_task(L, t);
    lua_getiuservalue(L, -1, 2);
    return lua_error(L);
}

struct task *await_begin(lua_State *L)
{
    struct task *t = runtime_of(L)->current;
    if (t == NULL) luaL_error(L, "nothing can be waited for here: a file only describes, run() acts");
    assert(t->co == L);
    if (t->canceled) raise_reason(L, t);
    return t;
}

void await_wake(struct op *op, void *arg)
{
    struct task *t = arg;
    assert(t->waiting == op);
    (void)op;
    t->waiting = NULL;
    run(t, 0);
}

int await(lua_State *L, struct op *op, lua_KFunction done)
{
    struct task *t = runtime_of(L)->current;
    assert(t != NULL && t->co == L && t->waiting == NULL);
    t->waiting = op;
    return lua_yieldk(L, 0, (lua_KContext)op, done);
}

struct op *await_end(lua_State *L, lua_KContext ctx)
{
    struct task *t = runtime_of(L)->current;
    assert(t != NULL && t->co == L);
    if (t->canceled) raise_reason(L, t);
    return (struct op *)ctx;
}

/* --- the Lua module core.task ------------------------------------------------------------- */

static struct task *check_task(lua_State *L, int index)
{
    return luaL_checkudata(L, index, TASK_META);
}

/* task.spawn(flags, fn, ...) -> task; flags: "", "shield", "background" */
static int l_spawn(lua_State *L)
{
    static const char *const names[] = {"", "shield", "background", NULL};
    static const int flags[] = {0, TASK_SHIELDED, TASK_BACKGROUND};
    int flag = flags[luaL_checkoption(L, 1, "", names)];
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct task *parent = runtime_of(L)->current;
    if (parent == NULL) return luaL_error(L, "a task can only be started inside run()");
    if (parent->canceled && !(flag & TASK_SHIELDED)) return raise_reason(L, parent);
    task_spawn(L, parent, lua_gettop(L) - 2, flag);
    return 1;
}

static const struct op_kind JOIN = {.name = "join", .external = false, .cancel = NULL};

static int join_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    return task_push_results(L, ((struct join *)op)->target);
}

/* task.join(task) -> true, results... | false, err. Only the parent may join. */
static int l_join(lua_State *L)
{
    struct task *target = check_task(L, 1);
    struct runtime *rt = runtime_of(L);
    if (target->state == TASK_ENDED) {
        await_begin(L);
        return task_push_results(L, target);
    }
    if (target->parent != rt->current)
        return luaL_error(L, "a task can only be joined by the one that started it");
    struct task *self = rt->current;
    if (self == NULL) return luaL_error(L, "there is no task here");
    /* Joining works in a canceled task too: the children are ending, and are waited for. */
    struct join *j = lua_newuserdatauv(L, sizeof *j, 0);
    memset(j, 0, sizeof *j);
    j->target = target;
    j->next = target->joins;
    target->joins = j;
    op_begin(&j->op, rt->loop, &JOIN, OP_NO_TIMEOUT, await_wake, self);
    return await(L, &j->op, join_done);
}

/* task.cancel(task, reason) */
static int l_cancel(lua_State *L)
{
    struct task *t = check_task(L, 1);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    task_cancel(L, t);
    return 0;
}

/* task.deadline(task, seconds, name) */
static int l_deadline(lua_State *L)
{
    struct task *t = check_task(L, 1);
    lua_Number seconds = luaL_checknumber(L, 2);
    if (!(seconds > 0 && seconds < 1e9)) return luaL_error(L, "a deadline is a positive number of seconds");
    if (t->state != TASK_ENDED) task_set_deadline(t, (int64_t)(seconds * 1e6), luaL_optstring(L, 3, ""));
    return 0;
}

static int sleep_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    await_end(L, ctx);
    return 0;
}

static void raise_over(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    luaL_error(L, "simulated time is over, and the script goes on");
}

/* task.sleep(seconds) */
static int l_sleep(lua_State *L)
{
    struct runtime *rt = runtime_of(L);
    if (rt->clock.is_virtual && rt->over_us > 0 && clock_mono_us(&rt->clock) > rt->over_us) {
        /* From here on each of its pcalls fails in turn, until the task has ended. */
        lua_sethook(L, raise_over, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
        return 0;
    }
    lua_Number seconds = luaL_checknumber(L, 1);
    if (!(seconds >= 0 && seconds < 1e9)) return luaL_error(L, "sleep takes a number of seconds from 0 on");
    struct op *op = lua_newuserdatauv(L, sizeof *op, 0);
    memset(op, 0, sizeof *op);
    struct task *t = await_begin(L);
    op_sleep(op, rt->loop, (int64_t)(seconds * 1e6), await_wake, t);
    return await(L, op, sleep_done);
}

/* task.interruptible(task): an interrupt from outside cancels this task, until it ends, and not the main one.
 * Ctrl-C that came just before is for it: who types Enter and then thinks better of it is heard. */
static int l_interruptible(lua_State *L)
{
    struct task *t = check_task(L, 1);
    struct runtime *rt = runtime_of(L);
    if (t->state == TASK_ENDED) return 0;
    rt->interruptible = t;
    if (rt->ctrl_c_waits) task_interrupt(L, t, "Ctrl-C");
    rt->ctrl_c_waits = false;
    return 0;
}

/* task.outlive_ctrl_c(boolean): Ctrl-C cancels only interruptible tasks, not the main one: a console stays */
static int l_outlive_ctrl_c(lua_State *L)
{
    struct runtime *rt = runtime_of(L);
    rt->outlives_ctrl_c = lua_toboolean(L, 1);
    rt->ctrl_c_waits = false;
    return 0;
}

/* task.canceled() -> boolean: is the running task being canceled? */
static int l_canceled(lua_State *L)
{
    struct task *t = runtime_of(L)->current;
    lua_pushboolean(L, t != NULL && t->canceled);
    return 1;
}

/* task.context() -> the value set for this task or inherited from its parent */
static int l_context(lua_State *L)
{
    struct task *t = runtime_of(L)->current;
    if (t == NULL) return 0;
    push_task(L, t);
    lua_getiuservalue(L, -1, 3);
    return 1;
}

/* task.set_context(value): for this task and the children it starts from now on */
static int l_set_context(lua_State *L)
{
    struct task *t = runtime_of(L)->current;
    luaL_checkany(L, 1);
    if (t == NULL) return luaL_error(L, "there is no task here");
    lua_settop(L, 1);
    push_task(L, t);
    lua_insert(L, 1);
    lua_setiuservalue(L, 1, 3);
    return 0;
}

/* task.only_look(boolean) -> boolean before: may the running task, and what it starts from now on, only look
 * at the world? Whoever sets it decides who can lift it: the console does, around what was confirmed. */
static int l_only_look(lua_State *L)
{
    struct task *t = runtime_of(L)->current;
    luaL_checktype(L, 1, LUA_TBOOLEAN);
    if (t == NULL) return luaL_error(L, "there is no task here");
    lua_pushboolean(L, (t->flags & TASK_LOOKS) != 0);
    t->flags = lua_toboolean(L, 1) ? t->flags | TASK_LOOKS | TASK_LOOKED : t->flags & ~TASK_LOOKS;
    return 1;
}

/* task.worst_stall([reset]) -> seconds: the longest that one turn of the loop kept all others waiting */
static int l_worst_stall(lua_State *L)
{
    struct loop *loop = runtime_of(L)->loop;
    lua_pushnumber(L, (lua_Number)loop_worst_stall_us(loop) / 1e6);
    if (lua_toboolean(L, 1)) loop_reset_stall(loop);
    return 1;
}

static int l_tostring(lua_State *L)
{
    static const char *const states[] = {"new", "running", "waiting", "closing", "ended"};
    struct task *t = check_task(L, 1);
    lua_pushfstring(L, "task(%s)", states[t->state]);
    return 1;
}

int luaopen_core_task(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"spawn", l_spawn},
        {"join", l_join},
        {"cancel", l_cancel},
        {"deadline", l_deadline},
        {"sleep", l_sleep},
        {"canceled", l_canceled},
        {"interruptible", l_interruptible},
        {"outlive_ctrl_c", l_outlive_ctrl_c},
        {"worst_stall", l_worst_stall},
        {"only_look", l_only_look},
        {"context", l_context},
        {"set_context", l_set_context},
        {NULL, NULL},
    };
    if (luaL_newmetatable(L, TASK_META)) {
        lua_pushcfunction(L, l_tostring);
        lua_setfield(L, -2, "__tostring");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
