#define LAZY_DEFINING
#include "core/lazy_readline.h"

#define LAZY_LIST   LAZY_READLINE_LIST
#define LAZY_NAME   lazy_readline
#define LAZY_SONAME "libreadline.so.8"
#include "core/lazy_define.h"
