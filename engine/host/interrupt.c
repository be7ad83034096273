#include "host/interrupt.h"

#include "base/err.h"
#include "base/log.h"
#include "bind/await.h"
#include "host/watchdog.h"

#include <signal.h>

static const int SIGNUMS[] = {SIGINT, SIGTERM};

static const char *name_of(int signum)
{
    return signum == SIGINT ? "Ctrl-C" : "SIGTERM";
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct interrupts *in = handle->data;
    struct runtime *rt = in->rt;
    bool in_console = rt->outlives_ctrl_c;
    bool is_done = watchdog_interrupted();
    if (in_console && signum == SIGINT && is_done) return;
    if (in_console && signum == SIGINT && rt->interruptible == NULL) {
        rt->ctrl_c_waits = true;
        return;
    }
    bool is_for_main = rt->interruptible == NULL || (in_console && signum == SIGTERM);
    struct task *task = is_for_main ? *in->main_task : rt->interruptible;
    if (task == NULL) return;
    if (task_is_canceled(task)) {
        log_line(LOG_WARN, "still cleaning up after the first interrupt; kill -9 %d leaves it where it is",
                 uv_os_getpid());
        return;
    }
    task_interrupt(rt->L, task, name_of(signum));
}

/* libuv tells of a signal from its loop, which a script that computes does not let run: it is told to the
 * watchdog at once, and to libuv's handler. */
static void (*uv_handler[2])(int);

static void at_once(int signum)
{
    watchdog_hurry(name_of(signum));
    uv_handler[signum == SIGTERM](signum);
}

static void come_before_libuv(int signum, void (**handler)(int))
{
    struct sigaction action;
    sigaction(signum, NULL, &action);
    if (action.sa_handler == at_once) return; /* another state of this process watches too */
    *handler = action.sa_handler;
    action.sa_handler = at_once;
    sigaction(signum, &action, NULL);
}

int interrupts_watch(struct interrupts *in, struct runtime *rt, struct task **main_task, struct err *e)
{
    in->rt = rt;
    in->main_task = main_task;
    for (int i = 0; i < 2; i++) {
        uv_signal_init(loop_uv(rt->loop), &in->signals[i]);
        in->signals[i].data = in;
        int rc = uv_signal_start(&in->signals[i], on_signal, SIGNUMS[i]);
        if (rc != 0)
            return err_set(e, ERR_INTERNAL, "state", "signals cannot be watched: %s", uv_strerror(rc));
        uv_unref((uv_handle_t *)&in->signals[i]);
        come_before_libuv(SIGNUMS[i], &uv_handler[i]);
    }
    return 0;
}

void interrupts_close(struct interrupts *in)
{
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&in->signals[i], NULL);
}
