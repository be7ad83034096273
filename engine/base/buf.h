/* buf: bytes that grow.
 *
 * A buffer that could not grow is `failed`: it keeps what it has, ignores further additions, and
 * the caller asks once at the end with buf_ok(). data is always NUL-terminated (once anything was
 * added) so that text can be printed; len does not count that NUL. */
#ifndef ENGINE_BASE_BUF_H
#define ENGINE_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t len;
    size_t cap;
    bool failed;
};

#define BUF_INIT                                                                                             \
    {                                                                                                        \
        NULL, 0, 0, false                                                                                    \
    }

void buf_init(struct buf *b);
void buf_release(struct buf *b); /* frees; b is as after buf_init */
void buf_clear(struct buf *b);   /* empties, keeps the memory, forgets a failure */
bool buf_ok(const struct buf *b);

bool buf_reserve(struct buf *b, size_t extra); /* room for extra bytes and the NUL */
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_addstr(struct buf *b, const char *s);
void buf_addch(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);

/* The text, never NULL: "" for an empty buffer. */
const char *buf_str(const struct buf *b);

/* Bytes as 2 * n hexadecimal digits and a NUL. */
void hex_text(char *out, const void *bytes, size_t n);

/* Hands the memory to the caller (mem_free), or NULL if the buffer failed; b is then empty. */
char *buf_detach(struct buf *b);

#endif
