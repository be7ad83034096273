#include "core/metrics.h"

#include "base/mem.h"
#include "core/log_line.h"

#include <limits.h>
#include <string.h>

/* Open slots at any moment: the lag, the one that is filling, and one that is due but not advanced yet. */
enum { OPEN_SLOTS = METRICS_LAG_US / METRICS_SLOT_US + 2 };

struct server {
    char name[METRICS_SERVER_BYTES];
    size_t len;
    int colour;
};

/* Both rings are found by number modulo length; a row of an older number is an old lap's. */
struct past_slot {
    int64_t number;
    struct metrics_counts counts[METRICS_COLOURS];
};

struct past_span {
    int64_t number;
    struct histogram durations[METRICS_COLOURS];
};

struct metrics {
    enum metrics_format format;
    struct server servers[METRICS_MAX_SERVERS];
    int server_count;
    int64_t slow_us;
    bool has_thresholds;
    int64_t threshold_us[METRICS_THRESHOLDS];
    int64_t oldest; /* number of the oldest open slot: start_us / METRICS_SLOT_US */
    struct metrics_counts open[OPEN_SLOTS][METRICS_COLOURS];
    struct metrics_counts since[METRICS_COLOURS], last[METRICS_COLOURS];
    struct histogram durations[METRICS_COLOURS];
    int64_t first_failure_wall_us[METRICS_COLOURS];
    int64_t mark_us, newest_us;
    uint64_t unreadable, unattributed, received[METRICS_COLOURS];
    struct metrics_unread unread;
    struct past_slot slots[METRICS_HISTORY_SLOTS];
    struct past_span spans[METRICS_SPANS];
};

int metrics_new(struct metrics **out, int64_t slow_us, struct err *e)
{
    *out = mem_zalloc(sizeof **out);
    if (*out == NULL) return err_set(e, ERR_MEMORY, "metrics", "no memory for the request counts");
    (*out)->slow_us = slow_us;
    return 0;
}

void metrics_set_format(struct metrics *m, enum metrics_format format)
{
    m->format = format;
}

void metrics_set_thresholds(struct metrics *m, const int64_t threshold_us[METRICS_THRESHOLDS])
{
    memcpy(m->threshold_us, threshold_us, sizeof m->threshold_us);
    m->has_thresholds = true;
}

void metrics_free(struct metrics *m)
{
    mem_free(m);
}

int metrics_add_server(struct metrics *m, const char *name, int colour, struct err *e)
{
    size_t len = strlen(name);
    if (m->server_count == METRICS_MAX_SERVERS)
        return err_set(e, ERR_LIMIT, "metrics", "more than %d servers", METRICS_MAX_SERVERS);
    if (len == 0 || len >= METRICS_SERVER_BYTES)
        return err_set(e, ERR_USAGE, "metrics", "'%s' is no server's name", name);
    struct server *server = &m->servers[m->server_count++];
    memcpy(server->name, name, len + 1);
    server->len = len;
    server->colour = colour;
    return 0;
}

static int colour_of(const struct metrics *m, const struct log_line *line)
{
    for (int i = 0; i < m->server_count; i++)
        if (m->servers[i].len == line->server_len &&
            memcmp(m->servers[i].name, line->server, line->server_len) == 0)
            return m->servers[i].colour;
    return -1;
}

static void add_counts(struct metrics_counts *into, const struct metrics_counts *from)
{
    into->requests += from->requests;
    into->errors += from->errors;
    into->slow += from->slow;
    into->aborted += from->aborted;
    into->client_errors += from->client_errors;
    into->retried += from->retried;
    into->hidden += from->hidden;
    for (int i = 0; i < METRICS_THRESHOLDS; i++)
        into->over[i] += from->over[i];
}

static void close_oldest(struct metrics *m)
{
    struct metrics_counts *slot = m->open[m->oldest % OPEN_SLOTS];
    for (int c = 0; c < METRICS_COLOURS; c++) {
        m->last[c] = slot[c];
        add_counts(&m->since[c], &slot[c]);
        add_counts(&m->unread.counts[c], &slot[c]);
        slot[c] = (struct metrics_counts){0};
    }
    m->unread.slots++;
    m->oldest++;
}

bool metrics_has_unread(const struct metrics *m)
{
    return m->unread.slots > 0;
}

struct metrics_unread metrics_take_unread(struct metrics *m)
{
    struct metrics_unread taken = m->unread;
    m->unread = (struct metrics_unread){0};
    return taken;
}

