/* b_http: core.http for Lua. */
#include "bind/await.h"
#include "bind/b_err.h"
#include "bind/b_secret.h"
#include "core/grant.h"
#include "core/http.h"

#include <lauxlib.h>

int luaopen_core_http(lua_State *L);

#define CLIENT_META  "engine.http.client"
#define REQUEST_META "engine.http.request"
enum { MAX_HEADERS = 64, MAX_LINES = 64, MAX_REDIRECTS = 20 };

struct l_client {
    struct http_client *client;
};

struct l_request {
    struct http_request *request;
};

static int client_gc(lua_State *L)
{
    struct l_client *self = lua_touserdata(L, 1);
    http_client_free(self->client);
    self->client = NULL;
    return 0;
}

static int request_gc(lua_State *L)
{
    struct l_request *self = lua_touserdata(L, 1);
    http_request_free(self->request);
    self->request = NULL;
    return 0;
}

/* The one client of this state, made on first use. */
static int get_client(lua_State *L, struct http_client **out, struct err *e)
{
    if (lua_getfield(L, LUA_REGISTRYINDEX, CLIENT_META ".instance") == LUA_TNIL) {
        lua_pop(L, 1);
        struct l_client *self = lua_newuserdatauv(L, sizeof *self, 0);
        self->client = NULL;
        luaL_setmetatable(L, CLIENT_META);
        if (http_client_new(&self->client, runtime_of(L)->loop, e) != 0) return -(int)e->code;
        lua_pushvalue(L, -1);
        lua_setfield(L, LUA_REGISTRYINDEX, CLIENT_META ".instance");
    }
    *out = ((struct l_client *)lua_touserdata(L, -1))->client;
    lua_pop(L, 1);
    return 0;
}

static const char *text_field(lua_State *L, const char *name, size_t *len)
{
    size_t n = 0;
    if (lua_getfield(L, 1, name) == LUA_TNIL) return NULL;
    const char *text = secret_to_text(L, -1, &n);
    if (text == NULL) err_misuse(L, "%s must be a string", name);
    if (len != NULL)
        *len = n;
    else if (strlen(text) != n)
        err_misuse(L, "%s must not contain NUL bytes", name);
    return text; /* stays on the stack, and so alive */
}

static int64_t seconds_field(lua_State *L, const char *name, lua_Number fallback)
{
    lua_getfield(L, 1, name);
    lua_Number value = luaL_optnumber(L, -1, fallback);
    lua_pop(L, 1);
    if (!(value > 0 && value < 1e6)) err_misuse(L, "%s must be a positive number of seconds", name);
    return (int64_t)(value * 1e6);
}

static bool has_line_break(const char *text, size_t len)
{
    return memchr(text, '\r', len) != NULL || memchr(text, '\n', len) != NULL ||
           memchr(text, '\0', len) != NULL;
}

/* headers = { name = value }: each becomes "name: value" on the stack. A line break would smuggle a header
 * in. */
static void read_headers(lua_State *L, const char **out)
{
    int n = 0;
    if (lua_getfield(L, 1, "headers") == LUA_TNIL) return;
    luaL_checktype(L, -1, LUA_TTABLE);
    int table = lua_gettop(L);
    luaL_checkstack(L, MAX_HEADERS + 8, "too many headers");
    lua_pushnil(L);
    while (lua_next(L, table)) { /* ... lines... key value */
        size_t name_len, value_len;
        if (lua_type(L, -2) != LUA_TSTRING) err_misuse(L, "headers are given by name");
        const char *name = lua_tolstring(L, -2, &name_len), *value = secret_to_text(L, -1, &value_len);
        if (value == NULL || has_line_break(name, name_len) || has_line_break(value, value_len) ||
            strchr(name, ':') != NULL)
            err_misuse(L, "the header '%s' is not a line of text", name);
        if (n == MAX_HEADERS) err_misuse(L, "more than %d headers", MAX_HEADERS);
        /* "name;" is curl's way to send a header without a value. */
        lua_pushfstring(L, value_len > 0 ? "%s: %s" : "%s;", name, value);
        out[n++] = lua_tostring(L, -1);
        lua_insert(L, -3); /* line key value */
        lua_pop(L, 1);     /* line key */
    }
    out[n] = NULL;
}

