/* The way back of backup_files. Nothing of the archive is trusted: it may have been made to escape. */
#include "core/backup_files.h"

#include "base/mem.h"
#include "core/lazy_archive.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 256 << 10,
    EXTRACT_WAYS = ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_ACL |
                   ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT
};

struct unpacking {
    struct pack_reader *pack;
    struct archive *tar, *disk;
    const char *from;
    atomic_bool *canceled;
    struct err *e;
    char into[PATH_MAX]; /* without links: libarchive would take one on the way for the archive's doing */
    char path[PATH_MAX], link[PATH_MAX];
    char chunk[CHUNK_BYTES];
};

static la_ssize_t on_read(struct archive *a, void *arg, const void **bytes)
{
    struct unpacking *u = arg;
    (void)a;
    *bytes = u->chunk;
    if (atomic_load(u->canceled)) return err_set(u->e, ERR_CANCELED, "unpack files", "canceled");
    return pack_read(u->pack, u->chunk, sizeof u->chunk, u->e);
}

static int archive_failed(struct unpacking *u, struct archive *a, const char *name)
{
    const char *words = archive_error_string(a);
    if (u->e->code != 0) return -(int)u->e->code; /* on_read knows better why */
    return err_set(u->e, ERR_BACKUP, "unpack files", "%s: %s: %s", u->from, name,
                   words ? words : "unknown error of libarchive");
}

static int refuse(struct unpacking *u, const char *name, const char *why)
{
    return err_set(u->e, ERR_BACKUP_CORRUPT, "unpack files",
                   "%s holds the name '%.300s', which %s; nothing more is extracted", u->from,
                   name ? name : "(none)", why);
}

static bool is_inside(const char *name)
{
    if (name == NULL || name[0] == '/' || name[0] == '\0') return false;
    for (const char *at = name; at != NULL; at = strchr(at, '/')) {
        if (*at == '/') at++;
        if (at[0] == '.' && at[1] == '.' && (at[2] == '/' || at[2] == '\0')) return false;
    }
    return true;
}

static bool join(char path[PATH_MAX], const char *into, const char *name)
{
    return snprintf(path, PATH_MAX, "%s/%s", into, name) < PATH_MAX;
}

static int check_kind(struct unpacking *u, struct archive_entry *entry, const char *name)
{
    if (archive_entry_hardlink(entry) != NULL) return 0;
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        archive_entry_set_perm(entry, archive_entry_perm(entry) & ~(mode_t)(S_ISUID | S_ISGID));
        return 0;
    case AE_IFDIR:
    case AE_IFLNK:
        return 0;
    default:
        return refuse(u, name, "is neither a file nor a folder nor a link");
    }
}

/* The folder was empty: what is there now was made by this archive. Only a folder may come again, which is
 * made as well for the names in it. */
static int check_new(struct unpacking *u, struct archive_entry *entry, const char *name)
{
    struct stat st;
    if (lstat(u->path, &st) != 0) return 0; /* a wrong way to it is found when it is made */
    bool both_folders = S_ISDIR(st.st_mode) && archive_entry_hardlink(entry) == NULL &&
                        archive_entry_filetype(entry) == AE_IFDIR;
    return both_folders ? 0 : refuse(u, name, "comes twice");
}

static int copy_content(struct unpacking *u, const char *name)
{
    const void *bytes;
    size_t n;
    la_int64_t offset;
    int state;
    while ((state = archive_read_data_block(u->tar, &bytes, &n, &offset)) == ARCHIVE_OK)
        if (archive_write_data_block(u->disk, bytes, n, offset) < ARCHIVE_WARN)
            return archive_failed(u, u->disk, name);
    return state == ARCHIVE_EOF ? 0 : archive_failed(u, u->tar, name);
}

