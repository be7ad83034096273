/* Content: reading, writing, hashing. Names and folders: files_tree.c. */
#include "core/files.h"

#include "core/lazy_crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_BYTES = 64 << 10, LOCK_PAUSE_US = 2000, LOCK_TRIES = 5000 };

static int open_to_read(const char *path, const char *op, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(e, errno, op, "%.300s cannot be opened", path);
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        return err_set(e, ERR_IO, op, "%.300s is a folder", path);
    }
    return fd;
}

static ssize_t read_some(int fd, void *out, size_t size)
{
    ssize_t n;
    do
        n = read(fd, out, size);
    while (n < 0 && errno == EINTR);
    return n;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Until the end of the file, or one byte more than limit_bytes. */
static int read_rest(int fd, const char *path, size_t limit_bytes, struct buf *out, struct err *e)
{
    size_t start = out->len;
    while (out->len - start <= limit_bytes) {
        size_t want = limit_bytes - (out->len - start) + 1;
        if (want > CHUNK_BYTES) want = CHUNK_BYTES;
        if (!buf_reserve(out, want)) return err_set(e, ERR_MEMORY, "read", "no memory to read %.300s", path);
        ssize_t n = read_some(fd, out->data + out->len, want);
        if (n < 0) return err_errno(e, errno, "read", "%.300s cannot be read", path);
        if (n == 0) break;
        out->len += (size_t)n;
        out->data[out->len] = '\0';
    }
    return 0;
}

int files_read(const char *path, size_t limit_bytes, struct buf *out, struct err *e)
{
    int fd = open_to_read(path, "read", e);
    if (fd < 0) return fd;
    size_t start = out->len;
    int rc = read_rest(fd, path, limit_bytes, out, e);
    close(fd);
    if (rc == 0 && out->len - start > limit_bytes)
        rc = err_set(e, ERR_LIMIT, "read", "%.300s is larger than the limit of %zu bytes", path, limit_bytes);
    return rc;
}

int files_read_tail(const char *path, size_t limit_bytes, struct buf *out, struct err *e)
{
    int fd = open_to_read(path, "read", e);
    if (fd < 0) return fd;
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > (off_t)limit_bytes ? size - (off_t)limit_bytes : 0;
    size_t start = out->len;
    char before = '\n';
    int rc = 0;
    if (size < 0 || (from > 0 && pread(fd, &before, 1, from - 1) != 1) || lseek(fd, from, SEEK_SET) < 0)
        rc = err_errno(e, errno, "read", "%.300s cannot be read from its end", path);
    if (rc == 0) rc = read_rest(fd, path, limit_bytes, out, e);
    close(fd);
    if (rc != 0) return rc;
    if (out->len - start > limit_bytes) { /* it grew meanwhile: the read went one byte too far */
        out->len = start + limit_bytes;
        out->data[out->len] = '\0';
    }
    if (before == '\n') return 0;
    const char *newline = memchr(out->data + start, '\n', out->len - start);
    size_t cut = newline != NULL ? (size_t)(newline + 1 - (out->data + start)) : 0;
    memmove(out->data + start, out->data + start + cut, out->len - start - cut + 1);
    out->len -= cut;
    return 0;
}

/* --- writing ------------------------------------------------------------------------------- */

int files_sync_folder_of(const char *path, struct err *e)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len = slash == NULL ? 0 : slash == path ? 1 : (int)(slash - path);
    snprintf(folder, sizeof folder, "%.*s", len ? len : 1, len ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 ? fsync(fd) : -1, kept = errno;
    if (fd >= 0) close(fd);
    if (rc == 0 || kept == EINVAL) return 0; /* some file systems cannot sync a folder */
    return err_errno(e, kept, "sync", "the folder %.300s cannot be synced", folder);
}

/* Is fd's file the one that has this name? Whoever held the lock before may have moved or removed it. */
static bool is_named(int fd, const char *name)
{
    struct stat mine, there;
    return fstat(fd, &mine) == 0 && lstat(name, &there) == 0 && mine.st_dev == there.st_dev &&
           mine.st_ino == there.st_ino;
}

/* Waits for another writer, but not for ever. A file system without locks says so at once. */
static int lock(int fd)
{
    for (int left = LOCK_TRIES;; left--) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
        if (errno != EINTR && (errno != EWOULDBLOCK || left == 0)) return -1;
        usleep(LOCK_PAUSE_US);
    }
}

