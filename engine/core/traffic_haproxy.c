/* The words of HAProxy's Runtime API: commands out, tables in. Pure. */
#include "base/mem.h"
#include "core/traffic.h"

#include <arpa/inet.h>
#include <errno.h>

enum { COLUMNS_MAX = 512, NAME_MAX_BYTES = 128 };

/* --- commands ----------------------------------------------------------------------------- */

bool traffic_is_name(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:.-";
    size_t len = strlen(text);
    return len > 0 && len <= NAME_MAX_BYTES && strspn(text, allowed) == len;
}

static int check_name(const char *what, const char *text, struct err *e)
{
    if (traffic_is_name(text)) return 0;
    return err_set(e, ERR_USAGE, "traffic haproxy",
                   "\"%.100s\" cannot be the name of a %s: letters, digits and _ : . - are allowed", text,
                   what);
}

static int check_server(const char *backend, const char *server, struct err *e)
{
    int rc = check_name("backend", backend, e);
    return rc != 0 ? rc : check_name("server", server, e);
}

static int added(const struct buf *out, struct err *e)
{
    return buf_ok(out) ? 0 : err_set(e, ERR_MEMORY, "traffic haproxy", "no memory for a command");
}

int traffic_put_weight(struct buf *out, const char *backend, const char *server, int weight, struct err *e)
{
    int rc = check_server(backend, server, e);
    if (rc != 0) return rc;
    if (weight < 0 || weight > TRAFFIC_WEIGHT_MAX)
        return err_set(e, ERR_USAGE, "traffic haproxy", "a weight is 0 to %d, not %d", TRAFFIC_WEIGHT_MAX,
                       weight);
    buf_addf(out, "set server %s/%s weight %d", backend, server, weight);
    return added(out, e);
}

int traffic_put_state(struct buf *out, const char *backend, const char *server, const char *state,
                      struct err *e)
{
    int rc = check_server(backend, server, e);
    if (rc != 0) return rc;
    if (strcmp(state, "ready") != 0 && strcmp(state, "drain") != 0 && strcmp(state, "maint") != 0)
        return err_set(e, ERR_USAGE, "traffic haproxy",
                       "a server's state is ready, drain or maint, not \"%.40s\"", state);
    buf_addf(out, "set server %s/%s state %s", backend, server, state);
    return added(out, e);
}

int traffic_put_address(struct buf *out, const char *backend, const char *server, const char *address,
                        int port, struct err *e)
{
    unsigned char binary[sizeof(struct in6_addr)];
    int rc = check_server(backend, server, e);
    if (rc != 0) return rc;
    if (inet_pton(AF_INET, address, binary) != 1 && inet_pton(AF_INET6, address, binary) != 1)
        return err_set(e, ERR_USAGE, "traffic haproxy", "\"%.100s\" is not an IP address", address);
    if (port < 1 || port > 65535)
        return err_set(e, ERR_USAGE, "traffic haproxy", "a port is 1 to 65535, not %d", port);
    buf_addf(out, "set server %s/%s addr %s port %d", backend, server, address, port);
    return added(out, e);
}

int traffic_put_show(struct buf *out, const char *backend, struct err *e)
{
    int rc = check_name("backend", backend, e);
    if (rc != 0) return rc;
    buf_addf(out, "show stat %s 4 -1", backend); /* 4: servers only; -1: all of them */
    return added(out, e);
}

int traffic_put_show_states(struct buf *out, const char *backend, struct err *e)
{
    int rc = check_name("backend", backend, e);
    if (rc != 0) return rc;
    buf_addf(out, "show servers state %s", backend);
    return added(out, e);
}

/* --- tables ------------------------------------------------------------------------------- */

/* Takes the cell at *p, NUL-terminated and unquoted in place, and moves *p behind its separator;
 * *p is NULL after the last one. Returns NULL for a quote that never ends. */
static char *take_cell(char **p, char separator)
{
    char *from = *p, *cell = from, *to = from;
    if (separator != ',' || *from != '"') {
        char *end = strchr(from, separator);
        *p = end == NULL ? NULL : end + 1;
        if (end != NULL) *end = '\0';
        return cell;
    }
    for (from++; *from != '\0'; from++) {
        if (*from != '"')
            *to++ = *from;
        else if (from[1] == '"')
            *to++ = *++from; /* "" within quotes is one quote */
        else
            break;
    }
    if (*from != '"' || (from[1] != separator && from[1] != '\0')) return NULL;
    *p = from[1] == '\0' ? NULL : from + 2;
    *to = '\0';
    return cell;
}

