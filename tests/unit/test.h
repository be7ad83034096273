/* test: the smallest harness that serves. A test file is a program: TEST(name) { ... } blocks and
 * TEST_MAIN() at the end. Every CHECK prints where it failed and goes on; the last line is
 * "N passed, N failed" counted in tests. Give a name as argument to run only that test. */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
    const char *name;
    void (*fn)(void);
    struct test *next;
};
static struct test *test_list, **test_tail = &test_list;
static int test_failures;

#define TEST(id)                                                                                             \
    static void test_##id(void);                                                                             \
    __attribute__((constructor)) static void register_##id(void)                                             \
    {                                                                                                        \
        static struct test t = {#id, test_##id, NULL};                                                       \
        *test_tail = &t;                                                                                     \
        test_tail = &t.next;                                                                                 \
    }                                                                                                        \
    static void test_##id(void)

#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #cond);                                      \
            test_failures++;                                                                                 \
        }                                                                                                    \
    } while (0)

/* For what the rest of the test needs: leaves the test when it fails. */
#define REQUIRE(cond)                                                                                        \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            printf("%s:%d: required: %s\n", __FILE__, __LINE__, #cond);                                      \
            test_failures++;                                                                                 \
            return;                                                                                          \
        }                                                                                                    \
    } while (0)

#define CHECK_INT(actual, expected)                                                                          \
    do {                                                                                                     \
        long long a_ = (long long)(actual), x_ = (long long)(expected);                                      \
        if (a_ != x_) {                                                                                      \
            printf("%s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #actual, a_, x_);               \
            test_failures++;                                                                                 \
        }                                                                                                    \
    } while (0)

#define CHECK_STR(actual, expected)                                                                          \
    do {                                                                                                     \
        const char *a_ = (actual), *x_ = (expected);                                                         \
        if (a_ == NULL || strcmp(a_, x_) != 0) {                                                             \
            printf("%s:%d: %s is \"%s\", expected \"%s\"\n", __FILE__, __LINE__, #actual,                    \
                   a_ ? a_ : "(null)", x_);                                                                  \
            test_failures++;                                                                                 \
        }                                                                                                    \
    } while (0)

#define CHECK_HAS(text, part)                                                                                \
    do {                                                                                                     \
        const char *t_ = (text), *p_ = (part);                                                               \
        if (t_ == NULL || strstr(t_, p_) == NULL) {                                                          \
            printf("%s:%d: %s is \"%s\", which lacks \"%s\"\n", __FILE__, __LINE__, #text,                   \
                   t_ ? t_ : "(null)", p_);                                                                  \
            test_failures++;                                                                                 \
        }                                                                                                    \
    } while (0)

/* Is the folder still what mkdtemp makes one of? Its six characters are letters of its choice: the last may
 * be an X. */
static inline bool is_template(const char *folder)
{
    size_t len = strlen(folder);
    return len >= 6 && strcmp(folder + len - 6, "XXXXXX") == 0;
}

#define TEST_MAIN()                                                                                          \
    int main(int argc, char **argv)                                                                          \
    {                                                                                                        \
        int passed = 0, failed = 0;                                                                          \
        setvbuf(stdout, NULL, _IOLBF, 0);                                                                    \
        for (struct test *t = test_list; t != NULL; t = t->next) {                                           \
            if (argc > 1 && strcmp(argv[1], t->name) != 0) continue;                                         \
            test_failures = 0;                                                                               \
            t->fn();                                                                                         \
            if (test_failures) printf("FAILED %s\n", t->name);                                               \
            *(test_failures ? &failed : &passed) += 1;                                                       \
        }                                                                                                    \
        printf("%d passed, %d failed\n", passed, failed);                                                    \
        return failed != 0 || passed == 0;                                                                   \
    }

#endif
