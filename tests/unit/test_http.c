/* The HTTP client: against our own server, and against others that misbehave byte by byte. */
#include "base/mem.h"
#include "core/http.h"
#include "core/serve.h"
#include "core/work.h"
#include "raw.h"
#include "test.h"

#include <dlfcn.h>
#include <netdb.h>
#include <sys/un.h>

static struct clock the_clock;
static struct loop *loop;
static struct http_client *client;
static struct serve *server;
static const char *location; /* when set, the server redirects there */
static int lookup_pipe[2] = {-1, -1};

/* Name lookups of "hangs.test" end when the test says so. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    char c;
    if (node != NULL && strcmp(node, "hangs.test") == 0) {
        if (read(lookup_pipe[0], &c, 1) < 0) return EAI_SYSTEM;
        return EAI_NONAME;
    }
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, out);
}

/* --- our own server, answering each request with what it got ---------------------------------- */

static struct serve_request *silent[16]; /* requests to /silent, which is never answered in time */
static int silent_count;

static void on_request(struct op *op, void *arg)
{
    struct serve_request *r;
    (void)arg;
    if (op->status < 0) return;
    while ((r = serve_take(server)) != NULL) {
        if (strcmp(r->path, "/silent") == 0) {
            silent[silent_count++] = r;
            continue;
        }
        struct buf headers = BUF_INIT, body = BUF_INIT;
        buf_addf(&headers, "X-Two: a\nX-Two: b\n");
        if (location != NULL) buf_addf(&headers, "Location: %s\n", location);
        buf_addf(&body, "%s %s\n%s\n%s", r->method, r->path, buf_str(&r->headers), buf_str(&r->body));
        serve_answer(r, location != NULL ? 302 : 200, &headers, body.data, body.len);
        buf_release(&headers);
        buf_release(&body);
    }
    serve_next(server, on_request, NULL);
}

static void open_all(void)
{
    struct serve_options options = {.host = "127.0.0.1", .max_body_bytes = 1 << 20, .idle_timeout_s = 60};
    struct err e;
    location = NULL;
    silent_count = 0;
    clock_init_real(&the_clock);
    if (loop_init(&loop, &the_clock, &e) != 0 || http_client_new(&client, loop, &e) != 0 ||
        serve_start(&server, loop, &options, &e) != 0) {
        printf("%s\n", e.message);
        abort();
    }
    serve_next(server, on_request, NULL);
}

static void close_all(void)
{
    http_client_free(client);
    serve_free(server);
    for (int i = 0; i < silent_count; i++) {
        static const struct buf none = BUF_INIT;
        serve_answer(silent[i], 200, &none, "", 0);
    }
    loop_free(loop);
}

/* --- one request -------------------------------------------------------------------------------- */

static int fired;

static void on_done(struct op *op, void *arg)
{
    (void)op;
    (void)arg;
    fired++;
}

static bool is_done(void *arg)
{
    (void)arg;
    return fired > 0;
}

static struct http_options options_for(const char *url)
{
    return (struct http_options){.url = url,
                                 .timeout_us = 20 * 1000000LL,
                                 .connect_timeout_us = 20 * 1000000LL,
                                 .max_response_bytes = 1 << 20};
}

static const char *url_of(const char *path)
{
    static char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", serve_port(server), path);
    return url;
}

/* Runs it to its end. The caller frees it; NULL when it could not start. */
static struct http_request *run(const struct http_options *o, struct err *e)
{
    struct http_request *r = NULL;
    fired = 0;
    if (http_start(&r, client, o, on_done, NULL, e) != 0) return NULL;
    loop_run_until(loop, is_done, NULL, NULL);
    CHECK_INT(fired, 1);
    *e = http_op(r)->err;
    return r;
}

/* The code with which it ends, 0 for success; e keeps the error. */
static enum err_code code_of(const struct http_options *o, struct err *e)
{
    err_clear(e);
    struct http_request *r = run(o, e);
    http_request_free(r);
    return e->code;
}

