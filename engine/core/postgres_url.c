#include "core/postgres_url.h"

#include "core/lazy_pq.h"

#include <ctype.h>
#include <string.h>

int postgres_url_environment(const char *url, struct buf *out, struct err *e)
{
    char *problem = NULL;
    int rc = lazy_pq(e);
    if (rc != 0) return rc;
    PQconninfoOption *options = PQconninfoParse(url, &problem);
    if (options == NULL) {
        if (problem != NULL) PQfreemem(problem); /* it may quote the password */
        return err_set(e, ERR_USAGE, "postgres url",
                       "this is not a PostgreSQL URL such as postgres://user@host:5432/database");
    }
    for (PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (option->val == NULL || option->envvar == NULL) continue;
        buf_add(out, option->envvar, strlen(option->envvar) + 1);
        buf_add(out, option->val, strlen(option->val) + 1);
    }
    PQconninfoFree(options);
    return buf_ok(out) ? 0 : err_set(e, ERR_MEMORY, "postgres url", "no memory");
}

int postgres_url_with_database(const char *url, const char *database, struct buf *out, struct err *e)
{
    const char *authority = strstr(url, "://");
    if (authority == NULL)
        return err_set(e, ERR_USAGE, "postgres url",
                       "this is not a PostgreSQL URL such as postgres://user@host:5432/database");
    authority += 3;
    const char *end = authority + strcspn(authority, "/?");
    buf_add(out, url, (size_t)(end - url));
    buf_addch(out, '/');
    for (const char *at = database; *at != '\0'; at++) {
        if (isalnum((unsigned char)*at) || strchr("-_.~", *at) != NULL)
            buf_addch(out, *at);
        else
            buf_addf(out, "%%%02X", (unsigned char)*at);
    }
    buf_addstr(out, end + strcspn(end, "?"));
    return buf_ok(out) ? 0 : err_set(e, ERR_MEMORY, "postgres url", "no memory");
}
