/* HAProxy's log lines: real ones, and everything that is not one. */
#include "core/log_line.h"
#include "test.h"

#define HEAD "<134>Nov 23 20:10:38 haproxy[590]: 127.0.0.1:34610 [23/Nov/2026:20:10:38.350] p "

/* As HAProxy 2.6 wrote them for an answer, a 404, a 500, a refused server, one that closed, one that was too
 * slow, no server at all, another server after the first refused, and a client that did not finish its
 * request. */
static const char OK[] = HEAD "app/blue1 0/0/2/3/5 200 116 - - ---- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\"\n";
static const char NOT_FOUND[] =
    HEAD "app/blue1 0/0/0/16/16 404 123 - - ---- 1/1/0/0/0 0/0 \"GET /404 HTTP/1.1\"\n";
static const char ERROR[] = HEAD "app/blue1 0/0/0/5/5 500 135 - - ---- 1/1/0/0/0 0/0 \"GET /500 HTTP/1.1\"\n";
static const char REFUSED[] =
    HEAD "dead/green1 0/301/-1/-1/301 503 217 - - SC-- 1/1/0/0/1 0/0 \"GET /dead HTTP/1.1\"\n";
static const char CLOSED[] =
    HEAD "closer/green1 0/0/15/-1/38 502 209 - - SH-- 1/1/0/0/0 0/0 \"GET /closer HTTP/1.1\"\n";
static const char SLOW[] =
    HEAD "slow/green1 0/0/0/-1/502 504 198 - - sH-- 1/1/0/0/0 0/0 \"GET /slow HTTP/1.1\"\n";
static const char NO_SERVER[] =
    HEAD "none/<NOSRV> 0/-1/-1/-1/0 503 217 - - SC-- 1/1/0/0/0 0/0 \"GET /none HTTP/1.1\"\n";
static const char REDISPATCHED[] =
    HEAD "two/blue1 0/0/0/3/3 200 116 - - ---- 1/1/0/0/+1 0/0 \"GET /two HTTP/1.1\"\n";
static const char ABORTED[] =
    HEAD "app/green1 0/0/0/-1/200 -1 0 - - CH-- 1/1/0/0/0 0/0 \"GET /slow HTTP/1.1\"\n";

static struct log_line parse(const char *text)
{
    struct log_line line;
    memset(&line, 0, sizeof line);
    CHECK(log_line_parse(text, strlen(text), &line));
    return line;
}

TEST(fields_of_a_good_answer)
{
    struct log_line line = parse(OK);
    CHECK(line.server_len == 5 && memcmp(line.server, "blue1", 5) == 0);
    CHECK(line.backend_len == 3 && memcmp(line.backend, "app", 3) == 0);
    CHECK_INT(line.status, 200);
    CHECK_INT(line.total_ms, 5);
    CHECK_INT(line.response_ms, 3);
    CHECK(!line.failed && !line.client_aborted && !line.client_error && !line.redispatched);
}

TEST(what_counts_as_failed)
{
    CHECK(parse(ERROR).failed);
    CHECK(parse(REFUSED).failed);
    CHECK(parse(CLOSED).failed);
    CHECK(parse(SLOW).failed);
    CHECK(parse(NO_SERVER).failed);
    CHECK(!parse(NOT_FOUND).failed);
    CHECK(parse(NOT_FOUND).client_error);
    CHECK(parse(ABORTED).client_aborted && !parse(ABORTED).failed);
}

TEST(retries_and_redispatch)
{
    CHECK_INT(parse(REFUSED).retries, 1);
    struct log_line line = parse(REDISPATCHED);
    CHECK(line.redispatched && !line.failed);
    CHECK_INT(line.retries, 1);
}

TEST(a_line_without_a_syslog_header)
{
    const char *start = strstr(OK, "127.0.0.1");
    CHECK_INT(parse(start).status, 200);
}

TEST(what_is_cut_off_before_its_queues_is_unreadable)
{
    struct log_line line;
    size_t needed = (size_t)(strstr(OK, " 0/0 \"GET") - OK) + 2; /* as far as one digit of the queues */
    for (size_t len = 0; len < needed; len++)
        CHECK(!log_line_parse(OK, len, &line));
    CHECK(log_line_parse(OK, strlen(OK) - 1, &line));
}

TEST(other_texts_are_unreadable)
{
    static const char *const texts[] = {
        "",
        "hello",
        "[",
        HEAD,
        HEAD "app 0/0/2/3/5 200 116 - - ---- 1/1/0/0/0 0/0 \"\"",
        HEAD "app/ 0/0/2/3/5 200 116 - - ---- 1/1/0/0/0 0/0 \"\"",
        HEAD "app/b 0/0/2/3 200 116 - - ---- 1/1/0/0/0 0/0 \"\"",
        HEAD "app/b 0/0/2/3/5/6 200 116 - - ---- 1/1/0/0/0 0/0 \"\"",
        HEAD "app/b 0/0/2/3/x 200 116 - - ---- 1/1/0/0/0 0/0 \"\"",
        HEAD "app/b 0/0/2/3/5 20000 116 - - ---- 1/1/0/0/0 0/0 \"\"",
        HEAD "app/b 0/0/2/3/99999999999999999999 200 116 - - ---- 1/1/0/0/0 0/0 \"\"",
        HEAD "app/b 0/0/2/3/5 200 116 - - ----- 1/1/0/0/0 0/0 \"\"",
        HEAD "app/b 0/0/2/3/5 200 116 - - ---- 1/1/0/0 0/0 \"\"",
        "<134>haproxy: Proxy app started.",
    };
    struct log_line line;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (log_line_parse(texts[i], strlen(texts[i]), &line)) printf("accepted: %s\n", texts[i]);
        CHECK(!log_line_parse(texts[i], strlen(texts[i]), &line));
    }
}

/* Under the sanitizers a read outside of the text would be seen; here it only must not become a success of
 * another server. */
TEST(random_changes_never_read_outside)
{
    unsigned seed = 12345;
    for (int round = 0; round < 100000; round++) {
        size_t len = sizeof OK - 1;
        char *text = malloc(len);
        REQUIRE(text != NULL);
        memcpy(text, OK, len);
        for (int change = 0; change < 3; change++) {
            seed = seed * 1103515245 + 12345;
            text[(seed >> 8) % len] = (char)(seed >> 24);
        }
        struct log_line line;
        if (log_line_parse(text, len - seed % 7, &line)) {
            CHECK(line.server >= text && line.server + line.server_len <= text + len);
            CHECK(line.status >= -1 && line.status <= 999);
        }
        free(text);
    }
}

TEST_MAIN()
