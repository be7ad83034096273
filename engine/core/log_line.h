/* log_line: one request as HAProxy's stock `option httplog` or nginx describes it. Pure: no I/O, no
 * allocation.
 *
 * Accepts the line behind any syslog header (RFC 3164, RFC 5424, local) or none. Anything else is unreadable:
 * it counts as such and never as a success. A line that was cut inside the request's URL is readable, for all
 * that is judged stands before it; one that was cut earlier is not. A line has no start of its own here: its
 * date is local time without a zone. A request started when its line came, less total_ms, for both proxies
 * write the line as the request ends. Field meanings: HAProxy 2.6 configuration manual, 8.2.3 and 8.5; nginx,
 * ngx_http_log_module. */
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

/* The same for nginx's `combined` format followed by ` $upstream_addr $request_time $upstream_response_time`.
 * server is the address of the upstream that answered last ("127.0.0.1:8080"), backend is empty. Status 499
 * is a client that went away. A request that no upstream got ("-") has the server "-". */
bool log_line_parse_nginx(const char *text, size_t len, struct log_line *out);

#endif
