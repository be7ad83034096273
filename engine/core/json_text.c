#include "core/json_text.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the sequence that begins at p, or 0 if it is not well-formed. */
static size_t sequence_len(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80) return 1;
    size_t len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || left < len) return 0;
    uint32_t code = p[0] & (0x7F >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        code = code << 6 | (p[i] & 0x3F);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < least[len] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return 0;
    return len;
}

bool json_is_utf8(const char *s, size_t len)
{
    for (size_t at = 0, step; at < len; at += step)
        if ((step = sequence_len((const unsigned char *)s + at, len - at)) == 0) return false;
    return true;
}

static void add_escaped(struct buf *out, unsigned char c)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const char *at = c ? strchr(plain, c) : NULL;
    if (at != NULL)
        buf_addf(out, "\\%c", letter[at - plain]);
    else
        buf_addf(out, "\\u%04x", c);
}

bool json_add_string(struct buf *out, const char *s, size_t len)
{
    if (!json_is_utf8(s, len)) return false;
    buf_addch(out, '"');
    size_t clean = 0; /* where the bytes that need no escape begin */
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        buf_add(out, s + clean, i - clean);
        add_escaped(out, c);
        clean = i + 1;
    }
    buf_add(out, s + clean, len - clean);
    buf_addch(out, '"');
    return true;
}

bool json_add_real(struct buf *out, double value)
{
    if (!isfinite(value)) return false;
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    buf_addstr(out, text);
    if (strpbrk(text, ".e") == NULL) buf_addstr(out, ".0");
    return true;
}

void json_add_integer(struct buf *out, long long value)
{
    buf_addf(out, "%lld", value);
}
