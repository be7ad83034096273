#include "core/files.h"

#include "core/lazy_crypto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, const char *path, int64_t limit_bytes, struct buf *out, struct err *e)
{
    for (;;) {
        if (!buf_reserve(out, 64 << 10))
            return err_set(e, ERR_MEMORY, "read file", "no memory to read %s", path);
        ssize_t n = read(fd, out->data + out->len, 64 << 10);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(e, errno, "read file", "%s cannot be read", path);
        if (n == 0) break;
        out->len += (size_t)n;
        if ((int64_t)out->len > limit_bytes)
            return err_set(e, ERR_LIMIT, "read file", "%s is larger than %lld bytes", path,
                           (long long)limit_bytes);
    }
    out->data[out->len] = '\0';
    return 0;
}

static int open_file(const char *path, int *fd, struct err *e)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    return *fd >= 0 ? 0 : err_errno(e, errno, "read file", "%s cannot be opened", path);
}

int files_read(const char *path, int64_t limit_bytes, struct buf *out, struct err *e)
{
    int fd, rc = open_file(path, &fd, e);
    if (rc != 0) return rc;
    rc = read_all(fd, path, limit_bytes, out, e);
    close(fd);
    return rc;
}

int files_read_tail(const char *path, int64_t bytes, struct buf *out, struct err *e)
{
    struct stat st;
    int fd, rc = open_file(path, &fd, e);
    if (rc != 0) return rc;
    if (fstat(fd, &st) == 0 && st.st_size > bytes) lseek(fd, st.st_size - bytes, SEEK_SET);
    rc = read_all(fd, path, INT64_MAX, out, e);
    close(fd);
    return rc;
}

static int write_all(int fd, const char *path, const char *bytes, size_t n, struct err *e)
{
    while (n > 0) {
        ssize_t written = write(fd, bytes, n);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return err_errno(e, errno, "write file", "%s cannot be written", path);
        bytes += written;
        n -= (size_t)written;
    }
    if (fsync(fd) != 0 && errno != EINVAL)
        return err_errno(e, errno, "write file", "%s cannot be made durable", path);
    return 0;
}

int files_sync_folder(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_errno(e, errno, "sync folder", "%s cannot be opened", path);
    int rc = fsync(fd) == 0 ? 0 : err_errno(e, errno, "sync folder", "%s cannot be made durable", path);
    close(fd);
    return rc;
}

static int sync_parent(const char *path, struct err *e)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return files_sync_folder(parent[0] ? parent : "/", e);
}

int files_write(const char *path, const void *bytes, size_t n, unsigned mode, struct err *e)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return err_set(e, ERR_LIMIT, "write file", "the path %s is too long", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) return err_errno(e, errno, "write file", "%s cannot be written", path);
    int rc = write_all(fd, path, bytes, n, e);
    if (rc == 0 && fchmod(fd, mode) != 0)
        rc = err_errno(e, errno, "write file", "%s cannot get its mode", path);
    close(fd);
    if (rc == 0 && rename(temporary, path) != 0)
        rc = err_errno(e, errno, "write file", "%s cannot be replaced", path);
    if (rc != 0) unlink(temporary);
    return rc != 0 ? rc : sync_parent(path, e);
}

int files_append(const char *path, const void *bytes, size_t n, unsigned mode, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode);
    if (fd < 0) return err_errno(e, errno, "append to file", "%s cannot be opened", path);
    int rc = write_all(fd, path, bytes, n, e);
    close(fd);
    return rc;
}

int files_list(const char *path, struct buf *out, struct err *e)
{
    DIR *dir = opendir(path);
    if (dir == NULL) return err_errno(e, errno, "list folder", "%s cannot be listed", path);
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        buf_add(out, entry->d_name, strlen(entry->d_name) + 1);
    }
    closedir(dir);
    return buf_ok(out) ? 0 : err_set(e, ERR_MEMORY, "list folder", "no memory to list %s", path);
}

int files_stat_path(const char *path, struct files_stat *out, struct err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0) return err_errno(e, errno, "look at file", "%s", path);
    out->type = S_ISREG(st.st_mode)   ? "file"
                : S_ISDIR(st.st_mode) ? "directory"
                : S_ISLNK(st.st_mode) ? "link"
                                      : "other";
    out->size_bytes = st.st_size;
    out->mode = st.st_mode & 07777;
    out->modified_s = (double)st.st_mtim.tv_sec + (double)st.st_mtim.tv_nsec / 1e9;
    return 0;
}

int files_make_folders(const char *path, struct err *e)
{
    char part[PATH_MAX];
    struct stat st;
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return err_set(e, ERR_LIMIT, "make folder", "the path %s is too long", path);
    for (char *at = part + (part[0] == '/');; at++) {
        if (*at != '/' && *at != '\0') continue;
        char separator = *at;
        *at = '\0';
        if (part[0] != '\0' && mkdir(part, 0700) != 0 && errno != EEXIST)
            return err_errno(e, errno, "make folder", "%s cannot be made", part);
        *at = separator;
        if (separator == '\0') break;
    }
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_set(e, ERR_EXISTS, "make folder", "%s is there, but is no folder", path);
    return 0;
}

int files_remove(const char *path, struct err *e)
{
    if (unlink(path) == 0 || errno == ENOENT) return 0;
    return err_errno(e, errno, "remove file", "%s cannot be removed", path);
}

int files_rename(const char *from, const char *to, struct err *e)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0) return err_errno(e, errno, "rename", "%s cannot become %s", from, to);
    return sync_parent(to, e);
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

int files_remove_tree(const char *path, struct err *e)
{
    char real[PATH_MAX];
    if (realpath(path, real) == NULL)
        return errno == ENOENT ? 0 : err_errno(e, errno, "remove folder", "%s", path);
    if (strcmp(real, "/") == 0)
        return err_set(e, ERR_USAGE, "remove folder", "the root folder is never removed");
    if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS) == 0) return 0;
    return err_errno(e, errno, "remove folder", "%s cannot be removed whole", path);
}

static void to_hex(const unsigned char digest[32], char hex[65])
{
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

int files_sha256_bytes(const void *bytes, size_t n, char hex[65], struct err *e)
{
    unsigned char digest[32];
    if (lazy_crypto(e) != 0) return -ERR_NOT_FOUND;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) && EVP_DigestUpdate(ctx, bytes, n) &&
              EVP_DigestFinal_ex(ctx, digest, NULL);
    EVP_MD_CTX_free(ctx);
    if (!ok) return err_set(e, ERR_MEMORY, "hash", "SHA-256 could not be computed");
    to_hex(digest, hex);
    return 0;
}

int files_sha256(const char *path, char hex[65], struct err *e)
{
    unsigned char digest[32];
    char chunk[64 << 10];
    ssize_t n = 0;
    int fd, rc = lazy_crypto(e);
    if (rc != 0 || (rc = open_file(path, &fd, e)) != 0) return rc;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    while (ok && (n = read(fd, chunk, sizeof chunk)) > 0)
        ok = EVP_DigestUpdate(ctx, chunk, (size_t)n);
    if (n < 0)
        rc = err_errno(e, errno, "hash file", "%s cannot be read", path);
    else if (!ok || !EVP_DigestFinal_ex(ctx, digest, NULL))
        rc = err_set(e, ERR_MEMORY, "hash file", "SHA-256 of %s could not be computed", path);
    EVP_MD_CTX_free(ctx);
    close(fd);
    if (rc == 0) to_hex(digest, hex);
    return rc;
}
