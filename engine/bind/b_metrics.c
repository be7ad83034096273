/* b_metrics: core.metrics for Lua: the feed of a proxy's log lines. */
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
    if (text == NULL) text = ""; /* longer than any line: it counts as unreadable */
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

/* The socket that the options name: path, udp (a port), or none: then lines are given with feed:line. */
static int open_socket(lua_State *L, struct feed *feed, int index, struct err *e)
{
    lua_getfield(L, index, "path");
    lua_getfield(L, index, "udp");
    const char *path = luaL_optstring(L, -2, NULL);
    lua_Integer port = luaL_optinteger(L, -1, -1);
    if (path != NULL && port >= 0) return luaL_error(L, "a feed has a path or a UDP port, not both");
    if (port > 65535) return luaL_error(L, "udp is a port from 0 to 65535");
    int rc = 0;
    if (path != NULL) rc = log_socket_open(&feed->socket, feed->rt->loop, path, on_line, feed, e);
    if (port >= 0) rc = log_socket_open_udp(&feed->socket, feed->rt->loop, (int)port, on_line, feed, e);
    lua_pop(L, 2);
    return rc;
}

/* metrics.open(format, { path | udp, servers, slow_ms }) -> feed | nil, err */
static int l_open(lua_State *L)
{
    static const char *const formats[] = {"haproxy", "nginx", NULL};
    int format = luaL_checkoption(L, 1, NULL, formats);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_getfield(L, 2, "servers");
    luaL_argcheck(L, lua_istable(L, 3), 2, "servers = { blue = {...}, green = {...} } is missing");
    lua_getfield(L, 2, "slow_ms");
    lua_Number slow_ms = lua_tonumber(L, 4);
    luaL_argcheck(L, slow_ms > 0 && slow_ms < 1e9, 2, "slow_ms is a positive number of milliseconds");
    struct feed *feed = lua_newuserdatauv(L, sizeof *feed, 0);
    *feed = (struct feed){.rt = runtime_of(L)};
    luaL_setmetatable(L, FEED_META);
    struct err e;
    if (metrics_new(&feed->metrics, (int64_t)(slow_ms * 1000), &e) != 0) return err_return(L, &e);
    metrics_set_format(feed->metrics, (enum metrics_format)format);
    add_servers(L, feed, 3);
    metrics_mark(feed->metrics, loop_now_us(feed->rt->loop));
    if (open_socket(L, feed, 2, &e) != 0) return err_return(L, &e);
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

/* feed:mark() -> mark */
static int l_mark(lua_State *L)
{
    struct feed *feed = check_feed(L);
    metrics_mark(feed->metrics, loop_now_us(feed->rt->loop));
    lua_pushinteger(L, (lua_Integer)metrics_mark_us(feed->metrics));
    return 1;
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
    lua_createtable(L, 0, 14);
    lua_createtable(L, METRICS_THRESHOLDS, 0);
    for (int i = 0; i < METRICS_THRESHOLDS; i++) {
        lua_pushinteger(L, (lua_Integer)c->over[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "over");
    set_integer(L, "requests", c->requests);
    set_integer(L, "errors", c->errors);
    set_integer(L, "slow", c->slow);
    set_integer(L, "aborted", c->aborted);
    set_integer(L, "client_errors", c->client_errors);
    set_integer(L, "retried", c->retried);
    set_integer(L, "hidden", c->hidden);
    if (c->requests == 0) return; /* without data there is no rate */
    set_number(L, "error_rate", (double)c->errors / (double)c->requests);
    set_number(L, "slow_rate", (double)c->slow / (double)c->requests);
}

static void set_quantile(lua_State *L, const char *key, const struct histogram *h, double q)
{
    int64_t value_us = histogram_quantile(h, q);
    if (value_us >= 0) set_number(L, key, (double)value_us / 1000);
}

/* [-0, +0] Onto the counts on top of L. */
static void set_durations(lua_State *L, const struct histogram *durations)
{
    set_quantile(L, "p50_ms", durations, 0.50);
    set_quantile(L, "p75_ms", durations, 0.75);
    set_quantile(L, "p90_ms", durations, 0.90);
    set_quantile(L, "p95_ms", durations, 0.95);
    set_quantile(L, "p99_ms", durations, 0.99);
}

static void set_rps(lua_State *L, const struct metrics_counts *counts, int64_t covered_us)
{
    if (counts->requests > 0 && covered_us > 0)
        set_number(L, "rps", (double)counts->requests * 1e6 / (double)covered_us);
}

/* [-0, +0] What concerns the whole feed, onto the view on top of L. */
static void set_feed(lua_State *L, const struct feed *feed, int64_t now_us, int64_t covered_us)
{
    int64_t newest_us = metrics_newest_us(feed->metrics);
    set_integer(L, "unreadable", metrics_unreadable(feed->metrics));
    set_integer(L, "unattributed", metrics_unattributed(feed->metrics));
    set_number(L, "seconds", (double)covered_us / 1e6);
    if (newest_us != 0) set_number(L, "newest_age_s", (double)(now_us - newest_us) / 1e6);
}

static int push_stage(lua_State *L, struct feed *feed, int64_t now_us)
{
    int64_t covered_us = metrics_covered_us(feed->metrics);
    lua_createtable(L, 0, 6);
    for (int colour = 0; colour < METRICS_COLOURS; colour++) {
        const struct metrics_counts *counts = metrics_since(feed->metrics, colour);
        int64_t first_us = metrics_first_failure_wall_us(feed->metrics, colour);
        push_counts(L, counts);
        set_durations(L, metrics_durations(feed->metrics, colour));
        set_rps(L, counts, covered_us);
        if (first_us != 0) set_number(L, "first_bad_at", (double)first_us / 1e6);
        lua_setfield(L, -2, COLOURS[colour]);
    }
    set_feed(L, feed, now_us, covered_us);
    return 1;
}

static int push_history(lua_State *L, struct feed *feed, int64_t from_us, int64_t now_us)
{
    struct metrics_window window = metrics_history(feed->metrics, from_us, now_us);
    lua_createtable(L, 0, 6);
    for (int colour = 0; colour < METRICS_COLOURS; colour++) {
        struct histogram durations = {0};
        push_counts(L, &window.counts[colour]);
        if (window.counts[colour].requests > 0) {
            metrics_history_durations(feed->metrics, colour, from_us, now_us, &durations);
            set_durations(L, &durations);
        }
        set_rps(L, &window.counts[colour], window.covered_us);
        lua_setfield(L, -2, COLOURS[colour]);
    }
    set_feed(L, feed, now_us, window.covered_us);
    return 1;
}

/* feed:since([mark]) -> { blue = counts, green = counts, unreadable, unattributed, seconds, newest_age_s } */
static int l_since(lua_State *L)
{
    struct feed *feed = check_feed(L);
    int64_t now_us = loop_now_us(feed->rt->loop);
    int64_t mark_us = luaL_optinteger(L, 2, metrics_mark_us(feed->metrics));
    luaL_argcheck(L, mark_us >= 0 && mark_us <= now_us, 2, "not a mark of this feed");
    metrics_advance(feed->metrics, now_us);
    return mark_us == metrics_mark_us(feed->metrics) ? push_stage(L, feed, now_us)
                                                     : push_history(L, feed, mark_us, now_us);
}

/* feed:last(seconds) -> the same */
static int l_last(lua_State *L)
{
    struct feed *feed = check_feed(L);
    lua_Number seconds = luaL_checknumber(L, 2);
    luaL_argcheck(L, seconds > 0 && seconds < 1e9, 2, "a positive number of seconds");
    int64_t now_us = loop_now_us(feed->rt->loop);
    metrics_advance(feed->metrics, now_us);
    /* The window ends where the last closed slot does, not now. */
    int64_t from_us = now_us - METRICS_LAG_US - (int64_t)(seconds * 1e6);
    return push_history(L, feed, from_us > 0 ? from_us : 0, now_us);
}

/* feed:first_bad(colour) -> wall seconds | nil */
static int l_first_bad(lua_State *L)
{
    struct feed *feed = check_feed(L);
    int colour = luaL_checkoption(L, 2, NULL, (const char *const[]){"blue", "green", NULL});
    int64_t first_us = metrics_first_failure_wall_us(feed->metrics, colour);
    if (first_us == 0) return 0;
    lua_pushnumber(L, (double)first_us / 1e6);
    return 1;
}

/* feed:thresholds(milliseconds): a list of five */
static int l_thresholds(lua_State *L)
{
    int64_t threshold_us[METRICS_THRESHOLDS];
    struct feed *feed = check_feed(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    for (int i = 0; i < METRICS_THRESHOLDS; i++) {
        lua_rawgeti(L, 2, i + 1);
        lua_Number ms = lua_tonumber(L, -1);
        luaL_argcheck(L, lua_isnumber(L, -1) && ms > 0 && ms < 1e9, 2,
                      "five positive numbers of milliseconds");
        threshold_us[i] = (int64_t)(ms * 1000);
        lua_pop(L, 1);
    }
    metrics_set_thresholds(feed->metrics, threshold_us);
    return 0;
}

/* feed:received() -> { blue = lines, green = lines } */
static int l_received(lua_State *L)
{
    struct feed *feed = check_feed(L);
    lua_createtable(L, 0, METRICS_COLOURS);
    for (int colour = 0; colour < METRICS_COLOURS; colour++)
        set_integer(L, COLOURS[colour], metrics_received(feed->metrics, colour));
    return 1;
}

/* feed:port() -> its UDP port | nil */
static int l_port(lua_State *L)
{
    struct feed *feed = check_feed(L);
    if (feed->socket == NULL || log_socket_port(feed->socket) == 0) return 0;
    lua_pushinteger(L, log_socket_port(feed->socket));
    return 1;
}

/* feed:queue_lines() -> how many lines its unix socket can hold | nil */
static int l_queue_lines(lua_State *L)
{
    struct feed *feed = check_feed(L);
    int lines = feed->socket != NULL ? log_socket_queue_lines(feed->socket) : 0;
    if (lines == 0) return 0;
    lua_pushinteger(L, lines);
    return 1;
}

static int push_unread(lua_State *L, struct feed *feed)
{
    struct metrics_unread unread = metrics_take_unread(feed->metrics);
    lua_createtable(L, 0, 3);
    for (int colour = 0; colour < METRICS_COLOURS; colour++) {
        push_counts(L, &unread.counts[colour]);
        lua_setfield(L, -2, COLOURS[colour]);
    }
    set_integer(L, "slots", (uint64_t)unread.slots);
    return 1;
}

static int slot_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    await_end(L, ctx);
    struct feed *feed = check_feed(L);
    metrics_advance(feed->metrics, loop_now_us(feed->rt->loop));
    return push_unread(L, feed);
}

/* feed:next_slot() -> { blue = counts, green = counts, slots = } of what closed since the last call */
static int l_next_slot(lua_State *L)
{
    struct feed *feed = check_feed(L);
    struct op *op = lua_newuserdatauv(L, sizeof *op, 0);
    memset(op, 0, sizeof *op);
    struct task *task = await_begin(L);
    int64_t now_us = loop_now_us(feed->rt->loop), wait_us = 0;
    metrics_advance(feed->metrics, now_us);
    if (!metrics_has_unread(feed->metrics)) wait_us = metrics_next_close_us(feed->metrics, now_us) - now_us;
    op_sleep(op, feed->rt->loop, wait_us, await_wake, task);
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
    static const luaL_Reg methods[] = {{"line", l_line},
                                       {"mark", l_mark},
                                       {"since", l_since},
                                       {"last", l_last},
                                       {"first_bad", l_first_bad},
                                       {"next_slot", l_next_slot},
                                       {"thresholds", l_thresholds},
                                       {"received", l_received},
                                       {"port", l_port},
                                       {"queue_lines", l_queue_lines},
                                       {"close", l_close},
                                       {NULL, NULL}};
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
