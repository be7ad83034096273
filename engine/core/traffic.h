/* traffic: who gets how much of the requests, and how to tell HAProxy so.
 *
 * Three parts: the arithmetic of shares (pure), the words of HAProxy's Runtime API (pure: commands
 * out, tables in), and an op that lets HAProxy run commands. What to do when is decided above.
 *
 * Every weight is exact: a colour's weights add up to precisely its share of all weights, so
 * what is read back can be compared without a tolerance. */
#ifndef ENGINE_CORE_TRAFFIC_H
#define ENGINE_CORE_TRAFFIC_H

#include "base/buf.h"
#include "core/net.h"
#include "core/op.h"

#include <stddef.h>
#include <stdint.h>

/* --- shares ------------------------------------------------------------------------------- */

enum { TRAFFIC_WEIGHT_MAX = 256, TRAFFIC_COLOURS_MAX = 16 };

struct traffic_colour {
    const char *name; /* for messages */
    int share;        /* percent, 0 to 100 */
    int servers;      /* at least 1 */
    int total;        /* out: what the weights of its servers add up to */
};

/* Chooses the totals: in exact proportion to the shares, every server of a colour with a share gets
 * at least 1 and at most 256. Preferred are totals that divide evenly among the servers, then
 * totals that are a multiple of the percentages, then small ones. ERR_USAGE: the shares do not add
 * up to 100. ERR_LIMIT: whole weights cannot express it. */
int traffic_split(struct traffic_colour *colours, size_t count, struct err *e);

/* The weight of server index (from 0) of a colour: they differ by at most 1. */
int traffic_weight(const struct traffic_colour *colour, int index);

/* --- HAProxy's words ---------------------------------------------------------------------- */

/* Letters, digits and _ : . - as HAProxy itself allows: nothing that could end a command. */
bool traffic_is_name(const char *text);

/* One command each, added to out. ERR_USAGE for anything that is not a name, a state (ready, drain,
 * maint), an IP address or a port. */
int traffic_put_weight(struct buf *out, const char *backend, const char *server, int weight, struct err *e);
int traffic_put_state(struct buf *out, const char *backend, const char *server, const char *state,
                      struct err *e);
int traffic_put_address(struct buf *out, const char *backend, const char *server, const char *address,
                        int port, struct err *e);
int traffic_put_show(struct buf *out, const char *backend, struct err *e); /* show stat of its servers */
int traffic_put_show_states(struct buf *out, const char *backend, struct err *e); /* show servers state */

/* A table that HAProxy prints: a line that begins with '#' names the columns, rows follow until an
 * empty line. separator ',' (quoted cells are unquoted) or ' '. Cells live in the table. */
struct traffic_table {
    char *text; /* owned */
    const char **cells;
    size_t columns, rows; /* cells[0..columns-1] are the names, then row after row */
};
/* ERR_PROTOCOL when it is no such table: its message quotes what came instead. */
int traffic_table_parse(struct traffic_table *t, const char *text, size_t len, char separator, struct err *e);
void traffic_table_release(struct traffic_table *t);
const char *traffic_cell(const struct traffic_table *t, size_t row,
                         const char *column); /* NULL: no such column */
/* A whole number, or -1 where the cell is empty or missing. ERR_PROTOCOL for anything else. */
int traffic_cell_int(const struct traffic_table *t, size_t row, const char *column, int64_t *out,
                     struct err *e);

/* --- running commands --------------------------------------------------------------------- */

struct traffic_run {
    struct op op;
    struct net_conn *conn;
    char *commands; /* owned until the end */
    struct buf reply;
};

enum { TRAFFIC_REPLY_MAX_BYTES = 16 << 20 };

/* Connects, runs the commands (joined by ';') in their order and reads the reply until HAProxy
 * closes. run is zeroed and stays until done; then run->reply is the text, the caller's to release
 * with traffic_run_release. */
int traffic_run(struct traffic_run *run, struct loop *loop, const struct net_address *at,
                const char *commands, int64_t timeout_us, op_done_fn done, void *arg, struct err *e);
void traffic_run_release(struct traffic_run *run);

#endif
