/* http_client: libcurl's multi handle on the loop. Internal to http. */
#ifndef ENGINE_CORE_HTTP_CLIENT_H
#define ENGINE_CORE_HTTP_CLIENT_H

#include "core/http.h"
#include "core/lazy_curl.h"

int http_client_add(struct http_client *client, CURL *easy, struct err *e);
void http_client_remove(struct http_client *client, CURL *easy);
struct loop *http_client_loop(const struct http_client *client);

/* In http.c: a transfer has ended. Called from the loop; the handle has been removed already. */
void http_ended(CURL *easy, CURLcode code);

#endif
