/* host: how busy this machine and some of its processes are, from /proc, statvfs and the cgroup.
 *
 * A reading is a plain value. A share of CPU time needs two readings: struct host_history, zeroed at first,
 * keeps the former ones. host_read blocks (a network file system may not answer): call it on a worker; it
 * touches no history. */
#ifndef ENGINE_CORE_HOST_H
#define ENGINE_CORE_HOST_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { HOST_MAX_PIDS = 32 };

struct host_process {
    int pid;
    bool alive;         /* false: there is no such process, or it is a zombie; the rest is 0 then */
    uint64_t cpu_ticks; /* user and system, since its start */
    uint64_t started;   /* in ticks since boot: tells a pid that was given again */
    uint64_t rss_bytes;
    double cpu_share; /* by host_history_add: of the whole machine, 0 to 1; -1: not known yet */
};

struct host_reading {
    uint64_t cpu_ticks, idle_ticks; /* of all processors since boot; idle includes waiting for disks */
    double cpu_share;               /* by host_history_add: 0 to 1; -1: not known yet */
    int processors;
    double load1; /* runnable and disk-waiting tasks, mean over a minute */
    uint64_t memory_bytes, available_bytes;
    uint64_t disk_bytes, disk_free_bytes; /* free for everybody but root; 0 and 0 without a path */
    double disk_used;                     /* 0 to 1, as df shows it */
    /* What the cgroup allows us and what it uses; 0: no limit or nobody can say. */
    uint64_t cgroup_memory_bytes, cgroup_used_bytes;
    double cgroup_processors;
    int process_count;
    struct host_process processes[HOST_MAX_PIDS];
};

/* Fills out; the caller has set process_count and each pid. disk_path may be NULL.
 * Returns 0, or -code when the machine's own figures or the disk cannot be read. */
int host_read(struct host_reading *out, const char *disk_path, struct err *e);

/* What was used at a moment, both in ticks of the machine's CPU time. */
struct host_point {
    uint64_t at_ticks, used_ticks;
};
struct host_track {
    int pid;
    uint64_t started;
    struct host_point older, newer; /* at_ticks 0: none */
};
struct host_history {
    struct host_track machine, processes[HOST_MAX_PIDS];
    int process_count;
};

/* Fills the shares of `reading` from the former ones, then remembers it. Shares are of at least 0.2 s, once
 * so much has passed, however often and by however many this is called. */
void host_history_add(struct host_history *history, struct host_reading *reading);

/* The texts of /proc/stat, /proc/meminfo, /proc/PID/stat. False when they are not what they should be. */
bool host_parse_stat(const char *text, struct host_reading *out);
bool host_parse_meminfo(const char *text, struct host_reading *out);
bool host_parse_process(const char *text, uint64_t page_bytes, struct host_process *out);

#endif