static int extract(struct unpacking *u, struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry), *hardlink = archive_entry_hardlink(entry);
    if (!is_inside(name)) return refuse(u, name, "leads out of the folder");
    if (hardlink != NULL && !is_inside(hardlink))
        return refuse(u, name, "is a link that leads out of the folder");
    if (!join(u->path, u->into, name) || (hardlink != NULL && !join(u->link, u->into, hardlink)))
        return refuse(u, name, "is too long");
    int rc = check_kind(u, entry, name);
    if (rc == 0) rc = check_new(u, entry, name);
    if (rc != 0) return rc;
    archive_entry_set_pathname(entry, u->path);
    if (hardlink != NULL) archive_entry_set_hardlink(entry, u->link);
    /* Not archive_read_extract2, which makes a warning of every failure but that of the data. A warning here
     * is an extended attribute or an ACL that this file system or user cannot have. */
    name = u->path + strlen(u->into) + 1;
    if (archive_write_header(u->disk, entry) < ARCHIVE_WARN) return archive_failed(u, u->disk, name);
    if (hardlink == NULL && archive_entry_size(entry) > 0) rc = copy_content(u, name);
    if (rc == 0 && archive_write_finish_entry(u->disk) < ARCHIVE_WARN) rc = archive_failed(u, u->disk, name);
    return rc;
}

static int extract_all(struct unpacking *u, uint64_t *entries)
{
    archive_read_support_format_tar(u->tar);
    archive_write_disk_set_options(u->disk, EXTRACT_WAYS);
    if (archive_read_open2(u->tar, u, NULL, on_read, NULL, NULL) != ARCHIVE_OK)
        return archive_failed(u, u->tar, "start");
    for (;;) {
        struct archive_entry *entry;
        int state = archive_read_next_header(u->tar, &entry);
        if (state == ARCHIVE_EOF) break;
        if (state < ARCHIVE_WARN) return archive_failed(u, u->tar, "header");
        int rc = extract(u, entry);
        if (rc != 0) return rc;
        ++*entries;
    }
    /* What follows the archive's own end is read as well: the hash is of the whole file. */
    long n;
    while ((n = pack_read(u->pack, u->chunk, sizeof u->chunk, u->e)) > 0)
        ;
    if (n < 0) return (int)n;
    return archive_write_close(u->disk) < ARCHIVE_WARN ? archive_failed(u, u->disk, "folders") : 0;
}

static int check_empty(const char *into, struct err *e)
{
    DIR *dir = opendir(into);
    if (dir == NULL) return err_errno(e, errno, "unpack files", "%s cannot be read as a folder", into);
    int rc = 0;
    for (struct dirent *one; rc == 0 && (one = readdir(dir)) != NULL;)
        if (strcmp(one->d_name, ".") != 0 && strcmp(one->d_name, "..") != 0)
            rc = err_set(e, ERR_EXISTS, "unpack files", "%s is not empty: it holds %s", into, one->d_name);
    closedir(dir);
    return rc;
}

int backup_files_unpack(const char *from, const struct backup_files_limits *limits, const char *into,
                        atomic_bool *canceled, uint64_t *entries, struct err *e)
{
    err_clear(e);
    *entries = 0;
    int rc = lazy_archive(e);
    if (rc == 0) rc = check_empty(into, e);
    if (rc != 0) return rc;
    struct unpacking *u = mem_zalloc(sizeof *u);
    if (u == NULL) return err_set(e, ERR_MEMORY, "unpack files", "no memory to unpack %s", from);
    u->from = from;
    u->canceled = canceled;
    u->e = e;
    if (realpath(into, u->into) == NULL)
        rc = err_errno(e, errno, "unpack files", "%s cannot be read as a folder", into);
    if (rc == 0) rc = pack_reader_open(&u->pack, from, limits->sha256, e);
    if (rc != 0) goto release_unpacking;
    if (limits->raw_bytes >= 0) pack_expect(u->pack, (uint64_t)limits->raw_bytes);
    u->tar = archive_read_new();
    u->disk = archive_write_disk_new();
    if (u->tar == NULL || u->disk == NULL)
        rc = err_set(e, ERR_MEMORY, "unpack files", "no memory to unpack %s", from);
    else
        rc = extract_all(u, entries);
    if (u->tar != NULL) archive_read_free(u->tar);
    if (u->disk != NULL) archive_write_free(u->disk);
    struct err end;
    int ended = pack_reader_close(u->pack, rc == 0, &end);
    if (rc == 0 && ended != 0) {
        *e = end;
        rc = ended;
    }
release_unpacking:
    mem_free(u);
    return rc;
}