TEST(a_request_and_its_response)
{
    static const char *const headers[] = {"X-A: 1", "X-Empty;", NULL};
    struct err e;
    open_all();
    struct http_options o = options_for(url_of("/p?q=1#f"));
    o.method = "PUT";
    o.headers = headers;
    o.body = "body";
    o.body_bytes = 4;
    struct http_request *r = run(&o, &e);
    REQUIRE(r != NULL && e.code == 0);
    const struct http_response *a = http_response(r);
    CHECK_INT(a->status, 200);
    CHECK_INT(a->version, 11);
    CHECK(!a->reused);
    CHECK(a->total_s > 0 && a->first_byte_s >= a->connect_s);
    CHECK_HAS(buf_str(&a->headers), "x-two: a\nx-two: b\n");
    CHECK_HAS(buf_str(&a->body), "PUT /p\n");
    CHECK_HAS(buf_str(&a->body), "x-a: 1\nx-empty: \n");
    CHECK_HAS(buf_str(&a->body), "\nbody");
    CHECK(strstr(buf_str(&a->body), "content-type") == NULL);
    http_request_free(r);
    r = run(&o, &e);
    CHECK(r != NULL && http_response(r)->reused);
    http_request_free(r);
    o = options_for(url_of("/"));
    o.method = "HEAD";
    r = run(&o, &e);
    CHECK(r != NULL && http_response(r)->status == 200 && http_response(r)->body.len == 0);
    http_request_free(r);
    close_all();
}

TEST(what_the_caller_did_wrong_fails_at_once)
{
    static const char *const split[] = {"X: a\r\nY: b", NULL}, *const bad_name[] = {"X Y: a", NULL};
    static const char *const smuggled[] = {"a@x> NOTIFY=NEVER", NULL}, *const fine[] = {"a@x", NULL};
    struct err e;
    open_all();
    struct http_options good = options_for(url_of("/")), o;
    CHECK_INT(code_of(&good, &e), 0);
    CHECK_INT((o = good, o.method = "GET / X\r\nY:", code_of(&o, &e)), ERR_USAGE);
    CHECK_INT((o = good, o.headers = split, code_of(&o, &e)), ERR_USAGE);
    CHECK_INT((o = good, o.headers = bad_name, code_of(&o, &e)), ERR_USAGE);
    CHECK_INT((o = good, o.timeout_us = 0, code_of(&o, &e)), ERR_USAGE);
    CHECK_INT((o = good, o.url = "file:///etc/passwd", code_of(&o, &e)), ERR_USAGE);
    CHECK_INT((o = good, o.url = "http://user:hunter2@bad host/", code_of(&o, &e)), ERR_USAGE);
    CHECK(strstr(e.message, "hunter2") == NULL);
    CHECK_INT((o = good, o.mail_from = "a@x", o.mail_to = fine, code_of(&o, &e)), ERR_USAGE);
    o.url = "smtp://127.0.0.1:1";
    CHECK_INT((o.mail_to = smuggled, code_of(&o, &e)), ERR_USAGE);
    CHECK_INT((o.mail_to = fine, o.mail_from = "a@x\r\nRCPT TO:<b@x>", code_of(&o, &e)), ERR_USAGE);
    close_all();
}

TEST(errors_name_the_place_and_no_secret)
{
    char url[128];
    int port;
    struct err e;
    open_all();
    close(raw_listen(&port));
    snprintf(url, sizeof url, "http://user:hunter2@127.0.0.1:%d/path?token=abc#frag", port);
    struct http_options o = options_for(url);
    CHECK_INT(code_of(&o, &e), ERR_CONNECT);
    CHECK_HAS(e.op, "GET http://127.0.0.1:");
    CHECK_HAS(e.message, "/path");
    CHECK(strstr(e.message, "hunter2") == NULL && strstr(e.message, "abc") == NULL);
    CHECK(strstr(e.op, "hunter2") == NULL && strstr(e.op, "abc") == NULL && strstr(e.op, "user") == NULL);
    o = options_for(url_of("/silent"));
    o.timeout_us = 50000;
    CHECK_INT(code_of(&o, &e), ERR_TIMEOUT);
    CHECK_HAS(e.op, "/silent");
    close_all();
}

