/* runtime: what every binding can reach from its lua_State.
 *
 * One runtime a Lua state: the loop, the clock and the task that runs now. It is found through the
 * state's extra space, which Lua copies to every coroutine. */
#ifndef ENGINE_BIND_RUNTIME_H
#define ENGINE_BIND_RUNTIME_H

#include "core/loop.h"

#include <lua.h>
#include <stdbool.h>

struct task;
struct grant;

struct runtime {
    lua_State *L; /* the main state; tasks are coroutines of it */
    struct loop *loop;
    struct clock clock;
    int64_t over_us;            /* of a virtual clock: when nobody may sleep any more; 0: never */
    struct task *current;       /* whose coroutine runs now, or NULL */
    struct task *interruptible; /* whom an interrupt cancels instead of the main task, or NULL */
    bool outlives_ctrl_c;       /* Ctrl-C does not cancel the main task: */
    bool ctrl_c_waits;          /* one that came between two tasks that it is for is the next one's */
    unsigned long turns;        /* how often a task was resumed: tells one stretch of Lua from the next */
    const struct grant *grant;  /* what the run may reach; NULL: everything (core/grant.h) */
};

struct runtime *runtime_of(lua_State *L);
void runtime_attach(lua_State *L, struct runtime *rt);

/* Every core module of bind/, found by name: "core.http" opens http's functions.
 * The table is made from bind/ by the Makefile: a file that defines luaopen_core_x is module core.x. */
struct bind_module {
    const char *name;
    lua_CFunction open; /* returns the module's table */
};
extern const struct bind_module bind_modules[]; /* ends with a NULL name */

#endif
