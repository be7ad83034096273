#include "core/tree_write.h"

#include "base/buf.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

struct folder_end {
    mode_t mode;
    struct timespec mtime;
    size_t name; /* where it begins in names */
};

struct tree_writer {
    int root_fd;
    /* The folder of the latest name: mostly the next name's, too. */
    int folder_fd;
    char folder[PATH_MAX];
    struct buf ends, names;
};

static int refuse(struct err *e, const char *name, const char *why)
{
    return err_set(e, ERR_BACKUP_CORRUPT, "unpack files", "the archive holds the name '%.300s', which %s",
                   name, why);
}

static int failed(struct err *e, int error, const char *name)
{
    if (error == EEXIST) return refuse(e, name, "comes twice");
    if (error == ELOOP || error == ENOTDIR)
        return refuse(e, name, "leads through something that is no folder, such as a link");
    return err_errno(e, error, "unpack files", "%s cannot be made", name);
}

static int check_empty(int fd, const char *root, struct err *e)
{
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *dir = again >= 0 ? fdopendir(again) : NULL;
    if (dir == NULL) {
        rc = err_errno(e, errno, "unpack files", "%s cannot be read as a folder", root);
        if (again >= 0) close(again);
        return rc;
    }
    for (struct dirent *one; rc == 0 && (one = readdir(dir)) != NULL;)
        if (strcmp(one->d_name, ".") != 0 && strcmp(one->d_name, "..") != 0)
            rc = err_set(e, ERR_EXISTS, "unpack files", "%s is not empty: it holds %s", root, one->d_name);
    closedir(dir);
    return rc;
}

int tree_writer_open(struct tree_writer **out, const char *root, struct err *e)
{
    struct tree_writer *w = mem_zalloc(sizeof *w);
    if (w == NULL) return err_set(e, ERR_MEMORY, "unpack files", "no memory to write to %s", root);
    w->folder_fd = -1;
    w->root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = w->root_fd >= 0 ? check_empty(w->root_fd, root, e)
                             : err_errno(e, errno, "unpack files", "%s cannot be read as a folder", root);
    if (rc == 0)
        *out = w;
    else
        tree_writer_free(w);
    return rc;
}

/* "a/b/c" for "./a//b/c/": the parts of a name without what means nothing. */
static int clean_name(char clean[PATH_MAX], const char *name, struct err *e)
{
    size_t len = 0;
    if (name == NULL || name[0] == '\0') return refuse(e, "", "is empty");
    if (name[0] == '/') return refuse(e, name, "leads out of the folder");
    for (const char *at = name; *at != '\0';) {
        size_t part = strcspn(at, "/");
        if (part == 2 && memcmp(at, "..", 2) == 0) return refuse(e, name, "leads out of the folder");
        if (part > 0 && !(part == 1 && at[0] == '.')) {
            if (len + part + 2 > PATH_MAX) return refuse(e, name, "is too long");
            if (len > 0) clean[len++] = '/';
            memcpy(clean + len, at, part);
            len += part;
        }
        at += part + (at[part] == '/');
    }
    clean[len] = '\0';
    return 0;
}

/* A descriptor of the folder `path` (clean; "" is the root), which is made with all above it if it may be. */
static int open_folder(struct tree_writer *w, const char *path, bool may_make, const char *name, int *out,
                       struct err *e)
{
    char part[NAME_MAX + 1];
    int fd = openat(w->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && *path != '\0') {
        size_t len = strcspn(path, "/");
        if (len > NAME_MAX) {
            close(fd);
            return refuse(e, name, "is too long");
        }
        memcpy(part, path, len);
        part[len] = '\0';
        int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == ENOENT && may_make && mkdirat(fd, part, 0700) == 0)
            next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int error = errno;
        close(fd);
        errno = error;
        fd = next;
        path += len + (path[len] == '/');
    }
    if (fd < 0) return failed(e, errno, name);
    *out = fd;
    return 0;
}

