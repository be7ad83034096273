#include "core/metrics.h"

#include "base/mem.h"
#include "core/log_line.h"

#include <string.h>

/* Open slots at any moment: the lag, the one that is filling, and one that is due but not advanced yet. */
enum { OPEN_SLOTS = METRICS_LAG_US / METRICS_SLOT_US + 2 };

struct server {
    char name[METRICS_SERVER_BYTES];
    size_t len;
    int colour;
};

struct metrics {
    struct server servers[METRICS_MAX_SERVERS];
    int server_count;
    int64_t slow_us;
    int64_t oldest; /* number of the oldest open slot: start_us / METRICS_SLOT_US */
    struct metrics_counts open[OPEN_SLOTS][METRICS_COLOURS];
    struct metrics_counts since[METRICS_COLOURS], last[METRICS_COLOURS];
    struct histogram durations[METRICS_COLOURS];
    int64_t first_failure_wall_us[METRICS_COLOURS];
    int64_t mark_us, newest_us;
    uint64_t unreadable, unattributed;
};

int metrics_new(struct metrics **out, int64_t slow_us, struct err *e)
{
    *out = mem_zalloc(sizeof **out);
    if (*out == NULL) return err_set(e, ERR_MEMORY, "metrics", "no memory for the request counts");
    (*out)->slow_us = slow_us;
    return 0;
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

static void close_oldest(struct metrics *m)
{
    struct metrics_counts *slot = m->open[m->oldest % OPEN_SLOTS];
    for (int c = 0; c < METRICS_COLOURS; c++) {
        m->last[c] = slot[c];
        m->since[c].requests += slot[c].requests;
        m->since[c].errors += slot[c].errors;
        m->since[c].slow += slot[c].slow;
        m->since[c].aborted += slot[c].aborted;
        m->since[c].client_errors += slot[c].client_errors;
        m->since[c].retried += slot[c].retried;
        slot[c] = (struct metrics_counts){0};
    }
    m->oldest++;
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

void metrics_line(struct metrics *m, const char *text, size_t len, int64_t now_us, int64_t wall_us)
{
    struct log_line line;
    if (!log_line_parse(text, len, &line)) {
        m->unreadable++;
        return;
    }
    m->newest_us = now_us;
    int colour = colour_of(m, &line);
    if (colour < 0) {
        m->unattributed++;
        return;
    }
    metrics_advance(m, now_us);
    int64_t duration_us = line.total_ms > 0 ? line.total_ms * 1000 : 0, start_us = now_us - duration_us;
    if (start_us < m->mark_us) return; /* it began before this stage did */
    int64_t slot_number = start_us / METRICS_SLOT_US;
    if (slot_number < m->oldest) slot_number = m->oldest;
    struct metrics_counts *slot = &m->open[slot_number % OPEN_SLOTS][colour];
    if (line.client_aborted) {
        slot->aborted++;
        return;
    }
    slot->requests++;
    slot->errors += line.failed;
    slot->slow += duration_us > m->slow_us;
    slot->client_errors += line.client_error;
    slot->retried += line.retries > 0 || line.redispatched;
    histogram_add(&m->durations[colour], duration_us);
    int64_t start_wall_us = wall_us - duration_us;
    if (line.failed &&
        (m->first_failure_wall_us[colour] == 0 || start_wall_us < m->first_failure_wall_us[colour]))
        m->first_failure_wall_us[colour] = start_wall_us;
}

void metrics_mark(struct metrics *m, int64_t now_us)
{
    metrics_advance(m, now_us);
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
