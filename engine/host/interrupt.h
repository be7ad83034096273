/* interrupt: what Ctrl-C and SIGTERM end.
 *
 * The first one cancels what can be interrupted; its own clean-up then runs. In a console that is the
 * statement, or the next one when there is none; SIGTERM ends the console. Cancellation is raised at a wait:
 * of a stretch that computes and does not come to one, the watchdog takes care. */
#ifndef ENGINE_HOST_INTERRUPT_H
#define ENGINE_HOST_INTERRUPT_H

#include "bind/runtime.h"

#include <uv.h>

struct interrupts {
    struct runtime *rt;
    struct task *
        *main_task; /* whom they cancel when nothing else can be interrupted; *main_task may be NULL */
    uv_signal_t signals[2];
};

int interrupts_watch(struct interrupts *interrupts, struct runtime *rt, struct task **main_task,
                     struct err *e);
void interrupts_close(struct interrupts *interrupts);

#endif
