/* Shares into weights, HAProxy's words, and hostile answers. */
#include "base/mem.h"
#include "core/traffic.h"
#include "test.h"

#include <signal.h>

/* --- shares ------------------------------------------------------------------------------- */

static int check_split(struct traffic_colour *c, size_t n)
{
    int64_t total = 0, wrong = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t sum = 0;
        int least = TRAFFIC_WEIGHT_MAX, most = 0;
        for (int k = 0; k < c[i].servers; k++) {
            int w = traffic_weight(&c[i], k);
            sum += w;
            if (w < least) least = w;
            if (w > most) most = w;
        }
        if (most > TRAFFIC_WEIGHT_MAX || most - least > 1) wrong++;
        if ((c[i].share > 0) != (least > 0)) wrong++;
        if (sum != c[i].total) wrong++;
        total += sum;
    }
    for (size_t i = 0; i < n; i++)
        if ((int64_t)c[i].total * 100 != c[i].share * total) wrong++;
    return (int)wrong;
}

/* By trying every total: is there any solution? */
static bool is_possible(int share, int n1, int n2)
{
    for (int t = 1; t <= TRAFFIC_WEIGHT_MAX * (n1 + n2); t++) {
        if (t * share % 100 != 0) continue;
        int a = t * share / 100, b = t - a;
        if (a != 0 && (a < n1 || a > TRAFFIC_WEIGHT_MAX * n1)) continue;
        if (b != 0 && (b < n2 || b > TRAFFIC_WEIGHT_MAX * n2)) continue;
        return true;
    }
    return false;
}

TEST(every_share_of_two_colours_with_up_to_twelve_servers_is_exact)
{
    int solved = 0, impossible = 0, wrong = 0, missed = 0;
    for (int share = 0; share <= 100; share++)
        for (int n1 = 1; n1 <= 12; n1++)
            for (int n2 = 1; n2 <= 12; n2++) {
                struct traffic_colour c[] = {{"blue", share, n1, 0}, {"green", 100 - share, n2, 0}};
                struct err e;
                int rc = traffic_split(c, 2, &e);
                if (rc == 0) {
                    solved++;
                    wrong += check_split(c, 2);
                } else {
                    impossible++;
                    if (rc != -ERR_LIMIT || is_possible(share, n1, n2)) missed++;
                }
            }
    CHECK_INT(wrong, 0);
    CHECK_INT(missed, 0);
    CHECK_INT(solved + impossible, 101 * 144);
    CHECK(impossible < 100); /* only such as 99 % on 1 server beside 1 % on 3 */
}

TEST(three_colours_are_exact_too)
{
    int wrong = 0;
    for (int a = 0; a <= 100; a++)
        for (int b = 0; a + b <= 100; b++)
            for (int n = 1; n <= 4; n++) {
                struct traffic_colour c[] = {{"a", a, n, 0}, {"b", b, 5 - n, 0}, {"c", 100 - a - b, 2, 0}};
                if (traffic_split(c, 3, NULL) == 0) wrong += check_split(c, 3);
            }
    CHECK_INT(wrong, 0);
}

static void totals(int share, int n1, int n2, int blue, int green)
{
    struct traffic_colour c[] = {{"blue", share, n1, 0}, {"green", 100 - share, n2, 0}};
    CHECK_INT(traffic_split(c, 2, NULL), 0);
    CHECK_INT(c[0].total, blue);
    CHECK_INT(c[1].total, green);
}

TEST(even_weights_are_preferred_then_readable_ones)
{
    totals(90, 1, 1, 90, 10);
    totals(50, 1, 1, 50, 50);
    totals(100, 2, 3, 100, 0);
    totals(90, 2, 2, 90, 10);
    totals(90, 3, 3, 270, 30);
    totals(90, 1, 3, 27, 3); /* 270 is too much for one server; 27 and 1 + 1 + 1 are even */
    totals(50, 1, 120, 120, 120);
}

