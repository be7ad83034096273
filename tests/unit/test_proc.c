/* Commands: their output within limits, their end, and what they must not inherit. */
#include "base/buf.h"
#include "base/mem.h"
#include "core/proc.h"
#include "core/proc_detached.h"
#include "core/proc_env.h"
#include "core/proc_spawn.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct clock clock_real;
static struct loop *loop;

static bool is_set(void *arg)
{
    return *(int *)arg != 0;
}

static void set(struct op *op, void *arg)
{
    (void)op;
    *(int *)arg = 1;
}

static void pause_a_little(void)
{
    struct op op = {0};
    int slept = 0;
    op_sleep(&op, loop, 1000, set, &slept);
    if (loop_run_until(loop, is_set, &slept, NULL) != 0) abort();
}

static void open_loop(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the host does: a command need not read its input */
    clock_init_real(&clock_real);
    if (loop_init(&loop, &clock_real, NULL) != 0) abort();
}

static struct proc_options shell(const char *const *argv)
{
    return (struct proc_options){
        .argv = argv, .keep_bytes = 1 << 20, .timeout_us = 50000000, .grace_us = 5000000};
}

/* Runs to the end. NULL if it could not be started. */
static struct proc *run(const struct proc_options *options, struct err *e)
{
    struct proc *p;
    int done = 0;
    if (proc_start(&p, loop, options, set, &done, e) != 0) return NULL;
    if (loop_run_until(loop, is_set, &done, e) != 0) abort();
    return p;
}

#define SH(text) ((const char *const[]){"sh", "-c", text, NULL})

TEST(output_input_and_exit_code)
{
    struct err e;
    struct buf out = BUF_INIT;
    open_loop();
    struct proc_options options = shell(SH("cat; echo oops >&2; exit 7"));
    options.input = "hello";
    options.input_len = 5;
    struct proc *p = run(&options, &e);
    REQUIRE(p != NULL);
    CHECK_INT(proc_op(p)->status, 0);
    CHECK_INT(proc_exit_code(p), 7);
    CHECK_INT(proc_exit_signal(p), 0);
    CHECK(!proc_text(p, 0, &out));
    CHECK_STR(buf_str(&out), "hello");
    buf_clear(&out);
    proc_text(p, 1, &out);
    CHECK_STR(buf_str(&out), "oops\n");
    proc_free(p);
    buf_release(&out);
    loop_free(loop);
}

TEST(what_cannot_be_started_is_named)
{
    struct err e;
    open_loop();
    struct proc_options options = shell((const char *const[]){"no-such-command", NULL});
    CHECK(run(&options, &e) == NULL);
    CHECK_INT(e.code, ERR_NOT_FOUND);
    CHECK_HAS(e.message, "no-such-command");
    options = shell((const char *const[]){"/etc/passwd", NULL});
    CHECK(run(&options, &e) == NULL);
    CHECK_INT(e.code, ERR_PERMISSION);
    options = shell((const char *const[]){"/no/such/file", NULL});
    CHECK(run(&options, &e) == NULL);
    CHECK_INT(e.code, ERR_NOT_FOUND);
    options = shell(SH("true"));
    options.cwd = "/no/such/folder";
    CHECK(run(&options, &e) == NULL);
    CHECK_HAS(e.message, "/no/such/folder");
    loop_free(loop);
}

TEST(a_flood_is_kept_within_its_limit)
{
    struct err e;
    struct buf out = BUF_INIT;
    struct rusage before, after;
    open_loop();
    getrusage(RUSAGE_SELF, &before);
    struct proc_options options =
        shell(SH("echo first; head -c 100000000 /dev/zero | tr '\\0' x; echo last"));
    options.keep_bytes = 1000;
    options.lines = true; /* nobody takes them until the end: reading must pause, not pile up */
    struct proc *p;
    int done = 0, stream;
    const char *line;
    size_t len, total = 0;
    REQUIRE(proc_start(&p, loop, &options, set, &done, &e) == 0);
    while (!done) {
        pause_a_little();
        while (proc_next_line(p, &stream, &line, &len))
            total += len;
    }
    while (proc_next_line(p, &stream, &line, &len))
        total += len;
    getrusage(RUSAGE_SELF, &after);
    CHECK_INT(total, 100000009);
    CHECK(proc_text(p, 0, &out));
    CHECK(out.len < 1100);
    CHECK_HAS(buf_str(&out), "first\nxxx");
    CHECK_HAS(buf_str(&out), "[... 99999011 bytes left out ...]");
    CHECK_HAS(buf_str(&out), "xxxlast\n");
    CHECK(after.ru_maxrss - before.ru_maxrss < 8 * 1024); /* KiB */
    proc_free(p);
    buf_release(&out);
    loop_free(loop);
}

