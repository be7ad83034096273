#include "core/log_line.h"

#include <string.h>

struct cursor {
    const char *at, *end;
};

static bool next_word(struct cursor *c, const char **word, size_t *len)
{
    while (c->at < c->end && *c->at == ' ')
        c->at++;
    *word = c->at;
    while (c->at < c->end && *c->at != ' ' && *c->at != '\n' && *c->at != '\0')
        c->at++;
    *len = (size_t)(c->at - *word);
    return *len > 0;
}

/* A decimal number, perhaps with a sign, up to `stop` (or the end); moves *at past stop. */
static bool number(const char **at, const char *end, char stop, long *out)
{
    const char *p = *at;
    bool negative = p < end && *p == '-';
    long value = 0;
    int digits = 0;
    if (p < end && (*p == '-' || *p == '+')) p++;
    for (; p < end && *p >= '0' && *p <= '9' && digits < 12; p++, digits++)
        value = value * 10 + (*p - '0');
    if (digits == 0 || (p < end && *p != stop)) return false;
    *at = p < end ? p + 1 : p;
    *out = negative ? -value : value;
    return true;
}

/* "[23/Nov/2026:18:07:20.123]": the first thing in a line that looks like it is where the fields begin. */
static const char *find_date(const char *text, size_t len)
{
    for (const char *p = text; (size_t)(p - text) + 26 <= len; p++) {
        p = memchr(p, '[', len - (size_t)(p - text) - 25);
        if (p == NULL) return NULL;
        if (p[3] == '/' && p[7] == '/' && p[12] == ':' && p[21] == '.' && p[25] == ']' && p > text &&
            p[-1] == ' ')
            return p;
    }
    return NULL;
}

static bool parse_timers(const char *word, size_t len, struct log_line *out)
{
    const char *at = word, *end = word + len;
    long tr_request, t_queue, t_connect;
    return number(&at, end, '/', &tr_request) && number(&at, end, '/', &t_queue) &&
           number(&at, end, '/', &t_connect) && number(&at, end, '/', &out->response_ms) &&
           number(&at, end, '/', &out->total_ms) && at == end;
}

static bool parse_connections(const char *word, size_t len, struct log_line *out)
{
    const char *at = word, *end = word + len;
    long ignored, retries;
    for (int i = 0; i < 4; i++)
        if (!number(&at, end, '/', &ignored)) return false;
    out->redispatched = at < end && *at == '+';
    if (!number(&at, end, '/', &retries) || at != end) return false;
    out->retries = (int)retries;
    return true;
}

static void judge(const char *termination, struct log_line *out)
{
    char cause = termination[0];
    out->client_aborted = cause == 'C' || cause == 'c';
    bool server_or_proxy =
        cause == 'S' || cause == 's' || cause == 'R' || cause == 'I' || cause == 'K' || cause == 'D';
    out->failed = !out->client_aborted && (out->status >= 500 || out->status < 100 || server_or_proxy);
    out->client_error = out->status >= 400 && out->status < 500;
}

bool log_line_parse(const char *text, size_t len, struct log_line *out)
{
    const char *date = find_date(text, len), *word, *slash;
    size_t n;
    if (date == NULL) return false;
    struct cursor c = {date + 26, text + len};
    *out = (struct log_line){0};
    if (!next_word(&c, &word, &n)) return false; /* frontend */
    if (!next_word(&c, &word, &n) || (slash = memchr(word, '/', n)) == NULL) return false;
    out->backend = word;
    out->backend_len = (size_t)(slash - word);
    out->server = slash + 1;
    out->server_len = n - out->backend_len - 1;
    if (out->backend_len == 0 || out->server_len == 0) return false;
    if (!next_word(&c, &word, &n) || !parse_timers(word, n, out)) return false;
    long status, bytes;
    if (!next_word(&c, &word, &n) || !number(&word, word + n, ' ', &status) || status < -1 || status > 999)
        return false;
    out->status = (int)status;
    if (!next_word(&c, &word, &n) || !number(&word, word + n, ' ', &bytes)) return false;
    if (!next_word(&c, &word, &n) || !next_word(&c, &word, &n)) return false; /* captured cookies */
    if (!next_word(&c, &word, &n) || n != 4) return false;
    const char *termination = word;
    if (!next_word(&c, &word, &n) || !parse_connections(word, n, out)) return false;
    if (!next_word(&c, &word, &n) || memchr(word, '/', n) == NULL) return false; /* queues */
    judge(termination, out);
    return true;
}
