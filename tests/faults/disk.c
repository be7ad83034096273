/* disk: a disk that loses what was not synced, as a SQLite VFS that a test loads into the engine
 * (LD_PRELOAD). Only the files of a journal ("journal.db" in their path) are on it. What is written there
 * stays in memory, shared by the process's connections, until it is synced; a process that is killed loses
 * the rest. The WAL's index in shared memory is left as it is: SQLite makes it anew.
 *
 *   DISK_TORN=SEED     of some unsynced writes one half reaches the disk all the same; which ones and which
 * half comes from the seed DISK_KILL_AT=N     the process kills itself before the Nth write, truncation, sync
 * or removal DISK_COUNT=FILE    how many of those there were is written to FILE when the process ends */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#define TRUNCATION (-1)

struct change {
    struct change *next;
    sqlite3_int64 at;
    int len; /* or TRUNCATION, to the size `at` */
    unsigned char bytes[];
};

/* What one path has that is not synced. It lives as long as the process. */
struct image {
    struct image *next;
    char *path;
    int handles;
    struct change *first, **last;
};

struct file {
    sqlite3_file base; /* first */
    struct image *image;
    sqlite3_file real[]; /* as large as the real VFS wants it */
};

static struct {
    pthread_mutex_t lock;
    sqlite3_vfs vfs, *real;
    struct image *images;
    long operations, kill_at;
    uint32_t seed; /* 0: nothing is torn */
    const char *count, *refuses;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *must(void *memory)
{
    if (memory == NULL) abort();
    return memory;
}

static void operation(void)
{
    disk.operations++;
    if (disk.operations == disk.kill_at) raise(SIGKILL);
}

static bool is_refused(void)
{
    return disk.refuses != NULL && access(disk.refuses, F_OK) == 0;
}

static uint32_t chance(void)
{
    uint32_t x = disk.seed * 2654435761U + (uint32_t)disk.operations * 40503U;
    x ^= x >> 15;
    x *= 2246822519U;
    return x ^ (x >> 13);
}

/* --- what is not synced --------------------------------------------------------------------- */

static struct image *image_of(const char *path)
{
    for (struct image *image = disk.images; image != NULL; image = image->next)
        if (strcmp(image->path, path) == 0) return image;
    struct image *image = must(calloc(1, sizeof *image));
    image->path = must(strdup(path));
    image->last = &image->first;
    image->next = disk.images;
    disk.images = image;
    return image;
}

static void remember(struct image *image, const void *bytes, int len, sqlite3_int64 at)
{
    struct change *change = must(malloc(sizeof *change + (len > 0 ? (size_t)len : 0)));
    *change = (struct change){.at = at, .len = len};
    if (len > 0) memcpy(change->bytes, bytes, (size_t)len);
    *image->last = change;
    image->last = &change->next;
}

static void forget(struct image *image)
{
    while (image->first != NULL) {
        struct change *change = image->first;
        image->first = change->next;
        free(change);
    }
    image->last = &image->first;
}

static int write_out(struct image *image, sqlite3_file *real)
{
    int rc = SQLITE_OK;
    for (struct change *change = image->first; change != NULL && rc == SQLITE_OK; change = change->next)
        rc = change->len == TRUNCATION ? real->pMethods->xTruncate(real, change->at)
                                       : real->pMethods->xWrite(real, change->bytes, change->len, change->at);
    if (rc == SQLITE_OK) forget(image);
    return rc;
}

/* buf holds what the disk has at [at, at + len); afterwards what the file has. */
static void lay_over(const struct change *change, unsigned char *buf, int len, sqlite3_int64 at)
{
    sqlite3_int64 end = at + len;
    sqlite3_int64 from = change->at > at ? change->at : at;
    if (change->len == TRUNCATION) {
        if (from < end) memset(buf + (from - at), 0, (size_t)(end - from));
        return;
    }
    sqlite3_int64 to = change->at + change->len < end ? change->at + change->len : end;
    if (from < to) memcpy(buf + (from - at), change->bytes + (from - change->at), (size_t)(to - from));
}

static int size_of(struct file *f, sqlite3_int64 *size)
{
    int rc = f->real->pMethods->xFileSize(f->real, size);
    for (const struct change *change = f->image->first; change != NULL; change = change->next) {
        sqlite3_int64 end = change->len == TRUNCATION ? change->at : change->at + change->len;
        if (change->len == TRUNCATION || end > *size) *size = end;
    }
    return rc;
}

/* --- a file's methods ----------------------------------------------------------------------- */

static int on_close(sqlite3_file *base)
{
    struct file *f = (struct file *)base;
    pthread_mutex_lock(&disk.lock);
    /* Nobody in this process can sync it any more; it is in the system's cache, and the process may live on.
     */
    int rc = --f->image->handles == 0 ? write_out(f->image, f->real) : SQLITE_OK;
    pthread_mutex_unlock(&disk.lock);
    int closed = f->real->pMethods->xClose(f->real);
    return rc != SQLITE_OK ? rc : closed;
}

static int on_read(sqlite3_file *base, void *buf, int len, sqlite3_int64 at)
{
    struct file *f = (struct file *)base;
    sqlite3_int64 size = 0;
    pthread_mutex_lock(&disk.lock);
    int rc = f->real->pMethods->xRead(f->real, buf, len, at);
    if (rc == SQLITE_IOERR_SHORT_READ) rc = SQLITE_OK; /* the rest of buf is zero then */
    if (rc == SQLITE_OK) rc = size_of(f, &size);
    for (struct change *change = f->image->first; change != NULL; change = change->next)
        lay_over(change, buf, len, at);
    pthread_mutex_unlock(&disk.lock);
    if (rc != SQLITE_OK) return rc;
    return at + len > size ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

static int on_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 at)
{
    struct file *f = (struct file *)base;
    int rc = SQLITE_OK;
    if (is_refused()) return SQLITE_IOERR_WRITE;
    pthread_mutex_lock(&disk.lock);
    operation();
    remember(f->image, bytes, len, at);
    uint32_t die = disk.seed != 0 ? chance() : 0;
    int half = len / 2;
    if (die & 1)
        rc = die & 2 ? f->real->pMethods->xWrite(f->real, bytes, half, at)
                     : f->real->pMethods->xWrite(f->real, (const char *)bytes + half, len - half, at + half);
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    if (is_refused()) return SQLITE_IOERR_TRUNCATE;
    pthread_mutex_lock(&disk.lock);
    operation();
    remember(((struct file *)base)->image, NULL, TRUNCATION, size);
    pthread_mutex_unlock(&disk.lock);
    return SQLITE_OK;
}

static int on_sync(sqlite3_file *base, int flags)
{
    struct file *f = (struct file *)base;
    if (is_refused()) return SQLITE_IOERR_FSYNC;
    pthread_mutex_lock(&disk.lock);
    operation();
    int rc = write_out(f->image, f->real);
    pthread_mutex_unlock(&disk.lock);
    return rc != SQLITE_OK ? rc : f->real->pMethods->xSync(f->real, flags);
}

static int on_size(sqlite3_file *base, sqlite3_int64 *size)
{
    pthread_mutex_lock(&disk.lock);
    int rc = size_of((struct file *)base, size);
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

static int on_control(sqlite3_file *base, int op, void *arg)
{
    struct file *f = (struct file *)base;
    if (op == SQLITE_FCNTL_SIZE_HINT) return SQLITE_OK; /* it would grow the real file */
    return f->real->pMethods->xFileControl(f->real, op, arg);
}

#define REAL(base) ((struct file *)(base))->real

static int on_lock(sqlite3_file *f, int level)
{
    return REAL(f)->pMethods->xLock(REAL(f), level);
}

static int on_unlock(sqlite3_file *f, int level)
{
    return REAL(f)->pMethods->xUnlock(REAL(f), level);
}

static int on_check_lock(sqlite3_file *f, int *is_held)
{
    return REAL(f)->pMethods->xCheckReservedLock(REAL(f), is_held);
}

static int on_sector_size(sqlite3_file *f)
{
    return REAL(f)->pMethods->xSectorSize(REAL(f));
}

static int on_characteristics(sqlite3_file *f)
{
    return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

static int on_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **at)
{
    return REAL(f)->pMethods->xShmMap(REAL(f), region, size, extend, at);
}

static int on_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags);
}

