#include "core/host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* A whole small file of /proc or /sys as text. Returns 0 or an errno. */
static int read_text(const char *path, char *out, size_t size_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), errnum = 0;
    size_t len = 0;
    if (fd < 0) return errno;
    while (len < size_bytes - 1) {
        ssize_t n = read(fd, out + len, size_bytes - 1 - len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) errnum = errno;
        if (n <= 0) break;
        len += (size_t)n;
    }
    close(fd);
    out[len] = '\0';
    return errnum;
}

bool host_parse_stat(const char *text, struct host_reading *out)
{
    uint64_t v[8] = {0}; /* user nice kernel idle iowait irq softirq steal; guest is inside user already */
    int n = sscanf(text,
                   "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                   " %" SCNu64,
                   &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]);
    if (n < 4) return false;
    out->cpu_ticks = 0;
    for (int i = 0; i < 8; i++)
        out->cpu_ticks += v[i];
    out->idle_ticks = v[3] + v[4];
    out->processors = 0;
    for (const char *p = strstr(text, "\ncpu"); p != NULL; p = strstr(p + 1, "\ncpu"))
        out->processors++;
    return out->cpu_ticks > 0;
}

static bool field_kib(const char *text, const char *name, uint64_t *out_bytes)
{
    const char *at = strstr(text, name);
    uint64_t kib;
    if (at == NULL || sscanf(at + strlen(name), " %" SCNu64, &kib) != 1) return false;
    *out_bytes = kib * 1024;
    return true;
}

bool host_parse_meminfo(const char *text, struct host_reading *out)
{
    return field_kib(text, "MemTotal:", &out->memory_bytes) &&
           field_kib(text, "MemAvailable:", &out->available_bytes) && out->memory_bytes > 0 &&
           out->available_bytes <= out->memory_bytes;
}

bool host_parse_process(const char *text, uint64_t page_bytes, struct host_process *out)
{
    /* The name stands in parentheses and may hold spaces and parentheses of its own. */
    const char *at = strrchr(text, ')');
    char state;
    uint64_t user, kernel, started, pages;
    if (at == NULL) return false;
    int n = sscanf(at + 1,
                   " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64
                   " %*s %*s %*s %*s %*s %*s %" SCNu64 " %*s %" SCNu64,
                   &state, &user, &kernel, &started, &pages);
    if (n != 5) return false;
    out->alive = state != 'Z' && state != 'X';
    out->cpu_ticks = out->alive ? user + kernel : 0;
    out->started = out->alive ? started : 0;
    out->rss_bytes = out->alive ? pages * page_bytes : 0;
    return true;
}

static void read_process(struct host_process *p)
{
    char path[64], text[1024];
    int pid = p->pid;
    *p = (struct host_process){.pid = pid};
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (read_text(path, text, sizeof text) == 0) host_parse_process(text, (uint64_t)sysconf(_SC_PAGESIZE), p);
}

/* Version 2 only. Inside a container the group's own files are at the root. */
static void read_cgroup(struct host_reading *out)
{
    char line[512], path[640], text[128];
    uint64_t period;
    if (read_text("/proc/self/cgroup", line, sizeof line) != 0) return;
    const char *group = strstr(line, "0::/");
    if (group == NULL) return;
    group += 3;
    int len = (int)strcspn(group, "\n");
    snprintf(path, sizeof path, "/sys/fs/cgroup%.*s/memory.max", len, group);
    if (read_text(path, text, sizeof text) == 0 && sscanf(text, "%" SCNu64, &out->cgroup_memory_bytes) == 1) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%.*s/memory.current", len, group);
        if (read_text(path, text, sizeof text) == 0) sscanf(text, "%" SCNu64, &out->cgroup_used_bytes);
    }
    uint64_t quota;
    snprintf(path, sizeof path, "/sys/fs/cgroup%.*s/cpu.max", len, group);
    if (read_text(path, text, sizeof text) == 0 &&
        sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) == 2 && period > 0)
        out->cgroup_processors = (double)quota / (double)period;
}

