/* Lines as HAProxy 2.6.12 and nginx really wrote them, in every syslog format, and what is judged about them.
 */
#include "core/log_line.h"
#include "test.h"

#define HEAD                                                                                                 \
    "<134>Nov 23 20:30:07 localhost haproxy[29729]: 127.0.0.1:36862 [23/Nov/2026:20:30:06.904] public "

enum { BAD = 1, ABORTED = 2, CLIENT_ERROR = 4, RETRIED = 8 };

struct row {
    const char *what, *text, *server;
    int status;
    long total_ms, response_ms;
    int flags;
};

static const struct row HAPROXY[] = {
    {"a good answer", HEAD "app/blue1 0/0/0/0/0 200 51 - - ---- 2/2/0/0/0 0/0 \"GET / HTTP/1.1\"\n", "blue1",
     200, 0, 0, 0},
    {"not found: the client's mistake",
     HEAD "app/blue1 0/0/0/2/2 404 58 - - ---- 1/1/0/0/0 0/0 \"GET /404 HTTP/1.1\"\n", "blue1", 404, 2, 2,
     CLIENT_ERROR},
    {"the server said 500", HEAD "app/blue1 0/0/2/1/3 500 70 - - ---- 2/2/0/0/0 0/0 \"GET /500 HTTP/1.1\"\n",
     "blue1", 500, 3, 1, BAD},
    {"nobody listens there, one retry",
     HEAD "dead/green1 0/0/-1/-1/505 503 217 - - SC-- 1/1/0/0/1 0/0 \"GET /dead HTTP/1.1\"\n", "green1", 503,
     505, -1, BAD | RETRIED},
    {"the server closed without a word",
     HEAD "closer/green1 0/0/0/-1/0 502 209 - - SH-- 1/1/0/0/0 0/0 \"GET /closer HTTP/1.1\"\n", "green1", 502,
     0, -1, BAD},
    {"timeout server", HEAD "app/blue1 0/0/0/-1/401 504 198 - - sH-- 1/1/0/0/0 0/0 \"GET /slow HTTP/1.1\"\n",
     "blue1", 504, 401, -1, BAD},
    {"a backend without servers",
     HEAD "none/<NOSRV> 0/-1/-1/-1/0 503 217 - - SC-- 1/1/0/0/0 0/0 \"GET /none HTTP/1.1\"\n", "<NOSRV>", 503,
     0, -1, BAD},
    {"green refused, blue answered",
     HEAD "two/blue1 0/0/0/0/0 200 51 - - ---- 1/1/0/0/+1 0/0 \"GET /two HTTP/1.1\"\n", "blue1", 200, 0, 0,
     RETRIED},
    {"200, but cut off in the middle",
     HEAD "app/blue1 0/0/0/3/3 200 55 - - SD-- 1/1/0/0/0 0/0 \"GET /cut HTTP/1.1\"\n", "blue1", 200, 3, 3,
     BAD},
    {"an answer that is no HTTP",
     HEAD "app/blue1 0/0/0/-1/0 502 209 - - PH-- 2/2/0/0/0 0/0 \"GET /garbage HTTP/1.1\"\n", "blue1", 502, 0,
     -1, BAD},
    {"a rule of the proxy said no",
     HEAD "public/<NOSRV> 0/-1/-1/-1/0 403 192 - - PR-- 1/1/0/0/0 0/0 \"GET /deny HTTP/1.1\"\n", "<NOSRV>",
     403, 0, -1, CLIENT_ERROR},
    {"a redirect by the proxy",
     HEAD "public/<NOSRV> 0/-1/-1/-1/0 302 82 - - LR-- 2/2/0/0/0 0/0 \"GET /redirect HTTP/1.1\"\n", "<NOSRV>",
     302, 0, -1, 0},
    {"no HTTP from the client",
     HEAD "public/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- 2/2/0/0/0 0/0 \"<BADREQ>\"\n", "<NOSRV>", 400, 0, -1,
     CLIENT_ERROR},
    {"connected and left", HEAD "public/<NOSRV> -1/-1/-1/-1/0 400 0 - - CR-- 2/2/0/0/0 0/0 \"<BADREQ>\"\n",
     "<NOSRV>", 400, 0, -1, ABORTED | CLIENT_ERROR},
    {"left in the middle of its body",
     HEAD "app/blue1 0/0/0/0/101 200 51 - - CD-- 3/3/1/1/0 0/0 \"POST / HTTP/1.1\"\n", "blue1", 200, 101, 0,
     ABORTED},
    /* Without `option abortonclose` HAProxy waits on for the server when the client has left, and logs what
     * the server did: this client left after 150 ms, and the line says rightly that the server was too slow.
     */
    {"the client left, the server never came",
     HEAD "app/blue1 0/0/0/-1/402 504 198 - - sH-- 1/1/0/0/0 0/0 \"GET /slow HTTP/1.1\"\n", "blue1", 504, 402,
     -1, BAD},
    {"log format rfc5424",
     "<134>1 2026-11-23T20:30:09.422965+00:00 - haproxy 29796 - - 127.0.0.1:34132 [23/Nov/2026:20:30:08.921] "
     "public dead/green1 "
     "0/0/-1/-1/501 503 217 - - SC-- 1/1/0/0/1 0/0 \"GET /dead HTTP/1.1\"\n",
     "green1", 503, 501, -1, BAD | RETRIED},
    {"log format local",
     "<134>Nov 23 20:30:10 haproxy[29843]: 127.0.0.1:42764 [23/Nov/2026:20:30:10.179] public app/blue1 "
     "0/0/0/0/0 200 51 - - ---- "
     "1/1/0/0/0 0/0 \"GET / HTTP/1.1\"\n",
     "blue1", 200, 0, 0, 0},
    {"log format raw",
     "127.0.0.1:40148 [23/Nov/2026:20:30:11.490] public app/blue1 0/0/0/0/0 200 51 - - ---- 2/2/0/0/0 0/0 "
     "\"GET / HTTP/1.1\"\n",
     "blue1", 200, 0, 0, 0},
    {"log format short",
     "<6>127.0.0.1:38998 [23/Nov/2026:20:30:12.757] public dead/green1 0/0/-1/-1/502 503 217 - - SC-- "
     "1/1/0/0/1 0/0 \"GET /dead "
     "HTTP/1.1\"\n",
     "green1", 503, 502, -1, BAD | RETRIED},
    {"option logasap", HEAD "app/blue1 0/0/0/2/+2 200 +51 - - ---- 2/2/0/0/0 0/0 \"GET / HTTP/1.1\"\n",
     "blue1", 200, 2, 2, 0},
    {"captured cookies and headers",
     HEAD
     "app/blue1 0/0/0/1/1 200 51 sid=1 sid=2 --VN 2/2/0/0/0 0/0 {x.test|a b} {nginx} \"GET / HTTP/1.1\"\n",
     "blue1", 200, 1, 1, 0},
    {"cut inside the URL: all that is judged is there",
     HEAD "app/blue1 0/0/0/1/1 500 51 - - ---- 2/2/1/1/0 0/0 \"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "blue1", 500, 1, 1, BAD},
};

#define NGINX_HEAD "<134>Nov 23 20:30:14 vm nginx: 127.0.0.1 - - [23/Nov/2026:20:30:14 +0000] "

static const struct row NGINX[] = {
    {"a good answer", NGINX_HEAD "\"GET / HTTP/1.1\" 200 2 \"-\" \"-\" 127.0.0.1:51593 0.001 0.000",
     "127.0.0.1:51593", 200, 1, 0, 0},
    {"not found", NGINX_HEAD "\"GET /404 HTTP/1.1\" 404 2 \"-\" \"-\" 127.0.0.1:51593 0.001 0.000",
     "127.0.0.1:51593", 404, 1, 0, CLIENT_ERROR},
    {"the server said 500", NGINX_HEAD "\"GET /500 HTTP/1.1\" 500 2 \"-\" \"-\" 127.0.0.1:51593 0.001 0.000",
     "127.0.0.1:51593", 500, 1, 0, BAD},
    {"nobody listens there",
     NGINX_HEAD "\"GET /dead HTTP/1.1\" 502 157 \"-\" \"-\" 127.0.0.1:38513 0.000 0.000", "127.0.0.1:38513",
     502, 0, 0, BAD},
    {"the first refused, the second answered",
     NGINX_HEAD "\"GET /two HTTP/1.1\" 200 2 \"-\" \"-\" 127.0.0.1:38513, 127.0.0.1:51593 0.000 0.000, 0.001",
     "127.0.0.1:51593", 200, 0, 1, RETRIED},
    {"after an internal redirect",
     NGINX_HEAD "\"GET /x HTTP/1.1\" 200 2 \"-\" \"-\" 127.0.0.1:38513 : 127.0.0.1:51593 0.010 0.000 : 0.009",
     "127.0.0.1:51593", 200, 10, 9, RETRIED},
    {"timeout", NGINX_HEAD "\"GET /slow HTTP/1.1\" 504 167 \"-\" \"-\" 127.0.0.1:51593 1.001 1.001",
     "127.0.0.1:51593", 504, 1001, 1001, BAD},
    {"answered by nginx itself", NGINX_HEAD "\"GET /static HTTP/1.1\" 204 0 \"-\" \"-\" - 0.000 -", "-", 204,
     0, -1, 0},
    {"the client left", NGINX_HEAD "\"GET /slow HTTP/1.1\" 499 0 \"-\" \"-\" 127.0.0.1:51593 0.201 0.200",
     "127.0.0.1:51593", 499, 201, 200, ABORTED | CLIENT_ERROR},
    {"a user and a browser that pretend to be a line",
     "<134>Nov 23 20:30:15 vm nginx: 127.0.0.1 - x [1/Nov] \\x22GET / HTTP/1.1\\x22 200 1 "
     "[23/Nov/2026:20:30:15 +0000] \"GET / "
     "HTTP/1.1\" 502 2 \"-\" \"a\\x22 200 \\x22b\" 127.0.0.1:51593 0.000 0.001",
     "127.0.0.1:51593", 502, 0, 1, BAD},
};

typedef bool (*parse_fn)(const char *text, size_t len, struct log_line *out);

static void check_row(parse_fn parse, const struct row *row)
{
    struct log_line line = {0};
    int before = test_failures;
    CHECK(parse(row->text, strlen(row->text), &line));
    CHECK_INT(line.server_len, strlen(row->server));
    CHECK(line.server_len == strlen(row->server) && memcmp(line.server, row->server, line.server_len) == 0);
    CHECK_INT(line.status, row->status);
    CHECK_INT(line.total_ms, row->total_ms);
    CHECK_INT(line.response_ms, row->response_ms);
    CHECK_INT(line.failed, (row->flags & BAD) != 0);
    CHECK_INT(line.client_aborted, (row->flags & ABORTED) != 0);
    CHECK_INT(line.client_error, (row->flags & CLIENT_ERROR) != 0);
    CHECK_INT(line.retries > 0 || line.redispatched, (row->flags & RETRIED) != 0);
    if (test_failures != before) printf("  in: %s\n", row->what);
}

TEST(real_lines_of_haproxy)
{
    for (size_t i = 0; i < sizeof HAPROXY / sizeof *HAPROXY; i++)
        check_row(log_line_parse, &HAPROXY[i]);
}

TEST(real_lines_of_nginx)
{
    for (size_t i = 0; i < sizeof NGINX / sizeof *NGINX; i++)
        check_row(log_line_parse_nginx, &NGINX[i]);
}

TEST(one_proxy_s_line_is_unreadable_as_the_other_s)
{
    struct log_line line;
    for (size_t i = 0; i < sizeof NGINX / sizeof *NGINX; i++)
        CHECK(!log_line_parse(NGINX[i].text, strlen(NGINX[i].text), &line));
    for (size_t i = 0; i < sizeof HAPROXY / sizeof *HAPROXY; i++)
        CHECK(!log_line_parse_nginx(HAPROXY[i].text, strlen(HAPROXY[i].text), &line));
}

/* Every prefix in memory of exactly its size, so that a sanitizer sees a read behind it. */
static void check_prefixes(parse_fn parse, const char *text, size_t needed)
{
    for (size_t len = 1; len < needed; len++) {
        char *copy = malloc(len);
        struct log_line line;
        REQUIRE(copy != NULL);
        memcpy(copy, text, len);
        if (parse(copy, len, &line)) printf("accepted: %.*s\n", (int)len, copy);
        CHECK(!parse(copy, len, &line));
        free(copy);
    }
}

TEST(a_line_that_is_cut_before_its_last_judged_field_is_unreadable)
{
    check_prefixes(log_line_parse, HAPROXY[0].text,
                   (size_t)(strstr(HAPROXY[0].text, " 0/0 \"GET") + 3 - HAPROXY[0].text));
    check_prefixes(log_line_parse_nginx, NGINX[0].text, strlen(NGINX[0].text));
}

TEST(timers_and_retries_out_of_range_are_unreadable)
{
    static const char *const texts[] = {
        HEAD "app/blue1 0/0/0/0/-2 200 51 - - ---- 2/2/0/0/0 0/0 \"GET / HTTP/1.1\"",
        HEAD "app/blue1 0/0/0/-7/0 200 51 - - ---- 2/2/0/0/0 0/0 \"GET / HTTP/1.1\"",
        HEAD "app/blue1 0/0/0/0/0 -2 51 - - ---- 2/2/0/0/0 0/0 \"GET / HTTP/1.1\"",
        HEAD "app/blue1 0/0/0/0/0 200 51 - - ---- 2/2/0/0/99999999999 0/0 \"GET / HTTP/1.1\"",
        HEAD "app/blue1 0/0/0/0/0 200 51 - - ---- 2/2/0/0/-1 0/0 \"GET / HTTP/1.1\"",
    };
    struct log_line line;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        CHECK(!log_line_parse(texts[i], strlen(texts[i]), &line));
}

TEST_MAIN()