static void on_shm_barrier(sqlite3_file *f)
{
    REAL(f)->pMethods->xShmBarrier(REAL(f));
}

static int on_shm_unmap(sqlite3_file *f, int remove)
{
    return REAL(f)->pMethods->xShmUnmap(REAL(f), remove);
}

/* Version 2: without memory-mapped reads, which would not see what is in memory here. */
static const sqlite3_io_methods METHODS = {
    .iVersion = 2,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_check_lock,
    .xFileControl = on_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

/* --- the VFS -------------------------------------------------------------------------------- */

static bool is_journal(const char *path)
{
    return path != NULL && strstr(path, "journal.db") != NULL;
}

static int on_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *flags_out)
{
    (void)vfs;
    if (!is_journal(path)) return disk.real->xOpen(disk.real, path, base, flags, flags_out);
    struct file *f = (struct file *)base;
    f->base.pMethods = NULL;
    int rc = disk.real->xOpen(disk.real, path, f->real, flags, flags_out);
    if (rc != SQLITE_OK) {
        if (f->real->pMethods != NULL) f->real->pMethods->xClose(f->real);
        return rc;
    }
    pthread_mutex_lock(&disk.lock);
    f->image = image_of(path);
    f->image->handles++;
    pthread_mutex_unlock(&disk.lock);
    f->base.pMethods = &METHODS;
    return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *vfs, const char *path, int sync_folder)
{
    (void)vfs;
    if (is_journal(path)) {
        pthread_mutex_lock(&disk.lock);
        operation();
        forget(image_of(path));
        pthread_mutex_unlock(&disk.lock);
    }
    return disk.real->xDelete(disk.real, path, sync_folder);
}

static long number(const char *name)
{
    const char *text = getenv(name);
    return text != NULL ? strtol(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void load(void)
{
    unsetenv("LD_PRELOAD"); /* for this process only, not for those that it starts */
    disk.kill_at = number("DISK_KILL_AT");
    disk.seed = (uint32_t)number("DISK_TORN");
    disk.count = getenv("DISK_COUNT");
    disk.refuses = getenv("DISK_REFUSES");
    disk.real = sqlite3_vfs_find("unix");
    if (disk.real == NULL) abort();
    disk.vfs = *disk.real;
    disk.vfs.zName = "losing";
    disk.vfs.szOsFile = (int)sizeof(struct file) + disk.real->szOsFile;
    disk.vfs.xOpen = on_open;
    disk.vfs.xDelete = on_delete;
    if (sqlite3_vfs_register(&disk.vfs, 1) != SQLITE_OK) abort();
}

__attribute__((destructor)) static void unload(void)
{
    if (disk.count == NULL) return;
    FILE *out = fopen(disk.count, "w");
    if (out == NULL) abort();
    fprintf(out, "%ld\n", disk.operations);
    fclose(out);
}