/* The first slot that must still be open at now_us. */
static int64_t first_open(int64_t now_us)
{
    return (now_us - METRICS_LAG_US) / METRICS_SLOT_US;
}

int metrics_advance(struct metrics *m, int64_t now_us)
{
    int64_t wanted = first_open(now_us);
    int closed = 0;
    if (wanted - m->oldest > OPEN_SLOTS) { /* a long silence: what is open is older than all of it */
        for (; closed < OPEN_SLOTS; closed++)
            close_oldest(m);
        int64_t empty = wanted - m->oldest; /* more slots without a request: closed in one go */
        m->unread.slots += empty < INT_MAX - m->unread.slots ? (int)empty : 0;
        if (empty > 0) memset(m->last, 0, sizeof m->last);
        m->oldest = wanted;
    }
    for (; m->oldest < wanted; closed++)
        close_oldest(m);
    return closed;
}

int64_t metrics_next_close_us(const struct metrics *m, int64_t now_us)
{
    int64_t wanted = first_open(now_us), next = m->oldest > wanted ? m->oldest : wanted;
    return (next + 1) * METRICS_SLOT_US + METRICS_LAG_US;
}

static struct metrics_counts *past_counts(struct metrics *m, int64_t start_us, int colour)
{
    int64_t number = start_us / METRICS_SLOT_US;
    struct past_slot *row = &m->slots[number % METRICS_HISTORY_SLOTS];
    if (row->number > number) return NULL; /* it lasted longer than the history */
    if (row->number < number) *row = (struct past_slot){.number = number};
    return &row->counts[colour];
}

static void past_duration(struct metrics *m, int64_t start_us, int colour, int64_t duration_us)
{
    int64_t number = start_us / METRICS_SPAN_US;
    struct past_span *row = &m->spans[number % METRICS_SPANS];
    if (row->number > number) return;
    if (row->number < number) {
        for (int c = 0; c < METRICS_COLOURS; c++)
            histogram_clear(&row->durations[c]);
        row->number = number;
    }
    histogram_add(&row->durations[colour], duration_us);
}

/* One request in the terms of the counts. A client that went away says nothing about the server. */
static struct metrics_counts counts_of(const struct metrics *m, const struct log_line *line,
                                       int64_t duration_us)
{
    if (line->client_aborted) return (struct metrics_counts){.aborted = 1};
    struct metrics_counts one = {
        .requests = 1,
        .errors = line->failed,
        .slow = duration_us > m->slow_us,
        .client_errors = line->client_error,
        .retried = line->retries > 0 || line->redispatched,
    };
    for (int i = 0; m->has_thresholds && i < METRICS_THRESHOLDS; i++)
        one.over[i] = duration_us > m->threshold_us[i];
    return one;
}

static bool parse(const struct metrics *m, const char *text, size_t len, struct log_line *line)
{
    return m->format == METRICS_NGINX ? log_line_parse_nginx(text, len, line)
                                      : log_line_parse(text, len, line);
}

/* The colour whose failure a redispatched line hides: the other one, when the answering colour has no second
 * server that the request could have come from. -1: nobody can say. */
static int hidden_colour(const struct metrics *m, const struct log_line *line, int colour)
{
    int own = 0, others = 0;
    for (int i = 0; i < m->server_count; i++)
        *(m->servers[i].colour == colour ? &own : &others) += 1;
    return line->redispatched && own == 1 && others > 0 ? 1 - colour : -1;
}

static void count_for_stage(struct metrics *m, int colour, const struct metrics_counts *one, int64_t start_us,
                            int64_t duration_us)
{
    int64_t slot_number = start_us / METRICS_SLOT_US;
    if (slot_number < m->oldest) slot_number = m->oldest;
    add_counts(&m->open[slot_number % OPEN_SLOTS][colour], one);
    if (one->requests) histogram_add(&m->durations[colour], duration_us);
}

static void count(struct metrics *m, int colour, const struct metrics_counts *one, int64_t start_us,
                  int64_t duration_us, int64_t wall_us)
{
    struct metrics_counts *past = past_counts(m, start_us, colour);
    if (past != NULL) add_counts(past, one);
    if (one->requests) past_duration(m, start_us, colour, duration_us);
    if (start_us < m->mark_us) return; /* it began before this stage did */
    count_for_stage(m, colour, one, start_us, duration_us);
    int64_t start_wall_us = wall_us - duration_us, *first = &m->first_failure_wall_us[colour];
    if (one->errors && (*first == 0 || start_wall_us < *first)) *first = start_wall_us;
}

