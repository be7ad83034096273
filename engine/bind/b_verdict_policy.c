/* b_verdict_policy: core.verdict_policy for Lua. */
#include "core/verdict_policy.h"

#include "bind/b_err.h"
#include "bind/b_verdict.h"

#include <lauxlib.h>

int luaopen_core_verdict_policy(lua_State *L);

#define POLICY_META "engine.verdict.policy"

static double number_or(lua_State *L, int index, const char *name, double otherwise)
{
    lua_getfield(L, index, name);
    if (!lua_isnil(L, -1) && !lua_isnumber(L, -1)) luaL_error(L, "%s is a number", name);
    double value = luaL_optnumber(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

static bool flag_or(lua_State *L, int index, const char *name, bool otherwise)
{
    lua_getfield(L, index, name);
    bool value = lua_isnil(L, -1) ? otherwise : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* policy.new{ alpha, error_rate, target_rate, slow_share, r2, l2 } -> policy */
static int l_new(lua_State *L)
{
    struct err e;
    luaL_checktype(L, 1, LUA_TTABLE);
    struct verdict_limits limits = {
        .alpha = number_or(L, 1, "alpha", 1e-4),
        .error_rate = number_or(L, 1, "error_rate", 0.05),
        .target_rate = number_or(L, 1, "target_rate", 0.01),
        .slow_share = number_or(L, 1, "slow_share", 0.05),
        .r2 = flag_or(L, 1, "r2", true),
        .l2 = flag_or(L, 1, "l2", true),
    };
    struct verdict_policy *p = lua_newuserdatauv(L, sizeof *p, 0);
    if (verdict_policy_init(p, &limits, &e) != 0) return err_misuse(L, "%s", e.message);
    luaL_setmetatable(L, POLICY_META);
    return 1;
}

static struct verdict_policy *check_policy(lua_State *L)
{
    return luaL_checkudata(L, 1, POLICY_META);
}

static uint64_t count_field(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    if (!lua_isnil(L, -1) && !verdict_is_count(L, -1)) luaL_error(L, "%s is a whole number from 0", name);
    uint64_t count = (uint64_t)lua_tonumber(L, -1);
    lua_pop(L, 1);
    return count;
}

static struct verdict_slot check_slot(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    struct verdict_slot s = {
        .requests = count_field(L, index, "requests"),
        .errors = count_field(L, index, "errors"),
        .client_errors = count_field(L, index, "client_errors"),
        .slow = count_field(L, index, "slow"),
    };
    luaL_argcheck(L, s.errors <= s.requests && s.client_errors <= s.requests - s.errors, index,
                  "more failures than requests");
    luaL_argcheck(L, s.slow <= s.requests, index, "more slow requests than requests");
    lua_getfield(L, index, "over");
    for (int q = 0; lua_istable(L, -1) && q < VERDICT_QUANTILES; q++) {
        lua_rawgeti(L, -1, q + 1);
        luaL_argcheck(L, lua_isnil(L, -1) || verdict_is_count(L, -1), index,
                      "over: counts are whole numbers from 0");
        s.over[q] = (uint64_t)lua_tonumber(L, -1);
        luaL_argcheck(L, s.over[q] <= s.requests, index, "more slow requests than requests");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return s;
}

/* p:slot(green, blue) */
static int l_slot(lua_State *L)
{
    struct verdict_policy *p = check_policy(L);
    struct verdict_slot green = check_slot(L, 2), blue = check_slot(L, 3);
    verdict_policy_slot(p, &green, &blue);
    return 0;
}

static int l_stage_start(lua_State *L)
{
    verdict_policy_stage(check_policy(L));
    return 0;
}

/* p:probe_blue(failed) */
static int l_probe_blue(lua_State *L)
{
    struct verdict_policy *p = check_policy(L);
    luaL_checktype(L, 2, LUA_TBOOLEAN);
    verdict_policy_probe_blue(p, lua_toboolean(L, 2));
    return 0;
}

static void set_number(lua_State *L, const char *key, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

static void set_flag(lua_State *L, const char *key, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, key);
}

static void set_totals(lua_State *L, const char *key, const struct verdict_slot *s)
{
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, (lua_Integer)s->requests);
    lua_setfield(L, -2, "requests");
    lua_pushinteger(L, (lua_Integer)s->errors);
    lua_setfield(L, -2, "errors");
    lua_pushinteger(L, (lua_Integer)s->client_errors);
    lua_setfield(L, -2, "client_errors");
    lua_pushinteger(L, (lua_Integer)s->slow);
    lua_setfield(L, -2, "slow");
    lua_setfield(L, -2, key);
}

/* p:evidence() -> table */
static int l_evidence(lua_State *L)
{
    static const char *const rules[VERDICT_RULES] = {"R1", "R2", "L1", "L2"};
    const struct verdict_policy *p = check_policy(L);
    struct verdict_evidence v = verdict_policy_evidence(p);
    lua_createtable(L, 0, 15);
    for (int r = 0; r < VERDICT_RULES; r++)
        set_number(L, rules[r], v.e[r]);
    set_number(L, "mean", v.mean);
    set_number(L, "limit", v.limit);
    set_number(L, "blue_errors", v.blue_errors);
    set_number(L, "blue_slow", v.blue_slow);
    set_flag(L, "rollback", v.rollback);
    set_flag(L, "hold_latency", v.hold_latency);
    set_flag(L, "blue_bad", v.blue_bad);
    set_flag(L, "both_bad", v.both_bad);
    lua_pushstring(L, rules[v.rule]);
    lua_setfield(L, -2, "rule");
    set_totals(L, "green", &p->green);
    set_totals(L, "blue", &p->blue);
    return 1;
}

static void check_alpha(lua_State *L, bool needed, double alpha, const char *name)
{
    if (needed && !(alpha > 0 && alpha < 1)) luaL_error(L, "%s is a probability above 0 and below 1", name);
}

static void check_rate(lua_State *L, double rate, const char *name)
{
    if (!(rate >= 0 && rate < 1)) luaL_error(L, "%s is a share from 0 to below 1", name);
}

static struct verdict_gate check_gate(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    struct verdict_gate g = {
        .min_requests = count_field(L, index, "min_requests"),
        .error_rate = number_or(L, index, "error_rate", 0),
        .error_alpha = number_or(L, index, "error_alpha", 0),
        .slow_share = number_or(L, index, "slow_share", 0),
        .slow_alpha = number_or(L, index, "slow_alpha", 0),
        .difference = number_or(L, index, "difference", 0),
        .difference_alpha = number_or(L, index, "difference_alpha", 0),
    };
    check_rate(L, g.error_rate, "error_rate");
    check_rate(L, g.slow_share, "slow_share");
    check_rate(L, g.difference, "difference");
    check_alpha(L, g.error_rate > 0, g.error_alpha, "error_alpha");
    check_alpha(L, g.slow_share > 0, g.slow_alpha, "slow_alpha");
    check_alpha(L, g.difference > 0, g.difference_alpha, "difference_alpha");
    return g;
}

/* p:gate{...} -> table */
static int l_gate(lua_State *L)
{
    const struct verdict_policy *p = check_policy(L);
    struct verdict_gate gate = check_gate(L, 2);
    struct verdict_gate_result r = verdict_policy_gate(p, &gate);
    lua_createtable(L, 0, 8);
    set_flag(L, "open", r.open);
    set_flag(L, "enough", r.enough);
    set_flag(L, "errors_good", r.errors_good);
    set_flag(L, "slow_good", r.slow_good);
    set_flag(L, "difference_good", r.difference_good);
    set_number(L, "e_errors", r.e_errors);
    set_number(L, "e_slow", r.e_slow);
    set_number(L, "difference", r.difference);
    return 1;
}

/* policy.gate_requests{...} -> n */
static int l_gate_requests(lua_State *L)
{
    struct verdict_gate gate = check_gate(L, 1);
    lua_pushinteger(L, (lua_Integer)verdict_gate_requests(&gate));
    return 1;
}

int luaopen_core_verdict_policy(lua_State *L)
{
    static const luaL_Reg functions[] = {{"new", l_new}, {"gate_requests", l_gate_requests}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"slot", l_slot}, {"stage_start", l_stage_start}, {"evidence", l_evidence},
        {"gate", l_gate}, {"probe_blue", l_probe_blue},   {NULL, NULL}};
    if (luaL_newmetatable(L, POLICY_META)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
