#include "core/tree_walk.h"

#include "base/buf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { MAX_DEPTH = 400 }; /* each level holds a descriptor */

struct walk {
    tree_visit_fn visit;
    void *arg;
    struct err *e;
    dev_t device;
    int depth;
    struct buf name;
};

static int failed(struct walk *w, int error)
{
    return err_errno(w->e, error, "walk", "%s cannot be read", buf_str(&w->name));
}

/* 1: there it is; 0: it has gone; negative: an error. */
static int look(struct walk *w, int folder_fd, const struct dirent *entry, struct tree_item *item)
{
    unsigned char type = entry->d_type;
    *item = (struct tree_item){
        .name = buf_str(&w->name), .last = entry->d_name, .folder_fd = folder_fd, .fd = -1};
    if (type != DT_REG && type != DT_DIR) {
        if (fstatat(folder_fd, item->last, &item->st, AT_SYMLINK_NOFOLLOW) != 0)
            return errno == ENOENT ? 0 : failed(w, errno);
        if (!S_ISREG(item->st.st_mode) && !S_ISDIR(item->st.st_mode)) return 1;
    }
    item->fd = openat(folder_fd, item->last, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (item->fd < 0 && errno == ENOENT) return 0;
    if (item->fd < 0 || fstat(item->fd, &item->st) != 0) return failed(w, errno);
    if (S_ISREG(item->st.st_mode) || S_ISDIR(item->st.st_mode)) return 1;
    return failed(w, EAGAIN); /* another kind of thing was put in its place just now */
}

static int walk_folder(struct walk *w, int fd);

static int visit_one(struct walk *w, int folder_fd, const struct dirent *entry)
{
    struct tree_item item;
    int rc = look(w, folder_fd, entry, &item);
    if (rc == 1) {
        rc = w->visit(w->arg, &item, w->e);
        if (rc == 0 && S_ISDIR(item.st.st_mode) && item.st.st_dev == w->device) {
            rc = walk_folder(w, item.fd);
            item.fd = -1;
        }
    }
    if (item.fd >= 0) close(item.fd);
    return rc;
}

/* Closes fd in any case. */
static int walk_folder(struct walk *w, int fd)
{
    DIR *dir = w->depth < MAX_DEPTH ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        int error = w->depth < MAX_DEPTH ? errno : ENAMETOOLONG;
        close(fd);
        return failed(w, error);
    }
    size_t len = w->name.len;
    int rc = 0;
    w->depth++;
    while (rc == 0) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            if (errno != 0) rc = failed(w, errno);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (len > 0) buf_addch(&w->name, '/');
        buf_addstr(&w->name, entry->d_name);
        rc = buf_ok(&w->name) ? visit_one(w, dirfd(dir), entry)
                              : err_set(w->e, ERR_MEMORY, "walk", "no memory for a name");
        w->name.len = len;
    }
    w->depth--;
    closedir(dir);
    return rc;
}

int tree_walk(const char *root, tree_visit_fn visit, void *arg, struct err *e)
{
    struct walk w = {.visit = visit, .arg = arg, .e = e, .name = BUF_INIT};
    struct tree_item item = {.name = ".", .last = ".", .folder_fd = -1};
    item.fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (item.fd < 0) return err_errno(e, errno, "walk", "%s cannot be read as a folder", root);
    int rc = fstat(item.fd, &item.st) == 0 ? visit(arg, &item, e)
                                           : err_errno(e, errno, "walk", "%s cannot be read", root);
    w.device = item.st.st_dev;
    if (rc == 0)
        rc = walk_folder(&w, item.fd);
    else
        close(item.fd);
    buf_release(&w.name);
    return rc;
}
