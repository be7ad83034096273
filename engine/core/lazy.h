/* lazy: heavy libraries are loaded when they are first needed.
 *
 * libcurl, libpq, libarchive, libmicrohttpd, libcrypto and readline bring some fifty shared objects
 * and 10 ms of start-up; a console at 3 a.m. or a run that needs none of them should not pay. Each
 * has a header lazy_<library>.h that lists the functions we call and makes the plain names work:
 * include it instead of the library's own header, call lazy_<library>() once before the first use
 * (it is cheap to call again, from any thread), then call the functions by their names. */
#ifndef ENGINE_CORE_LAZY_H
#define ENGINE_CORE_LAZY_H

#include "base/err.h"

#include <stddef.h>

#define LAZY_SLOT(fn) lazy_##fn /* the pointer behind a function's plain name */

struct lazy_symbol {
    const char *name;
    void **slot;
};

/* Opens soname and fills every slot. Returns 0, or -ERR_NOT_FOUND naming the library or symbol. */
int lazy_load(const char *soname, const struct lazy_symbol *symbols, size_t count, struct err *e);

#endif
