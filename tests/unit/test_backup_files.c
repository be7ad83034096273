/* backup_files: what goes in comes out, with its links and holes; and archives that were made to do harm. */
#include "core/backup_files.h"
#include "core/files.h"
#include "test.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static char folder[] = "/tmp/engine-trees-XXXXXX";
static struct pack_result packed;
static struct pack_writer *writer;
static atomic_bool canceled;

static const char *in_folder(const char *name)
{
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static bool fresh_folder(void)
{
    struct err e;
    if (is_template(folder)) return mkdtemp(folder) != NULL;
    files_remove_tree(folder, &e);
    return mkdir(folder, 0700) == 0;
}

static bool write_text(const char *name, const char *text)
{
    int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC, 0640);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) close(fd);
    return ok;
}

static bool has_text(const char *name, const char *text)
{
    char found[100] = "";
    int fd = open(in_folder(name), O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, found, sizeof found - 1) : -1;
    if (fd >= 0) close(fd);
    return n == (ssize_t)strlen(text) && memcmp(found, text, strlen(text)) == 0;
}

/* One entry of a ustar archive. */
static bool add(char type, const char *name, const char *link, const char *content, unsigned mode)
{
    char head[512] = "", body[512] = "";
    struct err e;
    unsigned sum = 0;
    size_t len = type == '0' ? strlen(content) : 0;
    memcpy(head, name, strlen(name));
    snprintf(head + 100, 8, "%07o", mode);
    snprintf(head + 108, 8, "%07o", (unsigned)getuid());
    snprintf(head + 116, 8, "%07o", (unsigned)getgid());
    snprintf(head + 124, 12, "%011o", (unsigned)len);
    snprintf(head + 136, 12, "%011o", 1700000000u);
    memset(head + 148, ' ', 8);
    head[156] = type;
    memcpy(head + 157, link, strlen(link));
    memcpy(head + 257, "ustar\00000", 8);
    memcpy(head + 329, "0000001", 7); /* of a device: major and minor */
    memcpy(head + 337, "0000003", 7);
    for (size_t i = 0; i < sizeof head; i++)
        sum += (unsigned char)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    if (pack_write(writer, head, sizeof head, &e) != 0) return false;
    memcpy(body, content, len);
    return len == 0 || pack_write(writer, body, sizeof body, &e) == 0;
}

/* A folder with an empty "into", and beside it what must not be touched. */
static bool begin(void)
{
    struct err e;
    return fresh_folder() && mkdir(in_folder("into"), 0700) == 0 && mkdir(in_folder("outside"), 0700) == 0 &&
           write_text("outside/file", "untouched") && pack_open(&writer, in_folder("p"), 1, NULL, &e) == 0;
}

static int unpack(int64_t raw_bytes, uint64_t *entries, struct err *e)
{
    static const char end[1024];
    if (pack_write(writer, end, sizeof end, e) != 0 || pack_close(writer, &packed, e) != 0) return -1;
    struct pack_expected limits = {packed.sha256, raw_bytes, NULL};
    return backup_files_unpack(in_folder("p"), &limits, in_folder("into"), &canceled, NULL, entries, e);
}

static bool is_refused(const char *name, const char *why)
{
    uint64_t entries;
    struct err e;
    int rc = unpack(-1, &entries, &e);
    bool ok = rc < 0 && strstr(e.message, name) != NULL && strstr(e.message, why) != NULL &&
              has_text("outside/file", "untouched") && access(in_folder("outside/new"), F_OK) != 0 &&
              access(in_folder("escape"), F_OK) != 0;
    if (!ok)
        printf("'%s' is not refused as it should be: %s\n", name, rc < 0 ? e.message : "it is extracted");
    return ok;
}

TEST(a_name_that_leads_out_is_refused)
{
    static const char *const names[] = {"../escape", "a/../../escape", "a/..", "..", "/tmp/engine-escape"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        REQUIRE(begin() && add('0', "good", "", "x", 0644) && add('0', names[i], "", "x", 0644));
        CHECK(is_refused(names[i], "leads out"));
    }
    CHECK(access("/tmp/engine-escape", F_OK) != 0);
}

TEST(nothing_is_written_through_a_link)
{
    REQUIRE(begin() && add('2', "way", "../outside", "", 0777) && add('0', "way/new", "", "x", 0644));
    CHECK(is_refused("way/new", "no folder"));
    REQUIRE(begin() && add('2', "way", "../outside", "", 0777) && add('5', "way/new", "", "", 0755));
    CHECK(is_refused("way/new", "no folder"));
    REQUIRE(begin() && add('2', "way", "../outside/file", "", 0777) && add('0', "way", "", "changed", 0644));
    CHECK(is_refused("way", "comes twice"));
    REQUIRE(begin() && add('2', "way", "../outside", "", 0777) && add('5', "way", "", "", 0755));
    CHECK(is_refused("way", "comes twice"));
    REQUIRE(begin() && add('5', "way", "", "", 0755) && add('2', "way", "../outside", "", 0777) &&
            add('0', "way/new", "", "x", 0644));
    CHECK(is_refused("way", "comes twice"));
}

