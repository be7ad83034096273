/* b_traffic: core.traffic for Lua. The drivers in stdlib/traffic/ decide; here are only the words. */
#include "bind/await.h"
#include "bind/b_err.h"
#include "core/grant.h"
#include "core/traffic.h"

#include <lauxlib.h>

#define RUN_META    "engine.traffic.run"
#define BUFFER_META "engine.traffic.buffer"
#define TABLE_META  "engine.traffic.table"

enum { SERVERS_MAX = 4096 };

int luaopen_core_traffic(lua_State *L);

/* --- shares ------------------------------------------------------------------------------- */

static int int_field(lua_State *L, int index, const char *key)
{
    lua_getfield(L, index, key);
    int is_integer;
    lua_Integer value = lua_tointegerx(L, -1, &is_integer);
    lua_pop(L, 1);
    if (!is_integer || value < INT32_MIN || value > INT32_MAX)
        return err_misuse(L, "a colour needs a whole number as %s", key);
    return (int)value;
}

/* traffic.split{ { name =, share =, servers = count }, ... } -> { { weight, ... }, ... } | nil, err */
static int l_split(lua_State *L)
{
    struct traffic_colour colours[TRAFFIC_COLOURS_MAX] = {0};
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t count = lua_rawlen(L, 1);
    luaL_argcheck(L, count >= 1 && count <= TRAFFIC_COLOURS_MAX, 1, "there are 1 to 16 colours");
    luaL_checkstack(L, TRAFFIC_COLOURS_MAX + 8, NULL);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        luaL_argcheck(L, lua_istable(L, -1), 1, "a colour is a table");
        lua_getfield(L, -1, "name"); /* stays on the stack, as the colour points to it */
        colours[i].name = luaL_checkstring(L, -1);
        colours[i].share = int_field(L, -2, "share");
        colours[i].servers = int_field(L, -2, "servers");
        luaL_argcheck(L, colours[i].servers <= SERVERS_MAX, 1, "a colour has at most 4096 servers");
    }
    struct err e;
    if (traffic_split(colours, count, &e) != 0) return err_return(L, &e);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_createtable(L, colours[i].servers, 0);
        for (int k = 0; k < colours[i].servers; k++) {
            lua_pushinteger(L, traffic_weight(&colours[i], k));
            lua_rawseti(L, -2, k + 1);
        }
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* --- commands ----------------------------------------------------------------------------- */

/* A buffer that a raise cannot leak. */
static struct buf *push_buffer(lua_State *L)
{
    struct buf *b = lua_newuserdatauv(L, sizeof *b, 0);
    buf_init(b);
    luaL_setmetatable(L, BUFFER_META);
    return b;
}

static int buffer_gc(lua_State *L)
{
    buf_release(luaL_checkudata(L, 1, BUFFER_META));
    return 0;
}

static int command(lua_State *L, int rc, const struct buf *b, const struct err *e)
{
    if (rc != 0) return err_return(L, e);
    lua_pushlstring(L, buf_str(b), b->len);
    return 1;
}

/* traffic.weight(backend, server, weight) -> command | nil, err */
static int l_weight(lua_State *L)
{
    const char *backend = luaL_checkstring(L, 1), *server = luaL_checkstring(L, 2);
    lua_Integer weight = luaL_checkinteger(L, 3);
    struct buf *b = push_buffer(L);
    struct err e;
    int clamped = weight < 0 ? -1 : weight > TRAFFIC_WEIGHT_MAX ? TRAFFIC_WEIGHT_MAX + 1 : (int)weight;
    return command(L, traffic_put_weight(b, backend, server, clamped, &e), b, &e);
}

/* traffic.state(backend, server, state) -> command | nil, err */
static int l_state(lua_State *L)
{
    const char *backend = luaL_checkstring(L, 1), *server = luaL_checkstring(L, 2),
               *state = luaL_checkstring(L, 3);
    struct buf *b = push_buffer(L);
    struct err e;
    return command(L, traffic_put_state(b, backend, server, state, &e), b, &e);
}

