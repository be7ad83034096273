#include "core/http.h"

#include "base/mem.h"
#include "core/lazy_curl.h"

#include <assert.h>
#include <ctype.h>
#include <uv.h>

enum { MAX_CONNECTIONS_KEPT = 512 };

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct timer timer;
    int sockets;   /* watched now */
    bool orphaned; /* free it when the last watch has closed */
};

struct watch {
    struct http_client *client;
    uv_poll_t poll;
    curl_socket_t fd;
};

struct http_request {
    struct op op;
    struct http_client *client;
    CURL *easy;
    struct curl_slist *headers, *mail_to;
    struct buf body;
    size_t sent, max_response_bytes;
    bool too_large;
    struct http_response response;
    char curl_error[CURL_ERROR_SIZE];
    char what[64]; /* "GET http://host/path" without secrets */
};

static void finish_done(struct http_client *client);

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct http_client *client = watch->client;
    int flags = 0, running;
    if (status < 0) flags = CURL_CSELECT_ERR;
    if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(client->multi, watch->fd, flags, &running);
    finish_done(client);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *watch = handle->data;
    struct http_client *client = watch->client;
    mem_free(watch);
    client->sockets--;
    if (client->orphaned && client->sockets == 0) mem_free(client);
}

/* curl says which socket it wants to be told about, and for what. */
static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_data)
{
    struct http_client *client = arg;
    struct watch *watch = socket_data;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch == NULL) return 0;
        uv_poll_stop(&watch->poll);
        uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        curl_multi_assign(client->multi, fd, NULL);
        return 0;
    }
    if (watch == NULL) {
        watch = mem_zalloc(sizeof *watch);
        if (watch == NULL) return -1;
        watch->client = client;
        watch->fd = fd;
        if (uv_poll_init_socket(loop_uv(client->loop), &watch->poll, fd) != 0) {
            mem_free(watch);
            return -1;
        }
        watch->poll.data = watch;
        /* An idle connection that is kept must not keep the loop from ending. */
        uv_unref((uv_handle_t *)&watch->poll);
        client->sockets++;
        curl_multi_assign(client->multi, fd, watch);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&watch->poll, events, on_socket) == 0 ? 0 : -1;
}

static void on_timer(void *arg)
{
    struct http_client *client = arg;
    int running;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_done(client);
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *arg)
{
    struct http_client *client = arg;
    (void)multi;
    if (timeout_ms < 0)
        timer_stop(client->loop, &client->timer);
    else
        timer_start(client->loop, &client->timer, timeout_ms * 1000, on_timer, client);
    return 0;
}

int http_client_new(struct http_client **out, struct loop *loop, struct err *e)
{
    if (lazy_curl(e) != 0) return -ERR_NOT_FOUND;
    struct http_client *client = mem_zalloc(sizeof *client);
    if (client == NULL) return err_set(e, ERR_MEMORY, "http", "no memory for an HTTP client");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    client->loop = loop;
    client->multi = curl_multi_init();
    if (client->multi == NULL) {
        mem_free(client);
        return err_set(e, ERR_MEMORY, "http", "no memory for an HTTP client");
    }
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)MAX_CONNECTIONS_KEPT);
    *out = client;
    return 0;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL) return;
    timer_stop(client->loop, &client->timer);
    curl_multi_cleanup(client->multi);
    timer_stop(client->loop, &client->timer); /* the clean-up may have asked for it once more */
    client->orphaned = true;
    if (client->sockets == 0) mem_free(client);
}

static size_t on_body(char *bytes, size_t one, size_t n, void *arg)
{
    struct http_request *r = arg;
    n *= one;
    if (r->response.body.len + n > r->max_response_bytes) {
        r->too_large = true;
        return 0;
    }
    buf_add(&r->response.body, bytes, n);
    return buf_ok(&r->response.body) ? n : 0;
}