static int read_disk(struct host_reading *out, const char *path, struct err *e)
{
    struct statvfs fs;
    if (statvfs(path, &fs) != 0)
        return err_errno(e, errno, "host disk", "the file kernel of %s cannot be asked", path);
    uint64_t used = (fs.f_blocks - fs.f_bfree) * fs.f_frsize;
    out->disk_bytes = fs.f_blocks * fs.f_frsize;
    out->disk_free_bytes = fs.f_bavail * fs.f_frsize;
    if (used + out->disk_free_bytes > 0)
        out->disk_used = (double)used / (double)(used + out->disk_free_bytes);
    return 0;
}

int host_read(struct host_reading *out, const char *disk_path, struct err *e)
{
    char text[64 << 10]; /* /proc/stat: a line for each processor comes before the long one of interrupts */
    int errnum = read_text("/proc/stat", text, sizeof text);
    if (errnum != 0) return err_errno(e, errnum, "host", "/proc/stat cannot be read");
    if (!host_parse_stat(text, out))
        return err_set(e, ERR_PROTOCOL, "host", "/proc/stat has no line of the CPU");
    errnum = read_text("/proc/meminfo", text, sizeof text);
    if (errnum != 0) return err_errno(e, errnum, "host", "/proc/meminfo cannot be read");
    if (!host_parse_meminfo(text, out))
        return err_set(e, ERR_PROTOCOL, "host", "/proc/meminfo does not say how much memory there is");
    if (read_text("/proc/loadavg", text, sizeof text) != 0 || sscanf(text, "%lf", &out->load1) != 1)
        out->load1 = 0;
    for (int i = 0; i < out->process_count; i++)
        read_process(&out->processes[i]);
    read_cgroup(out);
    return disk_path != NULL ? read_disk(out, disk_path, e) : 0;
}

static double share(const struct host_point *from, const struct host_point *to)
{
    if (from->at_ticks == 0 || to->at_ticks <= from->at_ticks) return -1;
    /* The kernel's counters of idle time may run ahead by a tick. */
    uint64_t used = to->used_ticks > from->used_ticks ? to->used_ticks - from->used_ticks : 0;
    double part = (double)used / (double)(to->at_ticks - from->at_ticks);
    return part < 1 ? part : 1;
}

static double track(struct host_track *t, struct host_point now, uint64_t least_ticks)
{
    bool is_old_enough = t->newer.at_ticks != 0 && now.at_ticks >= t->newer.at_ticks + least_ticks;
    bool use_newer = is_old_enough || t->older.at_ticks == 0;
    double part = share(use_newer ? &t->newer : &t->older, &now);
    if (is_old_enough) t->older = t->newer;
    if (is_old_enough || t->newer.at_ticks == 0) t->newer = now;
    return part;
}

/* The track of a process; a new one takes the place of the one that was not asked for longest. */
static struct host_track *track_of(struct host_history *h, const struct host_process *p)
{
    struct host_track *t = NULL;
    for (int i = 0; i < h->process_count; i++) {
        struct host_track *candidate = &h->processes[i];
        if (candidate->pid == p->pid && candidate->started == p->started) return candidate;
        if (t == NULL || candidate->newer.at_ticks < t->newer.at_ticks) t = candidate;
    }
    if (h->process_count < HOST_MAX_PIDS) t = &h->processes[h->process_count++];
    *t = (struct host_track){.pid = p->pid, .started = p->started};
    return t;
}

void host_history_add(struct host_history *history, struct host_reading *reading)
{
    uint64_t busy = reading->cpu_ticks - reading->idle_ticks;
    uint64_t least_ticks = (uint64_t)(sysconf(_SC_CLK_TCK) / 5) * (uint64_t)reading->processors;
    reading->cpu_share = track(&history->machine, (struct host_point){reading->cpu_ticks, busy}, least_ticks);
    for (int i = 0; i < reading->process_count; i++) {
        struct host_process *p = &reading->processes[i];
        struct host_point now = {reading->cpu_ticks, p->cpu_ticks};
        p->cpu_share = p->alive ? track(track_of(history, p), now, least_ticks) : -1;
    }
}