/* traffic.address(backend, server, address, port) -> command | nil, err */
static int l_address(lua_State *L)
{
    const char *backend = luaL_checkstring(L, 1), *server = luaL_checkstring(L, 2);
    const char *address = luaL_checkstring(L, 3);
    lua_Integer port = luaL_checkinteger(L, 4);
    struct buf *b = push_buffer(L);
    struct err e;
    int clamped = port < 1 || port > 65535 ? 0 : (int)port;
    return command(L, traffic_put_address(b, backend, server, address, clamped, &e), b, &e);
}

/* traffic.show(backend) -> command | nil, err */
static int l_show(lua_State *L)
{
    const char *backend = luaL_checkstring(L, 1);
    struct buf *b = push_buffer(L);
    struct err e;
    return command(L, traffic_put_show(b, backend, &e), b, &e);
}

/* traffic.show_states(backend) -> command | nil, err */
static int l_show_states(lua_State *L)
{
    const char *backend = luaL_checkstring(L, 1);
    struct buf *b = push_buffer(L);
    struct err e;
    return command(L, traffic_put_show_states(b, backend, &e), b, &e);
}

/* --- tables ------------------------------------------------------------------------------- */

struct column {
    const char *name, *field; /* HAProxy's word and ours */
    bool is_number;
};

static const struct column STAT[] = {{"pxname", "backend", false},
                                     {"svname", "server", false},
                                     {"status", "status", false},
                                     {"check_status", "check_status", false},
                                     {"last_chk", "last_check", false},
                                     {"addr", "address", false},
                                     {"type", "type", true},
                                     {"bck", "backup", true},
                                     {"weight", "effective_weight", true},
                                     {"uweight", "weight", true},
                                     {"scur", "scur", true},
                                     {"qcur", "qcur", true},
                                     {"stot", "stot", true},
                                     {"lbtot", "lbtot", true},
                                     {"hrsp_1xx", "hrsp_1xx", true},
                                     {"hrsp_2xx", "hrsp_2xx", true},
                                     {"hrsp_3xx", "hrsp_3xx", true},
                                     {"hrsp_4xx", "hrsp_4xx", true},
                                     {"hrsp_5xx", "hrsp_5xx", true},
                                     {"hrsp_other", "hrsp_other", true},
                                     {"econ", "econ", true},
                                     {"eresp", "eresp", true},
                                     {"wretr", "wretr", true},
                                     {"wredis", "wredis", true},
                                     {"cli_abrt", "cli_abrt", true},
                                     {"srv_abrt", "srv_abrt", true},
                                     {"chkfail", "chkfail", true},
                                     {"chkdown", "chkdown", true},
                                     {"ttime", "mean_ms", true},
                                     {NULL, NULL, false}};

static const struct column STATES[] = {{"be_name", "backend", false},
                                       {"srv_name", "server", false},
                                       {"srv_op_state", "op_state", true},
                                       {"srv_admin_state", "admin_state", true},
                                       {"srv_uweight", "weight", true},
                                       {"srv_check_state", "check_state", true},
                                       {"srv_addr", "address", false},
                                       {"srv_port", "port", true},
                                       {NULL, NULL, false}};

static int table_gc(lua_State *L)
{
    traffic_table_release(luaL_checkudata(L, 1, TABLE_META));
    return 0;
}

static int push_cell(lua_State *L, const struct traffic_table *t, size_t row, const struct column *c,
                     struct err *e)
{
    const char *text = traffic_cell(t, row, c->name);
    if (text == NULL || text[0] == '\0') return 0;
    if (c->is_number) {
        int64_t value;
        int rc = traffic_cell_int(t, row, c->name, &value, e);
        if (rc != 0) return rc;
        lua_pushinteger(L, value);
    } else {
        lua_pushstring(L, text);
    }
    lua_setfield(L, -2, c->field);
    return 0;
}

