/* lazy_microhttpd: libmicrohttpd, loaded on first use (see lazy.h). */
#ifndef ENGINE_CORE_LAZY_MICROHTTPD_H
#define ENGINE_CORE_LAZY_MICROHTTPD_H

#include "core/lazy.h"

#include <microhttpd.h>

int lazy_microhttpd(struct err *e); /* 0, or -ERR_NOT_FOUND */

#define LAZY_MICROHTTPD_LIST(X)                                                                              \
    X(MHD_start_daemon)                                                                                      \
    X(MHD_stop_daemon)                                                                                       \
    X(MHD_quiesce_daemon)                                                                                    \
    X(MHD_add_connection)                                                                                    \
    X(MHD_lookup_connection_value)                                                                           \
    X(MHD_run)                                                                                               \
    X(MHD_get_timeout)                                                                                       \
    X(MHD_get_daemon_info)                                                                                   \
    X(MHD_get_connection_info)                                                                               \
    X(MHD_get_connection_values)                                                                             \
    X(MHD_create_response_from_buffer)                                                                       \
    X(MHD_add_response_header)                                                                               \
    X(MHD_queue_response)                                                                                    \
    X(MHD_destroy_response)                                                                                  \
    X(MHD_suspend_connection)                                                                                \
    X(MHD_resume_connection)

#define X(fn) extern __typeof__(fn) *LAZY_SLOT(fn);
LAZY_MICROHTTPD_LIST(X)
#undef X

#ifndef LAZY_DEFINING
#define MHD_start_daemon                lazy_MHD_start_daemon
#define MHD_stop_daemon                 lazy_MHD_stop_daemon
#define MHD_quiesce_daemon              lazy_MHD_quiesce_daemon
#define MHD_add_connection              lazy_MHD_add_connection
#define MHD_lookup_connection_value     lazy_MHD_lookup_connection_value
#define MHD_run                         lazy_MHD_run
#define MHD_get_timeout                 lazy_MHD_get_timeout
#define MHD_get_daemon_info             lazy_MHD_get_daemon_info
#define MHD_get_connection_info         lazy_MHD_get_connection_info
#define MHD_get_connection_values       lazy_MHD_get_connection_values
#define MHD_create_response_from_buffer lazy_MHD_create_response_from_buffer
#define MHD_add_response_header         lazy_MHD_add_response_header
#define MHD_queue_response              lazy_MHD_queue_response
#define MHD_destroy_response            lazy_MHD_destroy_response
#define MHD_suspend_connection          lazy_MHD_suspend_connection
#define MHD_resume_connection           lazy_MHD_resume_connection
#endif

#endif
