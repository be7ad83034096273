#include "core/boundary.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    bool is_read;
    const char *list; /* NULL: no list is wanted */
    long kill_at;     /* 0: nobody is killed */
    long passed;
} asked;

static void read_wishes(void)
{
    const char *kill_at = getenv("ENGINE_KILL_AT");
    asked.list = getenv("ENGINE_BOUNDARIES");
    asked.kill_at = kill_at != NULL ? strtol(kill_at, NULL, 10) : 0;
    asked.is_read = true;
}

static void write_down(long number, const char *name)
{
    char line[256];
    int n = snprintf(line, sizeof line, "%ld %s\n", number, name);
    if (n >= (int)sizeof line) n = (int)sizeof line - 1;
    int fd = open(asked.list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return;
    /* A list that is short of a line shows in the count of the test that reads it. */
    ssize_t written = write(fd, line, (size_t)n);
    (void)written;
    close(fd);
}

void boundary_pass(const char *name)
{
    if (!asked.is_read) read_wishes();
    if (asked.list == NULL && asked.kill_at == 0) return;
    asked.passed++;
    if (asked.list != NULL) write_down(asked.passed, name);
    if (asked.passed == asked.kill_at) raise(SIGKILL);
}
