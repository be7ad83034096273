#define LAZY_DEFINING
#include "core/lazy_archive.h"

#define LAZY_LIST   LAZY_ARCHIVE_LIST
#define LAZY_NAME   lazy_archive
#define LAZY_SONAME "libarchive.so.13"
#include "core/lazy_define.h"
