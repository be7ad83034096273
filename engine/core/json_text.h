/* json_text: the leaves of JSON text, written one way only.
 *
 * Hashes are taken over this text, so a value has exactly one form: strings escape only what must
 * be escaped, reals take the fewest digits that read back as the same number. What a document looks
 * like as a whole is decided by the caller. */
#ifndef ENGINE_CORE_JSON_TEXT_H
#define ENGINE_CORE_JSON_TEXT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* In quotes. False, with nothing added, when the bytes are not UTF-8. */
bool json_add_string(struct buf *out, const char *s, size_t len);

/* With a point or an exponent, so that it is read back as a real. False for NaN and infinity. */
bool json_add_real(struct buf *out, double value);

void json_add_integer(struct buf *out, long long value);

/* Well-formed UTF-8: no overlong form, no surrogate, nothing above U+10FFFF. */
bool json_is_utf8(const char *s, size_t len);

#endif
