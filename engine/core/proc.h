/* proc: runs a command and waits for its end.
 *
 * A command is an argv array, never a shell's line. It leads a process group of its own: when it is
 * canceled or out of time, the whole group gets SIGTERM, and SIGKILL after a grace. Its output is
 * kept within limits (core/proc_output.h), handed out line by line, or goes elsewhere.
 *
 *     proc_start(&p, loop, &options, done, arg, &e);    -> done(op) once, then proc_free(p)
 *
 * A command that ends by itself is a success here, whatever its exit code: the caller judges. */
#ifndef ENGINE_CORE_PROC_H
#define ENGINE_CORE_PROC_H

#include "core/op.h"

#include <stddef.h>

enum proc_destination {
    PROC_CAPTURE, /* kept; see proc_text */
    PROC_INHERIT, /* to our own stdout and stderr */
    PROC_FILE,    /* both appended to options.file */
};

struct proc_options {
    const char *const *argv; /* NULL-terminated; argv[0] is searched in PATH if it has no slash */
    const char *cwd;         /* NULL: ours */
    char **env;              /* NULL: ours; see core/proc_env.h */
    const char *input;       /* for its stdin, or NULL: /dev/null */
    size_t input_len;
    enum proc_destination output;
    const char *file;
    size_t keep_bytes;          /* of each stream */
    bool lines;                 /* also hand out lines: proc_next_line */
    int64_t timeout_us;         /* until SIGTERM; OP_NO_TIMEOUT is possible */
    int64_t grace_us;           /* between SIGTERM and SIGKILL */
    void (*on_line)(void *arg); /* there is something for proc_next_line; may be NULL */
    void *on_line_arg;
};

struct proc;

/* Everything in options may be gone when this returns. Codes: not_found, permission, process, memory. */
int proc_start(struct proc **out, struct loop *loop, const struct proc_options *options, op_done_fn done,
               void *arg, struct err *e);
struct op *proc_op(struct proc *p);
void proc_free(struct proc *p);    /* after done has fired; p may be NULL */
void proc_abandon(struct proc *p); /* instead: SIGKILL to the group; done never fires, p frees itself */

int proc_pid(const struct proc *p);
bool proc_next_line(struct proc *p, int *stream, const char **line,
                    size_t *len); /* stream: 0 stdout, 1 stderr */

/* After the end. */
int proc_exit_code(const struct proc *p);   /* 0..255, or -1 if a signal ended it */
int proc_exit_signal(const struct proc *p); /* 0 if it ended by itself */
int64_t proc_elapsed_us(const struct proc *p);
struct buf;
bool proc_text(const struct proc *p, int stream, struct buf *out); /* true: something was left out */

#endif