TEST(canceling_ends_it_at_once_even_during_a_name_lookup)
{
    struct err e;
    open_all();
    REQUIRE(pipe(lookup_pipe) == 0);
    struct http_options o = options_for("http://hangs.test/");
    struct http_request *r = NULL;
    fired = 0;
    REQUIRE(http_start(&r, client, &o, on_done, NULL, &e) == 0);
    struct op nap = {0};
    op_sleep(&nap, loop, 20000, on_done, NULL);
    loop_run_until(loop, is_done, NULL, NULL); /* the lookup is under way */
    fired = 0;
    op_cancel(http_op(r), ERR_INTERRUPTED, "test", "enough");
    loop_run_until(loop, is_done, NULL, NULL); /* would not come back: the lookup still hangs */
    CHECK_INT(http_op(r)->status, -ERR_INTERRUPTED);
    CHECK_INT(fired, 1);
    http_request_free(r);
    /* The same for its own time limit. */
    o.timeout_us = 50000;
    CHECK_INT(code_of(&o, &e), ERR_TIMEOUT);
    close_all();
    CHECK_INT(write(lookup_pipe[1], "xx", 2), 2);
}

TEST(redirects)
{
    struct err e;
    open_all();
    struct http_options o = options_for(url_of("/"));
    location = "/again";
    struct http_request *r = run(&o, &e);
    CHECK(r != NULL && http_response(r)->status == 302);
    http_request_free(r);
    o.max_redirects = 5;
    CHECK_INT(code_of(&o, &e), ERR_HTTP);
    location = "file:///etc/passwd";
    CHECK_INT(code_of(&o, &e), ERR_PROTOCOL);
    location = "smtp://127.0.0.1:1/";
    CHECK_INT(code_of(&o, &e), ERR_PROTOCOL);
    close_all();
}

TEST(another_address_for_a_name_is_for_that_request_only)
{
    char line[64];
    const char *const lines[] = {line, NULL};
    struct err e;
    open_all();
    snprintf(line, sizeof line, "shop.test:80:127.0.0.1:%d", serve_port(server));
    struct http_options o = options_for("http://shop.test/x");
    o.connect_to = lines;
    struct http_request *r = run(&o, &e);
    REQUIRE(r != NULL && e.code == 0);
    CHECK_HAS(buf_str(&http_response(r)->body), "host: shop.test\n");
    http_request_free(r);
    /* Elsewhere: the open connection to the first address must not be used. */
    snprintf(line, sizeof line, "shop.test:80:127.0.0.1:1");
    CHECK_INT(code_of(&o, &e), ERR_CONNECT);
    close_all();
}

TEST(a_thousand_at_once)
{
    enum { COUNT = 1000 };
    static struct http_request *all[COUNT];
    struct err e;
    open_all();
    struct http_options o = options_for(url_of("/"));
    for (int i = 0; i < COUNT; i++)
        REQUIRE(http_start(&all[i], client, &o, on_done, NULL, &e) == 0);
    int ok = 0;
    for (fired = 0; ok < COUNT;) {
        int before = fired = 0;
        loop_run_until(loop, is_done, NULL, NULL);
        if (fired == before) break;
        ok += fired;
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK_INT(http_op(all[i])->status, 0);
        http_request_free(all[i]);
    }
    close_all();
}

/* --- servers that misbehave ----------------------------------------------------------------------
 * A worker accepts one connection, reads the head of a request, and says what it was told to. */

struct canned {
    struct work work;
    int listener;
    const char *reply;
    bool endless; /* repeats reply until nobody reads it */
    bool ended;
};

static int say(struct work *w, void *arg, struct err *e)
{
    struct canned *c = arg;
    char head[2048];
    (void)w;
    (void)e;
    int fd = accept(c->listener, NULL, NULL);
    if (fd < 0 || recv(fd, head, sizeof head, 0) < 0) return 0;
    do
        raw_send(fd, c->reply);
    while (c->endless && send(fd, "X", 1, MSG_NOSIGNAL) == 1);
    close(fd);
    return 0;
}

static void on_said(struct op *op, void *arg)
{
    (void)op;
    ((struct canned *)arg)->ended = true;
}