TEST(lines_come_apart_and_in_order)
{
    struct err e;
    open_loop();
    struct proc_options options = shell(SH("printf 'a\\n\\nb'"));
    options.lines = true;
    struct proc *p = run(&options, &e);
    REQUIRE(p != NULL);
    static const char *const expected[] = {"a", "", "b"};
    int stream;
    const char *line;
    size_t len;
    for (int i = 0; i < 3; i++) {
        REQUIRE(proc_next_line(p, &stream, &line, &len));
        CHECK_INT(len, strlen(expected[i]));
        CHECK(memcmp(line, expected[i], len) == 0);
        CHECK_INT(stream, 0);
    }
    CHECK(!proc_next_line(p, &stream, &line, &len));
    proc_free(p);
    loop_free(loop);
}

/* Runs until its first line, which says that it is ready, and cancels it then. */
static struct proc *run_and_cancel(struct proc_options *options, char *line, size_t size)
{
    struct err e;
    struct proc *p;
    int done = 0, stream;
    const char *text;
    size_t len;
    options->lines = true;
    if (proc_start(&p, loop, options, set, &done, &e) != 0) return NULL;
    while (!proc_next_line(p, &stream, &text, &len))
        pause_a_little();
    snprintf(line, size, "%.*s", (int)len, text);
    op_cancel(proc_op(p), ERR_CANCELED, "test", "enough");
    if (loop_run_until(loop, is_set, &done, &e) != 0) abort();
    return p;
}

TEST(a_child_that_ignores_sigterm_is_killed_with_its_group)
{
    char line[32];
    open_loop();
    struct proc_options options =
        shell(SH("trap '' TERM; sh -c 'echo $$; while :; do sleep 1; done' & wait"));
    options.grace_us = 100000;
    struct proc *p = run_and_cancel(&options, line, sizeof line);
    REQUIRE(p != NULL);
    CHECK_INT(proc_op(p)->status, -ERR_CANCELED);
    CHECK_INT(proc_exit_signal(p), SIGKILL);
    /* The grandchild too, which inherits the ignored signal; the kernel may still be taking it down. */
    struct proc_identity who;
    int rounds = 0;
    while (proc_identify(atoi(line), &who) && rounds++ < 5000)
        pause_a_little();
    CHECK(!proc_identify(atoi(line), &who));
    proc_free(p);
    loop_free(loop);
}

TEST(a_group_gets_its_grace_after_its_leader_has_ended)
{
    struct buf out = BUF_INIT;
    char line[32];
    open_loop();
    /* The leader dies of SIGTERM at once; the other needs a moment to clean up. */
    struct proc_options options = shell(
        SH("sh -c 'trap \"sleep 0.2; echo cleaned; exit\" TERM; echo ready; while :; do sleep 0.01; done' & "
           "while :; do sleep 0.01; done"));
    options.grace_us = 30000000;
    struct proc *p = run_and_cancel(&options, line, sizeof line);
    REQUIRE(p != NULL);
    CHECK_INT(proc_exit_signal(p), SIGTERM);
    proc_text(p, 0, &out);
    CHECK_STR(buf_str(&out), "ready\ncleaned\n");
    proc_free(p);
    buf_release(&out);
    loop_free(loop);
}

TEST(a_command_that_is_out_of_time_is_stopped)
{
    struct err e;
    open_loop();
    struct proc_options options = shell((const char *const[]){"sleep", "1000", NULL});
    options.timeout_us = 20000;
    struct proc *p = run(&options, &e);
    REQUIRE(p != NULL);
    CHECK_INT(proc_op(p)->status, -ERR_TIMEOUT);
    CHECK_HAS(proc_op(p)->err.message, "sleep was still running after 0.02 s");
    proc_free(p);
    loop_free(loop);
}

