/* banned: calls that have hurt too many programs. Force-included into every file of ours, so that
 * using one does not compile. */
#ifndef ENGINE_BASE_BANNED_H
#define ENGINE_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* _FORTIFY_SOURCE may have made macros of these. */
#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strncpy
#undef strncat
#undef gets

#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat gets system popen strtok tmpnam mktemp

#endif
