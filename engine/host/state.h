/* state: one sandboxed Lua state with its loop, its tasks and its way of finding modules.
 *
 * Playbooks and libraries run in the same sandbox: text chunks only; no os, io, debug or package;
 * globals are guarded; memory is capped; a script that computes for too long without waiting is
 * stopped. `require "a.b"` looks for a/b.lua in the search folders in their order (the venture's
 * own, then the playbook's), then among the baked files; "core.x" are the C modules. */
#ifndef ENGINE_HOST_STATE_H
#define ENGINE_HOST_STATE_H

#include "base/err.h"
#include "bind/runtime.h"

struct state;

struct state_options {
    size_t memory_bytes; /* limit of the Lua heap; 0: the default of 256 MiB */
    int runaway_s;       /* CPU seconds without a wait after which a script is stopped; 0: default of 10 */
};

int state_new(struct state **out, const struct state_options *options, struct err *e);
void state_free(struct state *state); /* cancels and waits for what still runs */

lua_State *state_lua(struct state *state);
struct loop *state_loop(struct state *state);

/* Adds a folder to the end of the search order. */
int state_add_folder(struct state *state, const char *folder, struct err *e);

/* Runs the function that stands under nargs arguments on the stack as the main task until it has
 * ended. On success 0 and its results are on the stack; otherwise the error table is. *nresults
 * says how many values were pushed. SIGINT and SIGTERM cancel it with ERR_INTERRUPTED. */
int state_run(struct state *state, int nargs, int *nresults);

#endif
