/* A terminal that is drawn on, played by a pseudo terminal: a child has it as its standard input and output.
 */
#include "core/terminal_live.h"
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int master, slave;

static bool open_terminal(void)
{
    master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return false;
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    return slave >= 0;
}

static bool is_raw(void)
{
    struct termios now;
    return tcgetattr(slave, &now) == 0 && (now.c_lflag & (ICANON | ECHO | ISIG)) == 0;
}

/* Runs fn in a child on the terminal; its result is the exit code. */
static pid_t on_terminal(int (*fn)(void))
{
    fflush(stdout);
    pid_t child = fork();
    if (child != 0) return child;
    dup2(slave, STDIN_FILENO);
    dup2(slave, STDOUT_FILENO);
    exit(fn());
}

/* What the child has written, until the mark; everything typed before is there by then. */
static bool until_written(const char *mark)
{
    char seen[512];
    size_t len = 0;
    while (len < sizeof seen - 1) {
        ssize_t n = read(master, seen + len, sizeof seen - 1 - len);
        if (n <= 0) return false;
        len += (size_t)n;
        seen[len] = '\0';
        if (strstr(seen, mark) != NULL) return true;
    }
    return false;
}

static int status_of(pid_t child)
{
    int status;
    return waitpid(child, &status, 0) == child ? status : -1;
}

static bool say(const char *text)
{
    struct err e;
    return terminal_write(STDOUT_FILENO, text, strlen(text), &e) == 0;
}

static void on_done(struct op *op, void *arg)
{
    (void)op;
    *(bool *)arg = true;
}

static bool is_done(void *arg)
{
    return *(bool *)arg;
}

static int read_two_keys(void)
{
    struct clock clock;
    struct loop *loop;
    struct err e;
    char all[16] = "";
    clock_init_real(&clock);
    if (loop_init(&loop, &clock, &e) != 0 || terminal_raw_begin(&e) != 0 || !say("ready")) return 1;
    size_t len = 0;
    while (len < 2) {
        struct terminal_keys keys = {0};
        bool done = false;
        if (terminal_read_keys(&keys, loop, 10 * 1000000LL, on_done, &done, &e) != 0) return 2;
        if (loop_run_until(loop, is_done, &done, &e) != 0 || keys.op.status != 0) return 3;
        if (keys.len >= sizeof all - len) return 3;
        memcpy(all + len, keys.text, keys.len);
        len += keys.len;
    }
    struct terminal_keys late = {0};
    bool done = false;
    terminal_read_keys(&late, loop, 1000, on_done, &done, &e);
    if (loop_run_until(loop, is_done, &done, &e) != 0 || late.op.status != -ERR_TIMEOUT) return 4;
    loop_free(loop);
    terminal_raw_end();
    return strcmp(all, "d\3") == 0 && (fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK) == 0 ? 0 : 5;
}

TEST(keys_come_one_by_one_also_ctrl_c)
{
    REQUIRE(open_terminal());
    pid_t child = on_terminal(read_two_keys);
    REQUIRE(until_written("ready"));
    CHECK(is_raw());
    CHECK(write(master, "d\3", 2) == 2);
    CHECK_INT(status_of(child), 0);
    CHECK(!is_raw());
    close(slave);
    close(master);
}

static int only_exit(void)
{
    struct err e;
    return terminal_raw_begin(&e) != 0 || !say("ready");
}

static int be_killed(void)
{
    struct err e;
    if (terminal_raw_begin(&e) != 0 || !say("ready")) return 1;
    for (;;)
        pause();
}

TEST(the_terminal_is_given_back_at_exit)
{
    REQUIRE(open_terminal());
    pid_t child = on_terminal(only_exit);
    REQUIRE(until_written("\033[?25h"));
    CHECK_INT(status_of(child), 0);
    CHECK(!is_raw());
    close(slave);
    close(master);
}

TEST(the_terminal_is_given_back_by_a_signal_that_kills)
{
    static const int signums[] = {SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof signums / sizeof *signums; i++) {
        REQUIRE(open_terminal());
        pid_t child = on_terminal(be_killed);
        REQUIRE(until_written("ready"));
        CHECK(is_raw());
        kill(child, signums[i]);
        int status = status_of(child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signums[i]);
        CHECK(!is_raw());
        close(slave);
        close(master);
    }
}

TEST(a_size_and_no_terminal)
{
    REQUIRE(open_terminal());
    struct winsize size = {.ws_col = 120, .ws_row = 40};
    int columns, rows, pipes[2];
    REQUIRE(ioctl(master, TIOCSWINSZ, &size) == 0 && pipe(pipes) == 0);
    CHECK(terminal_size(slave, &columns, &rows));
    CHECK_INT(columns, 120);
    CHECK_INT(rows, 40);
    CHECK(!terminal_size(pipes[0], &columns, &rows));
    struct err e;
    CHECK_INT(terminal_write(pipes[0], "x", 1, &e), -ERR_CLOSED);
    close(pipes[0]);
    close(pipes[1]);
    close(slave);
    close(master);
}

TEST_MAIN()
