#include "host/watchdog.h"

#include "bind/await.h"
#include "bind/b_err.h"

#include <lauxlib.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* In simulated time nobody is waited for: a task that computes for so long never ends. */
enum { SIMULATED_S = 1 };

/* Written by the signal handler, which may run at any instruction of the Lua thread. */
static lua_State *watched;
static timer_t timer;
static volatile sig_atomic_t running, allowance, ticks, was_stopped;
static volatile unsigned long last_turn, armed_turn;

/* Who wants the stretch of Lua with this number to end, or NULL. Also written by the handlers of signals. */
static const char *volatile hurried_by;
static volatile unsigned long hurried_turn;
static volatile sig_atomic_t was_interrupted;

static int allowed_s(void)
{
    return runtime_of(watched)->clock.is_virtual && allowance > SIMULATED_S ? SIMULATED_S : (int)allowance;
}

/* A script that catches the error and computes on is stopped a second time, and then the hook stays: it
 * raises at whatever the task does next, so that every pcall of it fails in turn, until the task has ended.
 */
static void raise_runaway(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    struct runtime *rt = runtime_of(L);
    bool is_hurried = hurried_by != NULL && task_may_be_interrupted(rt);
    /* It has waited since, or is to be let alone until its allowance is eaten. */
    if (rt->turns != armed_turn || (!is_hurried && !was_stopped && ticks < allowed_s())) {
        lua_sethook(L, NULL, 0, 0);
        return;
    }
    if (!was_stopped) lua_sethook(L, NULL, 0, 0);
    was_stopped = 1;
    ticks = 0;
    if (is_hurried) {
        was_interrupted = 1;
        struct err e;
        err_set(&e, ERR_INTERRUPTED, "", "interrupted by %s", hurried_by);
        err_push(L, &e);
        lua_error(L);
    }
    luaL_where(L, 0); /* in a hook, what runs is at level 0 */
    lua_pushfstring(L, "computed for %d s without waiting; split the work or wait in between", allowed_s());
    lua_concat(L, 2);
    lua_error(L);
}

static void on_tick(int signum)
{
    (void)signum;
    struct runtime *rt = runtime_of(watched);
    lua_State *co = task_running(rt);
    if (hurried_turn != rt->turns) hurried_by = NULL;
    if (co == NULL || rt->turns != last_turn) {
        last_turn = rt->turns;
        ticks = was_stopped = 0;
        return;
    }
    ticks = ticks + 1; /* it has run for as many seconds, or for up to one more */
    /* lua_sethook is the one call that may be made from a signal handler. */
    if (ticks >= allowed_s() || was_stopped || hurried_by != NULL) {
        armed_turn = rt->turns;
        lua_sethook(co, raise_runaway, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
    }
}

void watchdog_start(lua_State *L, int allowance_s)
{
    watched = L;
    allowance = allowance_s;
    ticks = 0;
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGVTALRM, &action, NULL);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGVTALRM};
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0) return;
    struct itimerspec every_second = {.it_interval = {.tv_sec = 1}, .it_value = {.tv_sec = 1}};
    timer_settime(timer, 0, &every_second, NULL);
    running = 1;
}

void watchdog_hurry(const char *by)
{
    if (!running) return;
    const struct runtime *rt = runtime_of(watched);
    if (task_running(rt) == NULL) return;
    hurried_turn = rt->turns;
    hurried_by = by;
}

bool watchdog_interrupted(void)
{
    bool was = was_interrupted;
    was_interrupted = 0;
    return was;
}

void watchdog_stop(void)
{
    if (running) timer_delete(timer);
    running = 0;
    signal(SIGVTALRM, SIG_IGN);
}