static int not_a_table(struct err *e, const char *text)
{
    char quote[200];
    size_t n = 0;
    while (*text == '\n' || *text == ' ')
        text++;
    for (; n + 1 < sizeof quote && text[n] != '\0' && text[n] != '\n'; n++)
        quote[n] = (unsigned char)text[n] >= ' ' && (unsigned char)text[n] < 127 ? text[n] : '?';
    quote[n] = '\0';
    return err_set(e, ERR_PROTOCOL, "traffic haproxy", "HAProxy answered no table but: \"%s\"", quote);
}

/* Splits line into cells, at most max; SIZE_MAX if it is broken. */
static size_t split_line(char *line, char separator, const char **cells, size_t max)
{
    size_t n = 0;
    for (char *p = line; p != NULL;) {
        char *cell = take_cell(&p, separator);
        if (cell == NULL) return SIZE_MAX;
        if (n < max) cells[n] = cell;
        n++;
    }
    return n;
}

static char *next_line(char **p)
{
    char *line = *p, *end = strchr(line, '\n');
    *p = end == NULL ? line + strlen(line) : end + 1;
    if (end == NULL) return line;
    *end = '\0';
    if (end > line && end[-1] == '\r') end[-1] = '\0';
    return line;
}

static size_t count_lines(const char *text)
{
    size_t n = 1;
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        n++;
    return n;
}

static int parse_rows(struct traffic_table *t, char *p, char separator, struct err *e)
{
    while (*p != '\0') {
        char *line = next_line(&p);
        if (line[0] == '\0') return 0;
        const char **row = t->cells + (t->rows + 1) * t->columns;
        for (size_t i = 0; i < t->columns; i++)
            row[i] = "";
        size_t n = split_line(line, separator, row, t->columns);
        if (n == SIZE_MAX)
            return err_set(e, ERR_PROTOCOL, "traffic haproxy",
                           "row %zu of HAProxy's table has an unended quote", t->rows + 1);
        t->rows++;
    }
    return 0;
}

static int parse(struct traffic_table *t, char separator, struct err *e)
{
    char *p = t->text;
    /* "show servers state" puts a version number before its heading. */
    while (*p == '\n' || (p[0] == '1' && p[1] == '\n'))
        p += *p == '\n' ? 1 : 2;
    if (p[0] != '#' || p[1] != ' ') return not_a_table(e, p);
    size_t lines = count_lines(p);
    char *heading = next_line(&p) + 2;
    const char *names[COLUMNS_MAX];
    t->columns = split_line(heading, separator, names, COLUMNS_MAX);
    if (t->columns > COLUMNS_MAX)
        return err_set(e, ERR_PROTOCOL, "traffic haproxy", "the heading of HAProxy's table is broken");
    if (lines > SIZE_MAX / sizeof *t->cells / t->columns)
        return err_set(e, ERR_LIMIT, "traffic haproxy", "a table is too large");
    t->cells = mem_alloc((lines + 1) * t->columns * sizeof *t->cells);
    if (t->cells == NULL) return err_set(e, ERR_MEMORY, "traffic haproxy", "no memory for HAProxy's table");
    memcpy(t->cells, names, t->columns * sizeof *names);
    return parse_rows(t, p, separator, e);
}

int traffic_table_parse(struct traffic_table *t, const char *text, size_t len, char separator, struct err *e)
{
    struct err unused;
    if (e == NULL) e = &unused;
    *t = (struct traffic_table){0};
    if (len > TRAFFIC_REPLY_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "traffic haproxy", "a table of %zu bytes is too large", len);
    if (memchr(text, '\0', len) != NULL)
        return err_set(e, ERR_PROTOCOL, "traffic haproxy", "HAProxy's answer has a zero byte in it");
    t->text = mem_alloc(len + 1);
    if (t->text == NULL) return err_set(e, ERR_MEMORY, "traffic haproxy", "no memory for HAProxy's table");
    memcpy(t->text, text, len);
    t->text[len] = '\0';
    int rc = parse(t, separator, e);
    if (rc != 0) traffic_table_release(t);
    return rc;
}

void traffic_table_release(struct traffic_table *t)
{
    mem_free(t->text);
    mem_free(t->cells);
    *t = (struct traffic_table){0};
}

const char *traffic_cell(const struct traffic_table *t, size_t row, const char *column)
{
    for (size_t i = 0; i < t->columns; i++)
        if (strcmp(t->cells[i], column) == 0) return t->cells[(row + 1) * t->columns + i];
    return NULL;
}

int traffic_cell_int(const struct traffic_table *t, size_t row, const char *column, int64_t *out,
                     struct err *e)
{
    const char *text = traffic_cell(t, row, column);
    *out = -1;
    if (text == NULL || text[0] == '\0') return 0;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || (text[0] != '-' && (text[0] < '0' || text[0] > '9')))
        return err_set(e, ERR_PROTOCOL, "traffic haproxy", "%s is \"%.40s\", which is no whole number",
                       column, text);
    *out = value;
    return 0;
}
