#define LAZY_DEFINING
#include "core/lazy_pq.h"

#define LAZY_LIST   LAZY_PQ_LIST
#define LAZY_NAME   lazy_pq
#define LAZY_SONAME "libpq.so.5"
#include "core/lazy_define.h"
