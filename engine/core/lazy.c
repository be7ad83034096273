#include "core/lazy.h"

#include <dlfcn.h>

int lazy_load(const char *soname, const struct lazy_symbol *symbols, size_t count, struct err *e)
{
    void *lib = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (lib == NULL)
        return err_set(e, ERR_NOT_FOUND, "load library",
                       "%s: install the packages of vendor/packages.tsv (make deps)", dlerror());
    for (size_t i = 0; i < count; i++) {
        *symbols[i].slot = dlsym(lib, symbols[i].name);
        if (*symbols[i].slot == NULL)
            return err_set(e, ERR_NOT_FOUND, "load library",
                           "%s has no function %s; it is older than required", soname, symbols[i].name);
    }
    return 0;
}
