#include "host/scan.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

struct forbidden {
    const char *name;
    const char *instead;
};

static const struct forbidden FORBIDDEN[] = {
    {"os", "use process.run{ argv = {...} } for commands, clock for the time, files for files, secret for "
           "variables"},
    {"io", "use the module files"},
    {"coroutine", "use parallel or background: tasks are the only coroutines"},
    {"debug", "errors carry their own traceback"},
    {"package", "use require"},
    {"dofile", "use require"},
    {"loadfile", "use require"},
};
enum { FORBIDDEN_COUNT = sizeof FORBIDDEN / sizeof *FORBIDDEN };

struct cursor {
    const char *at, *end;
    int line;
};

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* At "[" of a long bracket: its level, or -1 if it is not one. */
static int long_bracket_level(const struct cursor *c)
{
    const char *p = c->at + 1;
    int level = 0;
    while (p < c->end && *p == '=') {
        level++;
        p++;
    }
    return p < c->end && *p == '[' ? level : -1;
}

static void skip_long_bracket(struct cursor *c, int level)
{
    c->at += level + 2;
    for (; c->at < c->end; c->at++) {
        if (*c->at == '\n') c->line++;
        if (*c->at != ']') continue;
        const char *p = c->at + 1;
        int n = 0;
        while (p < c->end && *p == '=') {
            n++;
            p++;
        }
        if (n == level && p < c->end && *p == ']') {
            c->at = p + 1;
            return;
        }
    }
}

static void skip_string(struct cursor *c)
{
    char quote = *c->at++;
    while (c->at < c->end && *c->at != quote && *c->at != '\n') {
        if (*c->at == '\\' && c->at + 1 < c->end) {
            c->at++;
            if (*c->at == '\n') c->line++;
        }
        c->at++;
    }
    if (c->at < c->end && *c->at == quote) c->at++;
}

/* Skips white space, comments and strings; true when something else is there. */
static bool next_token(struct cursor *c)
{
    while (c->at < c->end) {
        if (*c->at == '\n') c->line++;
        if (isspace((unsigned char)*c->at)) {
            c->at++;
        } else if (*c->at == '-' && c->at + 1 < c->end && c->at[1] == '-') {
            c->at += 2;
            int level = c->at < c->end && *c->at == '[' ? long_bracket_level(c) : -1;
            if (level >= 0)
                skip_long_bracket(c, level);
            else
                while (c->at < c->end && *c->at != '\n')
                    c->at++;
        } else if (*c->at == '"' || *c->at == '\'') {
            skip_string(c);
        } else if (*c->at == '[' && long_bracket_level(c) >= 0) {
            skip_long_bracket(c, long_bracket_level(c));
        } else {
            return true;
        }
    }
    return false;
}

int scan_chunk(const char *path, const char *text, size_t size_bytes, struct err *e)
{
    struct cursor c = {text, text + size_bytes, 1};
    bool declared[FORBIDDEN_COUNT] = {false};
    bool after_local = false, after_dot = false;
    if (size_bytes > 0 && text[0] == '\x1b')
        return err_set(e, ERR_PLAYBOOK, path, "%s: compiled Lua is not loaded; give the text", path);
    while (next_token(&c)) {
        if (!is_name_char(*c.at) || isdigit((unsigned char)*c.at)) {
            bool keeps_local = *c.at == ',';
            after_dot = (*c.at == '.' && !(c.at + 1 < c.end && c.at[1] == '.') &&
                         !(c.at > text && c.at[-1] == '.')) ||
                        *c.at == ':';
            after_local = after_local && keeps_local;
            if (isdigit((unsigned char)*c.at))
                while (c.at < c.end && (is_name_char(*c.at) || *c.at == '.'))
                    c.at++;
            else
                c.at++;
            continue;
        }
        const char *name = c.at;
        while (c.at < c.end && is_name_char(*c.at))
            c.at++;
        size_t len = (size_t)(c.at - name);
        int line = c.line;
        for (int i = 0; i < FORBIDDEN_COUNT && !after_dot; i++) {
            if (strlen(FORBIDDEN[i].name) != len || memcmp(FORBIDDEN[i].name, name, len) != 0) continue;
            struct cursor ahead = c;
            bool uses = next_token(&ahead) && (strchr(".[(:{\"'", *ahead.at) != NULL);
            if (after_local)
                declared[i] = true;
            else if (uses && !declared[i])
                return err_set(e, ERR_SANDBOX, path, "%s:%d: '%s' is not available in a playbook; %s", path,
                               line, FORBIDDEN[i].name, FORBIDDEN[i].instead);
        }
        after_dot = false;
        after_local = (len == 5 && memcmp(name, "local", 5) == 0) ||
                      (len == 8 && memcmp(name, "function", 8) == 0) ||
                      (after_local && next_token(&c) && *c.at == ',');
    }
    return 0;
}