static int push_rows(lua_State *L, char separator, const struct column *columns)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct traffic_table *t = lua_newuserdatauv(L, sizeof *t, 0);
    *t = (struct traffic_table){0};
    luaL_setmetatable(L, TABLE_META);
    struct err e;
    if (traffic_table_parse(t, text, len, separator, &e) != 0) return err_return(L, &e);
    lua_createtable(L, (int)t->rows, 0);
    for (size_t row = 0; row < t->rows; row++) {
        lua_createtable(L, 0, 32);
        for (const struct column *c = columns; c->name != NULL; c++)
            if (push_cell(L, t, row, c, &e) != 0) return err_return(L, &e);
        lua_rawseti(L, -2, (lua_Integer)row + 1);
    }
    return 1;
}

/* traffic.stat(text) -> rows of `show stat` | nil, err. Empty cells are nil. */
static int l_stat(lua_State *L)
{
    return push_rows(L, ',', STAT);
}

/* traffic.states(text) -> rows of `show servers state` | nil, err */
static int l_states(lua_State *L)
{
    return push_rows(L, ' ', STATES);
}

/* --- running ------------------------------------------------------------------------------ */

static int run_gc(lua_State *L)
{
    traffic_run_release(luaL_checkudata(L, 1, RUN_META));
    return 0;
}

static int run_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    struct traffic_run *run = (struct traffic_run *)op;
    if (op->status < 0) return err_return(L, &op->err);
    lua_pushlstring(L, buf_str(&run->reply), run->reply.len);
    buf_release(&run->reply);
    return 1;
}

/* Does each of the commands only ask? */
static bool only_shows(const char *commands)
{
    for (const char *at = commands; at != NULL; at = strchr(at, ';')) {
        at += strspn(at, "; \t\r\n");
        if (*at == '\0') return true;
        if (strncmp(at, "show ", 5) != 0) return false;
    }
    return true;
}

/* traffic.run(commands, timeout_s, path | nil, host | nil, port | nil) -> reply | nil, err */
static int l_run(lua_State *L)
{
    const char *commands = luaL_checkstring(L, 1);
    lua_Number timeout_s = luaL_checknumber(L, 2);
    luaL_argcheck(L, timeout_s >= 0 && timeout_s <= 1e9, 2, "a timeout is a number of seconds");
    struct net_address at = {.path = luaL_optstring(L, 3, NULL),
                             .host = luaL_optstring(L, 4, NULL),
                             .port = (int)luaL_optinteger(L, 5, 0)};
    if (!only_shows(commands)) task_may_change(L, "a command of the proxy");
    struct task *task = await_begin(L);
    struct err e;
    if (grant_check_address(runtime_of(L)->grant, at.path, at.host, at.port, &e) != 0)
        return err_return(L, &e);
    struct traffic_run *run = lua_newuserdatauv(L, sizeof *run, 0);
    memset(run, 0, sizeof *run);
    luaL_setmetatable(L, RUN_META);
    if (traffic_run(run, runtime_of(L)->loop, &at, commands, (int64_t)(timeout_s * 1e6), await_wake, task,
                    &e) != 0)
        return err_return(L, &e);
    return await(L, &run->op, run_done);
}

static void make_meta(lua_State *L, const char *name, lua_CFunction gc)
{
    if (luaL_newmetatable(L, name)) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
}

int luaopen_core_traffic(lua_State *L)
{
    static const luaL_Reg functions[] = {{"split", l_split}, {"weight", l_weight},
                                         {"state", l_state}, {"address", l_address},
                                         {"show", l_show},   {"show_states", l_show_states},
                                         {"stat", l_stat},   {"states", l_states},
                                         {"run", l_run},     {NULL, NULL}};
    make_meta(L, RUN_META, run_gc);
    make_meta(L, BUFFER_META, buffer_gc);
    make_meta(L, TABLE_META, table_gc);
    luaL_newlib(L, functions);
    return 1;
}
