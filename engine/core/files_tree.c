/* Names and folders. Content: files.c. */
#include "base/mem.h"
#include "core/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEPTH = 200 }; /* each level holds a descriptor */

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Puts NUL-terminated names in order. */
static int sort_names(struct buf *names)
{
    size_t count = 0;
    for (size_t at = 0; at < names->len; at += strlen(names->data + at) + 1)
        count++;
    if (count < 2) return 0;
    const char **rows = mem_alloc(count * sizeof *rows);
    struct buf sorted = BUF_INIT;
    if (rows == NULL) return -1;
    size_t n = 0;
    for (size_t at = 0; at < names->len; at += strlen(names->data + at) + 1)
        rows[n++] = names->data + at;
    qsort(rows, n, sizeof *rows, by_name);
    for (size_t i = 0; i < n; i++)
        buf_add(&sorted, rows[i], strlen(rows[i]) + 1);
    mem_free(rows);
    if (!buf_ok(&sorted)) {
        buf_release(&sorted);
        return -1;
    }
    buf_release(names);
    *names = sorted;
    return 0;
}

int files_list(const char *path, struct buf *names, struct err *e)
{
    DIR *dir = opendir(path);
    if (dir == NULL) return err_errno(e, errno, "list", "%.300s cannot be listed", path);
    struct dirent *entry;
    for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0)
        if (!is_dots(entry->d_name)) buf_add(names, entry->d_name, strlen(entry->d_name) + 1);
    int failed = errno;
    closedir(dir);
    if (failed) return err_errno(e, failed, "list", "%.300s cannot be listed", path);
    if (!buf_ok(names) || sort_names(names) != 0)
        return err_set(e, ERR_MEMORY, "list", "no memory to list %.300s", path);
    return 0;
}

static int make_one(const char *path, mode_t mode, struct err *e)
{
    if (mkdir(path, mode) == 0) return 0;
    int kept = errno;
    struct stat st;
    if (kept == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return 0;
    return err_errno(e, kept, "mkdir", "the folder %.300s cannot be made", path);
}

int files_mkdir(const char *path, mode_t mode, struct err *e)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return err_set(e, ERR_LIMIT, "mkdir", "the path is empty or too long");
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        int rc = make_one(part, mode, e);
        if (rc != 0) return rc;
    }
    return 0;
}

int files_mkdtemp(const char *prefix, char out[PATH_MAX], struct err *e)
{
    if (snprintf(out, PATH_MAX, "%sXXXXXX", prefix) >= PATH_MAX)
        return err_set(e, ERR_LIMIT, "mkdtemp", "the path %.200s... is too long", prefix);
    if (mkdtemp(out) != NULL) return 0;
    return err_errno(e, errno, "mkdtemp", "no temporary folder can be made at %.300s", prefix);
}

int files_remove(const char *path, struct err *e)
{
    if (unlink(path) == 0 || errno == ENOENT || (errno == EISDIR && rmdir(path) == 0)) return 0;
    return err_errno(e, errno, "remove", "%.300s cannot be removed", path);
}

/* Everything below an open folder, which it closes. Works on descriptors, so that a folder that is
 * replaced by a link meanwhile leads nowhere else. */
static int remove_below(int fd, const char *path, int depth, struct err *e)
{
    DIR *dir = depth < MAX_DEPTH ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        close(fd);
        return err_set(e, ERR_LIMIT, "remove", "%.300s is nested too deeply to be removed", path);
    }
    int rc = 0;
    struct dirent *entry;
    for (errno = 0; rc == 0 && (entry = readdir(dir)) != NULL; errno = 0) {
        if (is_dots(entry->d_name) || unlinkat(dirfd(dir), entry->d_name, 0) == 0 || errno == ENOENT)
            continue;
        if (errno == EISDIR) {
            int below = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            rc = below < 0
                     ? err_errno(e, errno, "remove", "%.200s in %.200s cannot be opened", entry->d_name, path)
                     : remove_below(below, path, depth + 1, e);
            if (rc != 0 || unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) == 0) continue;
        }
        rc = err_errno(e, errno, "remove", "%.200s in %.200s cannot be removed", entry->d_name, path);
    }
    closedir(dir);
    return rc;
}