static size_t on_header(char *bytes, size_t one, size_t n, void *arg)
{
    struct http_request *r = arg;
    struct buf *out = &r->response.headers;
    n *= one;
    if (n >= 5 && memcmp(bytes, "HTTP/", 5) == 0) { /* a new answer: after a redirect or 100 Continue */
        buf_clear(out);
        return n;
    }
    if (out->len + n > r->max_response_bytes) {
        r->too_large = true;
        return 0;
    }
    size_t len = n;
    while (len > 0 && (bytes[len - 1] == '\r' || bytes[len - 1] == '\n'))
        len--;
    const char *colon = memchr(bytes, ':', len);
    if (colon == NULL) return n;
    for (const char *at = bytes; at < colon; at++)
        buf_addch(out, (char)tolower((unsigned char)*at));
    buf_add(out, colon, len - (size_t)(colon - bytes));
    buf_addch(out, '\n');
    return buf_ok(out) ? n : 0;
}

static size_t on_upload(char *room, size_t one, size_t n, void *arg)
{
    struct http_request *r = arg;
    size_t left = r->body.len - r->sent;
    n *= one;
    if (n > left) n = left;
    if (n > 0) memcpy(room, r->body.data + r->sent, n);
    r->sent += n;
    return n;
}

static enum err_code code_of(CURLcode rc)
{
    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return ERR_RESOLVE;
    case CURLE_COULDNT_CONNECT:
        return ERR_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return ERR_CLOSED;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        return ERR_TLS;
    case CURLE_OUT_OF_MEMORY:
        return ERR_MEMORY;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return ERR_USAGE;
    case CURLE_TOO_MANY_REDIRECTS:
        return ERR_HTTP;
    default:
        return ERR_PROTOCOL;
    }
}

static void detach(struct http_request *r)
{
    if (r->easy == NULL) return;
    curl_multi_remove_handle(r->client->multi, r->easy);
    curl_easy_cleanup(r->easy);
    r->easy = NULL;
}

static void finish(struct http_request *r, CURLcode rc)
{
    long status = 0, version = 0, connects = 0;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(r->easy, CURLINFO_HTTP_VERSION, &version);
    curl_easy_getinfo(r->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(r->easy, CURLINFO_TOTAL_TIME, &r->response.total_s);
    curl_easy_getinfo(r->easy, CURLINFO_CONNECT_TIME, &r->response.connect_s);
    curl_easy_getinfo(r->easy, CURLINFO_STARTTRANSFER_TIME, &r->response.first_byte_s);
    r->response.status = (int)status;
    r->response.version = version == CURL_HTTP_VERSION_2_0 ? 20 : version == CURL_HTTP_VERSION_1_0 ? 10 : 11;
    r->response.reused = connects == 0;
    detach(r);
    if (rc == CURLE_OK)
        op_finish(&r->op);
    else if (r->too_large)
        op_fail(&r->op, ERR_LIMIT, r->what, "%s: the answer is larger than %zu bytes", r->what,
                r->max_response_bytes);
    else
        op_fail(&r->op, code_of(rc), r->what, "%s: %s", r->what,
                r->curl_error[0] ? r->curl_error : curl_easy_strerror(rc));
}

static void finish_done(struct http_client *client)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE) continue;
        struct http_request *r;
        CURLcode rc = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &r);
        finish(r, rc);
    }
}

static void cancel(struct op *op)
{
    struct http_request *r = (struct http_request *)op;
    detach(r);
    op_finish(op);
}

static const struct op_kind HTTP = {.name = "http", .external = true, .cancel = cancel};

