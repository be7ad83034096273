/* proc: child processes, started from an argument vector, never through a shell.
 *
 * A child is the leader of a process group of its own: ending it ends what it started too. It inherits file
 * descriptors 0 to 2 and nothing else. Its output is kept up to a limit (the first half and the latest half
 * of the limit), and can be taken line by line while it runs.
 *
 * Life cycle: proc_new, proc_start, any number of proc_next_line, proc_wait, proc_free. proc_free ends
 * a child that still runs. Programs that shall outlive the engine are proc_detached's. */
#ifndef ENGINE_CORE_PROC_H
#define ENGINE_CORE_PROC_H

#include "base/buf.h"
#include "core/op.h"

#include <stdint.h>

struct proc;

struct proc_options {
    char *const *argv; /* ends with NULL; argv[0] is looked up in PATH */
    char *const *env;  /* the whole environment, ends with NULL; NULL: the engine's own */
    const char *cwd;   /* NULL: the engine's own */
    const void *input; /* for its standard input; NULL: /dev/null */
    size_t input_bytes;
    size_t max_output_bytes; /* of each stream */
    bool lines;              /* keep lines for proc_next_line */
    int64_t grace_us;        /* between SIGTERM and SIGKILL when it is ended from outside */
};

/* argv and the rest are copied. */
int proc_start(struct proc **out, struct loop *loop, const struct proc_options *options, struct err *e);

/* Completes when the child has ended and its output was read to the end. A timeout or cancellation ends the
 * child (SIGTERM to its group, SIGKILL after the grace) and completes then, with that reason. */
struct op *proc_wait(struct proc *p, int64_t timeout_us, op_done_fn done, void *arg);

/* Completes when a line is there (proc_line) or no more can come (then proc_line gives NULL). A timeout or
 * cancellation ends the child as that of proc_wait does. */
struct op *proc_next_line(struct proc *p, int64_t timeout_us, op_done_fn done, void *arg);
const char *proc_line(struct proc *p, size_t *len,
                      int *stream); /* stream: 1 or 2; valid until the next call */

/* After the end. */
int proc_exit_code(const struct proc *p);   /* -1 if a signal ended it */
int proc_term_signal(const struct proc *p); /* 0 if none */
int proc_pid(const struct proc *p);
/* What was kept of stream 1 or 2; says in the middle how much was left out. */
void proc_output(const struct proc *p, int stream, struct buf *out);

void proc_free(struct proc *p); /* may be called at any time; NULL is fine */

#endif