/* A list of single lines, each left on the stack. */
static void read_lines(lua_State *L, const char *field, const char **out)
{
    if (lua_getfield(L, 1, field) == LUA_TNIL) return;
    luaL_checktype(L, -1, LUA_TTABLE);
    int table = lua_gettop(L);
    lua_Integer n = (lua_Integer)lua_rawlen(L, table);
    if (n > MAX_LINES) err_misuse(L, "more than %d in %s", MAX_LINES, field);
    luaL_checkstack(L, MAX_LINES + 8, "too many values");
    for (lua_Integer i = 0; i < n; i++) {
        size_t len;
        lua_rawgeti(L, table, i + 1);
        out[i] = secret_to_text(L, -1, &len);
        if (out[i] == NULL || has_line_break(out[i], len)) err_misuse(L, "%s holds lines of text", field);
    }
    out[n] = NULL;
}

static lua_Integer integer_field(lua_State *L, const char *name, lua_Integer fallback, lua_Integer most)
{
    lua_getfield(L, 1, name);
    lua_Integer value = luaL_optinteger(L, -1, fallback);
    lua_pop(L, 1);
    if (value < 0 || value > most) err_misuse(L, "%s must be from 0 to %I", name, (LUAI_UACINT)most);
    return value;
}

static void set_text(lua_State *L, const char *key, const struct buf *text)
{
    lua_pushlstring(L, buf_str(text), text->len);
    lua_setfield(L, -2, key);
}

/* Lines "name: value\n" as a table; a repeated name joins its values with ", ". */
static void push_headers(lua_State *L, const struct buf *lines)
{
    lua_newtable(L);
    const char *at = buf_str(lines), *end = at + lines->len;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)),
                   *colon = memchr(at, ':', (size_t)(newline - at));
        const char *value = colon + 1;
        while (value < newline && *value == ' ')
            value++;
        lua_pushlstring(L, at, (size_t)(colon - at));
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TNIL) {
            lua_pop(L, 1);
            lua_pushlstring(L, value, (size_t)(newline - value));
        } else {
            lua_pushliteral(L, ", ");
            lua_pushlstring(L, value, (size_t)(newline - value));
            lua_concat(L, 3);
        }
        lua_rawset(L, -3);
        at = newline + 1;
    }
}

static int request_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    if (op->status < 0) return err_return(L, &op->err);
    const struct http_response *r = http_response((struct http_request *)op);
    lua_createtable(L, 0, 10);
    lua_pushstring(L, http_label((struct http_request *)op));
    lua_setfield(L, -2, "label");
    set_text(L, "header_lines", &r->headers);
    lua_pushinteger(L, r->status);
    lua_setfield(L, -2, "status");
    set_text(L, "body", &r->body);
    push_headers(L, &r->headers);
    lua_setfield(L, -2, "headers");
    lua_pushnumber(L, r->total_s);
    lua_setfield(L, -2, "total_s");
    lua_pushnumber(L, r->connect_s);
    lua_setfield(L, -2, "connect_s");
    lua_pushnumber(L, r->first_byte_s);
    lua_setfield(L, -2, "first_byte_s");
    lua_pushinteger(L, r->version);
    lua_setfield(L, -2, "version");
    lua_pushboolean(L, r->reused);
    lua_setfield(L, -2, "reused");
    return 1;
}

/* Where the request goes, and could be sent on to, must have been granted. */
static int check_grants(lua_State *L, const struct http_options *o, struct err *e)
{
    const struct grant *grant = runtime_of(L)->grant;
    if (grant == NULL) return 0;
    if (o->body_file != NULL && grant_check_path(grant, o->body_file, false, true, e) != 0)
        return -(int)e->code;
    if (o->to_file != NULL && grant_check_path(grant, o->to_file, true, false, e) != 0) return -(int)e->code;
    if (o->max_redirects > 0 || o->connect_to[0] != NULL)
        return err_set(
            e, ERR_CAPABILITY, "http",
            "redirects and other addresses are not followed where grants are given; ask the final address");
    if (o->unix_socket != NULL) return grant_check_path(grant, o->unix_socket, true, true, e);
    return grant_check_url(grant, o->url, e);
}

