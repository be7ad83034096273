/* The way back of backup_files. Nothing of the archive is trusted: it may have been made to escape.
 * libarchive reads it; what it says is made by tree_write, because archive_write_disk changes the umask of
 * the whole process and looks at every folder from / on again for every file. */
#include "core/backup_files.h"

#include "base/mem.h"
#include "core/lazy_archive.h"
#include "core/tree_write.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { CHUNK_BYTES = 256 << 10 };

struct unpacking {
    struct pack_reader *pack;
    struct archive *tar;
    struct tree_writer *tree;
    const char *from;
    atomic_bool *canceled;
    struct meter *meter;
    struct err *e;
    char chunk[CHUNK_BYTES];
};

static la_ssize_t on_read(struct archive *a, void *arg, const void **bytes)
{
    struct unpacking *u = arg;
    (void)a;
    *bytes = u->chunk;
    if (atomic_load(u->canceled)) return err_set(u->e, ERR_CANCELED, "unpack files", "canceled");
    long n = pack_read(u->pack, u->chunk, sizeof u->chunk, u->e);
    if (n > 0) meter_add(u->meter, (uint64_t)n);
    return n;
}

static int tar_failed(struct unpacking *u, const char *name)
{
    const char *words = archive_error_string(u->tar);
    if (u->e->code != 0) return -(int)u->e->code; /* on_read knows better why */
    return err_set(u->e, ERR_BACKUP_CORRUPT, "unpack files", "%s: %s: %s", u->from, name,
                   words ? words : "unknown error of libarchive");
}

static int write_at(struct unpacking *u, int fd, const char *name, const char *bytes, size_t n, int64_t at)
{
    while (n > 0) {
        ssize_t written = pwrite(fd, bytes, n, at);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return err_errno(u->e, errno, "unpack files", "%s cannot be written", name);
        bytes += written;
        n -= (size_t)written;
        at += written;
    }
    return 0;
}

static int copy_content(struct unpacking *u, int fd, const char *name, int64_t size)
{
    const void *bytes;
    size_t n;
    la_int64_t offset, end = 0;
    int state, rc = 0;
    while (rc == 0 && (state = archive_read_data_block(u->tar, &bytes, &n, &offset)) == ARCHIVE_OK) {
        rc = write_at(u, fd, name, bytes, n, offset);
        if (n > 0) end = offset + (int64_t)n;
    }
    if (rc != 0) return rc;
    if (state != ARCHIVE_EOF) return tar_failed(u, name);
    if (end < size && ftruncate(fd, size) != 0) /* it ends in a hole */
        return err_errno(u->e, errno, "unpack files", "%s cannot be written", name);
    return 0;
}

/* Only what a user may set on a file of his own: others give rights (security.capability). A file system that
 * has none is no reason to lose the file. */
static void set_xattrs(int fd, struct archive_entry *entry)
{
    const char *name;
    const void *value;
    size_t size;
    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
        if (strncmp(name, "user.", 5) == 0) (void)fsetxattr(fd, name, value, size, 0);
}

static struct timespec mtime_of(struct archive_entry *entry)
{
    if (!archive_entry_mtime_is_set(entry)) return (struct timespec){.tv_nsec = UTIME_OMIT};
    return (struct timespec){.tv_sec = archive_entry_mtime(entry),
                             .tv_nsec = archive_entry_mtime_nsec(entry)};
}

static int make_file(struct unpacking *u, struct archive_entry *entry, const char *name)
{
    int fd, rc = tree_writer_file(u->tree, name, &fd, u->e);
    if (rc != 0) return rc;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, mtime_of(entry)};
    rc = copy_content(u, fd, name, archive_entry_size(entry));
    set_xattrs(fd, entry);
    if (rc == 0 && (fchmod(fd, archive_entry_perm(entry) & 0777) != 0 || futimens(fd, times) != 0))
        rc = err_errno(u->e, errno, "unpack files", "%s cannot get its mode and time", name);
    if (close(fd) != 0 && rc == 0) rc = err_errno(u->e, errno, "unpack files", "%s cannot be written", name);
    return rc;
}

static int extract(struct unpacking *u, struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry), *first = archive_entry_hardlink(entry);
    if (name == NULL) name = "";
    if (first != NULL) return tree_writer_link(u->tree, name, first, u->e);
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return make_file(u, entry, name);
    case AE_IFDIR:
        return tree_writer_folder(u->tree, name, archive_entry_perm(entry), mtime_of(entry), u->e);
    case AE_IFLNK:
        return tree_writer_symlink(u->tree, name, archive_entry_symlink(entry), mtime_of(entry), u->e);
    default:
        return err_set(u->e, ERR_BACKUP_CORRUPT, "unpack files",
                       "the archive holds the name '%.300s', which is neither a file nor a folder nor a link",
                       name);
    }
}

static int extract_all(struct unpacking *u, uint64_t *entries)
{
    archive_read_support_format_tar(u->tar);
    if (archive_read_open2(u->tar, u, NULL, on_read, NULL, NULL) != ARCHIVE_OK) return tar_failed(u, "start");
    for (;;) {
        struct archive_entry *entry;
        int state = archive_read_next_header(u->tar, &entry);
        if (state == ARCHIVE_EOF) break;
        if (state < ARCHIVE_WARN) return tar_failed(u, "header");
        int rc = extract(u, entry);
        if (rc != 0) return rc;
        ++*entries;
    }
    /* What follows the archive's own end is read as well: the hash is of the whole file. */
    long n;
    while ((n = pack_read(u->pack, u->chunk, sizeof u->chunk, u->e)) > 0)
        ;
    return n < 0 ? (int)n : tree_writer_finish(u->tree, u->e);
}

int backup_files_unpack(const char *from, const struct pack_expected *expected, const char *into,
                        atomic_bool *canceled, struct meter *meter, uint64_t *entries, struct err *e)
{
    err_clear(e);
    *entries = 0;
    int rc = lazy_archive(e);
    if (rc != 0) return rc;
    struct unpacking *u = mem_zalloc(sizeof *u);
    if (u == NULL) return err_set(e, ERR_MEMORY, "unpack files", "no memory to unpack %s", from);
    u->from = from;
    u->canceled = canceled;
    u->meter = meter;
    if (expected->raw_bytes > 0) meter_expect(meter, (uint64_t)expected->raw_bytes);
    u->e = e;
    rc = tree_writer_open(&u->tree, into, e);
    if (rc == 0) rc = pack_reader_open(&u->pack, from, expected, e);
    if (rc != 0) goto release_unpacking;
    u->tar = archive_read_new();
    rc = u->tar != NULL ? extract_all(u, entries)
                        : err_set(e, ERR_MEMORY, "unpack files", "no memory to unpack %s", from);
    if (u->tar != NULL) archive_read_free(u->tar);
    struct err end;
    int ended = pack_reader_close(u->pack, rc == 0, &end);
    if (rc == 0 && ended != 0) {
        *e = end;
        rc = ended;
    }
release_unpacking:
    tree_writer_free(u->tree);
    mem_free(u);
    return rc;
}