/* "GET http://host:port/path": user, password, query and fragment may hold secrets and are left out. */
static int describe(struct http_request *r, const char *method, const char *text, struct err *e)
{
    CURLU *url = curl_url();
    char *clean = NULL;
    CURLUcode rc = url ? curl_url_set(url, CURLUPART_URL, text, 0) : CURLUE_OUT_OF_MEMORY;
    if (rc == CURLUE_OK) {
        curl_url_set(url, CURLUPART_USER, NULL, 0);
        curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
        curl_url_set(url, CURLUPART_QUERY, NULL, 0);
        curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
        rc = curl_url_get(url, CURLUPART_URL, &clean, 0);
    }
    if (rc == CURLUE_OK) snprintf(r->what, sizeof r->what, "%s %s", method, clean);
    curl_free(clean);
    curl_url_cleanup(url);
    return rc == CURLUE_OK
               ? 0
               : err_set(e, ERR_USAGE, "http", "the address is not a URL such as http://host/path");
}

static bool append(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);
    if (longer == NULL) return false;
    *list = longer;
    return true;
}

static void set_options(struct http_request *r, const struct http_options *o, const char *method,
                        bool is_mail)
{
    CURL *easy = r->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, r);
    curl_easy_setopt(easy, CURLOPT_URL, o->url);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, r->curl_error);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*"); /* the machine's proxy settings are not the venture's */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https,smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, o->max_redirects > 0 ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)o->max_redirects);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(o->connect_timeout_us / 1000));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, r->headers);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    if (o->unix_socket != NULL) curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, o->unix_socket);
    if (o->ca_file != NULL) curl_easy_setopt(easy, CURLOPT_CAINFO, o->ca_file);
    if (o->user != NULL) curl_easy_setopt(easy, CURLOPT_USERNAME, o->user);
    if (o->password != NULL) curl_easy_setopt(easy, CURLOPT_PASSWORD, o->password);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_upload);
    curl_easy_setopt(easy, CURLOPT_READDATA, r);
    if (is_mail) {
        curl_easy_setopt(easy, CURLOPT_MAIL_FROM, o->mail_from);
        curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, r->mail_to);
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    } else if (o->body != NULL) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, buf_str(&r->body));
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    } else if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    }
}

int http_start(struct http_request **out, struct http_client *client, const struct http_options *o,
               op_done_fn done, void *arg, struct err *e)
{
    const char *method = o->method ? o->method : o->body ? "POST" : "GET";
    bool is_mail = o->mail_from != NULL;
    struct http_request *r = mem_zalloc(sizeof *r);
    if (r == NULL) return err_set(e, ERR_MEMORY, "http", "no memory for a request");
    r->client = client;
    r->max_response_bytes = o->max_response_bytes;
    int rc = describe(r, is_mail ? "mail to" : method, o->url, e);
    if (rc != 0) goto failed;
    rc = err_set(e, ERR_MEMORY, r->what, "no memory for a request");
    for (const char *const *at = o->headers; at != NULL && *at != NULL; at++)
        if (!append(&r->headers, *at)) goto failed;
    if (!append(&r->headers, "Expect:")) goto failed; /* no waiting for 100 Continue */
    for (const char *const *at = o->mail_to; at != NULL && *at != NULL; at++)
        if (!append(&r->mail_to, *at)) goto failed;
    buf_add(&r->body, o->body ? o->body : "", o->body_bytes);
    r->easy = buf_ok(&r->body) ? curl_easy_init() : NULL;
    if (r->easy == NULL) goto failed;
    set_options(r, o, method, is_mail);
    op_begin(&r->op, client->loop, &HTTP, o->timeout_us, done, arg);
    CURLMcode added = curl_multi_add_handle(client->multi, r->easy);
    if (added != CURLM_OK)
        op_fail(&r->op, ERR_INTERNAL, r->what, "%s: %s", r->what, curl_multi_strerror(added));
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

void http_request_free(struct http_request *r)
{
    if (r == NULL) return;
    assert(!op_is_running(&r->op));
    if (r->easy != NULL) curl_easy_cleanup(r->easy);
    curl_slist_free_all(r->headers);
    curl_slist_free_all(r->mail_to);
    buf_release(&r->body);
    buf_release(&r->response.headers);
    buf_release(&r->response.body);
    mem_free(r);
}
