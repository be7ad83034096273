/* proc_spawn: finding a command and starting it with nothing inherited but its three streams.
 * Shared by proc (run and wait) and proc_detached (start and leave). Internal to core. */
#ifndef ENGINE_CORE_PROC_SPAWN_H
#define ENGINE_CORE_PROC_SPAWN_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/* Where argv[0] is: itself if it has a slash, otherwise the first match in our own PATH. Returns 0
 * or -ERR_NOT_FOUND, -ERR_PERMISSION. */
int proc_find_command(const char *name, char *out, size_t size, struct err *e);

/* What can be told before anything is made: is the command there, and the folder? Fills file. */
int proc_check_start(const char *const *argv, const char *cwd, char *file, size_t size, struct err *e);

/* Starts file with argv as the leader of a session (and group) of its own, with child_fd as its 0, 1 and 2
 * (-1: /dev/null). On failure too, the handle must be closed with uv_close. */
int proc_spawn(uv_loop_t *uv, uv_process_t *handle, const char *file, const char *const *argv,
               const char *cwd, char **env, const int child_fd[3], uv_exit_cb on_exit, struct err *e);

/* Opens path to append a process's output to, mode 0600. Returns a descriptor or a negative code. */
int proc_open_log(const char *path, struct err *e);

/* Has the group of this leader, which may have ended itself, a member that still runs? */
bool proc_group_is_alive(int pid);

/* Field 3 (state) and 22 (start time, in ticks since boot) of /proc/PID/stat, and the group. False
 * if there is no such process. */
struct proc_stat {
    char state;
    int group;
    unsigned long long started_ticks;
};
bool proc_read_stat(int pid, struct proc_stat *out);

#endif
