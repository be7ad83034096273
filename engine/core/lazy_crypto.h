/* lazy_crypto: OpenSSL's libcrypto, loaded on first use (see lazy.h). */
#ifndef ENGINE_CORE_LAZY_CRYPTO_H
#define ENGINE_CORE_LAZY_CRYPTO_H

#include "core/lazy.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

int lazy_crypto(struct err *e); /* 0, or -ERR_NOT_FOUND */

#define LAZY_CRYPTO_LIST(X)                                                                                  \
    X(EVP_MD_CTX_new)                                                                                        \
    X(EVP_MD_CTX_free)                                                                                       \
    X(EVP_MD_CTX_copy_ex)                                                                                    \
    X(EVP_DigestInit_ex)                                                                                     \
    X(EVP_DigestUpdate)                                                                                      \
    X(EVP_DigestFinal_ex)                                                                                    \
    X(EVP_sha256)                                                                                            \
    X(EVP_CIPHER_CTX_new)                                                                                    \
    X(EVP_CIPHER_CTX_free)                                                                                   \
    X(EVP_EncryptInit_ex)                                                                                    \
    X(EVP_EncryptUpdate)                                                                                     \
    X(EVP_aes_256_ctr)                                                                                       \
    X(PKCS5_PBKDF2_HMAC)                                                                                     \
    X(HMAC)                                                                                                  \
    X(RAND_bytes)

#define X(fn) extern __typeof__(fn) *LAZY_SLOT(fn);
LAZY_CRYPTO_LIST(X)
#undef X

#ifndef LAZY_DEFINING
#define EVP_MD_CTX_new      lazy_EVP_MD_CTX_new
#define EVP_MD_CTX_free     lazy_EVP_MD_CTX_free
#define EVP_MD_CTX_copy_ex  lazy_EVP_MD_CTX_copy_ex
#define EVP_DigestInit_ex   lazy_EVP_DigestInit_ex
#define EVP_DigestUpdate    lazy_EVP_DigestUpdate
#define EVP_DigestFinal_ex  lazy_EVP_DigestFinal_ex
#define EVP_sha256          lazy_EVP_sha256
#define EVP_CIPHER_CTX_new  lazy_EVP_CIPHER_CTX_new
#define EVP_CIPHER_CTX_free lazy_EVP_CIPHER_CTX_free
#define EVP_EncryptInit_ex  lazy_EVP_EncryptInit_ex
#define EVP_EncryptUpdate   lazy_EVP_EncryptUpdate
#define EVP_aes_256_ctr     lazy_EVP_aes_256_ctr
#define PKCS5_PBKDF2_HMAC   lazy_PKCS5_PBKDF2_HMAC
#define HMAC                lazy_HMAC
#define RAND_bytes          lazy_RAND_bytes
#endif

#endif
