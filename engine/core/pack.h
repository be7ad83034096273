/* pack: a stream through zstd, and a cipher if there is a key, into a file, with the SHA-256 of the file as
 * it is written; and back.
 *
 * Blocking; made for worker threads. Memory is a few buffers, whatever the size. The writing of a closed file
 * has been started, but only files_sync_tree makes it durable: a sync for each of hundreds of small files
 * would take longer than all else. A reader refuses a file whose hash is not the expected one only at its
 * end: use what was read only after pack_reader_close has returned 0.
 *
 * The cipher is what `openssl enc -aes-256-ctr -pbkdf2` reads and writes: "Salted__", 8 bytes of salt, and
 * AES-256 in counter mode; key and counter are PBKDF2-HMAC-SHA256 of the passphrase, 10,000 rounds. It hides;
 * that nothing was changed is for the hash to say. */
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

/* New file, 0600; must not exist. passphrase NULL: not encrypted. */
int pack_open(struct pack_writer **out, const char *path, int level, const char *passphrase, struct err *e);
/* Compress on this many threads beside the caller's, which then only hashes and writes; before the first
 * pack_write. For one stream that has the machine to itself: about 4 MB of memory for each. */
void pack_use_threads(struct pack_writer *w, int threads);
int pack_write(struct pack_writer *w, const void *bytes, size_t n, struct err *e);
int pack_close(struct pack_writer *w, struct pack_result *out, struct err *e); /* frees w in any case */
void pack_abandon(struct pack_writer *w); /* frees w, removes the file; NULL is fine */

struct pack_expected {
    const char *sha256; /* of the file; NULL: any */
    int64_t raw_bytes; /* exactly so many come out: the first byte more is an error before anybody sees it, so
                        * that a small file cannot fill a disk; -1: any */
    const char *passphrase; /* NULL: the file is not encrypted */
};

int pack_reader_open(struct pack_reader **out, const char *path, const struct pack_expected *expected,
                     struct err *e);
/* Returns the number of bytes, 0 at the end, or a negative code. */
long pack_read(struct pack_reader *r, void *room, size_t n, struct err *e);
int pack_reader_close(struct pack_reader *r, bool to_the_end, struct err *e); /* frees r in any case */

#endif
