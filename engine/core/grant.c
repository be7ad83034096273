#include "core/grant.h"

#include "base/mem.h"
#include "core/proc_spawn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct entry {
    struct entry *next;
    enum grant_kind kind;
    int port; /* of a host; 0: any */
    char text[];
};

struct grant {
    struct entry *entries;
};

struct grant *grant_new(void)
{
    return mem_zalloc(sizeof(struct grant));
}

void grant_free(struct grant *g)
{
    while (g != NULL && g->entries != NULL) {
        struct entry *gone = g->entries;
        g->entries = gone->next;
        mem_free(gone);
    }
    mem_free(g);
}

/* --- paths --------------------------------------------------------------------------------- */

static int too_long(const char *path, struct err *e)
{
    return err_set(e, ERR_LIMIT, "grant", "the path %.200s... is too long", path);
}

/* Splits the last component off: "/a/b" -> "/a", "b". Trailing slashes do not count. */
static void split(const char *path, char *parent, char *last)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    size_t start = len;
    while (start > 0 && path[start - 1] != '/')
        start--;
    memcpy(last, path + start, len - start);
    last[len - start] = '\0';
    while (start > 1 && path[start - 1] == '/')
        start--;
    memcpy(parent, start ? path : ".", start ? start : 1);
    parent[start ? start : 1] = '\0';
}

static bool is_dots(const char *name)
{
    return name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int grant_resolve_path(const char *path, bool follow, char *out, struct err *e)
{
    char parent[PATH_MAX], last[PATH_MAX], rest[PATH_MAX + 1] = "", real[PATH_MAX];
    if (strlen(path) >= PATH_MAX) return too_long(path, e);
    snprintf(parent, sizeof parent, "%s", path[0] ? path : ".");
    if (!follow) {
        char whole[PATH_MAX];
        snprintf(whole, sizeof whole, "%s", parent);
        split(whole, parent, last);
        if (is_dots(last))
            snprintf(parent, sizeof parent, "%s", whole);
        else
            snprintf(rest, sizeof rest, "/%s", last);
    }
    /* What does not exist yet cannot be a link: go up to what does. */
    while (realpath(parent, real) == NULL) {
        char below[PATH_MAX + 1], whole[PATH_MAX];
        if (errno != ENOENT) return err_errno(e, errno, "grant", "%.200s cannot be resolved", path);
        snprintf(whole, sizeof whole, "%s", parent);
        split(whole, parent, last);
        if (is_dots(last))
            return err_set(e, ERR_NOT_FOUND, "grant",
                           "%.200s cannot be resolved: a folder in it does not exist", path);
        snprintf(below, sizeof below, "%s", rest);
        if ((size_t)snprintf(rest, sizeof rest, "/%s%s", last, below) >= sizeof rest)
            return too_long(path, e);
    }
    if ((size_t)snprintf(out, PATH_MAX, "%s%s", strcmp(real, "/") == 0 && rest[0] ? "" : real, rest) >=
        PATH_MAX)
        return too_long(path, e);
    return 0;
}

static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    if (strcmp(folder, "/") == 0) return true;
    return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

int grant_check_path(const struct grant *g, const char *path, bool write, bool follow, struct err *e)
{
    if (g == NULL) return 0;
    char real[PATH_MAX];
    int rc = grant_resolve_path(path, follow, real, e);
    if (rc != 0) return rc;
    for (const struct entry *entry = g->entries; entry != NULL; entry = entry->next)
        if ((entry->kind == GRANT_WRITE || (entry->kind == GRANT_READ && !write)) &&
            is_below(real, entry->text))
            return 0;
    const char *list = write ? "write" : "read";
    return err_set(e, ERR_CAPABILITY, list,
                   "%.200s may not be %s: add its folder to grants.%s in the venture's "
                   "configuration if it should be",
                   real, write ? "written" : "read", list);
}

/* --- commands ------------------------------------------------------------------------------ */

int grant_check_command(const struct grant *g, const char *name, struct err *e)
{
    if (g == NULL) return 0;
    for (const struct entry *entry = g->entries; entry != NULL; entry = entry->next) {
        if (entry->kind != GRANT_COMMAND) continue;
        if (strcmp(entry->text, name) == 0) return 0;
        char found[PATH_MAX];
        if (strchr(name, '/') != NULL && strchr(entry->text, '/') == NULL &&
            proc_find_command(entry->text, found, sizeof found, NULL) == 0 && strcmp(found, name) == 0)
            return 0;
    }
    return err_set(e, ERR_CAPABILITY, "run command",
                   "the command %.200s may not be run: add it to grants.commands in "
                   "the venture's configuration if it should be",
                   name);
}

/* --- hosts --------------------------------------------------------------------------------- */

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcasecmp(host, "localhost") == 0) return true;
    if (inet_pton(AF_INET, host, &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) != 1) return false;
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