static bool has_ended(void *arg)
{
    return ((struct canned *)arg)->ended;
}

static enum err_code code_against(const char *reply, bool endless, struct err *e)
{
    int port;
    char url[64];
    struct canned c = {.listener = raw_listen(&port), .reply = reply, .endless = endless};
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", port);
    struct http_options o = options_for(url);
    o.max_response_bytes = 100;
    work_start(&c.work, loop, say, &c, OP_NO_TIMEOUT, on_said, &c, e);
    enum err_code code = code_of(&o, e);
    loop_run_until(loop, has_ended, &c, NULL);
    close(c.listener);
    return code;
}

TEST(hostile_servers)
{
    static char long_body[300];
    struct err e;
    open_all();
    CHECK_INT(code_against("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false, &e), 0);
    CHECK_INT(code_against("", false, &e), ERR_CLOSED);
    CHECK_INT(code_against("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", false, &e), ERR_CLOSED);
    CHECK_INT(code_against("SSH-2.0-OpenSSH_9.2\r\n", false, &e), ERR_PROTOCOL);
    CHECK_INT(code_against("HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n", false, &e), ERR_PROTOCOL);
    CHECK_INT(code_against("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", false, &e), ERR_LIMIT);
    snprintf(long_body, sizeof long_body, "HTTP/1.1 200 OK\r\n\r\n%0200d", 0);
    CHECK_INT(code_against(long_body, false, &e), ERR_LIMIT);
    CHECK_HAS(e.message, "100 bytes");
    CHECK_INT(code_against("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody without end ", true, &e), ERR_LIMIT);
    /* Each round is "X" and a header line. */
    CHECK_INT(code_against("HTTP/1.1 200 OK\r\nA: b\r\n", true, &e) != 0, 1);
    CHECK(e.code == ERR_LIMIT || e.code == ERR_PROTOCOL || e.code == ERR_CLOSED || e.code == ERR_IO);
    close_all();
}

/* --- mail --------------------------------------------------------------------------------------- */

struct post_office {
    struct work work;
    int listener, release; /* release: QUIT is answered when a byte can be read there; or -1 */
    const char *to_recipient;
    char got[4096];
    bool ended;
};

static void reply_to(struct post_office *p, FILE *in, int fd, char *line, size_t size)
{
    char c;
    if (strncmp(line, "RCPT", 4) == 0) {
        raw_send(fd, p->to_recipient);
    } else if (strncmp(line, "DATA", 4) == 0) {
        raw_send(fd, "354 go on\r\n");
        while (fgets(line, (int)size, in) != NULL && strcmp(line, ".\r\n") != 0)
            snprintf(p->got + strlen(p->got), sizeof p->got - strlen(p->got), "%s", line);
        raw_send(fd, "250 taken\r\n");
    } else if (strncmp(line, "QUIT", 4) == 0) {
        if (p->release >= 0 && read(p->release, &c, 1) != 1) return;
        raw_send(fd, "221 bye\r\n");
    } else {
        raw_send(fd, "250 fine\r\n");
    }
}

static int run_post_office(struct work *w, void *arg, struct err *e)
{
    struct post_office *p = arg;
    char line[1024];
    (void)w;
    (void)e;
    int fd = accept(p->listener, NULL, NULL);
    FILE *in = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (in == NULL) return 0;
    raw_send(fd, "220 hello\r\n");
    while (fgets(line, sizeof line, in) != NULL)
        reply_to(p, in, fd, line, sizeof line);
    fclose(in);
    return 0;
}

static void on_office_closed(struct op *op, void *arg)
{
    (void)op;
    ((struct post_office *)arg)->ended = true;
}

static bool office_is_closed(void *arg)
{
    return ((struct post_office *)arg)->ended;
}

TEST(mail_is_sent_and_a_slow_farewell_holds_nobody)
{
    static const char *const to[] = {"b@x.test", "c@x.test", NULL};
    struct post_office p = {.to_recipient = "250 fine\r\n"};
    int port, quit[2];
    char url[64];
    struct err e;
    open_all();
    REQUIRE(pipe(quit) == 0);
    p.listener = raw_listen(&port);
    p.release = quit[0];
    snprintf(url, sizeof url, "smtp://127.0.0.1:%d", port);
    work_start(&p.work, loop, run_post_office, &p, OP_NO_TIMEOUT, on_office_closed, &p, &e);
    struct http_options o = options_for(url);
    o.mail_from = "a@x.test";
    o.mail_to = to;
    o.body = "Subject: s\r\n\r\n.dot\r\n";
    o.body_bytes = strlen(o.body);
    struct http_request *r = NULL;
    fired = 0;
    REQUIRE(http_start(&r, client, &o, on_done, NULL, &e) == 0);
    /* The loop turns while the mail server keeps silent: else nobody would release it. */
    struct op nap = {0};
    op_sleep(&nap, loop, 100000, on_done, NULL);
    loop_run_until(loop, is_done, NULL, NULL);
    CHECK(op_is_running(http_op(r)));
    fired = 0;
    CHECK_INT(write(quit[1], "x", 1), 1);
    loop_run_until(loop, is_done, NULL, NULL);
    CHECK_INT(http_op(r)->status, 0);
    loop_run_until(loop, office_is_closed, &p, NULL);
    CHECK_STR(p.got, "Subject: s\r\n\r\n..dot\r\n");
    http_request_free(r);
    close(p.listener);
    close(quit[0]);
    close(quit[1]);
    close_all();
}

TEST(a_refused_recipient_is_said_with_the_servers_words)
{
    static const char *const to[] = {"b@x.test", NULL};
    struct post_office p = {.to_recipient = "550 nobody of that name\r\n", .release = -1};
    int port;
    char url[64];
    struct err e;
    open_all();
    p.listener = raw_listen(&port);
    snprintf(url, sizeof url, "smtp://127.0.0.1:%d", port);
    work_start(&p.work, loop, run_post_office, &p, OP_NO_TIMEOUT, on_office_closed, &p, &e);
    struct http_options o = options_for(url);
    o.mail_from = "a@x.test";
    o.mail_to = to;
    o.body = "x";
    o.body_bytes = 1;
    CHECK_INT(code_of(&o, &e), ERR_MAIL);
    CHECK_HAS(e.message, "nobody of that name");
    loop_run_until(loop, office_is_closed, &p, NULL);
    close(p.listener);
    close_all();
}

/* --- the edges of its life ----------------------------------------------------------------------- */

TEST(it_can_be_freed_under_way_when_the_loop_has_ended)
{
    struct err e;
    open_all();
    struct http_options o = options_for(url_of("/silent"));
    struct http_request *r = NULL;
    REQUIRE(http_start(&r, client, &o, on_done, NULL, &e) == 0);
    fired = 0;
    struct op nap = {0};
    op_sleep(&nap, loop, 20000, on_done, NULL);
    loop_run_until(loop, is_done, NULL, NULL);
    http_request_free(r);
    CHECK_INT(fired, 1);
    close_all();
}

TEST(a_virtual_clock_does_not_stop_it)
{
    struct err e;
    open_all();
    the_clock.is_virtual = true;
    struct http_options o = options_for(url_of("/silent"));
    o.timeout_us = 50000;
    CHECK_INT(code_of(&o, &e), ERR_TIMEOUT);
    o = options_for(url_of("/"));
    CHECK_INT(code_of(&o, &e), 0);
    close_all();
}

TEST(every_failing_allocation_is_an_error_or_harmless)
{
    struct err e;
    open_all();
    struct http_options o = options_for(url_of("/"));
    o.body = "x";
    o.body_bytes = 1;
    o.timeout_us = 300000; /* a watch that cannot be made lets the request time out */
    CHECK_INT(code_of(&o, &e), 0);
    for (long n = 0; n < 12; n++) {
        mem_fail_after(n);
        enum err_code code = code_of(&o, &e);
        mem_fail_after(-1);
        CHECK(code == 0 || code == ERR_MEMORY || code == ERR_TIMEOUT || code == ERR_CLOSED);
    }
    CHECK_INT(code_of(&o, &e), 0);
    close_all();
}

TEST_MAIN()
