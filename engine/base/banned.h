/* banned: calls that have hurt too many programs. Force-included into every file of ours, so that
 * using one does not compile. */
#ifndef ENGINE_BASE_BANNED_H
#define ENGINE_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat gets system popen strtok tmpnam mktemp

#endif
