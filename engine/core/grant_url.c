/* grant_url: which host or file an address means. */
#include "core/grant.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct scheme {
    const char *name;
    int port;
};

static const struct scheme SCHEMES[] = {
    {"http", 80}, {"https", 443}, {"smtp", 25}, {"smtps", 465}, {"postgres", 5432}, {"postgresql", 5432},
};

int grant_check_address(const struct grant *g, const char *path, const char *host, int port, struct err *e)
{
    if (path != NULL) return grant_check_path(g, path, true, true, e);
    return grant_check_host(g, host != NULL ? host : "loopback", port, e);
}

static int not_understood(struct err *e)
{
    return err_set(e, ERR_CAPABILITY, "grant", "the address is not understood, and so not granted");
}

/* "host", "host:port", "[::1]:port"; an empty host is a unix socket of the default place. */
static int check_one(const struct grant *g, const char *text, size_t len, int default_port, struct err *e)
{
    char one[300];
    if (len == 0) return grant_check_host(g, "localhost", default_port, e);
    if (len >= sizeof one) return not_understood(e);
    memcpy(one, text, len);
    one[len] = '\0';
    char *host = one, *end = one[0] == '[' ? strchr(one, ']') : NULL, *colon = strrchr(end ? end : one, ':');
    if (one[0] == '[' && end == NULL) return not_understood(e);
    int port = colon != NULL ? atoi(colon + 1) : default_port;
    if (colon != NULL) *colon = '\0';
    if (end != NULL) {
        host = one + 1;
        *end = '\0';
    }
    return grant_check_host(g, host, port, e);
}

static int check_file(const struct grant *g, const char *path, struct err *e)
{
    char file[PATH_MAX];
    size_t len = strcspn(path, "?");
    if (strncmp(path, ":memory:", 8) == 0) return 0;
    if (len == 0 || len >= sizeof file) return not_understood(e);
    memcpy(file, path, len);
    file[len] = '\0';
    return grant_check_path(g, file, true, true, e);
}

/* libpq takes further hosts from the query of its URLs; under grants the host stands where everybody sees it.
 */
static bool names_host_elsewhere(const char *query)
{
    return strstr(query, "host=") != NULL || strstr(query, "hostaddr=") != NULL ||
           strstr(query, "service=") != NULL;
}

int grant_check_url(const struct grant *g, const char *url, struct err *e)
{
    if (g == NULL) return 0;
    if (strncmp(url, "sqlite:", 7) == 0) return check_file(g, url + 7, e);
    const char *authority = strstr(url, "://");
    const struct scheme *scheme = NULL;
    for (size_t i = 0; authority != NULL && i < sizeof SCHEMES / sizeof *SCHEMES; i++) {
        size_t len = strlen(SCHEMES[i].name);
        if (len == (size_t)(authority - url) && strncasecmp(url, SCHEMES[i].name, len) == 0)
            scheme = &SCHEMES[i];
    }
    if (scheme == NULL) return not_understood(e);
    authority += 3;
    const char *end = authority + strcspn(authority, "/?#\\");
    if (*end == '\\' || names_host_elsewhere(end)) return not_understood(e);
    for (const char *at = authority; at < end; at++)
        if (*at == '@') authority = at + 1; /* behind user and password */
    while (authority <= end) {
        const char *comma = memchr(authority, ',', (size_t)(end - authority));
        const char *stop = comma != NULL ? comma : end;
        int rc = check_one(g, authority, (size_t)(stop - authority), scheme->port, e);
        if (rc != 0) return rc;
        authority = stop + 1;
    }
    return 0;
}