/* Waits for whoever writes the file that has this name; what a process that is gone has left is removed. */
static int clear_the_way(const char *temp)
{
    int fd = open(temp, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT || unlink(temp) == 0 ? 0 : -1;
    int rc = lock(fd) != 0 && errno == EWOULDBLOCK ? -1 : 0;
    if (rc == 0 && is_named(fd, temp)) rc = unlink(temp);
    int kept = errno;
    close(fd);
    errno = kept;
    return rc;
}

/* A new file beside path, whose name goes to temp. All writers of path use the same one, one after the other:
 * it is locked as long as its writer lives, so one that nobody has locked is a leftover. */
static int open_beside(const char *path, mode_t mode, char temp[PATH_MAX], struct err *e)
{
    int n = snprintf(temp, PATH_MAX, "%s.0.tmp", path);
    if (n < 0 || n >= PATH_MAX) return err_set(e, ERR_LIMIT, "write", "the path %.200s... is too long", path);
    for (;;) {
        int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno == EEXIST && clear_the_way(temp) == 0) continue;
        if (fd < 0) return err_errno(e, errno, "write", "%.300s cannot be written", path);
        /* Another writer may take it for a leftover until it is locked. */
        lock(fd);
        bool is_ours = is_named(fd, temp);
        if (is_ours && fchmod(fd, mode) == 0) return fd; /* as asked, whatever the umask */
        int rc = is_ours ? err_errno(e, errno, "write", "the mode of %.300s cannot be set", path) : 0;
        if (is_ours) unlink(temp);
        close(fd);
        if (rc != 0) return rc;
    }
}

/* Makes the file behind fd durable under path, or removes it. rc: of the writing so far. */
static int put_in_place(int fd, const char *temp, const char *path, int rc, struct err *e)
{
    if (rc == 0 && fsync(fd) != 0) rc = err_errno(e, errno, "write", "%.300s cannot be written", path);
    if (rc == 0 && rename(temp, path) != 0)
        rc = err_errno(e, errno, "write", "%.300s cannot be replaced", path);
    if (rc != 0) unlink(temp);
    close(fd); /* not before: the name is the next writer's then */
    return rc != 0 ? rc : files_sync_folder_of(path, e);
}

int files_write(const char *path, const void *data, size_t size_bytes, mode_t mode, struct err *e)
{
    char temp[PATH_MAX];
    int fd = open_beside(path, mode, temp, e), rc = 0;
    if (fd < 0) return fd;
    if (write_all(fd, data, size_bytes) != 0)
        rc = err_errno(e, errno, "write", "%.300s cannot be written", path);
    return put_in_place(fd, temp, path, rc, e);
}

int files_append(const char *path, const void *data, size_t size_bytes, mode_t mode, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode);
    if (fd < 0) return err_errno(e, errno, "append", "%.300s cannot be opened", path);
    int rc = 0;
    if (write_all(fd, data, size_bytes) != 0)
        rc = err_errno(e, errno, "append", "%.300s cannot be written", path);
    if (rc == 0 && fsync(fd) != 0 && errno != EINVAL) /* a pipe or terminal cannot be synced */
        rc = err_errno(e, errno, "append", "%.300s cannot be written", path);
    if (close(fd) != 0 && rc == 0) rc = err_errno(e, errno, "append", "%.300s cannot be written", path);
    return rc;
}

int files_copy(const char *from, const char *to, struct err *e)
{
    int in = open_to_read(from, "copy", e);
    if (in < 0) return in;
    struct stat st;
    char temp[PATH_MAX], chunk[CHUNK_BYTES];
    int out = fstat(in, &st) != 0 ? err_errno(e, errno, "copy", "%.300s cannot be examined", from)
                                  : open_beside(to, st.st_mode & 0777, temp, e);
    if (out < 0) {
        close(in);
        return out;
    }
    int rc = 0;
    ssize_t n = 0;
    while (rc == 0 && (n = read_some(in, chunk, sizeof chunk)) > 0)
        if (write_all(out, chunk, (size_t)n) != 0)
            rc = err_errno(e, errno, "copy", "%.300s cannot be written", to);
    if (n < 0) rc = err_errno(e, errno, "copy", "%.300s cannot be read", from);
    close(in);
    return put_in_place(out, temp, to, rc, e);
}

