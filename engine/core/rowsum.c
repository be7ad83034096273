#include "core/rowsum.h"

#include "core/lazy_crypto.h"

#include <inttypes.h>
#include <stdio.h>

int rowsum_init(struct rowsum *s, struct err *e)
{
    int rc = lazy_crypto(e);
    if (rc != 0) return rc;
    *s = (struct rowsum){0};
    s->hash = EVP_MD_CTX_new();
    return s->hash != NULL ? 0 : err_set(e, ERR_MEMORY, "checksum", "no memory for a checksum");
}

static uint64_t big_endian(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

void rowsum_line(struct rowsum *s, const void *line, size_t len)
{
    unsigned char digest[32];
    EVP_DigestInit_ex(s->hash, EVP_sha256(), NULL);
    EVP_DigestUpdate(s->hash, line, len);
    EVP_DigestFinal_ex(s->hash, digest, NULL);
    uint64_t low = s->low + big_endian(digest + 8);
    s->high += big_endian(digest) + (low < s->low);
    s->low = low;
    s->rows++;
}

void rowsum_text(const struct rowsum *s, char hex[33])
{
    snprintf(hex, 33, "%016" PRIx64 "%016" PRIx64, s->high, s->low);
}

void rowsum_release(struct rowsum *s)
{
    if (s->hash != NULL) EVP_MD_CTX_free(s->hash);
    s->hash = NULL;
}
