/* rowsum: a checksum of a table that does not depend on the order of its rows.
 *
 * Each row is a line of text; its hash is the first 16 bytes of its SHA-256, taken as a big-endian 128-bit
 * number; the checksum is the sum of all of them modulo 2^128. Adding rows in any order, or in parts that are
 * added up, gives the same. A line has no newline at its end. */
#ifndef ENGINE_CORE_ROWSUM_H
#define ENGINE_CORE_ROWSUM_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct rowsum {
    uint64_t rows, high, low;
    void *hash; /* internal */
};

int rowsum_init(struct rowsum *s, struct err *e);
void rowsum_line(struct rowsum *s, const void *line, size_t len);
void rowsum_text(const struct rowsum *s, char hex[33]);
void rowsum_release(struct rowsum *s); /* keeps the sum */

#endif
