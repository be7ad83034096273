/* b_serve: core.serve for Lua. What a route or a handler is, is decided in stdlib/serve.lua. */
#include "base/log.h"
#include "bind/await.h"
#include "bind/b_err.h"
#include "core/serve.h"

#include <lauxlib.h>

int luaopen_core_serve(lua_State *L);

#define SERVE_META   "engine.serve"
#define REQUEST_META "engine.serve.request"

struct l_serve {
    struct serve *serve;
};

struct l_request {
    struct serve_request *request; /* NULL once answered */
};

/* serve.start(host, port, max_body_bytes, idle_timeout_s) -> server | nil, err */
static int l_start(lua_State *L)
{
    struct serve_options options = {
        .host = luaL_checkstring(L, 1),
        .port = (int)luaL_checkinteger(L, 2),
        .max_body_bytes = (size_t)luaL_checkinteger(L, 3),
        .idle_timeout_s = (int)luaL_checkinteger(L, 4),
    };
    luaL_argcheck(L, options.port >= 0 && options.port < 65536, 2, "a port is from 0 to 65535");
    struct l_serve *self = lua_newuserdatauv(L, sizeof *self, 0);
    self->serve = NULL;
    luaL_setmetatable(L, SERVE_META);
    struct err e;
    if (serve_start(&self->serve, runtime_of(L)->loop, &options, &e) != 0) return err_return(L, &e);
    return 1;
}

static struct l_serve *check_serve(lua_State *L)
{
    struct l_serve *self = luaL_checkudata(L, 1, SERVE_META);
    if (self->serve == NULL) luaL_error(L, "this server was closed");
    return self;
}

static int l_port(lua_State *L)
{
    lua_pushinteger(L, serve_port(check_serve(L)->serve));
    return 1;
}

static void set_text(lua_State *L, const char *key, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

static void push_headers(lua_State *L, const struct buf *lines)
{
    lua_newtable(L);
    const char *at = buf_str(lines), *end = at + lines->len;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)),
                   *colon = memchr(at, ':', (size_t)(newline - at));
        lua_pushlstring(L, at, (size_t)(colon - at));
        lua_pushlstring(L, colon + 2, (size_t)(newline - colon - 2));
        lua_rawset(L, -3);
        at = newline + 1;
    }
}

static void push_query(lua_State *L, const struct buf *pairs)
{
    lua_newtable(L);
    for (const char *at = buf_str(pairs), *end = at + pairs->len; at < end;) {
        const char *value = at + strlen(at) + 1;
        lua_pushstring(L, value);
        lua_setfield(L, -2, at);
        at = value + strlen(value) + 1;
    }
}

static int next_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    if (op->status < 0) return err_return(L, &op->err);
    struct l_serve *self = lua_touserdata(L, 1);
    struct l_request *l_request = lua_newuserdatauv(L, sizeof *l_request, 0);
    l_request->request = NULL;
    luaL_setmetatable(L, REQUEST_META);
    struct serve_request *r = self->serve != NULL ? serve_take(self->serve) : NULL;
    if (r == NULL) return 0;
    l_request->request = r;
    lua_createtable(L, 0, 8);
    set_text(L, "method", r->method);
    set_text(L, "path", r->path);
    set_text(L, "remote", r->remote);
    lua_pushlstring(L, buf_str(&r->body), r->body.len);
    lua_setfield(L, -2, "body");
    push_headers(L, &r->headers);
    lua_setfield(L, -2, "headers");
    push_query(L, &r->query);
    lua_setfield(L, -2, "query");
    lua_pushboolean(L, r->too_large);
    lua_setfield(L, -2, "too_large");
    return 2;
}

/* server:next() -> token, request | nothing when it has stopped */
static int l_next(lua_State *L)
{
    struct l_serve *self = check_serve(L);
    struct task *task = await_begin(L);
    return await(L, serve_next(self->serve, await_wake, task), next_done);
}

/* A line break in a header would smuggle another one in: such a header is dropped with its whole answer. */
static bool read_response_headers(lua_State *L, int index, struct buf *out)
{
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1)) return false;
        const char *name = lua_tostring(L, -2);
        lua_pushvalue(L, -1); /* converting a number must not confuse lua_next */
        const char *value = lua_tostring(L, -1);
        if (strpbrk(name, "\r\n: ") != NULL || strpbrk(value, "\r\n") != NULL) return false;
        buf_addf(out, "%s: %s\n", name, value);
        lua_pop(L, 1);
    }
    return buf_ok(out);
}

/* token:answer(status, headers, body) -> true | false when a header is no line of text (then 500 is answered)
 */
static int l_answer(lua_State *L)
{
    struct l_request *self = luaL_checkudata(L, 1, REQUEST_META);
    lua_Integer status = luaL_checkinteger(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    size_t len;
    const char *body = luaL_checklstring(L, 4, &len);
    if (self->request == NULL) return luaL_error(L, "this request was answered already");
    struct buf headers = BUF_INIT;
    bool ok = status >= 100 && status <= 999 && read_response_headers(L, 3, &headers);
    if (!ok) buf_clear(&headers);
    serve_answer(self->request, ok ? (int)status : 500, &headers, ok ? body : "", ok ? len : 0);
    self->request = NULL;
    buf_release(&headers);
    lua_pushboolean(L, ok);
    return 1;
}

/* A request that nobody answered: its handler was canceled. */
static int request_gc(lua_State *L)
{
    struct l_request *self = lua_touserdata(L, 1);
    static const struct buf none = BUF_INIT;
    if (self->request != NULL) serve_answer(self->request, 503, &none, "", 0);
    self->request = NULL;
    return 0;
}

static int stop_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    if (op->status < 0) return err_return(L, &op->err);
    lua_pushboolean(L, 1);
    return 1;
}

/* server:stop(timeout_s) -> true | nil, err */
static int l_stop(lua_State *L)
{
    struct l_serve *self = check_serve(L);
    lua_Number timeout_s = luaL_checknumber(L, 2);
    luaL_argcheck(L, timeout_s >= 0 && timeout_s < 1e6, 2, "a number of seconds from 0 on");
    struct serve_end *end = lua_newuserdatauv(L, sizeof *end, 0);
    memset(end, 0, sizeof *end);
    struct task *task = await_begin(L);
    serve_stop(self->serve, end, (int64_t)(timeout_s * 1e6), await_wake, task);
    return await(L, &end->op, stop_done);
}

/* serve.log(text): a line of diagnostics, without registered secrets */
static int l_log(lua_State *L)
{
    log_line(LOG_ERROR, "%s", luaL_checkstring(L, 1));
    return 0;
}

static int l_close(lua_State *L)
{
    struct l_serve *self = luaL_checkudata(L, 1, SERVE_META);
    serve_free(self->serve);
    self->serve = NULL;
    return 0;
}

int luaopen_core_serve(lua_State *L)
{
    static const luaL_Reg functions[] = {{"start", l_start}, {"log", l_log}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"port", l_port}, {"next", l_next}, {"stop", l_stop}, {"close", l_close}, {NULL, NULL}};
    if (luaL_newmetatable(L, SERVE_META)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, l_close);
        lua_setfield(L, -2, "__gc");
    }
    if (luaL_newmetatable(L, REQUEST_META)) {
        lua_newtable(L);
        lua_pushcfunction(L, l_answer);
        lua_setfield(L, -2, "answer");
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, request_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 2);
    luaL_newlib(L, functions);
    return 1;
}