/* The folder for a new name stays open in w; *last: the name in it, "" for the root itself. */
static int enter(struct tree_writer *w, char clean[PATH_MAX], const char *name, const char **last,
                 struct err *e)
{
    int rc = clean_name(clean, name, e);
    if (rc != 0) return rc;
    char *slash = strrchr(clean, '/');
    size_t len = slash != NULL ? (size_t)(slash - clean) : 0;
    *last = slash != NULL ? slash + 1 : clean;
    if (w->folder_fd >= 0 && strlen(w->folder) == len && memcmp(w->folder, clean, len) == 0) return 0;
    if (w->folder_fd >= 0) close(w->folder_fd);
    w->folder_fd = -1;
    memcpy(w->folder, clean, len);
    w->folder[len] = '\0';
    return open_folder(w, w->folder, true, name, &w->folder_fd, e);
}

int tree_writer_folder(struct tree_writer *w, const char *name, mode_t mode, struct timespec mtime,
                       struct err *e)
{
    char clean[PATH_MAX];
    const char *last;
    struct stat st;
    int rc = enter(w, clean, name, &last, e);
    if (rc != 0) return rc;
    if (*last != '\0' && mkdirat(w->folder_fd, last, 0700) != 0) {
        if (errno != EEXIST) return failed(e, errno, name);
        if (fstatat(w->folder_fd, last, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
            return failed(e, EEXIST, name);
    }
    struct folder_end end = {mode & 01777, mtime, w->names.len};
    buf_add(&w->ends, &end, sizeof end);
    buf_add(&w->names, clean, strlen(clean) + 1);
    return buf_ok(&w->ends) && buf_ok(&w->names) ? 0 : err_set(e, ERR_MEMORY, "unpack files", "no memory");
}

int tree_writer_file(struct tree_writer *w, const char *name, int *fd, struct err *e)
{
    char clean[PATH_MAX];
    const char *last;
    int rc = enter(w, clean, name, &last, e);
    if (rc != 0) return rc;
    *fd = openat(w->folder_fd, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return *fd >= 0 ? 0 : failed(e, errno, name);
}

int tree_writer_symlink(struct tree_writer *w, const char *name, const char *target, struct timespec mtime,
                        struct err *e)
{
    char clean[PATH_MAX];
    const char *last;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, mtime};
    int rc = enter(w, clean, name, &last, e);
    if (rc != 0) return rc;
    if (symlinkat(target, w->folder_fd, last) != 0) return failed(e, errno, name);
    utimensat(w->folder_fd, last, times, AT_SYMLINK_NOFOLLOW); /* not every file system keeps a link's time */
    return 0;
}

int tree_writer_link(struct tree_writer *w, const char *name, const char *first, struct err *e)
{
    char clean[PATH_MAX], from[PATH_MAX];
    const char *last;
    int first_fd, rc = clean_name(from, first, e);
    if (rc != 0) return refuse(e, name, "is a link that leads out of the folder");
    rc = enter(w, clean, name, &last, e);
    if (rc != 0) return rc;
    char *slash = strrchr(from, '/');
    if (slash != NULL) *slash = '\0';
    rc = open_folder(w, slash != NULL ? from : "", false, name, &first_fd, e);
    if (rc != 0) return rc;
    if (linkat(first_fd, slash != NULL ? slash + 1 : from, w->folder_fd, last, 0) != 0)
        rc = errno == ENOENT ? refuse(e, name, "is a link to what is not there") : failed(e, errno, name);
    close(first_fd);
    return rc;
}

/* The latest first, so that a folder comes after those in it: making its mode strict does not shut them out,
 * and nothing changes its time afterwards. */
int tree_writer_finish(struct tree_writer *w, struct err *e)
{
    int rc = 0;
    for (size_t at = w->ends.len; rc == 0 && at > 0;) {
        struct folder_end end;
        int fd;
        at -= sizeof end;
        memcpy(&end, w->ends.data + at, sizeof end);
        const char *name = w->names.data + end.name;
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, end.mtime};
        rc = open_folder(w, name, false, name, &fd, e);
        if (rc != 0) break;
        if (fchmod(fd, end.mode) != 0 || futimens(fd, times) != 0) rc = failed(e, errno, name);
        close(fd);
    }
    return rc;
}

void tree_writer_free(struct tree_writer *w)
{
    if (w == NULL) return;
    if (w->root_fd >= 0) close(w->root_fd);
    if (w->folder_fd >= 0) close(w->folder_fd);
    buf_release(&w->ends);
    buf_release(&w->names);
    mem_free(w);
}
