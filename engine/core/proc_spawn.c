#include "core/proc_spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int proc_find_command(const char *name, char *out, size_t size, struct err *e)
{
    if (strchr(name, '/') != NULL) {
        if ((size_t)snprintf(out, size, "%s", name) >= size)
            return err_set(e, ERR_LIMIT, "process", "the path of the command is too long");
        return 0;
    }
    if (name[0] == '\0') return err_set(e, ERR_NOT_FOUND, "process", "the command's name is empty");
    const char *path = getenv("PATH");
    if (path == NULL || path[0] == '\0') path = "/usr/local/bin:/usr/bin:/bin";
    bool seen = false;
    for (const char *at = path; at != NULL; at = *at ? at + 1 : NULL) {
        size_t len = strcspn(at, ":");
        int n = snprintf(out, size, "%.*s/%s", (int)len, len ? at : ".", name);
        at += len;
        struct stat st;
        if (n < 0 || (size_t)n >= size || stat(out, &st) != 0 || !S_ISREG(st.st_mode)) continue;
        seen = true;
        if (access(out, X_OK) == 0) return 0;
    }
    if (seen)
        return err_set(e, ERR_PERMISSION, "process", "the command %s is in PATH but may not be executed",
                       name);
    return err_set(e, ERR_NOT_FOUND, "process", "the command %s was not found in PATH (%.300s)", name, path);
}

/* A library may have opened a descriptor without O_CLOEXEC, and so may whoever started us: mark
 * them all, so that no child holds our database or a listening port. */
static void keep_descriptors_home(void)
{
    if (close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0) return;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (fd > 2) fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    closedir(dir);
}

static int explain(int rc, const char *argv0, struct err *e)
{
    enum err_code code = rc == UV_ENOENT                     ? ERR_NOT_FOUND
                         : rc == UV_EACCES || rc == UV_EPERM ? ERR_PERMISSION
                         : rc == UV_ENOMEM                   ? ERR_MEMORY
                                                             : ERR_PROCESS;
    return err_set(e, code, "process", "%s could not be started: %s", argv0, uv_strerror(rc));
}

int proc_check_start(const char *const *argv, const char *cwd, char *file, size_t size, struct err *e)
{
    int rc = proc_find_command(argv[0], file, size, e);
    struct stat st;
    if (rc == 0 && cwd != NULL && (stat(cwd, &st) != 0 || !S_ISDIR(st.st_mode)))
        rc = err_set(e, ERR_NOT_FOUND, "process",
                     "%s could not be started: its working folder %s does not exist", argv[0], cwd);
    return rc;
}

int proc_spawn(uv_loop_t *uv, uv_process_t *handle, const char *file, const char *const *argv,
               const char *cwd, char **env, const int child_fd[3], uv_exit_cb on_exit, struct err *e)
{
    uv_stdio_container_t stdio[3];
    for (int i = 0; i < 3; i++) {
        stdio[i].flags = child_fd[i] >= 0 ? UV_INHERIT_FD : UV_IGNORE;
        stdio[i].data.fd = child_fd[i];
    }
    uv_process_options_t options = {
        .exit_cb = on_exit,
        .file = file,
        .args = (char **)(uintptr_t)argv,
        .env = env,
        .cwd = cwd,
        .flags = UV_PROCESS_DETACHED, /* setsid: signals go to the group, and Ctrl-C only to us */
        .stdio_count = 3,
        .stdio = stdio,
    };
    keep_descriptors_home();
    int rc = uv_spawn(uv, handle, &options);
    return rc == 0 ? 0 : explain(rc, argv[0], e);
}

int proc_open_log(const char *path, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) return err_errno(e, errno, "process", "the output file %s cannot be opened", path);
    return fd;
}

bool proc_read_stat(int pid, struct proc_stat *out)
{
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return false;
    text[n] = '\0';
    /* The name, field 2, may contain spaces and parentheses: everything else follows its last ')'. */
    const char *at = strrchr(text, ')');
    return at != NULL &&
           sscanf(at + 1, " %c %*d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                  &out->state, &out->group, &out->started_ticks) == 3;
}

static bool is_running(const struct proc_stat *st)
{
    return st->state != 'Z' && st->state != 'X';
}

bool proc_group_is_alive(int pid)
{
    if (kill(-pid, 0) != 0 && errno == ESRCH) return false;
    struct proc_stat st;
    if (proc_read_stat(pid, &st) && is_running(&st)) return true;
    /* The group exists, but perhaps only through members that have ended and that nobody has reaped. */
    DIR *dir = opendir("/proc");
    bool found = false;
    for (struct dirent *entry; dir != NULL && !found && (entry = readdir(dir)) != NULL;) {
        int other = atoi(entry->d_name);
        found = other > 0 && proc_read_stat(other, &st) && st.group == pid && is_running(&st);
    }
    if (dir != NULL) closedir(dir);
    return found;
}
