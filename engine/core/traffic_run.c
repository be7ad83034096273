/* The op that lets HAProxy run commands: connect, write, read until it closes. */
#include "base/mem.h"
#include "core/traffic.h"

static void cancel(struct op *op)
{
    struct traffic_run *run = (struct traffic_run *)op;
    /* Whichever step is under way ends, and the run with it. */
    net_close(run->conn);
}

static const struct op_kind RUN = {.name = "traffic haproxy", .external = true, .cancel = cancel};

static void finish(struct traffic_run *run, const struct err *failure)
{
    struct err why; /* failure may stand in the connection */
    if (failure != NULL) why = *failure;
    net_free(run->conn);
    run->conn = NULL;
    mem_free(run->commands);
    run->commands = NULL;
    if (failure != NULL)
        op_fail_with(&run->op, &why);
    else
        op_finish(&run->op);
}

/* Ends the run when a step failed or it was canceled between two of them. */
static bool has_ended(struct traffic_run *run, const struct op *step)
{
    if (step->status == 0 && !run->op.canceled) return false;
    finish(run, step->status < 0 ? &step->err : &run->op.err);
    return true;
}

static void on_read(struct op *step, void *arg)
{
    struct traffic_run *run = arg;
    if (has_ended(run, step)) return;
    size_t len;
    const char *text = net_data(run->conn, &len);
    buf_add(&run->reply, text, len);
    struct err e;
    bool is_whole = buf_ok(&run->reply);
    if (!is_whole)
        err_set(&e, ERR_MEMORY, "traffic haproxy", "no memory for HAProxy's answer of %zu bytes", len);
    finish(run, is_whole ? NULL : &e);
}

static void on_written(struct op *step, void *arg)
{
    struct traffic_run *run = arg;
    struct err e;
    if (has_ended(run, step)) return;
    if (net_read_all(run->conn, TRAFFIC_REPLY_MAX_BYTES, OP_NO_TIMEOUT, on_read, run, &e) != 0)
        finish(run, &e);
}

static void on_connected(struct op *step, void *arg)
{
    struct traffic_run *run = arg;
    struct err e;
    if (has_ended(run, step)) return;
    if (net_write(run->conn, run->commands, strlen(run->commands), OP_NO_TIMEOUT, on_written, run, &e) != 0)
        finish(run, &e);
}

int traffic_run(struct traffic_run *run, struct loop *loop, const struct net_address *at,
                const char *commands, int64_t timeout_us, op_done_fn done, void *arg, struct err *e)
{
    /* HAProxy closes after one line; a second line would be lost without a word. */
    if (commands[0] == '\0' || strchr(commands, '\n') != NULL)
        return err_set(e, ERR_USAGE, "traffic haproxy", "commands are one line");
    struct buf line = BUF_INIT;
    buf_addf(&line, "%s\n", commands);
    run->commands = buf_detach(&line);
    run->conn = net_new(loop);
    int rc = -ERR_MEMORY;
    if (run->commands == NULL || run->conn == NULL)
        err_set(e, ERR_MEMORY, "traffic haproxy", "no memory to talk to HAProxy");
    else
        rc = net_connect(run->conn, at, OP_NO_TIMEOUT, on_connected, run, e);
    if (rc != 0) {
        traffic_run_release(run);
        return rc;
    }
    op_begin(&run->op, loop, &RUN, timeout_us, done, arg);
    return 0;
}

void traffic_run_release(struct traffic_run *run)
{
    net_free(run->conn);
    run->conn = NULL;
    mem_free(run->commands);
    run->commands = NULL;
    buf_release(&run->reply);
}
