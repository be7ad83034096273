/* Making a connection: names are resolved on a worker (libpq would block for that), the rest goes
 * through PQconnectPoll on the loop. */
#include "core/sql_postgres.h"

#include "base/mem.h"

#include <netdb.h>
#include <sys/socket.h>

/* --- the socket ---------------------------------------------------------------------------- */

struct watch {
    uv_poll_t poll;
    struct postgres *c;
    void (*fn)(struct postgres *c);
};

static void on_ready(uv_poll_t *handle, int status, int events)
{
    (void)status; /* libpq finds out by itself what is wrong with the socket */
    (void)events;
    struct watch *w = handle->data;
    w->fn(w->c);
}

static void on_watch_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void postgres_unwatch(struct postgres *c)
{
    if (c->watch == NULL) return;
    uv_close((uv_handle_t *)&c->watch->poll, on_watch_closed);
    c->watch = NULL;
}

int postgres_watch(struct postgres *c, int events, void (*fn)(struct postgres *c), struct err *e)
{
    if (c->watch == NULL) {
        struct watch *w = mem_zalloc(sizeof *w);
        if (w == NULL) return err_set(e, ERR_MEMORY, "sql", "no memory for a connection");
        int rc = uv_poll_init(loop_uv(c->loop), &w->poll, PQsocket(c->pq));
        if (rc != 0) {
            mem_free(w);
            return err_set(e, ERR_IO, "sql", "%s: the socket cannot be watched: %s", c->name,
                           uv_strerror(rc));
        }
        w->poll.data = w;
        w->c = c;
        c->watch = w;
    }
    c->watch->fn = fn;
    int rc = uv_poll_start(&c->watch->poll, events, on_ready);
    if (rc != 0)
        return err_set(e, ERR_IO, "sql", "%s: the socket cannot be watched: %s", c->name, uv_strerror(rc));
    return 0;
}

/* --- resolving ----------------------------------------------------------------------------- */

#define MAX_SETTINGS 64

/* The job owns all its memory: the connection may be gone when it comes back. */
struct resolve {
    uv_work_t job;
    struct postgres *c; /* NULL: nobody waits any more */
    char *url;
    char name[192];
    int rc;
    struct err err;
    PQconninfoOption *options;
    const char *keywords[MAX_SETTINGS], *values[MAX_SETTINGS];
    size_t count;
    struct buf hosts, addresses, ports, server_options;
    bool read_only;
};

static void resolve_free(struct resolve *r)
{
    if (r->options != NULL) PQconninfoFree(r->options);
    buf_release(&r->hosts);
    buf_release(&r->addresses);
    buf_release(&r->ports);
    buf_release(&r->server_options);
    mem_free(r->url);
    mem_free(r);
}

static const char *setting(const struct resolve *r, const char *keyword)
{
    for (const PQconninfoOption *o = r->options; o->keyword != NULL; o++)
        if (strcmp(o->keyword, keyword) == 0) return o->val != NULL && o->val[0] != '\0' ? o->val : NULL;
    return NULL;
}

static void set(struct resolve *r, const char *keyword, const char *value)
{
    if (value == NULL || r->count + 1 >= MAX_SETTINGS) return;
    r->keywords[r->count] = keyword;
    r->values[r->count++] = value;
}

static void add_address(struct resolve *r, const char *host, const char *address, const char *port)
{
    const char *comma = r->hosts.len > 0 ? "," : "";
    buf_addf(&r->hosts, "%s%s", comma, host);
    buf_addf(&r->addresses, "%s%s", comma, address);
    buf_addf(&r->ports, "%s%s", comma, port);
}

/* Adds every address of one host. Returns how many, or 0 with the reason in *reason. */
static int resolve_host(struct resolve *r, const char *host, const char *port, const char **reason)
{
    if (host[0] == '/' || host[0] == '@') { /* a unix socket */
        add_address(r, host, "", port);
        return 1;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int rc = getaddrinfo(host, NULL, &hints, &list), added = 0;
    if (rc != 0) {
        *reason = gai_strerror(rc);
        return 0;
    }
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) != 0) continue;
        add_address(r, host, text, port);
        added++;
    }
    freeaddrinfo(list);
    return added;
}