TEST(what_cannot_be_is_said)
{
    struct err e;
    struct traffic_colour c[] = {{"blue", 99, 1, 0}, {"green", 1, 3, 0}};
    CHECK_INT(traffic_split(c, 2, &e), -ERR_LIMIT);
    CHECK_HAS(e.message, "blue 99 % on 1, green 1 % on 3");
    c[0].share = 98;
    CHECK_INT(traffic_split(c, 2, &e), -ERR_USAGE);
    CHECK_HAS(e.message, "99 %");
    c[0].share = -1;
    CHECK_INT(traffic_split(c, 2, &e), -ERR_USAGE);
    c[0].share = 99;
    c[0].servers = 0;
    CHECK_INT(traffic_split(c, 2, &e), -ERR_USAGE);
    CHECK_INT(traffic_split(c, 0, &e), -ERR_USAGE);
}

/* --- words -------------------------------------------------------------------------------- */

TEST(only_names_get_into_commands)
{
    static const char *const bad[] = {"",     " ",   "a b", "a;b",      "a\nb", "a/b",
                                      "a\\b", "b#1", "a,b", "\xc3\xa4", "a\tb"};
    struct buf b = BUF_INIT;
    struct err e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(traffic_put_weight(&b, bad[i], "s", 1, &e), -ERR_USAGE);
        CHECK_INT(traffic_put_weight(&b, "app", bad[i], 1, &e), -ERR_USAGE);
        CHECK_INT(traffic_put_state(&b, "app", bad[i], "ready", &e), -ERR_USAGE);
        CHECK_INT(traffic_put_address(&b, "app", bad[i], "127.0.0.1", 1, &e), -ERR_USAGE);
        CHECK_INT(traffic_put_address(&b, "app", "s", bad[i], 1, &e), -ERR_USAGE);
        CHECK_INT(traffic_put_show(&b, bad[i], &e), -ERR_USAGE);
        CHECK_INT(traffic_put_show_states(&b, bad[i], &e), -ERR_USAGE);
    }
    CHECK_INT(traffic_put_weight(&b, "app", "s", 257, &e), -ERR_USAGE);
    CHECK_INT(traffic_put_weight(&b, "app", "s", -1, &e), -ERR_USAGE);
    CHECK_INT(traffic_put_state(&b, "app", "s", "ready; quit", &e), -ERR_USAGE);
    CHECK_INT(traffic_put_address(&b, "app", "s", "127.0.0.1", 65536, &e), -ERR_USAGE);
    CHECK_INT(b.len, 0);
    CHECK_INT(traffic_put_weight(&b, "app", "s-1.a:b_c", 256, &e), 0);
    CHECK_STR(buf_str(&b), "set server app/s-1.a:b_c weight 256");
    buf_release(&b);
}

/* --- tables ------------------------------------------------------------------------------- */

static int parse_text(struct traffic_table *t, const char *text, char separator, struct err *e)
{
    return traffic_table_parse(t, text, strlen(text), separator, e);
}

TEST(a_table_is_read_by_the_names_of_its_columns)
{
    struct traffic_table t;
    struct err e;
    int64_t n;
    REQUIRE(parse_text(
                &t, "# pxname,svname,weight,note,\napp,b1,90,\"a, \"\"b\"\"\",\napp,g1,,,\n\nafter,the,end\n",
                ',', &e) == 0);
    CHECK_INT(t.rows, 2);
    CHECK_STR(traffic_cell(&t, 0, "svname"), "b1");
    CHECK_STR(traffic_cell(&t, 0, "note"), "a, \"b\"");
    CHECK(traffic_cell(&t, 0, "none") == NULL);
    CHECK_INT(traffic_cell_int(&t, 0, "weight", &n, &e), 0);
    CHECK_INT(n, 90);
    CHECK_INT(traffic_cell_int(&t, 1, "weight", &n, &e), 0);
    CHECK_INT(n, -1);
    CHECK_INT(traffic_cell_int(&t, 0, "svname", &n, &e), -ERR_PROTOCOL);
    traffic_table_release(&t);
    REQUIRE(parse_text(&t, "1\n# be_name srv_name\r\napp b1\r\napp\n", ' ', &e) == 0);
    CHECK_STR(traffic_cell(&t, 0, "srv_name"), "b1");
    CHECK_STR(traffic_cell(&t, 1, "srv_name"), "");
    traffic_table_release(&t);
}

