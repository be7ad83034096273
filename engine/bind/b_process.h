/* b_process: what the two halves of core.process share: reading a command from an options table.
 * Each raises for what cannot be meant. Internal to bind. */
#ifndef ENGINE_BIND_B_PROCESS_H
#define ENGINE_BIND_B_PROCESS_H

#include "base/err.h"
#include "bind/runtime.h"
#include "core/proc_env.h"

#include <lua.h>

const char *const *proc_check_argv(lua_State *L, int index);            /* [-0, +2] keeps it alive */
struct proc_env *proc_check_env(lua_State *L, int index);               /* [-0, +1] env and clean_env */
const char *proc_check_path(lua_State *L, int index, const char *name); /* [-0, +1] NULL if absent */
int64_t proc_check_seconds(lua_State *L, int index, const char *name, double fallback); /* [-0, +0] in us */
int proc_check_grants(struct runtime *rt, const char *command, const char *log_path, struct err *e);

/* Adds the functions of b_process_detached.c to the table on top. [-0, +0] */
void proc_detached_functions(lua_State *L);

#endif
