#include "core/backup_files.h"

#include "base/mem.h"
#include "core/lazy_archive.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_BYTES = 256 << 10 };

struct sink {
    struct pack_writer *pack;
    struct err *e;
};

static la_ssize_t on_write(struct archive *a, void *arg, const void *bytes, size_t n)
{
    struct sink *sink = arg;
    (void)a;
    return pack_write(sink->pack, bytes, n, sink->e) == 0 ? (la_ssize_t)n : -1;
}

static int archive_failed(struct archive *a, const char *what, const char *path, struct err *e)
{
    const char *words = archive_error_string(a);
    return err_set(e, ERR_BACKUP, what, "%s: %s", path, words ? words : "unknown error of libarchive");
}

/* "./a/b" for "/var/tree/a/b" in the tree /var/tree. */
static const char *relative(const char *path, size_t tree_len)
{
    const char *rest = path + tree_len;
    while (*rest == '/')
        rest++;
    return *rest != '\0' ? rest : ".";
}

static int copy_content(struct archive *disk, struct archive *tar, const char *path, char *chunk,
                        atomic_bool *canceled, struct err *e)
{
    la_ssize_t n;
    while ((n = archive_read_data(disk, chunk, CHUNK_BYTES)) > 0) {
        if (atomic_load(canceled)) return err_set(e, ERR_CANCELED, "pack files", "canceled");
        if (archive_write_data(tar, chunk, (size_t)n) < 0) return archive_failed(tar, "pack files", path, e);
    }
    return n == 0 ? 0 : archive_failed(disk, "pack files", path, e);
}

static int walk(struct archive *disk, struct archive *tar, const char *tree, char *chunk,
                atomic_bool *canceled, uint64_t *entries, struct err *e)
{
    struct archive_entry *entry = archive_entry_new();
    size_t tree_len = strlen(tree);
    int rc = entry != NULL ? 0 : err_set(e, ERR_MEMORY, "pack files", "no memory");
    while (rc == 0) {
        archive_entry_clear(entry);
        int state = archive_read_next_header2(disk, entry);
        if (state == ARCHIVE_EOF) break;
        if (state < ARCHIVE_WARN) {
            rc = archive_failed(disk, "pack files", tree, e);
            break;
        }
        archive_read_disk_descend(disk);
        archive_entry_set_pathname(entry, relative(archive_entry_pathname(entry), tree_len));
        if (archive_write_header(tar, entry) < ARCHIVE_WARN)
            rc = archive_failed(tar, "pack files", archive_entry_pathname(entry), e);
        else if (archive_entry_size(entry) > 0)
            rc = copy_content(disk, tar, archive_entry_pathname(entry), chunk, canceled, e);
        ++*entries;
    }
    if (entry != NULL) archive_entry_free(entry);
    return rc;
}

int backup_files_pack(const char *tree, const char *to, int level, const char *passphrase,
                      atomic_bool *canceled, struct pack_result *out, uint64_t *entries, struct err *e)
{
    struct sink sink = {.e = e};
    int rc = lazy_archive(e);
    if (rc == 0) rc = pack_open(&sink.pack, to, level, passphrase, e);
    if (rc != 0) return rc;
    char *chunk = mem_alloc(CHUNK_BYTES);
    struct archive *tar = archive_write_new(), *disk = archive_read_disk_new();
    *entries = 0;
    if (chunk == NULL || tar == NULL || disk == NULL) {
        rc = err_set(e, ERR_MEMORY, "pack files", "no memory to pack %s", tree);
    } else {
        archive_write_set_format_pax_restricted(tar);
        archive_read_disk_set_symlink_physical(disk);
        archive_read_disk_set_behavior(disk, ARCHIVE_READDISK_NO_TRAVERSE_MOUNTS);
        if (archive_write_open2(tar, &sink, NULL, on_write, NULL, NULL) != ARCHIVE_OK)
            rc = archive_failed(tar, "pack files", to, e);
        else if (archive_read_disk_open(disk, tree) != ARCHIVE_OK)
            rc = archive_failed(disk, "pack files", tree, e);
        else
            rc = walk(disk, tar, tree, chunk, canceled, entries, e);
        if (rc == 0 && archive_write_close(tar) != ARCHIVE_OK) rc = archive_failed(tar, "pack files", to, e);
    }
    if (disk != NULL) archive_read_free(disk);
    if (tar != NULL) archive_write_free(tar);
    mem_free(chunk);
    if (rc == 0) return pack_close(sink.pack, out, e);
    pack_abandon(sink.pack);
    return rc;
}

