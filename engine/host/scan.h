/* scan: finds what a playbook may not use before any of it runs.
 *
 * The sandbox has no os, io, debug or package; a playbook that names them would fail in the middle
 * of its work. This reads the text (comments and strings skipped) and reports the first use with
 * its line, so that the file is refused while nothing has happened yet. It knows no grammar: a name
 * that the file declares itself (`local os = ...`) is accepted from there on. */
#ifndef ENGINE_HOST_SCAN_H
#define ENGINE_HOST_SCAN_H

#include "base/err.h"

#include <stddef.h>

int scan_chunk(const char *path, const char *text, size_t size_bytes, struct err *e);

#endif
