#define LAZY_DEFINING
#include "core/lazy_microhttpd.h"

#define LAZY_LIST   LAZY_MICROHTTPD_LIST
#define LAZY_NAME   lazy_microhttpd
#define LAZY_SONAME "libmicrohttpd.so.12"
#include "core/lazy_define.h"