TEST(a_hard_link_to_the_outside_is_refused)
{
    REQUIRE(begin() && add('1', "hard", "../outside/file", "", 0644));
    CHECK(is_refused("hard", "leads out"));
    REQUIRE(begin() && add('1', "hard", in_folder("outside/file"), "", 0644));
    CHECK(is_refused("hard", "leads out"));
    REQUIRE(begin() && add('2', "way", "../outside", "", 0777) && add('1', "hard", "way/file", "", 0644));
    CHECK(is_refused("hard", "no folder"));
    /* A second name for a link that leads out is as harmless as the link, but then nothing goes through it.
     */
    REQUIRE(begin() && add('2', "way", "../outside/file", "", 0777) && add('1', "hard", "way", "", 0644) &&
            add('0', "hard", "", "changed", 0644));
    CHECK(is_refused("hard", ""));
}

TEST(devices_and_pipes_are_refused)
{
    static const char types[] = {'3', '4', '6'};
    for (size_t i = 0; i < sizeof types; i++) {
        struct stat st;
        REQUIRE(begin() && add(types[i], "special", "", "", 0666));
        CHECK(is_refused("special", "neither a file nor a folder nor a link"));
        CHECK(lstat(in_folder("into/special"), &st) != 0);
    }
}

TEST(a_name_that_comes_twice_is_refused)
{
    REQUIRE(begin() && add('0', "a", "", "first", 0644) && add('0', "./a", "", "second", 0644));
    CHECK(is_refused("a", "comes twice"));
    CHECK(has_text("into/a", "first"));
    REQUIRE(begin() && add('0', "a", "", "first", 0644) && add('2', "a", "../outside/file", "", 0777));
    CHECK(is_refused("a", "comes twice"));
    CHECK(has_text("into/a", "first"));
    REQUIRE(begin() && add('0', "a", "", "first", 0644) && add('0', "b", "", "x", 0644) &&
            add('1', "b", "a", "", 0644));
    CHECK(is_refused("b", "comes twice"));
}

TEST(a_file_gets_no_rights_of_its_owner)
{
    struct stat st;
    struct err e;
    uint64_t entries;
    REQUIRE(begin() && add('0', "program", "", "x", 06755) && add('5', "shared", "", "", 02750));
    CHECK_INT(unpack(-1, &entries, &e), 0);
    CHECK_INT(entries, 2);
    REQUIRE(lstat(in_folder("into/program"), &st) == 0);
    CHECK_INT(st.st_mode & 07777, 0755);
}

TEST(a_bomb_stops_at_the_size_of_the_manifest)
{
    static const char zeros[1 << 16];
    struct err e;
    uint64_t entries;
    int64_t raw_bytes = 512 + 512 + 1024;
    for (int more = -1; more <= 1; more++) {
        REQUIRE(begin() && add('0', "good", "", "x", 0644));
        int rc = unpack(raw_bytes + more, &entries, &e);
        CHECK_INT(rc, more == 0 ? 0 : -ERR_BACKUP_CORRUPT);
        if (more != 0) CHECK(strstr(e.message, more < 0 ? "more than" : "less than") != NULL);
    }
    REQUIRE(begin() && add('0', "good", "", "x", 0644));
    for (int i = 0; i < 4096; i++)
        REQUIRE(pack_write(writer, zeros, sizeof zeros, &e) == 0);
    CHECK_INT(unpack(raw_bytes, &entries, &e), -ERR_BACKUP_CORRUPT);
    CHECK(packed.file_bytes < 100000);
    CHECK(strstr(e.message, "more than the 2048 bytes") != NULL);
}

TEST(a_name_that_is_too_long_is_refused_and_not_cut)
{
    /* GNU's long name: 'L', then the name as content. */
    struct err e;
    static char name[4608];
    char head[512] = "";
    REQUIRE(begin());
    for (size_t i = 0; i < sizeof name - 1; i++)
        name[i] = i % 100 == 99 ? '/' : 'n';
    unsigned sum = 0;
    memcpy(head, "././@LongLink", 13);
    snprintf(head + 124, 12, "%011o", (unsigned)sizeof name);
    memset(head + 148, ' ', 8);
    head[156] = 'L';
    memcpy(head + 257, "ustar  ", 8);
    for (size_t i = 0; i < sizeof head; i++)
        sum += (unsigned char)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    REQUIRE(pack_write(writer, head, sizeof head, &e) == 0 && pack_write(writer, name, sizeof name, &e) == 0);
    REQUIRE(add('0', "short", "", "x", 0644));
    CHECK(is_refused("nnnn", "too long"));
}

TEST(a_folder_that_holds_something_is_left_alone)
{
    struct err e;
    uint64_t entries;
    REQUIRE(begin() && add('0', "a", "", "new", 0644) && write_text("into/mine", "mine"));
    CHECK_INT(unpack(-1, &entries, &e), -ERR_EXISTS);
    CHECK(has_text("into/mine", "mine") && access(in_folder("into/a"), F_OK) != 0);
}

