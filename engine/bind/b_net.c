/* b_net: core.net for Lua. stdlib/net.lua makes the objects; here are only the steps. */
#include "bind/await.h"
#include "bind/b_err.h"
#include "bind/b_secret.h"
#include "core/grant.h"
#include "core/net.h"

#include <lauxlib.h>

#define CONN_META     "engine.net.conn"
#define LISTENER_META "engine.net.listener"

int luaopen_core_net(lua_State *L);

static int64_t check_timeout_us(lua_State *L, int index)
{
    lua_Number seconds = luaL_checknumber(L, index);
    luaL_argcheck(L, seconds >= 0 && seconds <= 1e9, index, "a timeout is a number of seconds");
    return (int64_t)(seconds * 1e6);
}

static size_t check_limit(lua_State *L, int index)
{
    lua_Integer limit = luaL_checkinteger(L, index);
    luaL_argcheck(L, limit >= 1 && limit <= (lua_Integer)1 << 40, index, "a limit is at least 1 byte");
    return (size_t)limit;
}

static struct net_address check_address(lua_State *L, int path_index)
{
    return (struct net_address){.path = luaL_optstring(L, path_index, NULL),
                                .host = luaL_optstring(L, path_index + 1, NULL),
                                .port = (int)luaL_optinteger(L, path_index + 2, 0)};
}

/* --- connections -------------------------------------------------------------------------- */

static struct net_conn **push_conn(lua_State *L)
{
    struct net_conn **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, CONN_META);
    return box;
}

static struct net_conn *check_conn(lua_State *L)
{
    struct net_conn *c = *(struct net_conn **)luaL_checkudata(L, 1, CONN_META);
    luaL_argcheck(L, c != NULL, 1, "this connection is gone");
    return c;
}

static int conn_gc(lua_State *L)
{
    struct net_conn **box = luaL_checkudata(L, 1, CONN_META);
    net_free(*box);
    *box = NULL;
    return 0;
}

/* nil, err that names the other side. */
static int fail(lua_State *L, const struct op *op, const char *peer)
{
    struct err e = op->err;
    snprintf(e.op, sizeof e.op, "%s %s", op->kind->name, peer);
    return err_return(L, &e);
}

static int connect_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    struct net_conn *c = *(struct net_conn **)luaL_checkudata(L, -1, CONN_META);
    if (op->status < 0) return fail(L, op, net_peer(c));
    return 1;
}

/* net.connect(timeout_s, path | nil, host | nil, port | nil) -> conn | nil, err */
static int l_connect(lua_State *L)
{
    int64_t timeout_us = check_timeout_us(L, 1);
    struct net_address to = check_address(L, 2);
    lua_settop(L, 4);
    struct task *task = await_begin(L);
    struct err e;
    if (grant_check_address(runtime_of(L)->grant, to.path, to.host, to.port, &e) != 0)
        return err_return(L, &e);
    struct net_conn **box = push_conn(L);
    *box = net_new(runtime_of(L)->loop);
    if (*box == NULL) {
        err_set(&e, ERR_MEMORY, "net connect", "no memory for a connection");
        return err_return(L, &e);
    }
    if (net_connect(*box, &to, timeout_us, await_wake, task, &e) != 0) return err_return(L, &e);
    return await(L, net_connect_op(*box), connect_done);
}

static int write_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    if (op->status < 0) return fail(L, op, net_peer(check_conn(L)));
    lua_pushboolean(L, 1);
    return 1;
}

/* net.write(conn, text, timeout_s) -> true | nil, err */
static int l_write(lua_State *L)
{
    struct net_conn *c = check_conn(L);
    size_t len;
    task_may_change(L, "net.write");
    const char *text = secret_check_text(L, 2, &len);
    int64_t timeout_us = check_timeout_us(L, 3);
    struct task *task = await_begin(L);
    struct err e;
    if (net_write(c, text, len, timeout_us, await_wake, task, &e) != 0) return err_return(L, &e);
    return await(L, net_write_op(c), write_done);
}

static int read_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    struct net_conn *c = check_conn(L);
    if (op->status < 0) return fail(L, op, net_peer(c));
    size_t len;
    const char *data = net_data(c, &len);
    lua_pushlstring(L, data, len);
    return 1;
}

