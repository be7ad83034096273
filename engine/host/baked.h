/* baked: the Lua library and the stock playbooks inside the binary (made by tools/bake.lua). */
#ifndef ENGINE_HOST_BAKED_H
#define ENGINE_HOST_BAKED_H

#include <stddef.h>

struct baked_file {
    const char *path; /* "stdlib/health.lua", "playbooks/stage30.lua" */
    const char *text;
    size_t size_bytes;
    const char *code; /* of the library: the same, compiled by the Lua that it was baked with; else NULL */
    size_t code_bytes;
};
extern const struct baked_file baked_files[]; /* sorted by path; ends with a NULL path */

const struct baked_file *baked_find(const char *path); /* NULL if there is none */

#endif