TEST(a_grandchild_that_holds_the_output_does_not_hold_the_command)
{
    struct err e;
    struct buf out = BUF_INIT;
    open_loop();
    struct proc_options options = shell(SH("setsid sleep 1000 & echo $!"));
    struct proc *p = run(&options, &e);
    REQUIRE(p != NULL);
    CHECK_INT(proc_exit_code(p), 0);
    CHECK(proc_elapsed_us(p) < 20000000);
    proc_text(p, 0, &out);
    int pid = atoi(buf_str(&out));
    if (pid > 1) kill(pid, SIGKILL);
    proc_free(p);
    buf_release(&out);
    loop_free(loop);
}

TEST(a_child_sees_its_three_streams_and_nothing_else)
{
    struct err e;
    struct buf out = BUF_INIT;
    open_loop();
    int leaky = open("/dev/null", O_RDONLY); /* without O_CLOEXEC, as a library might */
    int high = fcntl(leaky, F_DUPFD, 200);
    REQUIRE(leaky > 2 && high >= 200);
    /* The folder that is open while the pattern is expanded is closed when each is looked at. */
    struct proc_options options =
        shell(SH("for f in /proc/$$/fd/*; do [ ! -e $f ] || printf '%s ' ${f##*/}; done"));
    struct proc *p = run(&options, &e);
    REQUIRE(p != NULL);
    proc_text(p, 0, &out);
    CHECK_STR(buf_str(&out), "0 1 2 ");
    proc_free(p);
    close(leaky);
    close(high);
    buf_release(&out);
    loop_free(loop);
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

TEST(nothing_is_left_of_many_commands)
{
    struct err e;
    open_loop();
    struct proc_options options = shell(SH("true")),
                        missing = shell((const char *const[]){"/no/such/file", NULL});
    proc_free(run(&options, &e));
    int before = open_descriptors();
    for (int i = 0; i < 50; i++) {
        proc_free(run(&options, &e));
        run(&missing, &e);
    }
    CHECK_INT(open_descriptors(), before);
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* no zombie: no child at all */
    CHECK_INT(errno, ECHILD);
    loop_free(loop);
}

TEST(the_environment_is_ours_with_changes)
{
    struct err e;
    struct buf out = BUF_INIT;
    struct proc_env env;
    open_loop();
    setenv("TEST_KEPT", "kept", 1);
    setenv("TEST_GONE", "gone", 1);
    proc_env_init(&env, false);
    proc_env_set(&env, "TEST_NEW", "one", 3);
    proc_env_set(&env, "TEST_NEW", "two", 3);
    proc_env_remove(&env, "TEST_GONE");
    struct proc_options options = shell(SH("echo $TEST_KEPT-$TEST_GONE-$TEST_NEW"));
    options.env = env.items;
    struct proc *p = run(&options, &e);
    REQUIRE(p != NULL);
    proc_text(p, 0, &out);
    CHECK_STR(buf_str(&out), "kept--two\n");
    proc_free(p);
    proc_env_release(&env);
    buf_release(&out);
    loop_free(loop);
}

TEST(an_abandoned_command_is_killed_and_leaves_nothing)
{
    struct err e;
    struct proc *p;
    int done = 0, stream;
    const char *line;
    size_t len;
    open_loop();
    struct proc_options options = shell(SH("trap '' TERM; echo $$; while :; do sleep 1; done"));
    options.lines = true;
    REQUIRE(proc_start(&p, loop, &options, set, &done, &e) == 0);
    while (!proc_next_line(p, &stream, &line, &len))
        pause_a_little();
    int pid = proc_pid(p);
    proc_abandon(p);
    loop_free(loop);
    CHECK_INT(done, 0);
    CHECK_INT(waitpid(pid, NULL, 0), pid); /* its handle was closed, so it is ours to reap */
}

TEST(every_allocation_may_fail)
{
    struct err e;
    int failures = 0;
    for (long n = 0; n < 200; n++) {
        open_loop();
        struct proc_options options = shell(SH("echo some output; echo and more >&2"));
        options.input = "in";
        options.input_len = 2;
        options.keep_bytes = 8;
        options.lines = true;
        struct proc *p;
        int done = 0;
        mem_fail_after(n);
        int rc = proc_start(&p, loop, &options, set, &done, &e);
        if (rc == 0) CHECK_INT(loop_run_until(loop, is_set, &done, &e), 0);
        mem_fail_after(-1);
        bool failed = rc != 0 || proc_op(p)->status != 0;
        if (rc != 0)
            CHECK_INT(rc, -ERR_MEMORY);
        else if (failed)
            CHECK_INT(proc_op(p)->status, -ERR_MEMORY);
        if (rc == 0) proc_free(p);
        loop_free(loop);
        if (!failed) break;
        failures++;
    }
    CHECK(failures > 2 && failures < 200);
}

/* --- detached ------------------------------------------------------------------------------ */

static int end_of(struct proc_end *end, int64_t timeout_us)
{
    struct err e;
    int done = 0;
    CHECK_INT(proc_end_start(end, loop, timeout_us, set, &done, &e), 0);
    CHECK_INT(loop_run_until(loop, is_set, &done, &e), 0);
    return end->op.status;
}

TEST(a_detached_process_is_known_by_pid_and_start)
{
    struct err e;
    struct proc_identity who;
    struct proc_detached_options options = {.argv = (const char *const[]){"sleep", "1000", NULL}};
    open_loop();
    REQUIRE(proc_detached_start(loop, &options, &who, &e) == 0);
    CHECK(proc_is_alive(&who));
    CHECK_INT(getsid(who.pid), who.pid);
    CHECK(who.started < UINT64_C(1) << 53); /* JSON readers elsewhere keep it whole */
    struct proc_end wait = {.who = who};
    CHECK_INT(end_of(&wait, 50000), -ERR_TIMEOUT);

    /* Another process that has this number now: it is neither alive for us nor touched. */
    struct proc_identity other = who;
    other.started--;
    CHECK(!proc_is_alive(&other));
    struct proc_end stop_other = {.who = other, .stop = true, .grace_us = 1000};
    CHECK_INT(end_of(&stop_other, 5000000), 0);
    CHECK(proc_is_alive(&who));

    struct proc_end stop = {.who = who, .stop = true, .grace_us = 5000000};
    CHECK_INT(end_of(&stop, OP_NO_TIMEOUT), 0);
    CHECK(!proc_is_alive(&who));
    int code, signum;
    CHECK(proc_exit_status(&who, &code, &signum));
    CHECK_INT(signum, SIGTERM);
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
    struct proc_end again = {.who = who, .stop = true};
    CHECK_INT(end_of(&again, OP_NO_TIMEOUT), 0);
    loop_free(loop);
}

TEST(a_detached_process_that_ignores_sigterm_is_killed)
{
    struct err e;
    struct proc_identity who;
    char log[] = "/tmp/test-proc-XXXXXX";
    close(mkstemp(log));
    struct proc_detached_options options = {
        .argv = SH("trap '' TERM; echo ready; while :; do sleep 0.01; done"), .log_path = log};
    open_loop();
    REQUIRE(proc_detached_start(loop, &options, &who, &e) == 0);
    char text[8] = "";
    while (text[0] == '\0') { /* until its trap is set */
        int fd = open(log, O_RDONLY);
        pause_a_little();
        if (read(fd, text, sizeof text - 1) < 0) break;
        close(fd);
    }
    CHECK_STR(text, "ready\n");
    struct proc_end stop = {.who = who, .stop = true, .grace_us = 100000};
    CHECK_INT(end_of(&stop, OP_NO_TIMEOUT), 0);
    int code, signum = 0;
    CHECK(proc_exit_status(&who, &code, &signum));
    CHECK_INT(signum, SIGKILL);
    unlink(log);
    loop_free(loop);
}

TEST(a_detached_process_is_not_inherited_descriptors_either)
{
    struct err e;
    struct proc_identity who;
    char log[] = "/tmp/test-proc-XXXXXX";
    close(mkstemp(log));
    int leaky = open("/dev/null", O_RDONLY);
    struct proc_detached_options options = {
        .argv = SH("for f in /proc/$$/fd/*; do [ ! -e $f ] || printf '%s ' ${f##*/}; done; exit 4"),
        .log_path = log};
    open_loop();
    REQUIRE(proc_detached_start(loop, &options, &who, &e) == 0);
    struct proc_end wait = {.who = who};
    CHECK_INT(end_of(&wait, 50000000), 0);
    int code = 0, signum, fd = open(log, O_RDONLY);
    CHECK(proc_exit_status(&who, &code, &signum));
    CHECK_INT(code, 4);
    char text[32] = "";
    CHECK_INT(read(fd, text, sizeof text - 1), 6);
    CHECK_STR(text, "0 1 2 ");
    close(fd);
    close(leaky);
    unlink(log);
    loop_free(loop);
}

TEST_MAIN()
