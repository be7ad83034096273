#include "core/pack.h"

#include "base/buf.h"
#include "base/mem.h"
#include "core/lazy_crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum {
    BUFFER_BYTES = 256 << 10,
    JOB_BYTES = 512 << 10,
    WINDOW_LOG_MAX = 23 /* what a frame may make a reader allocate: 8 MB, as level 19 needs */
};

enum { SALT_BYTES = 8, KEY_BYTES = 32, COUNTER_BYTES = 16, ROUNDS = 10000 };

static const char MAGIC[] = "Salted__";

struct pack_writer {
    int fd;
    char *path;
    ZSTD_CCtx *zstd;
    EVP_CIPHER_CTX *cipher; /* NULL: not encrypted */
    EVP_MD_CTX *hash;
    struct pack_result result;
    char out[BUFFER_BYTES];
};

struct pack_reader {
    int fd;
    char *path;
    ZSTD_DCtx *zstd;
    EVP_CIPHER_CTX *cipher; /* NULL: not encrypted */
    EVP_MD_CTX *hash;
    ZSTD_inBuffer in;
    size_t hint; /* what zstd wants next; 0: a frame is complete */
    bool eof;
    uint64_t raw_bytes, raw_expected;
    char expected[65];
    char buffer[BUFFER_BYTES];
};

static EVP_MD_CTX *new_hash(void)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (hash != NULL && !EVP_DigestInit_ex(hash, EVP_sha256(), NULL)) {
        EVP_MD_CTX_free(hash);
        hash = NULL;
    }
    return hash;
}

static void hex_digest(EVP_MD_CTX *hash, char hex[65])
{
    unsigned char digest[32];
    EVP_DigestFinal_ex(hash, digest, NULL);
    hex_text(hex, digest, sizeof digest);
}

/* Counter mode: the same keystream encrypts and decrypts. */
static EVP_CIPHER_CTX *new_cipher(const char *passphrase, const unsigned char salt[SALT_BYTES])
{
    unsigned char derived[KEY_BYTES + COUNTER_BYTES];
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    bool ok = cipher != NULL &&
              PKCS5_PBKDF2_HMAC(passphrase, (int)strlen(passphrase), salt, SALT_BYTES, ROUNDS, EVP_sha256(),
                                sizeof derived, derived) &&
              EVP_EncryptInit_ex(cipher, EVP_aes_256_ctr(), NULL, derived, derived + KEY_BYTES);
    explicit_bzero(derived, sizeof derived);
    if (ok) return cipher;
    if (cipher != NULL) EVP_CIPHER_CTX_free(cipher);
    return NULL;
}

static void apply_cipher(EVP_CIPHER_CTX *cipher, char *bytes, size_t n)
{
    int len;
    if (cipher != NULL)
        EVP_EncryptUpdate(cipher, (unsigned char *)bytes, &len, (const unsigned char *)bytes, (int)n);
}

static void free_writer(struct pack_writer *w)
{
    ZSTD_freeCCtx(w->zstd);
    if (w->cipher != NULL) EVP_CIPHER_CTX_free(w->cipher);
    if (w->hash != NULL) EVP_MD_CTX_free(w->hash);
    if (w->fd >= 0) close(w->fd);
    mem_free(w->path);
    mem_free(w);
}

static int write_out(struct pack_writer *w, const char *bytes, size_t n, struct err *e);

static int begin_cipher(struct pack_writer *w, const char *passphrase, struct err *e)
{
    char head[sizeof MAGIC - 1 + SALT_BYTES];
    unsigned char *salt = (unsigned char *)head + sizeof MAGIC - 1;
    memcpy(head, MAGIC, sizeof MAGIC - 1);
    if (RAND_bytes(salt, SALT_BYTES) != 1 || (w->cipher = new_cipher(passphrase, salt)) == NULL)
        return err_set(e, ERR_INTERNAL, "pack", "%s cannot be encrypted", w->path);
    return write_out(w, head, sizeof head, e);
}

