/* lazy_pq: PostgreSQL's libpq, loaded on first use (see lazy.h).
 *
 * For connections on the loop (sql_postgres) and for blocking ones on worker threads (backup). */
#ifndef ENGINE_CORE_LAZY_PQ_H
#define ENGINE_CORE_LAZY_PQ_H

#include "core/lazy.h"

#include <libpq-fe.h>

int lazy_pq(struct err *e); /* 0, or -ERR_NOT_FOUND */

#define LAZY_PQ_LIST(X)                                                                                      \
    X(PQlibVersion)                                                                                          \
    X(PQconninfoParse)                                                                                       \
    X(PQconninfoFree)                                                                                        \
    X(PQconninfo)                                                                                            \
    X(PQconnectdb)                                                                                           \
    X(PQconnectdbParams)                                                                                     \
    X(PQconnectStart)                                                                                        \
    X(PQconnectStartParams)                                                                                  \
    X(PQconnectPoll)                                                                                         \
    X(PQreset)                                                                                               \
    X(PQfinish)                                                                                              \
    X(PQstatus)                                                                                              \
    X(PQtransactionStatus)                                                                                   \
    X(PQparameterStatus)                                                                                     \
    X(PQserverVersion)                                                                                       \
    X(PQbackendPID)                                                                                          \
    X(PQsocket)                                                                                              \
    X(PQdb)                                                                                                  \
    X(PQhost)                                                                                                \
    X(PQport)                                                                                                \
    X(PQuser)                                                                                                \
    X(PQerrorMessage)                                                                                        \
    X(PQsetNoticeReceiver)                                                                                   \
    X(PQsetNoticeProcessor)                                                                                  \
    X(PQexec)                                                                                                \
    X(PQexecParams)                                                                                          \
    X(PQsendQuery)                                                                                           \
    X(PQsendQueryParams)                                                                                     \
    X(PQsetSingleRowMode)                                                                                    \
    X(PQsetnonblocking)                                                                                      \
    X(PQflush)                                                                                               \
    X(PQconsumeInput)                                                                                        \
    X(PQisBusy)                                                                                              \
    X(PQgetResult)                                                                                           \
    X(PQnotifies)                                                                                            \
    X(PQfreemem)                                                                                             \
    X(PQgetCancel)                                                                                           \
    X(PQfreeCancel)                                                                                          \
    X(PQcancel)                                                                                              \
    X(PQgetCopyData)                                                                                         \
    X(PQputCopyData)                                                                                         \
    X(PQputCopyEnd)                                                                                          \
    X(PQresultStatus)                                                                                        \
    X(PQresStatus)                                                                                           \
    X(PQresultErrorMessage)                                                                                  \
    X(PQresultErrorField)                                                                                    \
    X(PQclear)                                                                                               \
    X(PQntuples)                                                                                             \
    X(PQnfields)                                                                                             \
    X(PQfname)                                                                                               \
    X(PQfformat)                                                                                             \
    X(PQftype)                                                                                               \
    X(PQgetvalue)                                                                                            \
    X(PQgetlength)                                                                                           \
    X(PQgetisnull)                                                                                           \
    X(PQcmdStatus)                                                                                           \
    X(PQcmdTuples)                                                                                           \
    X(PQescapeIdentifier)                                                                                    \
    X(PQescapeLiteral)                                                                                       \
    X(PQunescapeBytea)

#define X(fn) extern __typeof__(fn) *LAZY_SLOT(fn);
LAZY_PQ_LIST(X)
#undef X

#ifndef LAZY_DEFINING
#define PQlibVersion         lazy_PQlibVersion
#define PQconninfoParse      lazy_PQconninfoParse
#define PQconninfoFree       lazy_PQconninfoFree
#define PQconninfo           lazy_PQconninfo
#define PQconnectdb          lazy_PQconnectdb
#define PQconnectdbParams    lazy_PQconnectdbParams
#define PQconnectStart       lazy_PQconnectStart
#define PQconnectStartParams lazy_PQconnectStartParams
#define PQconnectPoll        lazy_PQconnectPoll
#define PQreset              lazy_PQreset
#define PQfinish             lazy_PQfinish
#define PQstatus             lazy_PQstatus
#define PQtransactionStatus  lazy_PQtransactionStatus
#define PQparameterStatus    lazy_PQparameterStatus
#define PQserverVersion      lazy_PQserverVersion
#define PQbackendPID         lazy_PQbackendPID
#define PQsocket             lazy_PQsocket
#define PQdb                 lazy_PQdb
#define PQhost               lazy_PQhost
#define PQport               lazy_PQport
#define PQuser               lazy_PQuser
#define PQerrorMessage       lazy_PQerrorMessage
#define PQsetNoticeReceiver  lazy_PQsetNoticeReceiver
#define PQsetNoticeProcessor lazy_PQsetNoticeProcessor
#define PQexec               lazy_PQexec
#define PQexecParams         lazy_PQexecParams
#define PQsendQuery          lazy_PQsendQuery
#define PQsendQueryParams    lazy_PQsendQueryParams
#define PQsetSingleRowMode   lazy_PQsetSingleRowMode
#define PQunescapeBytea      lazy_PQunescapeBytea
#define PQsetnonblocking     lazy_PQsetnonblocking
#define PQflush              lazy_PQflush
#define PQconsumeInput       lazy_PQconsumeInput
#define PQisBusy             lazy_PQisBusy
#define PQgetResult          lazy_PQgetResult
#define PQnotifies           lazy_PQnotifies
#define PQfreemem            lazy_PQfreemem
#define PQgetCancel          lazy_PQgetCancel
#define PQfreeCancel         lazy_PQfreeCancel
#define PQcancel             lazy_PQcancel
#define PQgetCopyData        lazy_PQgetCopyData
#define PQputCopyData        lazy_PQputCopyData
#define PQputCopyEnd         lazy_PQputCopyEnd
#define PQresultStatus       lazy_PQresultStatus
#define PQresStatus          lazy_PQresStatus
#define PQresultErrorMessage lazy_PQresultErrorMessage
#define PQresultErrorField   lazy_PQresultErrorField
#define PQclear              lazy_PQclear
#define PQntuples            lazy_PQntuples
#define PQnfields            lazy_PQnfields
#define PQfname              lazy_PQfname
#define PQfformat            lazy_PQfformat
#define PQftype              lazy_PQftype
#define PQgetvalue           lazy_PQgetvalue
#define PQgetlength          lazy_PQgetlength
#define PQgetisnull          lazy_PQgetisnull
#define PQcmdStatus          lazy_PQcmdStatus
#define PQcmdTuples          lazy_PQcmdTuples
#define PQescapeIdentifier   lazy_PQescapeIdentifier
#define PQescapeLiteral      lazy_PQescapeLiteral
#endif

#endif