TEST(a_folder_behind_a_link_can_be_restored_into)
{
    struct err e;
    uint64_t entries;
    REQUIRE(begin() && add('0', "a", "", "new", 0644));
    REQUIRE(rename(in_folder("into"), in_folder("real")) == 0 && symlink("real", in_folder("into")) == 0);
    CHECK_INT(unpack(-1, &entries, &e), 0);
    CHECK(has_text("real/a", "new"));
}

static bool make_tree(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    bool ok = fresh_folder() && mkdir(in_folder("into"), 0700) == 0 && mkdir(in_folder("tree"), 0750) == 0 &&
              mkdir(in_folder("tree/sub"), 0705) == 0 && write_text("tree/sub/first", "content") &&
              link(in_folder("tree/sub/first"), in_folder("tree/second")) == 0 &&
              symlink("../outside", in_folder("tree/soft")) == 0 &&
              write_text("tree/\xe9t\xe9 \xc3\xa9", "name") && write_text("tree/empty", "") &&
              write_text("tree/holes", "head") && write_text("tree/hole", "") &&
              truncate(in_folder("tree/holes"), 10 << 20) == 0 &&
              truncate(in_folder("tree/hole"), 1 << 20) == 0 && mkfifo(in_folder("tree/pipe"), 0600) == 0;
    int fd = open(in_folder("tree/holes"), O_WRONLY | O_APPEND);
    ok = ok && fd >= 0 && write(fd, "tail", 4) == 4;
    if (fd >= 0) close(fd);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", in_folder("tree/socket"));
    ok = ok && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return ok;
}

TEST(what_goes_in_comes_out)
{
    struct backup_tree out;
    struct err e;
    struct stat one, two;
    uint64_t entries;
    char value[10] = "";
    REQUIRE(make_tree());
    bool has_xattrs = setxattr(in_folder("tree/empty"), "user.kind", "value", 5, 0) == 0;
    char before[PATH_MAX], after[PATH_MAX];
    REQUIRE(getcwd(before, sizeof before) != NULL);
    REQUIRE(backup_files_pack(in_folder("tree"), in_folder("p"), 1, NULL, &canceled, NULL, &out, &e) == 0);
    CHECK(getcwd(after, sizeof after) != NULL && strcmp(before, after) == 0);
    CHECK_INT(out.entries, 9);
    CHECK_INT(out.skipped, 2); /* the pipe and the socket */
    CHECK(out.pack.raw_bytes < 100000);
    struct pack_expected limits = {out.pack.sha256, (int64_t)out.pack.raw_bytes, NULL};
    CHECK_INT(backup_files_unpack(in_folder("p"), &limits, in_folder("into"), &canceled, NULL, &entries, &e),
              0);
    CHECK_INT(entries, 9);
    CHECK(has_text("into/sub/first", "content") && has_text("into/\xe9t\xe9 \xc3\xa9", "name"));
    REQUIRE(stat(in_folder("into/sub/first"), &one) == 0 && stat(in_folder("into/second"), &two) == 0);
    CHECK(one.st_ino == two.st_ino && one.st_nlink == 2 && (one.st_mode & 0777) == 0640);
    REQUIRE(stat(in_folder("tree/sub"), &one) == 0 && stat(in_folder("into/sub"), &two) == 0);
    CHECK(one.st_mode == two.st_mode && one.st_mtime == two.st_mtime);
    REQUIRE(stat(in_folder("tree/holes"), &one) == 0 && stat(in_folder("into/holes"), &two) == 0);
    CHECK_INT(two.st_size, one.st_size);
    CHECK(two.st_blocks <= one.st_blocks + 16);
    REQUIRE(stat(in_folder("into/hole"), &two) == 0);
    CHECK_INT(two.st_size, 1 << 20);
    int fd = open(in_folder("into/holes"), O_RDONLY);
    CHECK(fd >= 0 && pread(fd, value, 4, 10 << 20) == 4 && memcmp(value, "tail", 4) == 0);
    CHECK(pread(fd, value, 8, 0) == 8 && memcmp(value, "head\0\0\0", 8) == 0);
    close(fd);
    if (has_xattrs)
        CHECK(getxattr(in_folder("into/empty"), "user.kind", value, sizeof value) == 5 &&
              memcmp(value, "value", 5) == 0);
    CHECK(readlink(in_folder("into/soft"), value, sizeof value) == 10);
    files_remove_tree(folder, &e);
}

TEST(what_is_no_folder_or_not_there_is_an_error_and_leaves_nothing)
{
    struct backup_tree out;
    struct err e;
    REQUIRE(fresh_folder() && write_text("file", "x"));
    CHECK(backup_files_pack(in_folder("file"), in_folder("p"), 1, NULL, &canceled, NULL, &out, &e) < 0);
    CHECK(strstr(e.message, "file") != NULL);
    CHECK_INT(backup_files_pack(in_folder("none"), in_folder("p"), 1, NULL, &canceled, NULL, &out, &e),
              -ERR_NOT_FOUND);
    CHECK(access(in_folder("p"), F_OK) != 0);
    files_remove_tree(folder, &e);
}

TEST_MAIN()
