/* metrics: what happened to each colour's requests, in slots of 250 ms by the requests' start.
 *
 * Log lines come when a request ends, so fast errors overtake slow successes; judged in that order a
 * healthy colour looks bad. Therefore a request belongs to the slot in which it started, and a slot is closed
 * (and counts) only 500 ms after its end. A request that ends later still counts, in the oldest open slot.
 * Beside the stage (since the mark) there is a history of 20 minutes, in which every request stands where it
 * really started. Pure counting: lines come from metrics_line, time from the caller. Memory is constant (7
 * MB, of which untouched pages cost nothing). */
#ifndef ENGINE_CORE_METRICS_H
#define ENGINE_CORE_METRICS_H

#include "base/err.h"
#include "core/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    METRICS_SLOT_US = 250000,
    METRICS_LAG_US = 500000,
    METRICS_COLOURS = 2,
    METRICS_MAX_SERVERS = 64,
    METRICS_SERVER_BYTES = 64,
    METRICS_SPAN_US = 5000000, /* the history keeps durations in spans of this length */
    METRICS_SPANS = 250,
    METRICS_THRESHOLDS = 5,
    METRICS_HISTORY_SLOTS = METRICS_SPANS * (METRICS_SPAN_US / METRICS_SLOT_US),
};

enum metrics_format { METRICS_HAPROXY, METRICS_NGINX };

struct metrics_counts {
    uint64_t requests, errors, slow, aborted, client_errors, retried;
    uint64_t hidden; /* errors among them that the proxy made good by asking the other colour */
    uint64_t over[METRICS_THRESHOLDS]; /* slower than each threshold; 0 until they are set */
};

struct metrics;

/* slow_us: a response that takes longer counts as slow. */
int metrics_new(struct metrics **out, int64_t slow_us, struct err *e);
void metrics_set_format(struct metrics *m,
                        enum metrics_format format); /* before any line; default METRICS_HAPROXY */
void metrics_free(struct metrics *m);
/* From now on also count requests that took longer than each of these. */
void metrics_set_thresholds(struct metrics *m, const int64_t threshold_us[METRICS_THRESHOLDS]);
int metrics_add_server(struct metrics *m, const char *server, int colour, struct err *e);

/* One line, received at now_us (monotonic); wall_us is the same moment as wall-clock time. */
void metrics_line(struct metrics *m, const char *text, size_t len, int64_t now_us, int64_t wall_us);

/* Closes the slots that are due at now_us and adds them up. Returns how many were closed. */
int metrics_advance(struct metrics *m, int64_t now_us);
/* The microsecond at which the next slot closes. */
int64_t metrics_next_close_us(const struct metrics *m, int64_t now_us);

/* Begins a new stage: counts, quantiles and first failures start anew with the slot of now_us. */
void metrics_mark(struct metrics *m, int64_t now_us);

/* What was closed since the last call of this function or metrics_mark, added up over `slots` slots: a reader
 * that comes late misses nothing. */
struct metrics_unread {
    int slots;
    struct metrics_counts counts[METRICS_COLOURS];
};
struct metrics_unread metrics_take_unread(struct metrics *m);
bool metrics_has_unread(const struct metrics *m);

/* The history's closed slots from from_us on: counts, and the time that they cover (whole slots; less than
 * asked when the history does not reach so far). */
struct metrics_window {
    int64_t covered_us;
    struct metrics_counts counts[METRICS_COLOURS];
};
struct metrics_window metrics_history(const struct metrics *m, int64_t from_us, int64_t now_us);
/* Their durations, merged into `into`, in whole spans: up to METRICS_SPAN_US more at the beginning. */
void metrics_history_durations(const struct metrics *m, int colour, int64_t from_us, int64_t now_us,
                               struct histogram *into);

/* Lines of a colour since the beginning, counted as they come: what a proxy's own counters can be compared
 * with. */
uint64_t metrics_received(const struct metrics *m, int colour);

/* Since the mark. */
int64_t metrics_mark_us(const struct metrics *m);
int64_t metrics_covered_us(const struct metrics *m); /* from the mark to the end of the last closed slot */
const struct metrics_counts *metrics_since(const struct metrics *m, int colour);
const struct metrics_counts *metrics_last_slot(const struct metrics *m, int colour); /* the one closed last */
const struct histogram *metrics_durations(const struct metrics *m, int colour);
int64_t metrics_first_failure_wall_us(const struct metrics *m,
                                      int colour);      /* start of that request; 0: none */
uint64_t metrics_unreadable(const struct metrics *m);   /* lines that are no log lines */
uint64_t metrics_unattributed(const struct metrics *m); /* lines of servers of no colour, or of none */
int64_t metrics_newest_us(const struct metrics *m);     /* when the last readable line came; 0: never */

#endif