/* net.read_until(conn, delimiter, limit_bytes, timeout_s) -> text without it | nil, err */
static int l_read_until(lua_State *L)
{
    struct net_conn *c = check_conn(L);
    size_t len;
    const char *delimiter = luaL_checklstring(L, 2, &len);
    size_t limit = check_limit(L, 3);
    int64_t timeout_us = check_timeout_us(L, 4);
    struct task *task = await_begin(L);
    struct err e;
    if (net_read_until(c, delimiter, len, limit, timeout_us, await_wake, task, &e) != 0)
        return err_return(L, &e);
    return await(L, net_read_op(c), read_done);
}

/* net.read_some(conn, limit_bytes, timeout_s) -> text | nil, err */
static int l_read_some(lua_State *L)
{
    struct net_conn *c = check_conn(L);
    size_t limit = check_limit(L, 2);
    int64_t timeout_us = check_timeout_us(L, 3);
    struct task *task = await_begin(L);
    struct err e;
    if (net_read_some(c, limit, timeout_us, await_wake, task, &e) != 0) return err_return(L, &e);
    return await(L, net_read_op(c), read_done);
}

/* net.read_all(conn, limit_bytes, timeout_s) -> text | nil, err */
static int l_read_all(lua_State *L)
{
    struct net_conn *c = check_conn(L);
    size_t limit = check_limit(L, 2);
    int64_t timeout_us = check_timeout_us(L, 3);
    struct task *task = await_begin(L);
    struct err e;
    if (net_read_all(c, limit, timeout_us, await_wake, task, &e) != 0) return err_return(L, &e);
    return await(L, net_read_op(c), read_done);
}

/* net.close(conn) */
static int l_close(lua_State *L)
{
    net_close(check_conn(L));
    return 0;
}

/* net.is_open(conn) -> boolean */
static int l_is_open(lua_State *L)
{
    lua_pushboolean(L, net_is_open(check_conn(L)));
    return 1;
}

/* --- listeners ---------------------------------------------------------------------------- */

static struct net_listener *check_listener(lua_State *L)
{
    struct net_listener *l = *(struct net_listener **)luaL_checkudata(L, 1, LISTENER_META);
    luaL_argcheck(L, l != NULL, 1, "this listener is gone");
    return l;
}

static int listener_gc(lua_State *L)
{
    struct net_listener **box = luaL_checkudata(L, 1, LISTENER_META);
    net_listener_free(*box);
    *box = NULL;
    return 0;
}

/* net.listen(path | nil, host | nil, port | nil) -> listener, port | nil, err */
static int l_listen(lua_State *L)
{
    struct net_address at = check_address(L, 1);
    struct err e;
    if (at.path != NULL && grant_check_path(runtime_of(L)->grant, at.path, true, true, &e) != 0)
        return err_return(L, &e);
    struct net_listener **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, LISTENER_META);
    if (net_listen(box, runtime_of(L)->loop, &at, &e) != 0) return err_return(L, &e);
    lua_pushinteger(L, net_listener_port(*box));
    return 2;
}

static int accept_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    if (op->status < 0) return err_return(L, &op->err);
    struct net_conn **box = push_conn(L);
    *box = net_accepted(check_listener(L));
    return 1;
}

/* net.accept(listener, timeout_s) -> conn | nil, err */
static int l_accept(lua_State *L)
{
    struct net_listener *l = check_listener(L);
    int64_t timeout_us = check_timeout_us(L, 2);
    struct task *task = await_begin(L);
    struct err e;
    if (net_accept(l, timeout_us, await_wake, task, &e) != 0) return err_return(L, &e);
    return await(L, net_accept_op(l), accept_done);
}

/* net.close_listener(listener) */
static int l_close_listener(lua_State *L)
{
    net_listener_close(check_listener(L));
    return 0;
}

/* net.free_port() -> port | nil, err */
static int l_free_port(lua_State *L)
{
    struct err e;
    int port = net_free_port(&e);
    if (port < 0) return err_return(L, &e);
    lua_pushinteger(L, port);
    return 1;
}

static void make_meta(lua_State *L, const char *name, lua_CFunction gc)
{
    if (luaL_newmetatable(L, name)) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
}

int luaopen_core_net(lua_State *L)
{
    static const luaL_Reg functions[] = {{"connect", l_connect},       {"write", l_write},
                                         {"read_until", l_read_until}, {"read_some", l_read_some},
                                         {"read_all", l_read_all},     {"close", l_close},
                                         {"is_open", l_is_open},       {"listen", l_listen},
                                         {"accept", l_accept},         {"close_listener", l_close_listener},
                                         {"free_port", l_free_port},   {NULL, NULL}};
    make_meta(L, CONN_META, conn_gc);
    make_meta(L, LISTENER_META, listener_gc);
    luaL_newlib(L, functions);
    return 1;
}