static void bare_host(const char *host, char *out, size_t size)
{
    size_t len = strlen(host);
    bool bracketed = len >= 2 && host[0] == '[' && host[len - 1] == ']';
    snprintf(out, size, "%.*s", (int)(bracketed ? len - 2 : len), host + bracketed);
}

int grant_check_host(const struct grant *g, const char *host, int port, struct err *e)
{
    if (g == NULL) return 0;
    char bare[256];
    bare_host(host, bare, sizeof bare);
    for (const struct entry *entry = g->entries; entry != NULL; entry = entry->next) {
        if (entry->kind != GRANT_HOST || (entry->port != 0 && entry->port != port)) continue;
        if (strcasecmp(entry->text, bare) == 0) return 0;
        if (strcmp(entry->text, "loopback") == 0 && is_loopback(bare)) return 0;
    }
    return err_set(e, ERR_CAPABILITY, "connect",
                   "%.200s:%d may not be reached: add it to grants.hosts in the venture's "
                   "configuration if it should be",
                   host, port);
}

/* Takes the port off the end of text; false if what follows the colon is none. */
static bool cut_port(char *text, int *port)
{
    char *colon = strrchr(text, ':'), *end;
    *port = 0;
    bool bracketed = text[0] == '[';
    if (colon == NULL || (bracketed && colon[-1] != ']') || (!bracketed && strchr(text, ':') != colon))
        return true;
    long value = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || value < 1 || value > 65535) return false;
    *port = (int)value;
    *colon = '\0';
    return true;
}

/* --- adding -------------------------------------------------------------------------------- */

int grant_add(struct grant *g, enum grant_kind kind, const char *text, struct err *e)
{
    char kept[PATH_MAX];
    int port = 0, rc = 0;
    if (text[0] == '\0' || strlen(text) >= sizeof kept)
        return err_set(e, ERR_CONFIG, "grant", "a grant is empty or too long");
    if (kind == GRANT_READ || kind == GRANT_WRITE) {
        if ((rc = grant_resolve_path(text, true, kept, e)) != 0) return rc;
    } else if (kind == GRANT_HOST) {
        char whole[PATH_MAX];
        snprintf(whole, sizeof whole, "%s", text);
        if (!cut_port(whole, &port))
            return err_set(e, ERR_CONFIG, "grant", "grants.hosts: '%.200s' is neither a host nor host:port",
                           text);
        bare_host(whole, kept, sizeof kept);
    } else {
        snprintf(kept, sizeof kept, "%s", text);
    }
    size_t size = strlen(kept) + 1;
    struct entry *entry = mem_alloc(sizeof *entry + size);
    if (entry == NULL) return err_set(e, ERR_MEMORY, "grant", "no memory for a grant");
    *entry = (struct entry){.next = g->entries, .kind = kind, .port = port};
    memcpy(entry->text, kept, size);
    g->entries = entry;
    return 0;
}
