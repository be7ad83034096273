/* b_secret: secrets as opaque Lua values. Lua can pass them on and join them, never read them. */
#ifndef ENGINE_BIND_B_SECRET_H
#define ENGINE_BIND_B_SECRET_H

#include <lua.h>

#include <stdbool.h>

/* Pushes a secret and registers it for redaction. label is what tostring shows. [-0, +1] */
void secret_push(lua_State *L, const char *bytes, size_t len, const char *label);
bool secret_is(lua_State *L, int index);

/* The bytes of a string, number or secret argument; raises for anything else. As luaL_checklstring. */
const char *secret_check_text(lua_State *L, int index, size_t *len);

/* The bytes of a value that need not be text: NULL if it is neither string, number nor secret. */
const char *secret_to_text(lua_State *L, int index, size_t *len);

#endif
