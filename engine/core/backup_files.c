#include "core/backup_files.h"

#include "base/mem.h"
#include "core/lazy_archive.h"
#include "core/tree_walk.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* Two threads compress while this one reads, hashes and writes: on two processors that is all they can do.
 * More would take more than the 24 MB that a backup may. */
enum { CHUNK_BYTES = 256 << 10, COMPRESSORS = 2, SECTOR_BYTES = 512 };

/* The walk is not libarchive's: that one changes the working folder of the whole process while it walks,
 * fails at a socket, and asks the kernel more than twice as much about a file. */
struct packing {
    struct pack_writer *pack;
    struct archive *tar, *disk; /* disk: for a file's ACL, extended attributes and holes only */
    struct archive_entry_linkresolver *links;
    struct archive_entry *entry;
    atomic_bool *canceled;
    struct meter *meter;
    struct backup_tree *out;
    struct err *e;
    char chunk[CHUNK_BYTES];
};

static la_ssize_t on_write(struct archive *a, void *arg, const void *bytes, size_t n)
{
    struct packing *p = arg;
    (void)a;
    return pack_write(p->pack, bytes, n, p->e) == 0 ? (la_ssize_t)n : -1;
}

static int archive_failed(struct packing *p, struct archive *a, const char *name)
{
    const char *words = archive_error_string(a);
    if (p->e->code != 0) return -(int)p->e->code; /* on_write knows better why */
    return err_set(p->e, ERR_BACKUP, "pack files", "%s: %s", name,
                   words ? words : "unknown error of libarchive");
}

static int write_data(struct packing *p, const char *name, size_t n)
{
    if (atomic_load(p->canceled)) return err_set(p->e, ERR_CANCELED, "pack files", "canceled");
    meter_add(p->meter, n);
    return archive_write_data(p->tar, p->chunk, n) < 0 ? archive_failed(p, p->tar, name) : 0;
}

static int write_hole(struct packing *p, const char *name, int64_t len)
{
    int rc = 0;
    memset(p->chunk, 0, sizeof p->chunk);
    for (; rc == 0 && len > 0; len -= CHUNK_BYTES)
        rc = write_data(p, name, len < CHUNK_BYTES ? (size_t)len : CHUNK_BYTES);
    return rc;
}

