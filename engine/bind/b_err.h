/* b_err: errors as Lua values. The one funnel from struct err to `nil, err`.
 *
 * In Lua an error is a table with the metatable "engine.err":
 *   code (string, "timeout"), number ("E0200"), message, op, retryable (boolean), cause (string,
 *   error or nil), next (what to do), where ("file:line" in a playbook, or nil), traceback.
 * tostring(err) is one sentence. */
#ifndef ENGINE_BIND_B_ERR_H
#define ENGINE_BIND_B_ERR_H

#include "base/err.h"

#include <lua.h>

void err_push(lua_State *L, const struct err *e);   /* [-0, +1] the error table */
int err_return(lua_State *L, const struct err *e);  /* [-0, +2] nil, err; returns 2 */
int err_raise(lua_State *L, const struct err *e);   /* never returns */
int err_misuse(lua_State *L, const char *fmt, ...); /* error(msg, 2) of the caller; never returns */

/* Makes the error value at the top of from's stack an error table on to's stack (from may be to):
 * strings become code "script"; where and traceback are filled from from's call stack. [-1, +1] */
void err_adopt(lua_State *from, lua_State *to);

/* Reads an error table at index into e; anything else becomes ERR_SCRIPT with its text. */
void err_read(lua_State *L, int index, struct err *e);

int luaopen_core_err(lua_State *L); /* new(table) -> err, is(value) -> boolean, codes() -> array */

#endif