/* The nth entry of a comma-separated list; a list of one serves all. */
static const char *entry(const char *list, unsigned n, char *out, size_t size)
{
    if (strchr(list, ',') == NULL) n = 0;
    while (n-- > 0 && (list = strchr(list, ',')) != NULL)
        list++;
    snprintf(out, size, "%.*s", list != NULL ? (int)strcspn(list, ",") : 0, list != NULL ? list : "");
    return out;
}

static int resolve_hosts(struct resolve *r)
{
    const char *hosts = setting(r, "host"), *ports = setting(r, "port"), *reason = "no address";
    if (hosts == NULL) hosts = getenv("PGHOST");
    if (ports == NULL) ports = getenv("PGPORT");
    if (hosts == NULL || hosts[0] == '\0' || setting(r, "hostaddr") != NULL) return 0;
    char host[NI_MAXHOST], port[32];
    unsigned n = 0, found = 0;
    for (const char *p = hosts; p != NULL; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL, n++) {
        snprintf(host, sizeof host, "%.*s", (int)strcspn(p, ","), p);
        found +=
            (unsigned)resolve_host(r, host, entry(ports != NULL ? ports : "", n, port, sizeof port), &reason);
    }
    if (found == 0)
        return err_set(&r->err, ERR_RESOLVE, "sql", "%s: the host %s has no address: %s", r->name, hosts,
                       reason);
    if (!buf_ok(&r->hosts) || !buf_ok(&r->addresses) || !buf_ok(&r->ports))
        return err_set(&r->err, ERR_MEMORY, "sql", "no memory for a connection");
    return 0;
}

static int read_url(struct resolve *r)
{
    int rc = lazy_pq(&r->err);
    if (rc < 0) return rc;
    char *message = NULL;
    r->options = PQconninfoParse(r->url, &message);
    if (r->options != NULL) return 0;
    /* libpq's message may quote the very part that is the password. */
    PQfreemem(message);
    return err_set(&r->err, ERR_USAGE, "sql",
                   "%s: not a valid address; special characters in a password are percent-encoded", r->name);
}

/* Every transaction of the connection begins read-only; what the address says besides is kept. */
static void set_read_only(struct resolve *r)
{
    const char *given = setting(r, "options");
    if (given == NULL) given = getenv("PGOPTIONS");
    buf_addf(&r->server_options, "%s -c default_transaction_read_only=on", given != NULL ? given : "");
    set(r, "options", buf_str(&r->server_options));
}

static void on_worker_resolve(uv_work_t *job)
{
    struct resolve *r = job->data;
    r->rc = read_url(r);
    if (r->rc == 0) r->rc = resolve_hosts(r);
    if (r->rc < 0) return;
    bool resolved = r->hosts.len > 0;
    for (const PQconninfoOption *o = r->options; o->keyword != NULL; o++) {
        bool ours = strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "port") == 0;
        bool is_extended = r->read_only && strcmp(o->keyword, "options") == 0;
        if (o->val != NULL && !(resolved && ours) && !is_extended) set(r, o->keyword, o->val);
    }
    if (resolved) {
        set(r, "host", buf_str(&r->hosts));
        set(r, "hostaddr", buf_str(&r->addresses));
        set(r, "port", buf_str(&r->ports));
    }
    if (r->read_only) set_read_only(r);
    set(r, "client_encoding", "UTF8");
    if (setting(r, "fallback_application_name") == NULL) set(r, "fallback_application_name", "engine");
    /* Asking for Kerberos tickets can block. */
    if (setting(r, "gssencmode") == NULL) set(r, "gssencmode", "disable");
}

/* --- connecting ---------------------------------------------------------------------------- */

void postgres_message(const struct postgres *c, const char *message, char *out, size_t size)
{
    size_t n = 0, password_len = c->password != NULL ? strlen(c->password) : 0;
    for (const char *p = message; *p != '\0' && n + 4 < size;) {
        if (password_len >= 4 && strncmp(p, c->password, password_len) == 0) {
            n += (size_t)snprintf(out + n, size - n, "***");
            p += password_len;
        } else if (*p == '\n') {
            p += strspn(p, "\n\t ");
            if (*p != '\0') n += (size_t)snprintf(out + n, size - n, "; ");
        } else {
            out[n++] = *p++;
        }
    }
    out[n] = '\0';
}