/* A mail, a body, or a method that is not for reading alone. */
static void check_change(lua_State *L, const struct http_options *o)
{
    static const char *const reading[] = {"GET", "HEAD", "OPTIONS"};
    bool has_body = o->body != NULL || o->body_file != NULL;
    const char *method = o->mail_from != NULL ? "a mail"
                         : o->method != NULL  ? o->method
                         : has_body           ? "POST"
                                              : "GET";
    for (size_t i = 0; i < sizeof reading / sizeof *reading; i++)
        if (strcmp(method, reading[i]) == 0 && o->to_file == NULL) return;
    char what[64];
    snprintf(what, sizeof what, "http.request (%.40s)", method);
    task_may_change(L, what);
}

/* http.request{ url, method, headers, body, timeout, connect_timeout, max_redirects, max_response,
 * unix_socket, ca_file, user, password, sigv4, body_file, body_offset, body_bytes, to_file, connect_to,
 * mail_from, mail_to } -> response | nil, err; see stdlib/http.lua */
static int l_request(lua_State *L)
{
    const char *headers[MAX_HEADERS + 1] = {NULL}, *recipients[MAX_LINES + 1] = {NULL},
                                      *connect_to[MAX_LINES + 1] = {NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_checkstack(L, 32, NULL);
    struct http_options o = {.headers = headers, .mail_to = recipients, .connect_to = connect_to};
    o.url = text_field(L, "url", NULL);
    if (o.url == NULL) return err_misuse(L, "a request needs a url");
    o.method = text_field(L, "method", NULL);
    o.body = text_field(L, "body", &o.body_bytes);
    o.unix_socket = text_field(L, "unix_socket", NULL);
    o.ca_file = text_field(L, "ca_file", NULL);
    o.user = text_field(L, "user", NULL);
    o.password = text_field(L, "password", NULL);
    o.mail_from = text_field(L, "mail_from", NULL);
    o.sigv4 = text_field(L, "sigv4", NULL);
    o.body_file = text_field(L, "body_file", NULL);
    o.to_file = text_field(L, "to_file", NULL);
    o.to_file_limit_bytes = integer_field(L, "to_file_limit", 0, INT64_MAX / 2);
    o.body_file_offset = integer_field(L, "body_offset", 0, INT64_MAX / 2);
    o.body_file_bytes = integer_field(L, "body_bytes", 0, INT64_MAX / 2);
    o.timeout_us = seconds_field(L, "timeout", 30);
    o.connect_timeout_us = seconds_field(L, "connect_timeout", 10);
    o.max_redirects = (int)integer_field(L, "max_redirects", 0, MAX_REDIRECTS);
    o.max_response_bytes = (size_t)integer_field(L, "max_response", 4 << 20, 1LL << 40);
    if (o.method != NULL && (o.method[0] == '\0' || o.method[strspn(o.method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")]))
        return err_misuse(L, "a method is a word such as GET");
    read_headers(L, headers);
    read_lines(L, "mail_to", recipients);
    read_lines(L, "connect_to", connect_to);
    check_change(L, &o);
    struct err e;
    struct http_client *client = NULL;
    struct task *task = await_begin(L);
    if (check_grants(L, &o, &e) != 0) return err_return(L, &e);
    /* Before the request, so that a closing state frees it after the request. */
    if (get_client(L, &client, &e) != 0) return err_return(L, &e);
    struct l_request *self = lua_newuserdatauv(L, sizeof *self, 0);
    self->request = NULL;
    luaL_setmetatable(L, REQUEST_META);
    if (http_start(&self->request, client, &o, await_wake, task, &e) != 0) return err_return(L, &e);
    return await(L, http_op(self->request), request_done);
}

static void make_meta(lua_State *L, const char *name, lua_CFunction gc)
{
    if (luaL_newmetatable(L, name)) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
}

int luaopen_core_http(lua_State *L)
{
    static const luaL_Reg functions[] = {{"request", l_request}, {NULL, NULL}};
    make_meta(L, CLIENT_META, client_gc);
    make_meta(L, REQUEST_META, request_gc);
    luaL_newlib(L, functions);
    return 1;
}