TEST(what_is_no_table_is_quoted)
{
    struct traffic_table t;
    struct err e;
    CHECK_INT(parse_text(&t, "No such proxy.\n\n", ',', &e), -ERR_PROTOCOL);
    CHECK_HAS(e.message, "\"No such proxy.\"");
    CHECK_INT(parse_text(&t, "", ',', &e), -ERR_PROTOCOL);
    CHECK_INT(parse_text(&t, "# a,b\n1,\"x\n", ',', &e), -ERR_PROTOCOL);
    CHECK_INT(parse_text(&t, "# a,b\n1,\"x\"y\n", ',', &e), -ERR_PROTOCOL);
    CHECK_INT(traffic_table_parse(&t, "# a\n1\0\n", 7, ',', &e), -ERR_PROTOCOL);
    CHECK_INT(parse_text(&t, "\x1b[2J\n", ',', &e), -ERR_PROTOCOL);
    CHECK_HAS(e.message, "?[2J");
    char *wide = malloc(3000);
    REQUIRE(wide != NULL);
    memset(wide, ',', 2999);
    memcpy(wide, "# ", 2);
    wide[2999] = '\0';
    CHECK_INT(parse_text(&t, wide, ',', &e), -ERR_PROTOCOL);
    free(wide);
    REQUIRE(parse_text(&t, "# n\n99999999999999999999\n", ',', &e) == 0);
    int64_t n;
    CHECK_INT(traffic_cell_int(&t, 0, "n", &n, &e), -ERR_PROTOCOL);
    traffic_table_release(&t);
}

