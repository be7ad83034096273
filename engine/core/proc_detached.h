/* proc_detached: processes that outlive the engine, and proof of which process is meant.
 *
 * A number alone does not name a process: it is used again. A process is named by its number, the
 * kernel's record of when it started, and the boot it started in. Nothing here ever signals a
 * process whose name does not match. */
#ifndef ENGINE_CORE_PROC_DETACHED_H
#define ENGINE_CORE_PROC_DETACHED_H

#include "core/op.h"

#include <uv.h>

struct proc_identity {
    int pid;
    uint64_t started; /* field 22 of /proc/PID/stat, with 12 bits of the boot's id above its 40: below 2^53 */
};

struct proc_detached_options {
    const char *const *argv;
    const char *cwd;      /* NULL: ours */
    char **env;           /* NULL: ours */
    const char *log_path; /* its output is appended there, mode 0600; NULL: /dev/null */
};

/* Starts argv in a session of its own. Codes: not_found, permission, process. */
int proc_detached_start(struct loop *loop, const struct proc_detached_options *options,
                        struct proc_identity *out, struct err *e);

/* Who has this pid now? False if nobody (that runs) has. */
bool proc_identify(int pid, struct proc_identity *out);
bool proc_is_alive(const struct proc_identity *who);

/* How a process that this engine started ended: 0..255 and 0, or -1 and a signal. False when it has
 * not ended or was started by another engine. */
bool proc_exit_status(const struct proc_identity *who, int *code, int *signum);

/* Waits for the end of a process; with `stop` set, ends it with its group: SIGTERM, then SIGKILL
 * after grace_us. One that is gone already is a success. Zeroed before use; stays until done. */
struct proc_end {
    struct op op;
    struct proc_identity who;
    bool stop;
    int64_t grace_us;
    /* private */
    uv_poll_t poll;
    int pidfd;
    struct timer grace, look;
    bool polling, ended, closing, leads_group;
};

/* timeout_us bounds the whole wait. Codes: timeout, process (it is still there after SIGKILL). */
int proc_end_start(struct proc_end *end, struct loop *loop, int64_t timeout_us, op_done_fn done, void *arg,
                   struct err *e);

#endif
