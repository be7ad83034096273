/* b_secret: secrets as opaque Lua values.
 *
 * A secret is a userdata (metatable "engine.secret") that Lua can pass on, concatenate and compare,
 * but not read: it prints as secret(env:STRIPE_KEY). Only bindings see its bytes, here. */
#ifndef ENGINE_BIND_B_SECRET_H
#define ENGINE_BIND_B_SECRET_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Pushes a secret that prints as label, and registers it for redaction. [-0, +1] */
void secret_push(lua_State *L, const char *bytes, size_t len, const char *label);

bool secret_is(lua_State *L, int index);

/* The text of a string, number or secret; raises for anything else. NUL-terminated; valid as long
 * as the value is on the stack. len may be NULL. */
const char *secret_check_text(lua_State *L, int index, size_t *len);

/* The same, but NULL for anything else. A number is converted in place. */
const char *secret_to_text(lua_State *L, int index, size_t *len);

int luaopen_core_secret(lua_State *L);

#endif