static void not_connected(struct postgres *c, enum err_code code, const char *message)
{
    struct err e;
    char text[400];
    postgres_message(c, message, text, sizeof text);
    err_set(&e, code, "sql", "%s: no connection: %s", c->name, text);
    postgres_drop(c);
    postgres_failed(c, &e);
}

static void step(struct postgres *c);

static void await_socket(struct postgres *c, int events)
{
    struct err e;
    if (postgres_watch(c, events, step, &e) == 0) return;
    postgres_drop(c);
    postgres_failed(c, &e);
}

static void step(struct postgres *c)
{
    postgres_unwatch(c);
    switch (PQconnectPoll(c->pq)) {
    case PGRES_POLLING_READING:
        await_socket(c, UV_READABLE);
        break;
    case PGRES_POLLING_OK:
        c->state = LINK_READY;
        PQsetnonblocking(c->pq, 1);
        postgres_connected(c);
        break;
    case PGRES_POLLING_FAILED:
        not_connected(c, ERR_CONNECT, PQerrorMessage(c->pq));
        break;
    default:
        await_socket(c, UV_WRITABLE);
        break;
    }
}

static void on_notice(void *arg, const char *message)
{
    (void)arg; /* "relation exists, skipping" and the like: libpq would print them */
    (void)message;
}

static void on_resolved(uv_work_t *job, int status)
{
    struct resolve *r = job->data;
    struct postgres *c = r->c;
    if (c == NULL) {
        resolve_free(r);
        return;
    }
    c->resolve = NULL;
    c->state = LINK_DOWN;
    if (status != 0 || r->rc < 0) {
        struct err e = r->err;
        if (status != 0) err_set(&e, ERR_INTERNAL, "sql", "%s: no worker could resolve the host", c->name);
        resolve_free(r);
        postgres_failed(c, &e);
        return;
    }
    mem_free(c->password);
    c->password = mem_strdup(setting(r, "password"));
    c->state = LINK_CONNECTING;
    c->pq = PQconnectStartParams(r->keywords, r->values, 0);
    resolve_free(r);
    if (c->pq == NULL || PQstatus(c->pq) == CONNECTION_BAD) {
        not_connected(c, c->pq != NULL ? ERR_CONNECT : ERR_MEMORY,
                      c->pq != NULL ? PQerrorMessage(c->pq) : "no memory");
        return;
    }
    PQsetNoticeProcessor(c->pq, on_notice, NULL);
    await_socket(c, UV_WRITABLE);
}

void postgres_connect(struct postgres *c)
{
    struct err e;
    struct resolve *r = mem_zalloc(sizeof *r);
    if (r != NULL) r->url = mem_strdup(c->url);
    if (r == NULL || r->url == NULL) {
        mem_free(r);
        err_set(&e, ERR_MEMORY, "sql", "no memory for a connection");
        postgres_failed(c, &e);
        return;
    }
    r->job.data = r;
    r->c = c;
    r->read_only = c->read_only;
    snprintf(r->name, sizeof r->name, "%s", c->name);
    if (uv_queue_work(loop_uv(c->loop), &r->job, on_worker_resolve, on_resolved) != 0) {
        resolve_free(r);
        err_set(&e, ERR_INTERNAL, "sql", "%s: no worker could resolve the host", c->name);
        postgres_failed(c, &e);
        return;
    }
    c->resolve = r;
    c->state = LINK_RESOLVING;
}

/* Lets a resolving job finish alone. */
static void forget_resolve(struct postgres *c)
{
    if (c->resolve == NULL) return;
    c->resolve->c = NULL;
    uv_cancel((uv_req_t *)&c->resolve->job);
    c->resolve = NULL;
}

void postgres_drop(struct postgres *c)
{
    forget_resolve(c);
    timer_stop(c->loop, &c->more);
    timer_stop(c->loop, &c->grace);
    postgres_unwatch(c);
    if (c->pq != NULL) PQfinish(c->pq);
    c->pq = NULL;
    c->state = LINK_DOWN;
    c->in_transaction = false;
}
