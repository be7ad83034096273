/* Errors, buffers, redaction, clock. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "test.h"

#include <errno.h>

TEST(errors_are_cut_to_their_fields)
{
    struct err e;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    CHECK_INT(err_set(&e, ERR_IO, text, "%s", text), -ERR_IO);
    CHECK_INT(strlen(e.message), sizeof e.message - 1);
    CHECK_INT(strlen(e.op), sizeof e.op - 1);
    CHECK_INT(err_set(NULL, ERR_IO, NULL, "nobody wants it"), -ERR_IO);
}

TEST(errno_chooses_the_code_and_wrapping_keeps_the_cause)
{
    struct err e;
    CHECK_INT(err_errno(&e, ENOENT, "read", "the file %s", "x"), -ERR_NOT_FOUND);
    CHECK_STR(e.message, "the file x: No such file or directory");
    CHECK_INT(err_wrap(&e, ERR_BACKUP, "backup", "nothing was taken"), -ERR_BACKUP);
    CHECK_STR(e.cause, "the file x: No such file or directory");
    CHECK_INT(err_errno(&e, EACCES, "", "x"), -ERR_PERMISSION);
    CHECK_INT(err_errno(&e, ENOSPC, "", "x"), -ERR_IO);
}

TEST(every_code_is_found_by_name_and_number_and_says_what_to_do)
{
    for (int code = ERR_NONE + 1; code < ERR_CODE_COUNT; code++) {
        const struct err_info *info = err_info((enum err_code)code);
        CHECK_INT(err_find(info->name), code);
        CHECK_INT(err_find(info->number), code);
        CHECK(strlen(info->about) > 10 && strlen(info->next) > 10);
    }
    CHECK_INT(err_find("nonsense"), ERR_NONE);
    CHECK_STR(err_info((enum err_code)9999)->name, "internal");
}

TEST(a_buffer_that_cannot_grow_keeps_what_it_has)
{
    for (long n = 0; n < 6; n++) {
        struct buf b = BUF_INIT;
        mem_fail_after(n);
        for (int i = 0; i < 1000; i++)
            buf_addf(&b, "line %d\n", i);
        mem_fail_after(-1);
        CHECK(!buf_ok(&b));
        CHECK(b.len == 0 || strncmp(buf_str(&b), "line 0\nline 1\n", b.len < 14 ? b.len : 14) == 0);
        CHECK(buf_detach(&b) == NULL);
    }
}

TEST(buffers_hold_any_bytes)
{
    struct buf b = BUF_INIT;
    CHECK_STR(buf_str(&b), "");
    buf_add(&b, "a\0b", 3);
    buf_addch(&b, 'c');
    buf_consume(&b, 2);
    CHECK_INT(b.len, 2);
    CHECK_STR(buf_str(&b), "bc");
    char *text = buf_detach(&b);
    CHECK_STR(text, "bc");
    mem_free(text);
    buf_release(&b);
}

TEST(secrets_are_overwritten_everywhere)
{
    char text[] = "key=hunter22 again hunter22hunter22 and hunter2";
    CHECK_INT(log_add_secret("hunter22", 8), 0);
    CHECK_INT(log_add_secret("abc", 3), 0); /* too short to be told from a word */
    log_redact(text, strlen(text));
    CHECK_STR(text, "key=******** again **************** and hunter2");
    char other[] = "abc";
    log_redact(other, 3);
    CHECK_STR(other, "abc");
    log_forget_secrets();
    char after[] = "hunter22";
    log_redact(after, 8);
    CHECK_STR(after, "hunter22");
}

TEST(time_as_text)
{
    char text[CLOCK_TEXT_BYTES];
    clock_format_utc(0, text, sizeof text);
    CHECK_STR(text, "1970-01-01T00:00:00.000Z");
    clock_format_utc(1798049240123456, text, sizeof text);
    CHECK_STR(text, "2026-12-23T18:07:20.123Z");
    struct clock c;
    clock_init_virtual(&c, 5);
    clock_advance_to(&c, 100);
    clock_advance_to(&c, 50); /* never back */
    CHECK_INT(clock_mono_us(&c), 100);
    CHECK_INT(clock_wall_us(&c), 105);
}

TEST_MAIN()
