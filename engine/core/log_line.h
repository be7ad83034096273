/* log_line: one request as HAProxy's stock `option httplog` describes it. Pure: no I/O, no allocation.
 *
 * Accepts the line with or without a syslog header. Anything else, also a truncated line, is unreadable: it
 * counts as such and never as a success. Field meanings: HAProxy 2.6 configuration manual, 8.2.3 and 8.5. */
#ifndef ENGINE_CORE_LOG_LINE_H
#define ENGINE_CORE_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct log_line {
    const char *backend, *server; /* into the text; not NUL-terminated */
    size_t backend_len, server_len;
    int status;       /* -1: the proxy had no status to log */
    long total_ms;    /* Ta: from the request's start to the last byte */
    long response_ms; /* Tr: until the server's headers; -1: they never came */
    int retries;
    bool redispatched;   /* another server answered in the end */
    bool client_aborted; /* the client went away: says nothing about the server */
    bool failed;         /* 5xx, or the server or the proxy failed; never when the client aborted */
    bool client_error;   /* 4xx */
};

/* True and out filled, or false when the text is no such line. */
bool log_line_parse(const char *text, size_t len, struct log_line *out);

#endif
