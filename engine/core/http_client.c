#include "core/http_client.h"

#include "base/mem.h"
#include "core/http.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <uv.h>

enum { MAX_CONNECTIONS = 1024 };

struct http_client {
    struct loop *loop;
    CURLM *multi;
    /* libcurl's own timer. Not one of ours: a virtual clock stands still while a request is under
     * way, and libcurl would wait for ever. */
    uv_timer_t timer;
};

/* One watched socket of libcurl's. */
struct watch {
    uv_poll_t poll;
    struct http_client *client;
    curl_socket_t fd;
    int events;
};

static void drain(struct http_client *c)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(c->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE) continue;
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result; /* gone with the removal */
        curl_multi_remove_handle(c->multi, easy);
        http_ended(easy, code);
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    struct http_client *c = w->client;
    int mask = 0, running;
    if (events & UV_READABLE) mask |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE) mask |= CURL_CSELECT_OUT;
    if (status < 0) mask = CURL_CSELECT_IN | CURL_CSELECT_OUT | CURL_CSELECT_ERR;
    curl_multi_socket_action(c->multi, w->fd, mask, &running);
    /* libuv stops watching on an error, but there may be more to read before it shows. A watch that
     * libcurl ended is still memory of ours until its close callback. */
    if (status < 0 && !uv_is_closing((uv_handle_t *)poll)) uv_poll_start(poll, w->events, on_ready);
    drain(c);
}

static void on_watch_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    (void)easy;
    struct http_client *c = arg;
    struct watch *w = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (w == NULL) return 0;
        curl_multi_assign(c->multi, fd, NULL);
        uv_close((uv_handle_t *)&w->poll, on_watch_closed);
        return 0;
    }
    if (w == NULL) {
        /* A failure here would make the whole client unusable: rather let this request time out. */
        w = mem_zalloc(sizeof *w);
        if (w == NULL) return 0;
        if (uv_poll_init_socket(loop_uv(c->loop), &w->poll, fd) != 0) {
            mem_free(w);
            return 0;
        }
        w->client = c;
        w->fd = fd;
        w->poll.data = w;
        curl_multi_assign(c->multi, fd, w);
    }
    w->events = ((what & CURL_POLL_IN) ? UV_READABLE : 0) | ((what & CURL_POLL_OUT) ? UV_WRITABLE : 0);
    uv_poll_start(&w->poll, w->events, on_ready);
    return 0;
}

static void on_timer(uv_timer_t *timer)
{
    struct http_client *c = timer->data;
    int running;
    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    drain(c);
}

static int on_timer_change(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct http_client *c = arg;
    if (timeout_ms < 0) {
        uv_timer_stop(&c->timer);
        return 0;
    }
    uv_update_time(loop_uv(c->loop));
    uv_timer_start(&c->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void init_once(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    /* OpenSSL writes to sockets without MSG_NOSIGNAL; a peer that closes must not end us. */
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

/* More requests than this at once wait for their turn, so that they do not run into the limit of
 * open files. */
static long connection_limit(void)
{
    struct rlimit files;
    long limit = MAX_CONNECTIONS;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 2 < MAX_CONNECTIONS)
        limit = (long)(files.rlim_cur / 2);
    return limit > 0 ? limit : 1;
}

int http_client_new(struct http_client **out, struct loop *loop, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int rc = lazy_curl(e);
    if (rc < 0) return rc;
    pthread_once(&once, init_once);
    struct http_client *c = mem_zalloc(sizeof *c);
    CURLM *multi = c != NULL ? curl_multi_init() : NULL;
    if (multi == NULL) {
        mem_free(c);
        return err_set(e, ERR_MEMORY, "http", "no memory for an HTTP client");
    }
    c->loop = loop;
    c->multi = multi;
    c->timer.data = c;
    uv_timer_init(loop_uv(loop), &c->timer);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer_change);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connection_limit());
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, connection_limit());
    *out = c;
    return 0;
}

struct loop *http_client_loop(const struct http_client *c)
{
    return c->loop;
}

int http_client_add(struct http_client *c, CURL *easy, struct err *e)
{
    CURLMcode rc = curl_multi_add_handle(c->multi, easy);
    if (rc == CURLM_OK) return 0;
    return err_set(e, ERR_INTERNAL, "http", "a request could not be started: %s", curl_multi_strerror(rc));
}

void http_client_remove(struct http_client *c, CURL *easy)
{
    curl_multi_remove_handle(c->multi, easy);
}

static void on_client_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void http_client_free(struct http_client *c)
{
    if (c == NULL) return;
    curl_multi_cleanup(c->multi);
    uv_close((uv_handle_t *)&c->timer, on_client_closed);
}
