/* pack: a stream through zstd into a file, with the SHA-256 of the file as it is written; and back.
 *
 * Blocking; made for worker threads. Memory is a few buffers, whatever the size. What pack_close has returned
 * 0 for is on the disk (fsync). A reader refuses a file whose hash is not the expected one only at its end:
 * use what was read only after pack_reader_close has returned 0. */
#ifndef ENGINE_CORE_PACK_H
#define ENGINE_CORE_PACK_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct pack_result {
    uint64_t raw_bytes, file_bytes;
    char sha256[65]; /* of the file, in hexadecimal */
};

struct pack_writer;
struct pack_reader;

int pack_open(struct pack_writer **out, const char *path, int level,
              struct err *e); /* new file, 0600; must not exist */
/* Compress on this many threads beside the caller's, which then only hashes and writes; before the first
 * pack_write. For one stream that has the machine to itself: about 4 MB of memory for each. */
void pack_use_threads(struct pack_writer *w, int threads);
int pack_write(struct pack_writer *w, const void *bytes, size_t n, struct err *e);
int pack_close(struct pack_writer *w, struct pack_result *out, struct err *e); /* frees w in any case */
void pack_abandon(struct pack_writer *w); /* frees w, removes the file; NULL is fine */

/* expected_sha256 may be NULL. */
int pack_reader_open(struct pack_reader **out, const char *path, const char *expected_sha256, struct err *e);
/* The file must hold exactly raw_bytes: the first byte more is an error before anybody sees it, so that a
 * small file cannot fill a disk. Before the first pack_read. */
void pack_expect(struct pack_reader *r, uint64_t raw_bytes);
/* Returns the number of bytes, 0 at the end, or a negative code. */
long pack_read(struct pack_reader *r, void *room, size_t n, struct err *e);
int pack_reader_close(struct pack_reader *r, bool to_the_end, struct err *e); /* frees r in any case */

#endif
