#include "core/exposition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The rest of one line. */
struct cursor {
    const char *at, *end;
};

static bool is_name_start(char c, bool label)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!label && c == ':');
}

static size_t take_name(struct cursor *c, bool label)
{
    const char *start = c->at;
    if (c->at < c->end && is_name_start(*c->at, label)) c->at++;
    while (c->at > start && c->at < c->end &&
           (is_name_start(*c->at, label) || (*c->at >= '0' && *c->at <= '9')))
        c->at++;
    return (size_t)(c->at - start);
}

static size_t skip_blanks(struct cursor *c)
{
    const char *start = c->at;
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
        c->at++;
    return (size_t)(c->at - start);
}

static bool take(struct cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

/* A quoted value, up to and with its closing quote. */
static bool take_value(struct cursor *c, struct exposition_label *label)
{
    if (!take(c, '"')) return false;
    label->value = c->at;
    for (; c->at < c->end && *c->at != '"'; c->at++)
        if (*c->at == '\\' && ++c->at == c->end) return false;
    label->value_len = (size_t)(c->at - label->value);
    return take(c, '"');
}

static bool take_labels(struct cursor *c, struct exposition_sample *out)
{
    if (!take(c, '{')) return true;
    skip_blanks(c);
    while (!take(c, '}')) {
        if (out->label_count == EXPOSITION_MAX_LABELS) return false;
        struct exposition_label *label = &out->labels[out->label_count++];
        label->name = c->at;
        label->name_len = take_name(c, true);
        skip_blanks(c);
        if (label->name_len == 0 || !take(c, '=')) return false;
        skip_blanks(c);
        if (!take_value(c, label)) return false;
        skip_blanks(c);
        bool comma = take(c, ',');
        skip_blanks(c);
        if (!comma && (c->at == c->end || *c->at != '}')) return false;
    }
    return true;
}

/* A number as a whole word; strtod also knows the words NaN and Inf. */
static bool take_number(struct cursor *c, double *out)
{
    char word[64], *end;
    size_t len = 0;
    while (c->at < c->end && *c->at != ' ' && *c->at != '\t' && *c->at != '#') {
        if (len == sizeof word - 1) return false;
        word[len++] = *c->at++;
    }
    word[len] = '\0';
    if (len == 0 || strpbrk(word, "xXpP(") != NULL) return false;
    double value = strtod(word, &end);
    if (end != word + len) return false;
    if (out != NULL) *out = value;
    return true;
}

static enum exposition_line parse(struct cursor c, struct exposition_sample *out)
{
    skip_blanks(&c);
    if (c.at == c.end || *c.at == '#') return EXPOSITION_NOTHING;
    out->name = c.at;
    out->name_len = take_name(&c, false);
    out->label_count = 0;
    if (out->name_len == 0) return EXPOSITION_UNREADABLE;
    size_t blanks = skip_blanks(&c);
    bool has_labels = c.at < c.end && *c.at == '{';
    if (!take_labels(&c, out)) return EXPOSITION_UNREADABLE;
    blanks = has_labels ? skip_blanks(&c) + 1 : blanks;
    if (blanks == 0 || !take_number(&c, &out->value)) return EXPOSITION_UNREADABLE;
    /* A time stamp may follow, and OpenMetrics' exemplar behind a #. */
    if (skip_blanks(&c) > 0 && c.at < c.end && *c.at != '#' && !take_number(&c, NULL))
        return EXPOSITION_UNREADABLE;
    skip_blanks(&c);
    return c.at == c.end || *c.at == '#' ? EXPOSITION_SAMPLE : EXPOSITION_UNREADABLE;
}

enum exposition_line exposition_next(const char *text, size_t len, size_t *at, struct exposition_sample *out)
{
    if (*at >= len) return EXPOSITION_END;
    const char *start = text + *at, *newline = memchr(start, '\n', len - *at);
    size_t line = newline != NULL ? (size_t)(newline - start) : len - *at;
    *at += line + (newline != NULL);
    if (newline == NULL) { /* the text was cut: the number may be, too */
        struct cursor rest = {start, start + line};
        skip_blanks(&rest);
        return rest.at == rest.end || *rest.at == '#' ? EXPOSITION_NOTHING : EXPOSITION_UNREADABLE;
    }
    if (line > EXPOSITION_MAX_LINE || memchr(start, '\0', line) != NULL) return EXPOSITION_UNREADABLE;
    if (line > 0 && start[line - 1] == '\r') line--;
    return parse((struct cursor){start, start + line}, out);
}

size_t exposition_unescape(const struct exposition_label *label, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < label->value_len; i++) {
        char c = label->value[i];
        if (c == '\\' && i + 1 < label->value_len) {
            c = label->value[++i];
            if (c == 'n') c = '\n';
        }
        out[len++] = c;
    }
    return len;
}
