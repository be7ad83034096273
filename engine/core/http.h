/* http: requests through libcurl's multi interface, many at once on the one loop.
 *
 * One client a loop: connections are kept and used again, HTTP/2 where TLS offers it, names are resolved
 * without stopping the loop. One request is one op. Mail goes the same way (smtp:// and smtps://).
 * TLS is always verified. Redirects are not followed unless asked. An answer's body is limited.
 * Nothing outside the options decides how a request is made: no proxy variables, no netrc, no cookies.
 *
 * Time limits are real time even where the loop's clock is virtual: the other side lives in the real world.
 *
 * Errors name method and address without user, password and query: RESOLVE, CONNECT, TLS, TIMEOUT, CLOSED,
 * PROTOCOL, LIMIT, HTTP (too many redirects), MAIL (the server refused), PERMISSION (login). What the caller
 * did wrong fails at the start, as USAGE. */
#ifndef ENGINE_CORE_HTTP_H
#define ENGINE_CORE_HTTP_H

#include "base/buf.h"
#include "core/op.h"

struct http_client;
struct http_request;

int http_client_new(struct http_client **out, struct loop *loop, struct err *e);
void http_client_free(struct http_client *client); /* no request may be under way; NULL is fine */

/* All text is copied by http_start. NULL or 0 means: not given. Both time limits must be given. */
struct http_options {
    const char *method; /* default GET, or POST with a body */
    const char *url;
    const char *const *headers; /* "name: value", or "name;" for one without a value; ends with NULL */
    const void *body;
    size_t body_bytes;
    /* Instead of a body: body_file_bytes of a file from an offset on, read while they are sent. */
    const char *body_file;
    int64_t body_file_offset, body_file_bytes;
    const char *to_file;         /* the body of an answer from 200 to 299 goes into this new file (0600) */
    int64_t to_file_limit_bytes; /* of it; 0: none */
    int64_t timeout_us, connect_timeout_us;
    int max_redirects;
    size_t max_response_bytes;
    const char *unix_socket, *ca_file, *user, *password;
    /* "aws:amz:REGION:SERVICE": signs with AWS Signature Version 4; user and password are the access key and
     * its secret. The query must be sorted and encoded; the header x-amz-content-sha256 holds the body's
     * hash. */
    const char *sigv4;
    /* "HOST:PORT:ADDRESS:PORT", ends with NULL: requests for the first go to the second, while TLS and the
     * Host header keep the name of the URL. An empty port means any, or the same. */
    const char *const *connect_to;
    const char *mail_from;      /* with smtp */
    const char *const *mail_to; /* ends with NULL */
};

struct http_response {
    int status;
    struct buf headers; /* lines "name: value\n" of the last answer, names in lower case */
    struct buf body;
    double total_s, connect_s, first_byte_s;
    int version; /* 10, 11, 20 */
    bool reused; /* an open connection was used again */
};

int http_start(struct http_request **out, struct http_client *client, const struct http_options *options,
               op_done_fn done, void *arg, struct err *e);
struct op *http_op(struct http_request *request);
const struct http_response *http_response(const struct http_request *request); /* after success */

/* "GET http://host/path": what may be shown of the request. */
const char *http_label(const struct http_request *request);

/* After its completion. Also before it, when the loop does not run any more: then the completion never
 * comes. NULL is fine. */
void http_request_free(struct http_request *request);

#endif
