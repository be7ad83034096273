/* lazy_define: the body of a lazy_<library>.c. Before including it, define LAZY_LIST (the X-list of
 * functions), LAZY_NAME (the loader's name) and LAZY_SONAME. Internal to core/lazy_*.c. */
#include "core/lazy.h"

#include <pthread.h>

#define X(fn) __typeof__(fn) *LAZY_SLOT(fn);
LAZY_LIST(X)
#undef X

static struct err load_err;
static int load_rc;

static void load_once(void)
{
    static const struct lazy_symbol symbols[] = {
#define X(fn) {#fn, (void **)&LAZY_SLOT(fn)},
        LAZY_LIST(X)
#undef X
    };
    load_rc = lazy_load(LAZY_SONAME, symbols, sizeof symbols / sizeof *symbols, &load_err);
}

int LAZY_NAME(struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_once);
    if (load_rc != 0 && e != NULL) *e = load_err;
    return load_rc;
}
