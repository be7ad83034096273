/* What can be said about an address or a script without asking a database. */
#include "core/sql_driver.h"

#include <ctype.h>

/* --- scripts ------------------------------------------------------------------------------- */

static const char *skip_quoted(const char *p, char quote, bool backslashes)
{
    for (p++; *p != '\0'; p++) {
        if (backslashes && *p == '\\' && p[1] != '\0')
            p++;
        else if (*p == quote && p[1] == quote)
            p++;
        else if (*p == quote)
            return p + 1;
    }
    return p;
}

static const char *skip_comment(const char *p) /* at slash, star; PostgreSQL's nest */
{
    int depth = 0;
    do {
        if (p[0] == '/' && p[1] == '*')
            depth++, p += 2;
        else if (p[0] == '*' && p[1] == '/')
            depth--, p += 2;
        else
            p++;
    } while (*p != '\0' && depth > 0);
    return p;
}

static const char *skip_dollar_quoted(const char *p) /* at '$'; p + 1 if this begins no quote */
{
    const char *tag_end = p + 1;
    while (isalnum((unsigned char)*tag_end) || *tag_end == '_')
        tag_end++;
    if (*tag_end != '$' || isdigit((unsigned char)p[1])) return p + 1;
    size_t tag_len = (size_t)(tag_end - p) + 1;
    for (const char *q = tag_end + 1; (q = strchr(q, '$')) != NULL; q++)
        if (strncmp(q, p, tag_len) == 0) return q + tag_len;
    return p + strlen(p);
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

unsigned sql_statement_at(const char *script, size_t offset)
{
    unsigned number = 1;
    const char *p = script, *target = script + offset;
    while (*p != '\0' && p < target) {
        bool after_word = p > script && is_word(p[-1]);
        if (*p == '\'')
            p = skip_quoted(p, '\'',
                            p > script && (p[-1] == 'E' || p[-1] == 'e') &&
                                (p - 1 == script || !is_word(p[-2])));
        else if (*p == '"')
            p = skip_quoted(p, '"', false);
        else if (p[0] == '-' && p[1] == '-')
            p += strcspn(p, "\n");
        else if (p[0] == '/' && p[1] == '*')
            p = skip_comment(p);
        else if (*p == '$' && !after_word)
            p = skip_dollar_quoted(p);
        else if (*p++ == ';')
            number++;
    }
    return number;
}

/* --- addresses ----------------------------------------------------------------------------- */

/* Host, database and user help in a message; the password and the options (which may hold one)
 * do not. */
void sql_url_redact(const char *url, char *out, size_t size)
{
    const char *authority = strstr(url, "://");
    if (authority == NULL) { /* sqlite: */
        snprintf(out, size, "%.*s", (int)strcspn(url, "?"), url);
        return;
    }
    authority += 3;
    /* A password that should have been percent-encoded may hold '/', '@' or '?'; with an '@' behind
     * a '?' nobody can say what is password. */
    const char *at = strrchr(authority, '@'), *options = strchr(authority, '?');
    if (at != NULL && options != NULL && at > options) {
        snprintf(out, size, "%.*s***", (int)(authority - url), url);
        return;
    }
    size_t user_len = at != NULL ? strcspn(authority, ":@/") : 0;
    const char *rest = at != NULL ? at : authority;
    snprintf(out, size, "%.*s%.*s%.*s", (int)(authority - url), url, (int)user_len, authority,
             (int)strcspn(rest, "?"), rest);
}
