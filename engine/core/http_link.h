/* http_link: what a request is made of. Internal to http. */
#ifndef ENGINE_CORE_HTTP_LINK_H
#define ENGINE_CORE_HTTP_LINK_H

#include "core/http_client.h"
#include "core/work.h"

enum { MAX_HEADER_BYTES = 256 << 10 }; /* of a response, together */

struct http_request {
    struct op op; /* first */
    struct http_client *client;
    struct work work; /* mail only */
    CURL *easy;
    struct curl_slist *headers, *connect_to, *mail_to;
    struct buf body;
    int body_fd, to_fd; /* -1: none */
    off_t body_begin, body_at, body_end;
    size_t sent, max_response_bytes;
    uint64_t to_room; /* bytes that to_fd may still get */
    bool is_mail;
    enum err_code refused; /* why one of our callbacks took no more */
    struct http_response response;
    char refusal[128]; /* what a mail server answered last when it said no */
    char curl_error[CURL_ERROR_SIZE];
    char label[256]; /* "GET http://host/path" without secrets */
    char what[64];   /* the same for struct err */
};

/* Checks the options and turns them into a transfer of libcurl's. What it made is in r also when it fails. */
int http_prepare(struct http_request *r, const struct http_options *options, struct err *e);

#endif