int pack_open(struct pack_writer **out, const char *path, int level, const char *passphrase, struct err *e)
{
    int rc = lazy_crypto(e);
    if (rc != 0) return rc;
    struct pack_writer *w = mem_zalloc(sizeof *w);
    if (w == NULL) return err_set(e, ERR_MEMORY, "pack", "no memory to write %s", path);
    w->fd = -1;
    w->path = mem_strdup(path);
    w->zstd = ZSTD_createCCtx();
    w->hash = new_hash();
    if (w->path == NULL || w->zstd == NULL || w->hash == NULL) {
        rc = err_set(e, ERR_MEMORY, "pack", "no memory to write %s", path);
        goto failed;
    }
    ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1);
    w->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (w->fd < 0) {
        rc = err_errno(e, errno, "pack", "%s cannot be written", path);
        goto failed;
    }
    if (passphrase != NULL) rc = begin_cipher(w, passphrase, e);
    if (rc != 0) goto failed;
    *out = w;
    return 0;

failed:
    if (w->fd >= 0) unlink(path);
    free_writer(w);
    return rc;
}

void pack_use_threads(struct pack_writer *w, int threads)
{
    /* Fails where libzstd has no threads: then the caller's thread compresses, as without. */
    ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_nbWorkers, threads);
    ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_jobSize, JOB_BYTES);
}

static int write_out(struct pack_writer *w, const char *bytes, size_t n, struct err *e)
{
    EVP_DigestUpdate(w->hash, bytes, n);
    w->result.file_bytes += n;
    while (n > 0) {
        ssize_t written = write(w->fd, bytes, n);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return err_errno(e, errno, "pack", "%s cannot be written", w->path);
        bytes += written;
        n -= (size_t)written;
    }
    return 0;
}

static int compress(struct pack_writer *w, const void *bytes, size_t n, ZSTD_EndDirective mode, struct err *e)
{
    ZSTD_inBuffer in = {bytes, n, 0};
    for (;;) {
        ZSTD_outBuffer out = {w->out, sizeof w->out, 0};
        size_t left = ZSTD_compressStream2(w->zstd, &out, &in, mode);
        if (ZSTD_isError(left))
            return err_set(e, ERR_IO, "pack", "%s: zstd: %s", w->path, ZSTD_getErrorName(left));
        apply_cipher(w->cipher, w->out, out.pos);
        int rc = write_out(w, w->out, out.pos, e);
        if (rc != 0) return rc;
        if (mode == ZSTD_e_end ? left == 0 : in.pos == in.size) return 0;
    }
}

int pack_write(struct pack_writer *w, const void *bytes, size_t n, struct err *e)
{
    w->result.raw_bytes += n;
    return compress(w, bytes, n, ZSTD_e_continue, e);
}

int pack_close(struct pack_writer *w, struct pack_result *out, struct err *e)
{
    int rc = compress(w, "", 0, ZSTD_e_end, e);
    if (rc == 0) sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* begins to write; waits for nothing */
    hex_digest(w->hash, w->result.sha256);
    *out = w->result;
    if (rc != 0) unlink(w->path);
    free_writer(w);
    return rc;
}

void pack_abandon(struct pack_writer *w)
{
    if (w == NULL) return;
    unlink(w->path);
    free_writer(w);
}

static void free_reader(struct pack_reader *r)
{
    ZSTD_freeDCtx(r->zstd);
    if (r->cipher != NULL) EVP_CIPHER_CTX_free(r->cipher);
    if (r->hash != NULL) EVP_MD_CTX_free(r->hash);
    if (r->fd >= 0) close(r->fd);
    mem_free(r->path);
    mem_free(r);
}

