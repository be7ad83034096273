#include "core/secret.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

void secret_wipe(struct buf *b)
{
    if (b->data != NULL) explicit_bzero(b->data, b->cap);
    buf_release(b);
}

bool secret_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
    if (a_len != b_len) return false;
    volatile unsigned char difference = 0;
    for (size_t i = 0; i < a_len; i++)
        difference |= (unsigned char)(a[i] ^ b[i]);
    return difference == 0;
}

static int read_environment(const char *reference, const char *name, struct buf *out, struct err *e)
{
    const char *value = getenv(name);
    if (value == NULL || value[0] == '\0')
        return err_set(e, ERR_SECRET, "resolve secret",
                       "%s: the environment variable %s is %s: export %s and run again", reference, name,
                       value ? "empty" : "not set", name);
    buf_addstr(out, value);
    return 0;
}

/* Where a container engine or the service manager puts secrets, with modes of its own. */
static bool is_managed(const char *path)
{
    char real[PATH_MAX];
    if (realpath(path, real) == NULL) return false;
    return strncmp(real, "/run/secrets/", 13) == 0 || strncmp(real, "/run/credentials/", 17) == 0;
}

static int check_file(const char *reference, const char *path, int fd, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return err_errno(e, errno, "resolve secret", "%s cannot be examined", reference);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_SECRET, "resolve secret",
                       "%s is not a regular file: name the file that holds the secret", reference);
    if ((st.st_mode & 077) != 0 && !is_managed(path))
        return err_set(
            e, ERR_SECRET, "resolve secret",
            "%s can be read by others (mode %03o): run chmod 600 %s, and change the secret if others may "
            "have read it",
            reference, (unsigned)(st.st_mode & 0777), path);
    if (st.st_size > SECRET_MAX_BYTES)
        return err_set(e, ERR_SECRET, "resolve secret", "%s is larger than 64 KiB: that is no secret",
                       reference);
    return 0;
}

static int read_file(const char *reference, const char *path, struct buf *out, struct err *e)
{
    if (path[0] != '/')
        return err_set(e, ERR_SECRET, "resolve secret", "%s is not an absolute path: write file:/path",
                       reference);
    /* O_NONBLOCK: a fifo in its place must not hold the engine. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(e, ERR_SECRET, "resolve secret",
                       "%s cannot be opened (%s): put the secret into that file, mode 600", reference,
                       strerror(errno));
    int rc = check_file(reference, path, fd, e);
    while (rc == 0 && buf_reserve(out, 4096)) {
        ssize_t n = read(fd, out->data + out->len, 4096);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            rc =
                err_set(e, ERR_SECRET, "resolve secret", "%s cannot be read: %s", reference, strerror(errno));
        if (n <= 0) break;
        out->len += (size_t)n;
        out->data[out->len] = '\0';
        if (out->len > SECRET_MAX_BYTES)
            rc = err_set(e, ERR_SECRET, "resolve secret", "%s is larger than 64 KiB: that is no secret",
                         reference);
    }
    close(fd);
    if (rc != 0) return rc;
    if (out->len > 0 && out->data[out->len - 1] == '\n') out->data[--out->len] = '\0';
    if (out->len > 0 && out->data[out->len - 1] == '\r') out->data[--out->len] = '\0';
    if (out->len == 0)
        return err_set(e, ERR_SECRET, "resolve secret", "%s is empty: put the secret into that file",
                       reference);
    return 0;
}

int secret_read(const char *reference, struct buf *out, struct err *e)
{
    int rc;
    if (strncmp(reference, "env:", 4) == 0 && reference[4] != '\0')
        rc = read_environment(reference, reference + 4, out, e);
    else if (strncmp(reference, "file:", 5) == 0)
        rc = read_file(reference, reference + 5, out, e);
    else
        return err_set(
            e, ERR_SECRET, "resolve secret",
            "'%s' is not a reference to a secret: write env:NAME, file:/path, vault:PATH#KEY or command:ARGV",
            reference);
    if (rc == 0 && !buf_ok(out)) rc = err_set(e, ERR_MEMORY, "resolve secret", "no memory for %s", reference);
    return rc;
}
