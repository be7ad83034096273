/* lazy_curl: libcurl, loaded on first use (see lazy.h). */
#ifndef ENGINE_CORE_LAZY_CURL_H
#define ENGINE_CORE_LAZY_CURL_H

#include "core/lazy.h"

#include <curl/curl.h>

/* curl defines these as macros too, which would hide the names from us. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

int lazy_curl(struct err *e); /* 0, or -ERR_NOT_FOUND */

#define LAZY_CURL_LIST(X)                                                                                    \
    X(curl_global_init)                                                                                      \
    X(curl_easy_init)                                                                                        \
    X(curl_easy_cleanup)                                                                                     \
    X(curl_easy_setopt)                                                                                      \
    X(curl_easy_getinfo)                                                                                     \
    X(curl_easy_perform)                                                                                     \
    X(curl_easy_strerror)                                                                                    \
    X(curl_multi_init)                                                                                       \
    X(curl_multi_cleanup)                                                                                    \
    X(curl_multi_setopt)                                                                                     \
    X(curl_multi_add_handle)                                                                                 \
    X(curl_multi_remove_handle)                                                                              \
    X(curl_multi_socket_action)                                                                              \
    X(curl_multi_assign)                                                                                     \
    X(curl_multi_info_read)                                                                                  \
    X(curl_multi_strerror)                                                                                   \
    X(curl_slist_append)                                                                                     \
    X(curl_slist_free_all)                                                                                   \
    X(curl_url)                                                                                              \
    X(curl_url_cleanup)                                                                                      \
    X(curl_url_set)                                                                                          \
    X(curl_url_strerror)                                                                                     \
    X(curl_url_get)                                                                                          \
    X(curl_free)

#define X(fn) extern __typeof__(fn) *LAZY_SLOT(fn);
LAZY_CURL_LIST(X)
#undef X

#ifndef LAZY_DEFINING
#define curl_global_init         lazy_curl_global_init
#define curl_easy_init           lazy_curl_easy_init
#define curl_easy_cleanup        lazy_curl_easy_cleanup
#define curl_easy_setopt         lazy_curl_easy_setopt
#define curl_easy_getinfo        lazy_curl_easy_getinfo
#define curl_easy_perform        lazy_curl_easy_perform
#define curl_easy_strerror       lazy_curl_easy_strerror
#define curl_multi_init          lazy_curl_multi_init
#define curl_multi_cleanup       lazy_curl_multi_cleanup
#define curl_multi_setopt        lazy_curl_multi_setopt
#define curl_multi_add_handle    lazy_curl_multi_add_handle
#define curl_multi_remove_handle lazy_curl_multi_remove_handle
#define curl_multi_socket_action lazy_curl_multi_socket_action
#define curl_multi_assign        lazy_curl_multi_assign
#define curl_multi_info_read     lazy_curl_multi_info_read
#define curl_multi_strerror      lazy_curl_multi_strerror
#define curl_slist_append        lazy_curl_slist_append
#define curl_slist_free_all      lazy_curl_slist_free_all
#define curl_url                 lazy_curl_url
#define curl_url_cleanup         lazy_curl_url_cleanup
#define curl_url_set             lazy_curl_url_set
#define curl_url_strerror        lazy_curl_url_strerror
#define curl_url_get             lazy_curl_url_get
#define curl_free                lazy_curl_free
#endif

#endif
