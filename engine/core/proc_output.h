/* proc_output: what a process writes, within bounds: its beginning, its end, and its lines.
 *
 * A process may write more than there is memory for. The first half of the limit and the last half
 * are kept, with a note in between of how much was left out. Knows nothing of processes. */
#ifndef ENGINE_CORE_PROC_OUTPUT_H
#define ENGINE_CORE_PROC_OUTPUT_H

#include "base/buf.h"

#include <stdint.h>

struct proc_output {
    size_t keep_bytes;
    struct buf head;
    char *tail; /* a ring of tail_cap bytes, allocated when head is full */
    size_t tail_cap, tail_len, tail_at;
    uint64_t total_bytes;
    bool failed;
};

void proc_output_init(struct proc_output *o, size_t keep_bytes);
void proc_output_add(struct proc_output *o, const char *bytes, size_t n);
/* Appends what was kept. Returns whether anything is missing from it. */
bool proc_output_text(const struct proc_output *o, struct buf *out);
void proc_output_release(struct proc_output *o);

/* Lines of two streams in the order in which they were completed, waiting to be taken. */
struct proc_lines {
    struct buf partial[2]; /* by stream: 0 stdout, 1 stderr */
    struct buf queue;      /* records of complete lines */
    size_t taken_bytes;    /* of the queue's front */
};

enum { PROC_LINE_BYTES = 64 << 10, PROC_QUEUE_BYTES = 256 << 10 };

void proc_lines_add(struct proc_lines *l, int stream, const char *bytes, size_t n);
void proc_lines_end(struct proc_lines *l, int stream); /* the last line need not end in a newline */
/* The next line without its newline (longer ones come in pieces of PROC_LINE_BYTES); false if there
 * is none. It is valid until the next call of any of these. */
bool proc_lines_next(struct proc_lines *l, int *stream, const char **line, size_t *len);
bool proc_lines_is_full(const struct proc_lines *l); /* time to stop reading */
bool proc_lines_ok(const struct proc_lines *l);
void proc_lines_release(struct proc_lines *l);

#endif
