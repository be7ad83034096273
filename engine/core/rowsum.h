/* rowsum: a checksum of a table that does not depend on the order of its rows.
 *
 * Each row is a line of text; its 128-bit hash is added to the sum modulo 2^128. Adding rows in any order, or
 * in parts that are added up, gives the same. A line has no newline at its end. The hash is fast and not made
 * to withstand somebody who chooses the rows: it tells whether a table came back as it was; that a file is
 * the one that was written is SHA-256's to say. */
#ifndef ENGINE_CORE_ROWSUM_H
#define ENGINE_CORE_ROWSUM_H

#include <stddef.h>
#include <stdint.h>

struct rowsum {
    uint64_t rows, high, low;
};

void rowsum_init(struct rowsum *s);
void rowsum_line(struct rowsum *s, const void *line, size_t len);
void rowsum_text(const struct rowsum *s, char hex[33]);

#endif
