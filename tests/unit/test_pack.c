/* pack and rowsum: what goes into a file comes out, and what was changed is found. */
#include "core/files.h"
#include "core/pack.h"
#include "core/rowsum.h"
#include "test.h"

#include <fcntl.h>
#include <unistd.h>

static char folder[] = "/tmp/engine-pack-XXXXXX";
static char path[64];

static bool write_pack(size_t chunks, struct pack_result *result)
{
    struct pack_writer *w;
    struct err e;
    if (is_template(folder) && mkdtemp(folder) == NULL) return false;
    snprintf(path, sizeof path, "%s/p", folder);
    unlink(path);
    if (pack_open(&w, path, 3, NULL, &e) != 0) return false;
    char chunk[1000];
    for (size_t i = 0; i < chunks; i++) {
        for (size_t at = 0; at < sizeof chunk; at++)
            chunk[at] = (char)((i * 7919 + at * (at % 13)) >> 3);
        if (pack_write(w, chunk, sizeof chunk, &e) != 0) return false;
    }
    return pack_close(w, result, &e) == 0;
}

/* Puts other bytes into the file, in place: replacing it durably each time would take minutes. */
static bool replace(const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY);
    bool ok = fd >= 0 && write(fd, bytes, n) == (ssize_t)n && ftruncate(fd, (off_t)n) == 0;
    if (fd >= 0) close(fd);
    return ok;
}

/* The bytes that come out, or the code of the failure. */
static long read_pack(const char *sha256, struct err *e)
{
    struct pack_reader *r;
    static char room[65536];
    long total = 0, n = 1;
    int rc = pack_reader_open(&r, path, &(struct pack_expected){sha256, -1, NULL}, e);
    if (rc != 0) return rc;
    while ((n = pack_read(r, room, sizeof room, e)) > 0)
        total += n;
    rc = pack_reader_close(r, n == 0, n == 0 ? e : NULL);
    return n < 0 ? n : rc != 0 ? rc : total;
}

TEST(what_goes_in_comes_out)
{
    struct pack_result result;
    struct err e;
    REQUIRE(write_pack(2000, &result));
    CHECK_INT(result.raw_bytes, 2000000);
    CHECK_INT(read_pack(result.sha256, &e), 2000000);
    char sha256[65];
    CHECK_INT(files_sha256(path, NULL, NULL, sha256, &e), 0);
    CHECK_STR(sha256, result.sha256);
    struct pack_writer *w;
    CHECK_INT(pack_open(&w, path, 3, NULL, &e), -ERR_EXISTS);
}

TEST(an_empty_pack_is_whole)
{
    struct pack_result result;
    struct err e;
    REQUIRE(write_pack(0, &result));
    CHECK_INT(read_pack(result.sha256, &e), 0);
}

TEST(every_flipped_bit_and_every_cut_is_found)
{
    struct pack_result result;
    struct err e;
    struct buf whole = BUF_INIT;
    REQUIRE(write_pack(20, &result));
    REQUIRE(files_read(path, 1 << 20, &whole, &e) == 0);
    for (size_t at = 0; at < whole.len; at++) {
        whole.data[at] ^= 4;
        REQUIRE(replace(whole.data, whole.len));
        CHECK(read_pack(result.sha256, &e) < 0);
        whole.data[at] ^= 4;
        if (at % 16 == 0) {
            REQUIRE(replace(whole.data, at));
            CHECK(read_pack(result.sha256, &e) < 0);
        }
    }
    buf_add(&whole, "x", 1);
    REQUIRE(replace(whole.data, whole.len));
    CHECK(read_pack(result.sha256, &e) < 0);
    CHECK_INT(e.code, ERR_BACKUP_CORRUPT);
    buf_release(&whole);
    files_remove_tree(folder, &e);
}

TEST(the_sum_of_rows_has_no_order_and_tells_every_row)
{
    struct rowsum a, b, c;
    char x[33], y[33], z[33];
    rowsum_init(&a);
    rowsum_init(&b);
    rowsum_init(&c);
    for (int i = 0; i < 1000; i++) {
        char line[16];
        int n = snprintf(line, sizeof line, "row %d", i);
        rowsum_line(&a, line, (size_t)n);
        n = snprintf(line, sizeof line, "row %d", 999 - i);
        rowsum_line(&b, line, (size_t)n);
        n = snprintf(line, sizeof line, "row %d", i == 500 ? 501 : i);
        rowsum_line(&c, line, (size_t)n);
    }
    rowsum_text(&a, x);
    rowsum_text(&b, y);
    rowsum_text(&c, z);
    CHECK_STR(x, y);
    CHECK(strcmp(x, z) != 0);
    CHECK_INT(a.rows, 1000);
    /* Any single bit of a row changes both halves of its hash. */
    char row[40] = "a row of a table that has some columns";
    rowsum_init(&a);
    rowsum_line(&a, row, sizeof row);
    for (size_t bit = 0; bit < 8 * sizeof row; bit++) {
        row[bit / 8] = (char)(row[bit / 8] ^ (1 << bit % 8));
        rowsum_init(&b);
        rowsum_line(&b, row, sizeof row);
        CHECK(a.high != b.high && a.low != b.low);
        row[bit / 8] = (char)(row[bit / 8] ^ (1 << bit % 8));
    }
    /* Nor do rows that differ in their length only, by zeros. */
    rowsum_init(&a);
    rowsum_init(&b);
    rowsum_line(&a, "x\0", 1);
    rowsum_line(&b, "x\0", 2);
    CHECK(a.high != b.high && a.low != b.low);
}

TEST_MAIN()
