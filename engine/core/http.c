#include "core/http_link.h"

#include "base/mem.h"

#include <unistd.h>

/* --- what libcurl's codes mean to us ------------------------------------------------------- */

static enum err_code code_of_curl(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return ERR_RESOLVE;
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
        return ERR_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_USE_SSL_FAILED:
        return ERR_TLS;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return ERR_CLOSED;
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_UNSUPPORTED_PROTOCOL: /* of a redirect: the caller's own was looked at before */
    case CURLE_URL_MALFORMAT:        /* likewise */
    case CURLE_WEIRD_SERVER_REPLY:
        return ERR_PROTOCOL;
    case CURLE_FILESIZE_EXCEEDED:
        return ERR_LIMIT;
    case CURLE_TOO_MANY_REDIRECTS:
        return ERR_HTTP;
    case CURLE_LOGIN_DENIED:
        return ERR_PERMISSION;
    case CURLE_OUT_OF_MEMORY:
        return ERR_MEMORY;
    case CURLE_ABORTED_BY_CALLBACK:
        return ERR_CANCELED;
    default:
        return ERR_IO;
    }
}

static void read_response(struct http_request *r)
{
    long status = 0, version = 0, connects = 0;
    struct http_response *a = &r->response;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(r->easy, CURLINFO_HTTP_VERSION, &version);
    curl_easy_getinfo(r->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(r->easy, CURLINFO_TOTAL_TIME, &a->total_s);
    curl_easy_getinfo(r->easy, CURLINFO_CONNECT_TIME, &a->connect_s);
    curl_easy_getinfo(r->easy, CURLINFO_STARTTRANSFER_TIME, &a->first_byte_s);
    a->status = (int)status;
    a->version = version == CURL_HTTP_VERSION_2_0 ? 20 : version == CURL_HTTP_VERSION_1_0 ? 10 : 11;
    a->reused = connects == 0;
}

/* --- completion ------------------------------------------------------------------------------ */

static void fail(struct http_request *r, CURLcode code)
{
    enum err_code ours = r->refused != ERR_NONE ? r->refused : code_of_curl(code);
    const char *why = r->curl_error[0] ? r->curl_error : curl_easy_strerror(code);
    if (r->refused != ERR_NONE && r->refusal[0])
        op_fail(&r->op, ours, r->what, "%s: %s", r->label, r->refusal);
    else if (ours == ERR_LIMIT)
        op_fail(&r->op, ours, r->what, "%s: the answer is larger than %zu bytes, or its headers than %d",
                r->label, r->max_response_bytes, (int)MAX_HEADER_BYTES);
    else if (r->refusal[0] && ours == ERR_CLOSED)
        op_fail(&r->op, ERR_MAIL, r->what, "%s: %s: %s", r->label, why, r->refusal);
    else
        op_fail(&r->op, ours, r->what, "%s: %s", r->label, why);
}

void http_ended(CURL *easy, CURLcode code)
{
    struct http_request *r = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&r);
    read_response(r);
    curl_easy_cleanup(easy); /* the connection stays with the client */
    r->easy = NULL;
    if (code == CURLE_OK)
        op_finish(&r->op);
    else
        fail(r, code);
}

static void http_cancel(struct op *op)
{
    struct http_request *r = (struct http_request *)op;
    http_client_remove(r->client, r->easy);
    op_finish(op);
}

static const struct op_kind HTTP = {.name = "http", .external = true, .cancel = http_cancel};

/* --- mail -------------------------------------------------------------------------------------
 * Sent from a worker: when libcurl leaves a mail server, it waits for the answer to QUIT without
 * returning to the caller, which on the loop would hold up everything else. */

static void mail_cancel(struct op *op)
{
    struct http_request *r = (struct http_request *)op;
    op_cancel(&r->work.op, ERR_CANCELED, r->what, "the mail was canceled");
}

static const struct op_kind MAIL = {.name = "mail", .external = true, .cancel = mail_cancel};

static int mail_perform(struct work *work, void *arg, struct err *e)
{
    (void)work;
    (void)e;
    struct http_request *r = arg;
    return (int)curl_easy_perform(r->easy); /* positive: read by mail_done, not an error of the work */
}

static void mail_done(struct op *op, void *arg)
{
    struct http_request *r = arg;
    http_ended(r->easy, op->status < 0 ? CURLE_ABORTED_BY_CALLBACK : (CURLcode)r->work.rc);
}

int http_start(struct http_request **out, struct http_client *client, const struct http_options *o,
               op_done_fn done, void *arg, struct err *e)
{
    struct http_request *r = mem_zalloc(sizeof *r);
    if (r == NULL) return err_set(e, ERR_MEMORY, "http", "no memory for a request");
    r->client = client;
    r->body_fd = r->to_fd = -1;
    int rc = http_prepare(r, o, e);
    if (rc < 0) goto failed;
    struct loop *loop = http_client_loop(client);
    rc = r->is_mail ? work_start(&r->work, loop, mail_perform, r, OP_NO_TIMEOUT, mail_done, r, e)
                    : http_client_add(client, r->easy, e);
    if (rc < 0) goto failed;
    op_begin(&r->op, loop, r->is_mail ? &MAIL : &HTTP, OP_NO_TIMEOUT, done, arg);
    *out = r;
    return 0;

failed:
    http_request_free(r);
    return rc;
}

struct op *http_op(struct http_request *r)
{
    return &r->op;
}

const struct http_response *http_response(const struct http_request *r)
{
    return &r->response;
}

const char *http_label(const struct http_request *r)
{
    return r->label;
}

void http_request_free(struct http_request *r)
{
    if (r == NULL) return;
    if (r->op.state == OP_RUNNING) {
        if (r->is_mail) { /* its worker still uses it, and the process is ending: let it lie */
            mail_cancel(&r->op);
            return;
        }
        http_client_remove(r->client, r->easy);
        loop_idle(r->op.loop);
    }
    if (r->easy != NULL) curl_easy_cleanup(r->easy);
    curl_slist_free_all(r->headers);
    curl_slist_free_all(r->connect_to);
    curl_slist_free_all(r->mail_to);
    if (r->body_fd >= 0) close(r->body_fd);
    if (r->to_fd >= 0) close(r->to_fd);
    buf_release(&r->body);
    buf_release(&r->response.headers);
    buf_release(&r->response.body);
    mem_free(r);
}