/* Reads exactly n bytes unless the file ends before. */
static ssize_t read_full(int fd, char *room, size_t n)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = read(fd, room + have, n - have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

static int read_salt(struct pack_reader *r, const char *passphrase, struct err *e)
{
    char head[sizeof MAGIC - 1 + SALT_BYTES];
    ssize_t n = read_full(r->fd, head, sizeof head);
    if (n < 0) return err_errno(e, errno, "unpack", "%s cannot be read", r->path);
    if (n < (ssize_t)sizeof head || memcmp(head, MAGIC, sizeof MAGIC - 1) != 0)
        return err_set(e, ERR_BACKUP_CORRUPT, "unpack", "%s is not encrypted, or cut off", r->path);
    EVP_DigestUpdate(r->hash, head, sizeof head);
    r->cipher = new_cipher(passphrase, (unsigned char *)head + sizeof MAGIC - 1);
    return r->cipher != NULL ? 0 : err_set(e, ERR_INTERNAL, "unpack", "%s cannot be decrypted", r->path);
}

int pack_reader_open(struct pack_reader **out, const char *path, const struct pack_expected *expected,
                     struct err *e)
{
    int rc = lazy_crypto(e);
    if (rc != 0) return rc;
    struct pack_reader *r = mem_zalloc(sizeof *r);
    if (r == NULL) return err_set(e, ERR_MEMORY, "unpack", "no memory to read %s", path);
    r->path = mem_strdup(path);
    r->zstd = ZSTD_createDCtx();
    r->hash = new_hash();
    r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (r->fd < 0)
        rc = err_errno(e, errno, "unpack", "%s cannot be read", path);
    else if (r->path == NULL || r->zstd == NULL || r->hash == NULL)
        rc = err_set(e, ERR_MEMORY, "unpack", "no memory to read %s", path);
    if (rc == 0 && expected->passphrase != NULL) rc = read_salt(r, expected->passphrase, e);
    if (rc != 0) {
        free_reader(r);
        return rc;
    }
    ZSTD_DCtx_setParameter(r->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    r->raw_expected = expected->raw_bytes >= 0 ? (uint64_t)expected->raw_bytes : UINT64_MAX;
    snprintf(r->expected, sizeof r->expected, "%s", expected->sha256 ? expected->sha256 : "");
    *out = r;
    return 0;
}

static int fill(struct pack_reader *r, struct err *e)
{
    ssize_t n;
    do
        n = read(r->fd, r->buffer, sizeof r->buffer);
    while (n < 0 && errno == EINTR);
    if (n < 0) return err_errno(e, errno, "unpack", "%s cannot be read", r->path);
    r->eof = n == 0;
    EVP_DigestUpdate(r->hash, r->buffer, (size_t)n);
    apply_cipher(r->cipher, r->buffer, (size_t)n);
    r->in = (ZSTD_inBuffer){r->buffer, (size_t)n, 0};
    return 0;
}

static int corrupt_size(struct pack_reader *r, const char *how, struct err *e)
{
    return err_set(e, ERR_BACKUP_CORRUPT, "unpack", "%s holds %s than the %llu bytes that were put in",
                   r->path, how, (unsigned long long)r->raw_expected);
}

long pack_read(struct pack_reader *r, void *room, size_t n, struct err *e)
{
    ZSTD_outBuffer out = {room, n, 0};
    while (out.pos == 0) {
        if (r->in.pos == r->in.size && !r->eof) {
            int rc = fill(r, e);
            if (rc != 0) return rc;
        }
        if (r->eof) {
            if (r->hint != 0)
                return err_set(e, ERR_BACKUP_CORRUPT, "unpack",
                               "%s is cut off: its last frame is not complete", r->path);
            if (r->raw_expected != UINT64_MAX && r->raw_bytes < r->raw_expected)
                return corrupt_size(r, "less", e);
            return 0;
        }
        size_t hint = ZSTD_decompressStream(r->zstd, &out, &r->in);
        if (ZSTD_isError(hint))
            return err_set(e, ERR_BACKUP_CORRUPT, "unpack", "%s is damaged: %s", r->path,
                           ZSTD_getErrorName(hint));
        r->hint = hint;
    }
    if (out.pos > r->raw_expected - r->raw_bytes) return corrupt_size(r, "more", e);
    r->raw_bytes += out.pos;
    return (long)out.pos;
}

int pack_reader_close(struct pack_reader *r, bool to_the_end, struct err *e)
{
    int rc = 0;
    while (rc == 0 && to_the_end && !r->eof)
        rc = fill(r, e);
    if (rc == 0 && to_the_end && r->expected[0] != '\0') {
        char actual[65];
        hex_digest(r->hash, actual);
        if (strcmp(actual, r->expected) != 0)
            rc = err_set(e, ERR_BACKUP_CORRUPT, "unpack",
                         "%s is not the file that was written: SHA-256 %.12s..., expected %.12s...", r->path,
                         actual, r->expected);
    }
    free_reader(r);
    return rc;
}
