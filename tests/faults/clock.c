/* clock: a wall clock that jumps an hour back and forth, loaded into the engine by a test (LD_PRELOAD). Only
 * CLOCK_REALTIME jumps, as when somebody sets the machine's clock.
 *
 *   CLOCK_JUMPS=N         at every Nth reading it jumps, back and forth in turn
 *   CLOCK_BEGINS_LATE=1   it begins an hour late */
#include <dlfcn.h>
#include <stdatomic.h>
#include <time.h>

#define HOUR_S 3600

static atomic_long readings;

int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    const char *every = getenv("CLOCK_JUMPS");
    long n = every != NULL ? strtol(every, NULL, 10) : 0;
    int rc = real(id, now);
    if (rc != 0 || id != CLOCK_REALTIME || n <= 0) return rc;
    long jumps = atomic_fetch_add(&readings, 1) / n + (getenv("CLOCK_BEGINS_LATE") != NULL);
    if (jumps % 2 == 1) now->tv_sec -= HOUR_S;
    return rc;
}