/* --- hashing ------------------------------------------------------------------------------- */

static int digest_text(EVP_MD_CTX *ctx, char out[65])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!EVP_DigestFinal_ex(ctx, bytes, &len) || len != 32) return -1;
    hex_text(out, bytes, len);
    return 0;
}

static EVP_MD_CTX *begin_digest(struct err *e)
{
    if (lazy_crypto(e) != 0) return NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL)) return ctx;
    EVP_MD_CTX_free(ctx);
    err_set(e, ERR_MEMORY, "sha256", "the hash could not be started");
    return NULL;
}

/* left: how much of the file from where it stands; -1: to its end. */
static int hash_open(int fd, const char *path, int64_t left, EVP_MD_CTX *ctx, const atomic_bool *canceled,
                     struct meter *meter, struct err *e)
{
    char chunk[CHUNK_BYTES];
    while (left != 0) {
        size_t want = left > 0 && left < CHUNK_BYTES ? (size_t)left : sizeof chunk;
        ssize_t n = read_some(fd, chunk, want);
        if (n < 0) return err_errno(e, errno, "sha256", "%.300s cannot be read", path);
        if (n == 0) return left < 0 ? 0 : err_set(e, ERR_IO, "sha256", "%.300s is shorter than it was", path);
        if (!EVP_DigestUpdate(ctx, chunk, (size_t)n))
            return err_set(e, ERR_INTERNAL, "sha256", "the hash failed");
        if (canceled != NULL && atomic_load(canceled))
            return err_set(e, ERR_CANCELED, "sha256", "hashing %.300s was canceled", path);
        meter_add(meter, (uint64_t)n);
        if (left > 0) left -= n;
    }
    return 0;
}

static int hash_file(const char *path, int64_t offset, int64_t size_bytes, const atomic_bool *canceled,
                     struct meter *meter, char out[65], struct err *e)
{
    struct err own;
    if (e == NULL) e = &own;
    EVP_MD_CTX *ctx = begin_digest(e);
    if (ctx == NULL) return -(int)e->code;
    int fd = open_to_read(path, "sha256", e), rc = fd < 0 ? fd : 0;
    if (rc == 0 && offset > 0 && lseek(fd, (off_t)offset, SEEK_SET) < 0)
        rc = err_errno(e, errno, "sha256", "%.300s cannot be read from there", path);
    if (rc == 0) rc = hash_open(fd, path, size_bytes, ctx, canceled, meter, e);
    if (fd >= 0) close(fd);
    if (rc == 0 && digest_text(ctx, out) != 0) rc = err_set(e, ERR_INTERNAL, "sha256", "the hash failed");
    EVP_MD_CTX_free(ctx);
    return rc;
}

int files_sha256_part(const char *path, int64_t offset, int64_t size_bytes, const atomic_bool *canceled,
                      char out[65], struct err *e)
{
    return hash_file(path, offset, size_bytes, canceled, NULL, out, e);
}

int files_sha256(const char *path, const atomic_bool *canceled, struct meter *meter, char out[65],
                 struct err *e)
{
    return hash_file(path, 0, -1, canceled, meter, out, e);
}

int files_sha256_text(const void *data, size_t size_bytes, char out[65], struct err *e)
{
    struct err own;
    if (e == NULL) e = &own;
    EVP_MD_CTX *ctx = begin_digest(e);
    if (ctx == NULL) return -(int)e->code;
    int rc = 0;
    if (!EVP_DigestUpdate(ctx, data, size_bytes) || digest_text(ctx, out) != 0)
        rc = err_set(e, ERR_INTERNAL, "sha256", "the hash failed");
    EVP_MD_CTX_free(ctx);
    return rc;
}
