/* Prometheus' text format: what is a sample, and what is not. */
#include "core/exposition.h"
#include "test.h"

#include <stdbool.h>

static struct exposition_sample sample;

static enum exposition_line read(const char *text)
{
    size_t at = 0;
    return exposition_next(text, strlen(text), &at, &sample);
}

static bool label_is(size_t i, const char *name, const char *value)
{
    char text[64];
    size_t len = exposition_unescape(&sample.labels[i], text);
    return strlen(name) == sample.labels[i].name_len &&
           memcmp(sample.labels[i].name, name, strlen(name)) == 0 && len == strlen(value) &&
           memcmp(text, value, len) == 0;
}

TEST(samples)
{
    CHECK(read("up 1\n") == EXPOSITION_SAMPLE);
    CHECK(sample.value == 1 && sample.name_len == 2 && sample.label_count == 0);
    CHECK(read("http_requests_total{method=\"post\",code=\"400\"} 3 1395066363000\n") == EXPOSITION_SAMPLE);
    CHECK(sample.value == 3 && sample.label_count == 2 && label_is(1, "code", "400"));
    CHECK(read("a:b_c { x = \"1\" , } 1.5e3\r\n") == EXPOSITION_SAMPLE);
    CHECK(sample.value == 1500 && label_is(0, "x", "1"));
    CHECK(read("path{p=\"C:\\\\DIR\\n\\\"q\\\"\"} 2\n") == EXPOSITION_SAMPLE);
    CHECK(label_is(0, "p", "C:\\DIR\n\"q\""));
    CHECK(read("x{} NaN\n") == EXPOSITION_SAMPLE && isnan(sample.value));
    CHECK(read("x +Inf\n") == EXPOSITION_SAMPLE && isinf(sample.value));
    CHECK(read("b_bucket{le=\"0.5\"} 17 # {trace_id=\"x\"} 0.3 1.2\n") == EXPOSITION_SAMPLE &&
          sample.value == 17);
    CHECK(read("x -0.25\t\n") == EXPOSITION_SAMPLE && sample.value == -0.25);
}

TEST(nothing)
{
    CHECK(read("\n") == EXPOSITION_NOTHING);
    CHECK(read("# HELP up one\n") == EXPOSITION_NOTHING);
    CHECK(read("# EOF") == EXPOSITION_NOTHING);
    CHECK(read("") == EXPOSITION_END);
}

TEST(unreadable)
{
    static const char *const bad[] = {
        "up\n",           "up \n",
        "up 1x\n",        "up one\n",
        "1up 1\n",        "{a=\"b\"} 1\n",
        "up{a} 1\n",      "up{a=b} 1\n",
        "up{a=\"b} 1\n",  "up{a=\"b\" c=\"d\"} 1\n",
        "up{a=\"b\"\n",   "up{a=\"b\\\n",
        "up 1 2 3\n",     "up 1 x\n",
        "up 0x10\n",      "up{,} 1\n",
        "up{=\"b\"} 1\n", "up 1",
        "<html>\n",       "up nan(12)\n",
        "u\tp\n",         "up 1111111111111111111111111111111111111111111111111111111111111111111111111\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (read(bad[i]) != EXPOSITION_UNREADABLE) printf("read: %s", bad[i]);
        CHECK(read(bad[i]) == EXPOSITION_UNREADABLE);
    }
}

TEST(a_line_after_another)
{
    const char text[] = "# TYPE a counter\na 1\nbroken\nb{x=\"y\"} 2\na 3";
    size_t at = 0, samples = 0, unreadable = 0;
    for (enum exposition_line line;
         (line = exposition_next(text, sizeof text - 1, &at, &sample)) != EXPOSITION_END;) {
        samples += line == EXPOSITION_SAMPLE;
        unreadable += line == EXPOSITION_UNREADABLE;
    }
    CHECK_INT(samples, 2);
    CHECK_INT(unreadable, 2); /* the broken line, and the last: its number may be cut */
}

TEST(limits)
{
    static char text[EXPOSITION_MAX_LINE * 2];
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 4, " 1\n", 4);
    CHECK(read(text) == EXPOSITION_UNREADABLE);
    size_t at = 2;
    memcpy(text, "a{", 2);
    for (int i = 0; i <= EXPOSITION_MAX_LABELS; i++)
        at += (size_t)snprintf(text + at, 32, "l%d=\"v\",", i);
    memcpy(text + at, "} 1\n", 5);
    CHECK(read(text) == EXPOSITION_UNREADABLE);
    size_t zero = 0;
    CHECK(exposition_next("a\0b 1\n", 6, &zero, &sample) == EXPOSITION_UNREADABLE);
}

TEST_MAIN()
