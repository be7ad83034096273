/* b_metrics: core.metrics for Lua: the feed of HAProxy's log lines. */
#include "bind/await.h"
#include "bind/b_err.h"
#include "core/log_socket.h"
#include "core/metrics.h"

#include <lauxlib.h>

int luaopen_core_metrics(lua_State *L);

#define FEED_META "engine.metrics.feed"

struct feed {
    struct runtime *rt;
    struct metrics *metrics;
    struct log_socket *socket;
};

static const char *const COLOURS[METRICS_COLOURS] = {"blue", "green"};

static void on_line(const char *text, size_t len, void *arg)
{
    struct feed *feed = arg;
    metrics_line(feed->metrics, text, len, loop_now_us(feed->rt->loop), clock_wall_us(&feed->rt->clock));
}

static void add_servers(lua_State *L, struct feed *feed, int index)
{
    for (int colour = 0; colour < METRICS_COLOURS; colour++) {
        lua_getfield(L, index, COLOURS[colour]);
        for (lua_Integer i = 1; lua_istable(L, -1) && i <= (lua_Integer)lua_rawlen(L, -1); i++) {
            struct err e;
            lua_rawgeti(L, -1, i);
            if (metrics_add_server(feed->metrics, luaL_checkstring(L, -1), colour, &e) != 0) err_raise(L, &e);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
}

/* metrics.open(path, servers, slow_ms) -> feed | nil, err; path nil: lines are given with feed:line */
static int l_open(lua_State *L)
{
    const char *path = luaL_optstring(L, 1, NULL);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_Number slow_ms = luaL_checknumber(L, 3);
    struct feed *feed = lua_newuserdatauv(L, sizeof *feed, 0);
    *feed = (struct feed){.rt = runtime_of(L)};
    luaL_setmetatable(L, FEED_META);
    struct err e;
    if (metrics_new(&feed->metrics, (int64_t)(slow_ms * 1000), &e) != 0) return err_return(L, &e);
    add_servers(L, feed, 2);
    metrics_mark(feed->metrics, loop_now_us(feed->rt->loop));
    if (path != NULL && log_socket_open(&feed->socket, feed->rt->loop, path, on_line, feed, &e) != 0)
        return err_return(L, &e);
    return 1;
}

static struct feed *check_feed(lua_State *L)
{
    struct feed *feed = luaL_checkudata(L, 1, FEED_META);
    if (feed->metrics == NULL) luaL_error(L, "this feed was closed");
    return feed;
}

/* feed:line(text) */
static int l_line(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    on_line(text, len, check_feed(L));
    return 0;
}

/* feed:mark() */
static int l_mark(lua_State *L)
{
    struct feed *feed = check_feed(L);
    metrics_mark(feed->metrics, loop_now_us(feed->rt->loop));
    return 0;
}

static void set_integer(lua_State *L, const char *key, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, key);
}

static void set_number(lua_State *L, const char *key, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

static void push_counts(lua_State *L, const struct metrics_counts *c)
{
    lua_createtable(L, 0, 12);
    set_integer(L, "requests", c->requests);
    set_integer(L, "errors", c->errors);
    set_integer(L, "slow", c->slow);
    set_integer(L, "aborted", c->aborted);
    set_integer(L, "client_errors", c->client_errors);
    set_integer(L, "retried", c->retried);
    if (c->requests == 0) return; /* without data there is no rate */
    set_number(L, "error_rate", (double)c->errors / (double)c->requests);
    set_number(L, "slow_rate", (double)c->slow / (double)c->requests);
}

static void set_quantile(lua_State *L, const char *key, const struct histogram *h, double q)
{
    int64_t value_us = histogram_quantile(h, q);
    if (value_us >= 0) set_number(L, key, (double)value_us / 1000);
}

/* feed:since_mark() -> { blue = counts, green = counts, unreadable, unattributed, newest_age_s } */
static int l_since_mark(lua_State *L)
{
    struct feed *feed = check_feed(L);
    int64_t now_us = loop_now_us(feed->rt->loop), newest_us = metrics_newest_us(feed->metrics);
    metrics_advance(feed->metrics, now_us);
    lua_createtable(L, 0, 5);
    for (int colour = 0; colour < METRICS_COLOURS; colour++) {
        const struct histogram *durations = metrics_durations(feed->metrics, colour);
        int64_t first_us = metrics_first_failure_wall_us(feed->metrics, colour);
        push_counts(L, metrics_since(feed->metrics, colour));
        set_quantile(L, "p50_ms", durations, 0.50);
        set_quantile(L, "p95_ms", durations, 0.95);
        set_quantile(L, "p99_ms", durations, 0.99);
        if (first_us != 0) set_number(L, "first_bad_at", (double)first_us / 1e6);
        lua_setfield(L, -2, COLOURS[colour]);
    }
    set_integer(L, "unreadable", metrics_unreadable(feed->metrics));
    set_integer(L, "unattributed", metrics_unattributed(feed->metrics));
    if (newest_us != 0) set_number(L, "newest_age_s", (double)(now_us - newest_us) / 1e6);
    return 1;
}

static int slot_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    await_end(L, ctx);
    struct feed *feed = check_feed(L);
    metrics_advance(feed->metrics, loop_now_us(feed->rt->loop));
    lua_createtable(L, 0, 2);
    for (int colour = 0; colour < METRICS_COLOURS; colour++) {
        push_counts(L, metrics_last_slot(feed->metrics, colour));
        lua_setfield(L, -2, COLOURS[colour]);
    }
    return 1;
}

/* feed:next_slot() -> { blue = counts, green = counts } of the slot that closed */
static int l_next_slot(lua_State *L)
{
    struct feed *feed = check_feed(L);
    struct op *op = lua_newuserdatauv(L, sizeof *op, 0);
    memset(op, 0, sizeof *op);
    struct task *task = await_begin(L);
    int64_t now_us = loop_now_us(feed->rt->loop);
    op_sleep(op, feed->rt->loop, metrics_next_close_us(feed->metrics, now_us) - now_us, await_wake, task);
    return await(L, op, slot_done);
}

static int l_close(lua_State *L)
{
    struct feed *feed = luaL_checkudata(L, 1, FEED_META);
    log_socket_close(feed->socket);
    metrics_free(feed->metrics);
    feed->socket = NULL;
    feed->metrics = NULL;
    return 0;
}

int luaopen_core_metrics(lua_State *L)
{
    static const luaL_Reg functions[] = {{"open", l_open}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"line", l_line},           {"mark", l_mark},   {"since_mark", l_since_mark},
        {"next_slot", l_next_slot}, {"close", l_close}, {NULL, NULL}};
    if (luaL_newmetatable(L, FEED_META)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, l_close);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