TEST(no_answer_breaks_the_parser)
{
    static const char alphabet[] = "#  ,,\"\"\n\n\r1a-\\\x80";
    unsigned seed = 20260101;
    struct err e;
    for (int round = 0; round < 200000; round++) {
        char text[64];
        size_t len = 0;
        seed = seed * 1664525u + 1013904223u;
        if (seed & 0x100) memcpy(text, "# a,b c\n", len = 8);
        for (size_t more = (seed >> 10) % 40; more > 0; more--) {
            seed = seed * 1664525u + 1013904223u;
            text[len++] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        char *exact = malloc(len ? len : 1); /* so that a sanitizer sees a step too far */
        REQUIRE(exact != NULL);
        memcpy(exact, text, len);
        struct traffic_table t;
        if (traffic_table_parse(&t, exact, len, seed & 1 ? ',' : ' ', &e) == 0) {
            for (size_t row = 0; row < t.rows; row++)
                for (size_t i = 0; i < t.columns; i++) {
                    int64_t n;
                    CHECK(traffic_cell(&t, row, t.cells[i]) != NULL);
                    traffic_cell_int(&t, row, t.cells[i], &n, &e);
                }
            traffic_table_release(&t);
        }
        free(exact);
    }
}

/* --- running ------------------------------------------------------------------------------ */

static bool is_set(void *arg)
{
    return *(int *)arg != 0;
}

static void note(struct op *op, void *arg)
{
    (void)op;
    (*(int *)arg)++;
}

enum { SECONDS_5 = 5000000 };

TEST(commands_run_and_the_whole_reply_comes_back)
{
    struct clock clock;
    struct loop *loop;
    struct net_listener *l = NULL;
    struct traffic_run run = {0};
    int accepted = 0, read = 0, ran = 0, written = 0;
    signal(SIGPIPE, SIG_IGN);
    clock_init_real(&clock);
    REQUIRE(loop_init(&loop, &clock, NULL) == 0);
    REQUIRE(net_listen(&l, loop, &(struct net_address){.host = "127.0.0.1"}, NULL) == 0);
    struct net_address at = {.host = "127.0.0.1", .port = net_listener_port(l)};
    CHECK_INT(traffic_run(&run, loop, &at, "a\nb", SECONDS_5, note, &ran, NULL), -ERR_USAGE);
    for (int is_silent = 0; is_silent <= 1; is_silent++) {
        accepted = read = ran = written = 0;
        REQUIRE(net_accept(l, SECONDS_5, note, &accepted, NULL) == 0);
        REQUIRE(traffic_run(&run, loop, &at, "show stat;show info", is_silent ? 50000 : SECONDS_5, note, &ran,
                            NULL) == 0);
        loop_run_until(loop, is_set, &accepted, NULL);
        struct net_conn *c = net_accepted(l);
        REQUIRE(c != NULL);
        REQUIRE(net_read_until(c, "\n", 1, 100, SECONDS_5, note, &read, NULL) == 0);
        loop_run_until(loop, is_set, &read, NULL);
        size_t len;
        CHECK(memcmp(net_data(c, &len), "show stat;show info", 19) == 0);
        if (!is_silent) {
            REQUIRE(net_write(c, "one\ntwo\n\n", 9, SECONDS_5, note, &written, NULL) == 0);
            loop_run_until(loop, is_set, &written, NULL);
            net_close(c);
        }
        loop_run_until(loop, is_set, &ran, NULL);
        CHECK_INT(run.op.status, is_silent ? -ERR_TIMEOUT : 0);
        CHECK_STR(buf_str(&run.reply), is_silent ? "" : "one\ntwo\n\n");
        net_free(c);
        traffic_run_release(&run);
    }
    net_listener_free(l);

    ran = 0; /* nobody listens there any more */
    REQUIRE(traffic_run(&run, loop, &at, "show stat", SECONDS_5, note, &ran, NULL) == 0);
    loop_run_until(loop, is_set, &ran, NULL);
    CHECK_INT(run.op.status, -ERR_CONNECT);
    CHECK_HAS(run.op.err.message, "refused");
    ran = 0;
    REQUIRE(traffic_run(&run, loop, &at, "show stat", SECONDS_5, note, &ran, NULL) == 0);
    op_cancel(&run.op, ERR_INTERRUPTED, "test", "somebody pressed Ctrl-C");
    loop_run_until(loop, is_set, &ran, NULL);
    CHECK_INT(run.op.status, -ERR_INTERRUPTED);
    traffic_run_release(&run);
    loop_free(loop);
}

TEST(a_run_without_memory_is_an_error)
{
    struct clock clock;
    signal(SIGPIPE, SIG_IGN);
    clock_init_real(&clock);
    for (long nth = 0; nth < 10; nth++) {
        struct loop *loop;
        struct net_listener *l = NULL;
        struct traffic_run run = {0};
        int accepted = 0, ran = 0;
        struct err e;
        REQUIRE(loop_init(&loop, &clock, NULL) == 0);
        REQUIRE(net_listen(&l, loop, &(struct net_address){.host = "127.0.0.1"}, NULL) == 0);
        REQUIRE(net_accept(l, SECONDS_5, note, &accepted, NULL) == 0);
        struct net_address at = {.host = "127.0.0.1", .port = net_listener_port(l)};
        mem_fail_after(nth);
        if (traffic_run(&run, loop, &at, "show stat", SECONDS_5, note, &ran, &e) == 0) {
            loop_run_until(loop, is_set, &accepted, NULL);
            net_free(net_accepted(l)); /* closes without a word: an empty reply, if there was memory */
            loop_run_until(loop, is_set, &ran, NULL);
        } else {
            CHECK_INT(e.code, ERR_MEMORY);
            net_listener_close(l);
            loop_run_until(loop, is_set, &accepted, NULL);
        }
        mem_fail_after(-1);
        traffic_run_release(&run);
        net_listener_free(l);
        loop_free(loop);
    }
}

TEST_MAIN()
