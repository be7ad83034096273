/* What is granted, and above all what is not. */
#include "core/grant.h"
#include "core/proc_spawn.h"
#include "test.h"

#include <limits.h>
#include <unistd.h>

static char folder[] = "/tmp/test-grant-XXXXXX";

TEST(nothing_is_refused_until_there_are_grants)
{
    CHECK_INT(grant_check_command(NULL, "rm", NULL), 0);
    CHECK_INT(grant_check_host(NULL, "example.com", 443, NULL), 0);
    CHECK_INT(grant_check_path(NULL, "/etc/shadow", true, true, NULL), 0);
}

TEST(commands_by_name_and_by_path)
{
    struct grant *g = grant_new();
    struct err e;
    char sh[PATH_MAX];
    REQUIRE(g != NULL);
    REQUIRE(proc_find_command("sh", sh, sizeof sh, &e) == 0);
    CHECK_INT(grant_add(g, GRANT_COMMAND, "sh", &e), 0);
    CHECK_INT(grant_add(g, GRANT_COMMAND, "/opt/shop/migrate", &e), 0);
    CHECK_INT(grant_check_command(g, "sh", &e), 0);
    CHECK_INT(grant_check_command(g, sh, &e), 0);
    CHECK_INT(grant_check_command(g, "/opt/shop/migrate", &e), 0);
    CHECK_INT(grant_check_command(g, "migrate", &e), -ERR_CAPABILITY);
    CHECK_INT(grant_check_command(g, "/tmp/evil/sh", &e), -ERR_CAPABILITY);
    CHECK_HAS(e.message, "/tmp/evil/sh");
    CHECK_HAS(e.message, "grants.commands");
    grant_free(g);
}

TEST(hosts_ports_and_the_loopback)
{
    struct grant *g = grant_new();
    struct err e;
    REQUIRE(g != NULL);
    CHECK_INT(grant_add(g, GRANT_HOST, "Api.example.com:443", &e), 0);
    CHECK_INT(grant_add(g, GRANT_HOST, "db.internal", &e), 0);
    CHECK_INT(grant_add(g, GRANT_HOST, "loopback", &e), 0);
    CHECK_INT(grant_add(g, GRANT_HOST, "[2001:db8::1]:80", &e), 0);
    CHECK_INT(grant_add(g, GRANT_HOST, "2001:db8::2", &e), 0);
    CHECK_INT(grant_add(g, GRANT_HOST, "host:http", &e), -ERR_CONFIG);
    CHECK_INT(grant_check_host(g, "api.EXAMPLE.com", 443, &e), 0);
    CHECK_INT(grant_check_host(g, "api.example.com", 80, &e), -ERR_CAPABILITY);
    CHECK_HAS(e.message, "api.example.com:80");
    CHECK_INT(grant_check_host(g, "db.internal", 5432, &e), 0);
    CHECK_INT(grant_check_host(g, "127.0.0.9", 1, &e), 0);
    CHECK_INT(grant_check_host(g, "[::1]", 1, &e), 0);
    CHECK_INT(grant_check_host(g, "::ffff:127.0.0.1", 1, &e), 0);
    CHECK_INT(grant_check_host(g, "localhost", 1, &e), 0);
    CHECK_INT(grant_check_host(g, "127.0.0.1.evil.com", 1, &e), -ERR_CAPABILITY);
    CHECK_INT(grant_check_host(g, "2001:db8::1", 80, &e), 0);
    CHECK_INT(grant_check_host(g, "2001:db8::1", 81, &e), -ERR_CAPABILITY);
    CHECK_INT(grant_check_host(g, "[2001:db8::2]", 81, &e), 0);
    grant_free(g);
}

static void in_folder(char *out, const char *name)
{
    snprintf(out, PATH_MAX, "%s/%s", folder, name);
}

TEST(paths_are_compared_after_links_and_dots)
{
    struct grant *g = grant_new();
    struct err e;
    char path[PATH_MAX], link[PATH_MAX];
    REQUIRE(g != NULL && mkdtemp(folder) != NULL);
    in_folder(path, "state");
    CHECK_INT(grant_add(g, GRANT_WRITE, path, &e), 0); /* before it exists */
    CHECK_INT(grant_add(g, GRANT_READ, "/usr/share", &e), 0);
    CHECK_INT(grant_check_path(g, path, true, true, &e), 0);
    in_folder(path, "state/new/file");
    CHECK_INT(grant_check_path(g, path, true, true, &e), 0);
    CHECK_INT(grant_check_path(g, path, false, true, &e), 0);
    in_folder(path, "statement");
    CHECK_INT(grant_check_path(g, path, true, true, &e), -ERR_CAPABILITY);
    CHECK_HAS(e.message, "grants.write");
    CHECK_INT(grant_check_path(g, "/usr/share/../../etc/passwd", false, true, &e), -ERR_CAPABILITY);
    CHECK_INT(grant_check_path(g, "/usr/share/doc", true, true, &e), -ERR_CAPABILITY);
    in_folder(path, "state/missing/../../x");
    CHECK(grant_check_path(g, path, true, true, &e) < 0);

    /* A link out of a granted folder leads out of it; the link itself lies in it. */
    in_folder(path, "state");
    REQUIRE(grant_check_path(g, path, true, true, &e) == 0);
    in_folder(path, "state2");
    CHECK_INT(grant_add(g, GRANT_WRITE, folder, &e), 0);
    in_folder(link, "out");
    REQUIRE(symlink("/etc/passwd", link) == 0);
    CHECK_INT(grant_check_path(g, link, true, true, &e), -ERR_CAPABILITY);
    CHECK_INT(grant_check_path(g, link, true, false, &e), 0);
    unlink(link);
    rmdir(folder);
    grant_free(g);
}

TEST_MAIN()
