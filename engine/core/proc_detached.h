/* proc_detached: processes that outlive the engine, and the proof of who they are.
 *
 * A pid alone may be reused; a pid with the kernel's start time of the process is unique until the next
 * boot. Nothing here ever signals a pid whose start time differs. */
#ifndef ENGINE_CORE_PROC_DETACHED_H
#define ENGINE_CORE_PROC_DETACHED_H

#include "core/op.h"

#include <stdint.h>
#include <uv.h>

struct proc_identity {
    int pid;
    uint64_t started; /* clock ticks since boot, field 22 of /proc/PID/stat */
};

/* Starts argv in a session of its own, output appended to log_path (0600), input from /dev/null. env NULL:
 * the engine's own. Blocks only for fork and exec; an exec that fails is reported here. */
int proc_detached_start(struct proc_identity *out, char *const *argv, char *const *env, const char *cwd,
                        const char *log_path, struct err *e);

bool proc_is_alive(const struct proc_identity *id); /* a zombie is not alive */
int proc_identify(int pid, struct proc_identity *out, struct err *e);

/* Stops it: SIGTERM to its group, SIGKILL after grace_us. Completes when it has ended (also if it had
 * ended before). Zeroed before use. */
struct proc_stop {
    struct op op;
    struct proc_identity id;
    uv_poll_t poll; /* on the pidfd, readable when the process has ended */
    struct timer kill_timer;
    struct post post;
    int pidfd;
};
int proc_stop_start(struct proc_stop *stop, struct loop *loop, const struct proc_identity *id,
                    int64_t grace_us, int64_t timeout_us, bool send_signals, op_done_fn done, void *arg,
                    struct err *e);

#endif