void metrics_line(struct metrics *m, const char *text, size_t len, int64_t now_us, int64_t wall_us)
{
    struct log_line line;
    if (!parse(m, text, len, &line)) {
        m->unreadable++;
        return;
    }
    m->newest_us = now_us;
    int colour = colour_of(m, &line);
    if (colour < 0) {
        m->unattributed++;
        return;
    }
    m->received[colour]++;
    metrics_advance(m, now_us);
    int64_t duration_us = line.total_ms > 0 ? line.total_ms * 1000 : 0;
    int64_t start_us = now_us > duration_us ? now_us - duration_us : 0;
    struct metrics_counts one = counts_of(m, &line, duration_us);
    count(m, colour, &one, start_us, duration_us, wall_us);
    int hiding = hidden_colour(m, &line, colour);
    if (hiding < 0) return;
    m->received[hiding]++;
    one = (struct metrics_counts){.requests = 1, .errors = 1, .hidden = 1};
    count(m, hiding, &one, start_us, duration_us, wall_us);
}

struct metrics_window metrics_history(const struct metrics *m, int64_t from_us, int64_t now_us)
{
    struct metrics_window window = {0};
    int64_t end = first_open(now_us), first = (from_us + METRICS_SLOT_US - 1) / METRICS_SLOT_US;
    int64_t reach = now_us / METRICS_SLOT_US - METRICS_HISTORY_SLOTS + 1;
    if (first < reach) first = reach;
    if (first < 0) first = 0;
    for (int64_t number = first; number < end; number++) {
        const struct past_slot *row = &m->slots[number % METRICS_HISTORY_SLOTS];
        if (row->number != number) continue;
        for (int c = 0; c < METRICS_COLOURS; c++)
            add_counts(&window.counts[c], &row->counts[c]);
    }
    if (end > first) window.covered_us = (end - first) * METRICS_SLOT_US;
    return window;
}

void metrics_history_durations(const struct metrics *m, int colour, int64_t from_us, int64_t now_us,
                               struct histogram *into)
{
    int64_t newest = now_us / METRICS_SPAN_US, first = from_us > 0 ? from_us / METRICS_SPAN_US : 0;
    if (first <= newest - METRICS_SPANS) first = newest - METRICS_SPANS + 1;
    if (first < 0) first = 0;
    for (int64_t number = first; number <= newest; number++) {
        const struct past_span *row = &m->spans[number % METRICS_SPANS];
        if (row->number == number) histogram_merge(into, &row->durations[colour]);
    }
}

uint64_t metrics_received(const struct metrics *m, int colour)
{
    return m->received[colour];
}

int64_t metrics_mark_us(const struct metrics *m)
{
    return m->mark_us;
}

int64_t metrics_covered_us(const struct metrics *m)
{
    int64_t covered_us = m->oldest * METRICS_SLOT_US - m->mark_us;
    return covered_us > 0 ? covered_us : 0;
}

void metrics_mark(struct metrics *m, int64_t now_us)
{
    metrics_advance(m, now_us);
    m->unread = (struct metrics_unread){0};
    memset(m->open, 0, sizeof m->open);
    memset(m->since, 0, sizeof m->since);
    memset(m->last, 0, sizeof m->last);
    memset(m->first_failure_wall_us, 0, sizeof m->first_failure_wall_us);
    for (int c = 0; c < METRICS_COLOURS; c++)
        histogram_clear(&m->durations[c]);
    m->oldest = now_us / METRICS_SLOT_US; /* the lag begins anew: earlier slots hold nothing of this stage */
    m->mark_us = now_us;
}

const struct metrics_counts *metrics_since(const struct metrics *m, int colour)
{
    return &m->since[colour];
}

const struct metrics_counts *metrics_last_slot(const struct metrics *m, int colour)
{
    return &m->last[colour];
}

const struct histogram *metrics_durations(const struct metrics *m, int colour)
{
    return &m->durations[colour];
}

int64_t metrics_first_failure_wall_us(const struct metrics *m, int colour)
{
    return m->first_failure_wall_us[colour];
}

uint64_t metrics_unreadable(const struct metrics *m)
{
    return m->unreadable;
}

uint64_t metrics_unattributed(const struct metrics *m)
{
    return m->unattributed;
}

int64_t metrics_newest_us(const struct metrics *m)
{
    return m->newest_us;
}
