/* search: how `require` finds modules, and the memory of what was loaded from where. */
#ifndef ENGINE_HOST_SEARCH_H
#define ENGINE_HOST_SEARCH_H

#include "base/err.h"

#include <lua.h>

void search_open(lua_State *L); /* defines require and the module core.search */
int search_add_folder(lua_State *L, const char *folder, struct err *e);

/* Compiles a file's text in the sandbox after scanning it; pushes the function. [-0, +1] on
 * success. Errors are ERR_PLAYBOOK (syntax, with file and line) and ERR_SANDBOX. */
int search_load_text(lua_State *L, const char *path, const char *text, size_t size, struct err *e);

#endif
