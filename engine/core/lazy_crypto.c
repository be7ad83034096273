#define LAZY_DEFINING
#include "core/lazy_crypto.h"

#define LAZY_LIST   LAZY_CRYPTO_LIST
#define LAZY_NAME   lazy_crypto
#define LAZY_SONAME "libcrypto.so.3"
#include "core/lazy_define.h"
