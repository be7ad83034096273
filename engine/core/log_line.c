#include "core/log_line.h"

#include <limits.h>
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
    if (!(number(&at, end, '/', &tr_request) && number(&at, end, '/', &t_queue) &&
          number(&at, end, '/', &t_connect) && number(&at, end, '/', &out->response_ms) &&
          number(&at, end, '/', &out->total_ms) && at == end))
        return false;
    return out->total_ms >= -1 && out->response_ms >= -1; /* -1: never came; less is no timer */
}

static bool parse_connections(const char *word, size_t len, struct log_line *out)
{
    const char *at = word, *end = word + len;
    long ignored, retries;
    for (int i = 0; i < 4; i++)
        if (!number(&at, end, '/', &ignored)) return false;
    out->redispatched = at < end && *at == '+';
    if (!number(&at, end, '/', &retries) || at != end || retries < 0 || retries > INT_MAX) return false;
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

/* --- nginx ----------------------------------------------------------------------------------- */

/* "..." whose own quotes nginx has escaped; moves c behind it. */
static bool skip_quoted(struct cursor *c)
{
    while (c->at < c->end && *c->at == ' ')
        c->at++;
    if (c->at == c->end || *c->at != '"') return false;
    const char *close = memchr(c->at + 1, '"', (size_t)(c->end - c->at - 1));
    if (close == NULL) return false;
    c->at = close + 1;
    return true;
}

/* "0.034" in milliseconds, or "-" as -1. */
static bool seconds(const char *word, size_t len, long *out_ms)
{
    const char *at = word, *end = word + len;
    long whole, part;
    if (len == 1 && *word == '-') {
        *out_ms = -1;
        return true;
    }
    if (len < 5 || word[len - 4] != '.' || *word < '0' || *word > '9') return false;
    for (const char *p = end - 3; p < end; p++)
        if (*p < '0' || *p > '9') return false;
    if (!number(&at, end - 3, '.', &whole) || !number(&at, end, ' ', &part)) return false;
    *out_ms = whole * 1000 + part;
    return true;
}

/* One value for each upstream that was tried: "a, b", and "a : b" after an internal redirect. The last is
 * returned; *tried is their number. */
static bool last_of_list(struct cursor *c, const char **word, size_t *len, int *tried)
{
    for (*tried = 1;; ++*tried) {
        if (!next_word(c, word, len)) return false;
        if ((*word)[*len - 1] == ',') continue;
        if (c->end - c->at < 3 || memcmp(c->at, " : ", 3) != 0) return true;
        c->at += 3;
    }
}

bool log_line_parse_nginx(const char *text, size_t len, struct log_line *out)
{
    const char *word, *quote = memchr(text, '"', len);
    size_t n;
    long status, bytes;
    int tried, times;
    /* The user's name stands before the date and may hold anything but a quote, which nginx escapes: so the
     * first quote of all opens the request. */
    if (quote == NULL || quote - text < 2 || quote[-1] != ' ' || quote[-2] != ']') return false;
    struct cursor c = {quote, text + len};
    *out = (struct log_line){.backend = quote};
    if (!skip_quoted(&c)) return false;
    if (!next_word(&c, &word, &n) || !number(&word, word + n, ' ', &status) || status < 0 || status > 999)
        return false;
    if (!next_word(&c, &word, &n) || !number(&word, word + n, ' ', &bytes) || bytes < 0) return false;
    if (!skip_quoted(&c) || !skip_quoted(&c)) return false;
    if (!last_of_list(&c, &out->server, &out->server_len, &tried)) return false;
    if (!next_word(&c, &word, &n) || !seconds(word, n, &out->total_ms) || out->total_ms < 0) return false;
    if (!last_of_list(&c, &word, &n, &times) || !seconds(word, n, &out->response_ms) || times != tried)
        return false;
    out->status = (int)status;
    out->retries = tried - 1;
    out->redispatched = tried > 1;
    out->client_aborted = status == 499;
    out->failed = status >= 500 || status < 100;
    out->client_error = status >= 400 && status < 500;
    return true;
}
