/* grant: what a run may reach: commands, hosts, paths.
 *
 * A struct grant * that is NULL allows everything; once one exists, only what was added to it is
 * allowed. It is filled at the beginning and never changed afterwards, so checks may run on any
 * thread. A check is made at the moment of use; it does not protect against another program that
 * changes a symbolic link in between.
 *
 * Commands: a bare name ("psql") is the one found in PATH, by that name or by its full path; a
 *   path is exactly that path.
 * Hosts: "name:port", "name" (any port), "[::1]:80", "loopback" (127.0.0.0/8, ::1, localhost).
 * Paths: a folder and everything below it, or a file; symbolic links are followed before comparing.
 *   What may be written may be read. */
#ifndef ENGINE_CORE_GRANT_H
#define ENGINE_CORE_GRANT_H

#include "base/err.h"

#include <stdbool.h>

struct grant;

enum grant_kind { GRANT_COMMAND, GRANT_HOST, GRANT_READ, GRANT_WRITE };

struct grant *grant_new(void); /* NULL if there is no memory */
void grant_free(struct grant *g);
int grant_add(struct grant *g, enum grant_kind kind, const char *text, struct err *e); /* memory, config */

/* 0, or -ERR_CAPABILITY saying what to add where. */
int grant_check_command(const struct grant *g, const char *name, struct err *e);
int grant_check_host(const struct grant *g, const char *host, int port, struct err *e);
/* follow: a link at the end of the path is followed by what comes next (open), or is itself meant
 * (remove, rename). */
int grant_check_path(const struct grant *g, const char *path, bool write, bool follow, struct err *e);

/* Where a connection goes: path (a unix socket, which must be writable) or host and port. */
int grant_check_address(const struct grant *g, const char *path, const char *host, int port, struct err *e);

/* The host, or all hosts, of a URL: http, https, smtp, smtps, postgres, postgresql; the file of sqlite:PATH.
 * A URL that cannot be understood is refused. */
int grant_check_url(const struct grant *g, const char *url, struct err *e);

/* The address with everything resolved that exists: absolute, no links, no "..". Returns 0, or -ERR_LIMIT,
 * or the errno's code. out holds PATH_MAX. */
int grant_resolve_path(const char *path, bool follow, char *out, struct err *e);

#endif
