/* secret: reads what a reference points to.
 *
 *   env:NAME     an environment variable
 *   file:/path   a file that only its owner can read (any mode under /run/secrets and
 *                /run/credentials, where the container engine decides), without its last newline
 *
 * References that need the network or a command are resolved above this layer. The bytes are the
 * caller's: it registers them for redaction and wipes them (secret_wipe). */
#ifndef ENGINE_CORE_SECRET_H
#define ENGINE_CORE_SECRET_H

#include "base/buf.h"
#include "base/err.h"

enum { SECRET_MAX_BYTES = 64 << 10 };

/* Appends the secret to out. Returns 0, or -ERR_SECRET saying what to do. */
int secret_read(const char *reference, struct buf *out, struct err *e);

/* Overwrites the memory, then releases it. */
void secret_wipe(struct buf *b);

/* Takes the same time wherever the first difference is. */
bool secret_equal(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
