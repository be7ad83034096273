/* References to secrets, and the leaves of JSON text. */
#include "core/json_text.h"
#include "core/secret.h"
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(environment_secrets)
{
    struct err e;
    struct buf out = BUF_INIT;
    setenv("TEST_SECRET", "s3cret", 1);
    CHECK_INT(secret_read("env:TEST_SECRET", &out, &e), 0);
    CHECK_STR(buf_str(&out), "s3cret");
    unsetenv("TEST_SECRET");
    CHECK_INT(secret_read("env:TEST_SECRET", &out, &e), -ERR_SECRET);
    CHECK_HAS(e.message, "env:TEST_SECRET");
    CHECK_HAS(e.message, "export TEST_SECRET");
    CHECK_INT(secret_read("TEST_SECRET", &out, &e), -ERR_SECRET);
    secret_wipe(&out);
}

TEST(a_file_that_others_can_read_is_no_secret)
{
    char path[] = "/tmp/test-secret-XXXXXX", reference[64];
    struct err e;
    struct buf out = BUF_INIT;
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    snprintf(reference, sizeof reference, "file:%s", path);
    CHECK_INT(secret_read(reference, &out, &e), -ERR_SECRET);
    CHECK_HAS(e.message, "is empty");
    CHECK_INT(write(fd, "tok\nen\n", 7), 7);
    CHECK_INT(secret_read(reference, &out, &e), 0);
    CHECK_STR(buf_str(&out), "tok\nen"); /* only the last newline goes */
    CHECK_INT(fchmod(fd, 0640), 0);
    CHECK_INT(secret_read(reference, &out, &e), -ERR_SECRET);
    CHECK_HAS(e.message, "chmod 600");
    CHECK_INT(secret_read("file:relative", &out, &e), -ERR_SECRET);
    CHECK_INT(secret_read("file:/tmp", &out, &e), -ERR_SECRET);
    CHECK_INT(secret_read("file:/dev/null", &out, &e), -ERR_SECRET);
    secret_wipe(&out);
    close(fd);
    unlink(path);
}

TEST(equality_is_by_value)
{
    CHECK(secret_equal("abc", 3, "abc", 3));
    CHECK(!secret_equal("abc", 3, "abd", 3));
    CHECK(!secret_equal("abc", 3, "ab", 2));
}

static const char *real_text(double value)
{
    static struct buf out;
    buf_clear(&out);
    return json_add_real(&out, value) ? buf_str(&out) : NULL;
}

TEST(reals_have_the_fewest_digits_that_read_back)
{
    CHECK_STR(real_text(0.1), "0.1");
    CHECK_STR(real_text(2), "2.0");
    CHECK_STR(real_text(-0.0), "-0.0");
    CHECK_STR(real_text(1e300), "1e+300");
    CHECK_STR(real_text(1.0 / 3), "0.3333333333333333");
    CHECK_STR(real_text(5e-324), "4.94065645841247e-324");
    CHECK(real_text(NAN) == NULL);
    CHECK(real_text(INFINITY) == NULL);
}

TEST(strings_are_escaped_and_must_be_utf8)
{
    struct buf out = BUF_INIT;
    CHECK(json_add_string(&out, "a\"\\\n\x01/\x7f\xc3\xa9\0z", 11));
    CHECK_STR(buf_str(&out), "\"a\\\"\\\\\\n\\u0001/\x7f\xc3\xa9\\u0000z\"");
    CHECK(!json_is_utf8("\xc0\xaf", 2));         /* overlong */
    CHECK(!json_is_utf8("\xed\xa0\x80", 3));     /* a surrogate */
    CHECK(!json_is_utf8("\xf4\x90\x80\x80", 4)); /* above U+10FFFF */
    CHECK(!json_is_utf8("\xe2\x82", 2));         /* cut */
    CHECK(json_is_utf8("\xf0\x9f\x98\x80", 4));
    buf_release(&out);
    CHECK(!json_add_string(&out, "\xff", 1));
    CHECK_INT(out.len, 0);
}

TEST_MAIN()
