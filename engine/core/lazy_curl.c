#define LAZY_DEFINING
#include "core/lazy_curl.h"

#define LAZY_LIST   LAZY_CURL_LIST
#define LAZY_NAME   lazy_curl
#define LAZY_SONAME "libcurl.so.4"
#include "core/lazy_define.h"