static int write_range(struct packing *p, const struct tree_item *item, int64_t at, int64_t end)
{
    while (at < end) {
        size_t want = end - at < CHUNK_BYTES ? (size_t)(end - at) : CHUNK_BYTES;
        ssize_t n = pread(item->fd, p->chunk, want, at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(p->e, errno, "pack files", "%s cannot be read", item->name);
        /* Its header promises the size that it had. Zeros instead, as tar writes them, would be no backup. */
        if (n == 0)
            return err_set(p->e, ERR_BACKUP, "pack files", "%s became shorter while it was read", item->name);
        int rc = write_data(p, item->name, (size_t)n);
        if (rc != 0) return rc;
        at += n;
    }
    return 0;
}

/* libarchive wants the holes as zeros and leaves them out itself; they need not be read for that. */
static int write_content(struct packing *p, const struct tree_item *item)
{
    la_int64_t offset, length, at = 0;
    if (archive_entry_sparse_reset(p->entry) == 0) return write_range(p, item, 0, item->st.st_size);
    int rc = 0;
    while (rc == 0 && archive_entry_sparse_next(p->entry, &offset, &length) == ARCHIVE_OK) {
        rc = write_hole(p, item->name, offset - at);
        if (rc == 0) rc = write_range(p, item, offset, offset + length);
        at = offset + length;
    }
    return rc == 0 ? write_hole(p, item->name, item->st.st_size - at) : rc;
}

static int describe(struct packing *p, const struct tree_item *item)
{
    archive_entry_clear(p->entry);
    archive_entry_set_pathname(p->entry, item->name);
    if (item->fd >= 0) {
        bool has_holes = item->st.st_blocks < item->st.st_size / SECTOR_BYTES;
        archive_read_disk_set_behavior(p->disk, ARCHIVE_READDISK_NO_FFLAGS |
                                                    (has_holes ? 0 : ARCHIVE_READDISK_NO_SPARSE));
        if (archive_read_disk_entry_from_file(p->disk, p->entry, item->fd, &item->st) < ARCHIVE_WARN)
            return archive_failed(p, p->disk, item->name);
        return 0;
    }
    char target[PATH_MAX];
    ssize_t len = readlinkat(item->folder_fd, item->last, target, sizeof target - 1);
    if (len < 0) return err_errno(p->e, errno, "pack files", "%s cannot be read", item->name);
    target[len] = '\0';
    archive_entry_copy_stat(p->entry, &item->st);
    archive_entry_set_symlink(p->entry, target);
    return 0;
}

static int on_item(void *arg, const struct tree_item *item, struct err *e)
{
    struct packing *p = arg;
    struct archive_entry *spare = NULL;
    (void)e; /* p->e */
    if (!S_ISREG(item->st.st_mode) && !S_ISDIR(item->st.st_mode) && !S_ISLNK(item->st.st_mode)) {
        p->out->skipped++;
        return 0;
    }
    int rc = describe(p, item);
    if (rc != 0) return rc;
    archive_entry_linkify(p->links, &p->entry, &spare); /* the second name of a file: a link to the first */
    p->out->entries++;
    if (archive_write_header(p->tar, p->entry) < ARCHIVE_WARN) return archive_failed(p, p->tar, item->name);
    bool has_content = S_ISREG(item->st.st_mode) && archive_entry_size(p->entry) > 0;
    return has_content ? write_content(p, item) : 0;
}

/* What goes away or comes until it is packed is measured wrong; so is the second name of a file. */
static int on_size(void *arg, const struct tree_item *item, struct err *e)
{
    struct packing *p = arg;
    if (atomic_load(p->canceled)) return err_set(e, ERR_CANCELED, "pack files", "canceled");
    if (S_ISREG(item->st.st_mode)) meter_expect(p->meter, (uint64_t)item->st.st_size);
    return 0;
}

static int pack_tree(struct packing *p, const char *tree, const char *to)
{
    archive_write_set_format_pax_restricted(p->tar);
    archive_write_set_bytes_per_block(p->tar, CHUNK_BYTES);
    archive_write_set_bytes_in_last_block(p->tar, 1);
    archive_entry_linkresolver_set_strategy(p->links, ARCHIVE_FORMAT_TAR_PAX_RESTRICTED);
    if (archive_write_open2(p->tar, p, NULL, on_write, NULL, NULL) != ARCHIVE_OK)
        return archive_failed(p, p->tar, to);
    int rc = p->meter != NULL ? tree_walk(tree, on_size, p, p->e) : 0;
    if (rc == 0) rc = tree_walk(tree, on_item, p, p->e);
    if (rc == 0 && archive_write_close(p->tar) != ARCHIVE_OK) rc = archive_failed(p, p->tar, to);
    return rc;
}

int backup_files_pack(const char *tree, const char *to, int level, const char *passphrase,
                      atomic_bool *canceled, struct meter *meter, struct backup_tree *out, struct err *e)
{
    err_clear(e);
    int rc = lazy_archive(e);
    if (rc != 0) return rc;
    struct packing *p = mem_zalloc(sizeof *p);
    if (p == NULL) return err_set(e, ERR_MEMORY, "pack files", "no memory to pack %s", tree);
    *out = (struct backup_tree){0};
    p->canceled = canceled;
    p->meter = meter;
    p->out = out;
    p->e = e;
    rc = pack_open(&p->pack, to, level, passphrase, e);
    if (rc != 0) goto release_packing;
    pack_use_threads(p->pack, COMPRESSORS);
    p->tar = archive_write_new();
    p->disk = archive_read_disk_new();
    p->links = archive_entry_linkresolver_new();
    p->entry = archive_entry_new();
    if (p->tar == NULL || p->disk == NULL || p->links == NULL || p->entry == NULL)
        rc = err_set(e, ERR_MEMORY, "pack files", "no memory to pack %s", tree);
    else
        rc = pack_tree(p, tree, to);
    if (p->entry != NULL) archive_entry_free(p->entry);
    if (p->links != NULL) archive_entry_linkresolver_free(p->links);
    if (p->disk != NULL) archive_read_free(p->disk);
    if (p->tar != NULL) archive_write_free(p->tar);
    if (rc == 0)
        rc = pack_close(p->pack, &out->pack, e);
    else
        pack_abandon(p->pack);
release_packing:
    mem_free(p);
    return rc;
}