struct source {
    struct pack_reader *pack;
    struct err *e;
    char chunk[CHUNK_BYTES];
};

static la_ssize_t on_read(struct archive *a, void *arg, const void **bytes)
{
    struct source *source = arg;
    (void)a;
    *bytes = source->chunk;
    return pack_read(source->pack, source->chunk, sizeof source->chunk, source->e);
}

static bool is_inside(const char *name)
{
    if (name == NULL || name[0] == '/') return false;
    for (const char *at = name; at != NULL; at = strchr(at, '/')) {
        if (*at == '/') at++;
        if (at[0] == '.' && at[1] == '.' && (at[2] == '/' || at[2] == '\0')) return false;
    }
    return true;
}

static int extract_all(struct archive *tar, struct archive *disk, const char *from, const char *into,
                       uint64_t *entries, struct err *e)
{
    for (;;) {
        struct archive_entry *entry;
        char path[4096], link[4096];
        int state = archive_read_next_header(tar, &entry);
        if (state == ARCHIVE_EOF) return 0;
        if (state < ARCHIVE_WARN)
            return e->code ? -(int)e->code : archive_failed(tar, "unpack files", from, e);
        const char *name = archive_entry_pathname(entry), *hardlink = archive_entry_hardlink(entry);
        if (!is_inside(name) || (hardlink != NULL && !is_inside(hardlink)))
            return err_set(e, ERR_BACKUP_CORRUPT, "unpack files",
                           "%s holds the name '%s', which leads out of the folder; nothing more is extracted",
                           from, name ? name : "(none)");
        snprintf(path, sizeof path, "%s/%s", into, name);
        archive_entry_set_pathname(entry, path);
        if (hardlink != NULL) {
            snprintf(link, sizeof link, "%s/%s", into, hardlink);
            archive_entry_set_hardlink(entry, link);
        }
        if (archive_read_extract2(tar, entry, disk) < ARCHIVE_WARN)
            return archive_failed(disk, "unpack files", path, e);
        ++*entries;
    }
}

int backup_files_unpack(const char *from, const char *expected_sha256, const char *passphrase,
                        const char *into, uint64_t *entries, struct err *e)
{
    err_clear(e);
    int rc = lazy_archive(e);
    if (rc != 0) return rc;
    struct source *source = mem_zalloc(sizeof *source);
    if (source == NULL) return err_set(e, ERR_MEMORY, "unpack files", "no memory to unpack %s", from);
    source->e = e;
    *entries = 0;
    rc = pack_reader_open(&source->pack, from, expected_sha256, passphrase, e);
    if (rc != 0) {
        mem_free(source);
        return rc;
    }
    struct archive *tar = archive_read_new(), *disk = archive_write_disk_new();
    if (tar == NULL || disk == NULL) {
        rc = err_set(e, ERR_MEMORY, "unpack files", "no memory to unpack %s", from);
    } else {
        archive_read_support_format_tar(tar);
        archive_write_disk_set_options(disk, ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM |
                                                 ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                                                 ARCHIVE_EXTRACT_SECURE_NODOTDOT);
        if (archive_read_open2(tar, source, NULL, on_read, NULL, NULL) != ARCHIVE_OK)
            rc = archive_failed(tar, "unpack files", from, e);
        else
            rc = extract_all(tar, disk, from, into, entries, e);
    }
    if (tar != NULL) archive_read_free(tar);
    if (disk != NULL) archive_write_free(disk);
    struct err end;
    int ended = pack_reader_close(source->pack, rc == 0, &end);
    if (rc == 0 && ended != 0) {
        *e = end;
        rc = ended;
    }
    mem_free(source);
    return rc;
}