static bool is_same_file(const struct stat *a, const char *path)
{
    struct stat b;
    return stat(path, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

int files_remove_tree(const char *path, struct err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT) return 0;
        return err_errno(e, errno, "remove", "%.300s cannot be examined", path);
    }
    if (!S_ISDIR(st.st_mode)) return files_remove(path, e);
    if (is_same_file(&st, "/") || is_same_file(&st, "."))
        return err_set(e, ERR_USAGE, "remove", "%.300s is the root or the present folder: refused", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return err_errno(e, errno, "remove", "%.300s cannot be opened", path);
    int rc = remove_below(fd, path, 0, e);
    if (rc == 0 && rmdir(path) != 0) rc = err_errno(e, errno, "remove", "%.300s cannot be removed", path);
    return rc;
}

int files_hard_link(const char *from, const char *to, struct err *e)
{
    if (link(from, to) == 0) return 0;
    return err_errno(e, errno, "link", "%.300s cannot be a second name of %.300s", to, from);
}

int files_symlink(const char *target, const char *path, bool replace, struct err *e)
{
    if (symlink(target, path) == 0) return 0;
    struct stat st;
    if (errno != EEXIST || !replace)
        return err_errno(e, errno, "symlink", "the link %.300s cannot be made", path);
    if (lstat(path, &st) == 0 && !S_ISLNK(st.st_mode))
        return err_set(e, ERR_EXISTS, "symlink", "%.300s exists and is no link: it is not replaced", path);
    char temp[PATH_MAX];
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return err_errno(e, errno, "symlink", "no random name for %.300s", path);
    if (snprintf(temp, sizeof temp, "%s.%016llx.tmp", path, (unsigned long long)random) >= (int)sizeof temp)
        return err_set(e, ERR_LIMIT, "symlink", "the path %.200s... is too long", path);
    if (symlink(target, temp) != 0)
        return err_errno(e, errno, "symlink", "the link %.300s cannot be made", path);
    if (rename(temp, path) == 0) return 0;
    int rc = err_errno(e, errno, "symlink", "the link %.300s cannot be replaced", path);
    unlink(temp);
    return rc;
}

int files_rename(const char *from, const char *to, struct err *e)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0)
        return err_errno(e, errno, "rename", "%.200s cannot be renamed to %.200s", from, to);
    return files_sync_folder_of(to, e);
}

static int sync_below(int fd, const char *path, int depth, struct err *e)
{
    DIR *dir = depth < MAX_DEPTH ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        close(fd);
        return err_set(e, ERR_LIMIT, "sync", "%.300s is nested too deeply", path);
    }
    int rc = 0;
    struct dirent *entry;
    for (errno = 0; rc == 0 && (entry = readdir(dir)) != NULL; errno = 0) {
        if (is_dots(entry->d_name)) continue;
        int one = openat(dirfd(dir), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        struct stat st;
        if (one < 0 && errno == ELOOP) continue; /* a link lives in its folder */
        if (one < 0 || fstat(one, &st) != 0) {
            rc = err_errno(e, errno, "sync", "%.200s in %.200s cannot be opened", entry->d_name, path);
        } else if (S_ISDIR(st.st_mode)) {
            rc = sync_below(one, path, depth + 1, e);
            continue; /* which closed it */
        } else if (S_ISREG(st.st_mode) && fsync(one) != 0) {
            rc = err_errno(e, errno, "sync", "%.200s in %.200s cannot be made durable", entry->d_name, path);
        }
        if (one >= 0) close(one);
    }
    if (rc == 0 && fsync(dirfd(dir)) != 0)
        rc = err_errno(e, errno, "sync", "%.300s cannot be made durable", path);
    closedir(dir);
    return rc;
}

int files_sync_tree(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return err_errno(e, errno, "sync", "%.300s cannot be opened", path);
    return sync_below(fd, path, 0, e);
}

int files_realpath(const char *path, char out[PATH_MAX], struct err *e)
{
    if (realpath(path, out) != NULL) return 0;
    return err_errno(e, errno, "realpath", "%.300s cannot be resolved", path);
}

int files_stat(const char *path, bool follow, struct files_stat *out, struct err *e)
{
    struct stat st;
    if ((follow ? stat(path, &st) : lstat(path, &st)) != 0)
        return err_errno(e, errno, "stat", "%.300s cannot be examined", path);
    out->type = S_ISREG(st.st_mode)   ? "file"
                : S_ISDIR(st.st_mode) ? "directory"
                : S_ISLNK(st.st_mode) ? "link"
                                      : "other";
    out->size_bytes = st.st_size;
    out->modified_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    out->mode = st.st_mode & 07777;
    out->owner = st.st_uid;
    out->group = st.st_gid;
    return 0;
}
