/* console: what a person at a terminal waits for, measured at the other end of a pseudo-terminal.
 *
 *   console start PROMPT COMMAND...       microseconds from the start of COMMAND until PROMPT is seen, and
 * how many of them its main thread was computing: on a busy machine the rest is waiting for a processor
 *   console echo PROMPT KEYS COMMAND...   microseconds from a key press until its echo, one line for each of
 * KEYS
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_MS = 20000, KEYS_A_LINE = 40, PAUSE_US = 25000 };

static long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

struct terminal {
    int fd;
    pid_t pid;
    char seen[1 << 16]; /* since it was last forgotten */
    size_t len;
};

static int start(struct terminal *t, char **argv)
{
    struct winsize size = {.ws_row = 40, .ws_col = 120};
    t->len = 0;
    t->pid = forkpty(&t->fd, NULL, NULL, &size);
    if (t->pid == 0) {
        setenv("TERM", "xterm", 1);
        execvp(argv[0], argv);
        _exit(127);
    }
    return t->pid > 0 ? 0 : -1;
}

/* Reads what comes. false: nothing for timeout_ms, or the end. */
static int read_more(struct terminal *t, int timeout_ms)
{
    struct pollfd fd = {.fd = t->fd, .events = POLLIN};
    if (poll(&fd, 1, timeout_ms) <= 0) return 0;
    if (t->len + 1 >= sizeof t->seen) t->len = 0;
    ssize_t n = read(t->fd, t->seen + t->len, sizeof t->seen - 1 - t->len);
    if (n <= 0) return 0;
    t->len += (size_t)n;
    t->seen[t->len] = '\0';
    return 1;
}

static int wait_for(struct terminal *t, const char *text)
{
    while (t->len == 0 || strstr(t->seen, text) == NULL)
        if (!read_more(t, LIMIT_MS)) return -1;
    return 0;
}

static long computed_us(pid_t pid)
{
    char path[64];
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    FILE *f = fopen(path, "r");
    if (f == NULL) return 0;
    if (fscanf(f, "%llu", &ns) != 1) ns = 0;
    fclose(f);
    return (long)(ns / 1000);
}

static void end(struct terminal *t)
{
    int status;
    if (write(t->fd, "\025\004", 2) < 0) kill(t->pid, SIGKILL); /* Ctrl-U, Ctrl-D */
    for (int i = 0; i < 200 && waitpid(t->pid, &status, WNOHANG) == 0; i++)
        read_more(t, 10);
    kill(t->pid, SIGKILL);
    waitpid(t->pid, &status, 0);
    close(t->fd);
}

static int measure_keys(struct terminal *t, int keys)
{
    for (int i = 0; i < keys; i++) {
        while (read_more(t, 0)) {
        }
        t->len = 0;
        long began = now_us();
        if (write(t->fd, i % KEYS_A_LINE == KEYS_A_LINE - 1 ? "\025" : "x", 1) != 1) return -1;
        if (i % KEYS_A_LINE == KEYS_A_LINE - 1) { /* the line is given up, and nothing is measured */
            usleep(PAUSE_US);
            continue;
        }
        if (wait_for(t, "x") != 0) return -1;
        printf("%ld\n", now_us() - began);
        usleep(PAUSE_US);
    }
    return 0;
}

int main(int argc, char **argv)
{
    int is_echo = argc > 4 && strcmp(argv[1], "echo") == 0;
    if (argc < 4 || (!is_echo && strcmp(argv[1], "start") != 0)) {
        fprintf(stderr, "usage: console start PROMPT COMMAND... | console echo PROMPT KEYS COMMAND...\n");
        return 2;
    }
    static struct terminal t;
    long began = now_us();
    if (start(&t, argv + (is_echo ? 4 : 3)) != 0 || wait_for(&t, argv[2]) != 0) {
        fprintf(stderr, "console: '%s' was never seen: %s\n", argv[2], t.seen);
        return 1;
    }
    long took = now_us() - began;
    if (!is_echo) printf("%ld %ld\n", took, computed_us(t.pid));
    int rc = is_echo ? measure_keys(&t, atoi(argv[3])) : 0;
    end(&t);
    if (rc != 0) fprintf(stderr, "console: a key was not echoed\n");
    return rc != 0;
}
