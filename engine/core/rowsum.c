#include "core/rowsum.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

/* Fractional parts of the square roots of 2, 3, 5 and 7. */
static const uint64_t KEY[4] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                                0xa54ff53a5f1d36f1};

void rowsum_init(struct rowsum *s)
{
    *s = (struct rowsum){0};
}

/* Both halves of a product: every bit of either factor reaches every bit of the result. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static void mix(uint64_t lane[2], const unsigned char *bytes)
{
    uint64_t a, b;
    memcpy(&a, bytes, 8);
    memcpy(&b, bytes + 8, 8);
    uint64_t first = fold(a ^ KEY[0], b ^ lane[0]);
    lane[1] = fold(b ^ KEY[1], a ^ lane[1]) + first;
    lane[0] = first;
}

void rowsum_line(struct rowsum *s, const void *line, size_t len)
{
    const unsigned char *at = line;
    uint64_t lane[2] = {KEY[2] ^ len, KEY[3] + len};
    unsigned char rest[16] = {0};
    for (size_t left = len; left >= 16; left -= 16, at += 16)
        mix(lane, at);
    memcpy(rest, at, len % 16);
    mix(lane, rest);
    uint64_t high = fold(lane[0] ^ KEY[1], lane[1] ^ KEY[2]), low = fold(lane[1] ^ KEY[0], lane[0] + KEY[3]);
    s->low += low;
    s->high += high + (s->low < low);
    s->rows++;
}

void rowsum_text(const struct rowsum *s, char hex[33])
{
    snprintf(hex, 33, "%016" PRIx64 "%016" PRIx64, s->high, s->low);
}
