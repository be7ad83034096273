/* b_verdict: core.verdict for Lua: detectors, promotion, interval and Kayenta's judge, for rules of a team's
 * own. Everything out of range raises. The policy that the canary uses is b_verdict_policy's. */
#include "core/verdict.h"

#include "base/mem.h"
#include "bind/b_err.h"
#include "bind/b_verdict.h"
#include "core/rank_sum.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

int luaopen_core_verdict(lua_State *L);

#define ABSOLUTE_META "engine.verdict.absolute"
#define RELATIVE_META "engine.verdict.relative"

bool verdict_is_count(lua_State *L, int index)
{
    lua_Number value = lua_tonumber(L, index);
    return lua_isnumber(L, index) && value >= 0 && value <= 9007199254740992.0 && value == floor(value);
}

static uint64_t check_count(lua_State *L, int index)
{
    luaL_argcheck(L, verdict_is_count(L, index), index, "a count is a whole number from 0");
    return (uint64_t)lua_tonumber(L, index);
}

static double check_probability(lua_State *L, int index)
{
    lua_Number p = luaL_checknumber(L, index);
    luaL_argcheck(L, p > 0 && p < 1, index, "a probability is above 0 and below 1");
    return p;
}

/* n at index, k of them at index + 1. */
static void check_counts(lua_State *L, int index, uint64_t *n, uint64_t *k)
{
    *n = check_count(L, index);
    *k = check_count(L, index + 1);
    luaL_argcheck(L, *k <= *n, index + 1, "more failures than requests");
}

static double number_field(lua_State *L, int index, const char *name)
{
    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, name);
    if (!lua_isnumber(L, -1)) luaL_error(L, "%s: a number is missing", name);
    double value = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

/* verdict.absolute{ p0 = } -> detector */
static int l_absolute(lua_State *L)
{
    struct err e;
    double p0 = number_field(L, 1, "p0");
    struct verdict_absolute *d = lua_newuserdatauv(L, sizeof *d, 0);
    if (verdict_absolute_init(d, p0, &e) != 0) return err_misuse(L, "%s", e.message);
    luaL_setmetatable(L, ABSOLUTE_META);
    return 1;
}

static struct verdict_absolute *check_absolute(lua_State *L)
{
    return luaL_checkudata(L, 1, ABSOLUTE_META);
}

/* d:update(x) -> e */
static int l_absolute_update(lua_State *L)
{
    struct verdict_absolute *d = check_absolute(L);
    lua_Number x = luaL_checknumber(L, 2);
    luaL_argcheck(L, x >= 0 && x <= 1, 2, "an observation is from 0 to 1");
    lua_pushnumber(L, verdict_absolute_update(d, x));
    return 1;
}

/* d:batch(n, k) -> e */
static int l_absolute_batch(lua_State *L)
{
    uint64_t n, k;
    struct verdict_absolute *d = check_absolute(L);
    check_counts(L, 2, &n, &k);
    lua_pushnumber(L, verdict_absolute_batch(d, n, k));
    return 1;
}

static int l_absolute_stage_start(lua_State *L)
{
    verdict_absolute_stage(check_absolute(L));
    return 0;
}

/* d.e, d.p0, and the methods, which are upvalue 1. */
static int l_absolute_index(lua_State *L)
{
    struct verdict_absolute *d = check_absolute(L);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "e") == 0)
        lua_pushnumber(L, d->mixture.e);
    else if (strcmp(key, "p0") == 0)
        lua_pushnumber(L, d->p0);
    else
        lua_getfield(L, lua_upvalueindex(1), key);
    return 1;
}

/* verdict.relative{ ratios = {...} } -> detector */
static int l_relative(lua_State *L)
{
    struct err e;
    double ratios[VERDICT_MAX_BETS + 1];
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "ratios");
    luaL_argcheck(L, lua_istable(L, -1), 1, "ratios = { ... } is missing");
    int count = (int)lua_rawlen(L, -1) <= VERDICT_MAX_BETS ? (int)lua_rawlen(L, -1) : VERDICT_MAX_BETS + 1;
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, -1, i + 1);
        ratios[i] = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : NAN;
        lua_pop(L, 1);
    }
    struct verdict_relative *d = lua_newuserdatauv(L, sizeof *d, 0);
    if (verdict_relative_init(d, ratios, count, &e) != 0) return err_misuse(L, "%s", e.message);
    luaL_setmetatable(L, RELATIVE_META);
    return 1;
}

static struct verdict_relative *check_relative(lua_State *L)
{
    return luaL_checkudata(L, 1, RELATIVE_META);
}

struct block {
    uint64_t kg, ng, kb, nb;
};

/* kg, ng, kb, nb from index on. */
static struct block check_block(lua_State *L, int index)
{
    struct block b;
    b.kg = check_count(L, index);
    b.ng = check_count(L, index + 1);
    b.kb = check_count(L, index + 2);
    b.nb = check_count(L, index + 3);
    luaL_argcheck(L, b.kg <= b.ng, index, "more failures than requests");
    luaL_argcheck(L, b.kb <= b.nb, index + 2, "more failures than requests");
    return b;
}

/* r:block(kg, ng, kb, nb) -> e */
static int l_relative_block(lua_State *L)
{
    struct verdict_relative *d = check_relative(L);
    struct block b = check_block(L, 2);
    lua_pushnumber(L, verdict_relative_block(d, b.kg, b.ng, b.kb, b.nb));
    return 1;
}

static int l_relative_stage_start(lua_State *L)
{
    verdict_relative_stage(check_relative(L));
    return 0;
}

static int l_relative_index(lua_State *L)
{
    struct verdict_relative *d = check_relative(L);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "e") == 0)
        lua_pushnumber(L, d->mixture.e);
    else
        lua_getfield(L, lua_upvalueindex(1), key);
    return 1;
}

/* verdict.relative_factor(kg, ng, kb, nb, ratio) -> e */
static int l_relative_factor(lua_State *L)
{
    struct block b = check_block(L, 1);
    lua_Number ratio = luaL_checknumber(L, 5);
    luaL_argcheck(L, ratio > 0 && ratio <= 1e6, 5, "a ratio is above 0 and at most a million");
    lua_pushnumber(L, verdict_relative_factor(b.kg, b.ng, b.kb, b.nb, ratio));
    return 1;
}

/* verdict.promotion(n, k, p1) -> e */
static int l_promotion(lua_State *L)
{
    uint64_t n, k;
    check_counts(L, 1, &n, &k);
    lua_pushnumber(L, verdict_promotion(n, k, check_probability(L, 3)));
    return 1;
}

/* verdict.promotion_requests(k, p1, alpha) -> n */
static int l_promotion_requests(lua_State *L)
{
    uint64_t k = check_count(L, 1);
    double p1 = check_probability(L, 2), alpha = check_probability(L, 3);
    lua_pushinteger(L, (lua_Integer)verdict_promotion_requests(k, p1, alpha));
    return 1;
}

/* verdict.interval(n, k, alpha) -> low, high */
static int l_interval(lua_State *L)
{
    uint64_t n, k;
    double low, high;
    check_counts(L, 1, &n, &k);
    verdict_interval(n, k, check_probability(L, 3), &low, &high);
    lua_pushnumber(L, low);
    lua_pushnumber(L, high);
    return 2;
}

/* The numbers of the list at index, in a userdata that Lua frees. */
static const double *check_sample(lua_State *L, int index, size_t *count)
{
    luaL_checktype(L, index, LUA_TTABLE);
    *count = lua_rawlen(L, index);
    luaL_argcheck(L, *count >= 1 && *count <= RANK_SUM_MAX, index, "a sample has 1 to 4096 values");
    double *values = lua_newuserdatauv(L, *count * sizeof *values, 0);
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        luaL_argcheck(L, lua_isnumber(L, -1), index, "a sample is a list of numbers");
        values[i] = lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    return values;
}

/* verdict.rank_sum(control, experiment) -> { label, ci, estimate, u, p } */
static int l_rank_sum(lua_State *L)
{
    static const char *const labels[] = {"pass", "high", "low"};
    struct rank_sum r;
    struct err e;
    size_t n, m;
    const double *control = check_sample(L, 1, &n), *experiment = check_sample(L, 2, &m);
    if (rank_sum(control, n, experiment, m, &r, &e) != 0)
        return e.code == ERR_USAGE ? err_misuse(L, "%s", e.message) : err_raise(L, &e);
    lua_createtable(L, 0, 5);
    lua_pushstring(L, labels[r.label]);
    lua_setfield(L, -2, "label");
    lua_createtable(L, 2, 0);
    lua_pushnumber(L, r.low);
    lua_rawseti(L, -2, 1);
    lua_pushnumber(L, r.high);
    lua_rawseti(L, -2, 2);
    lua_setfield(L, -2, "ci");
    lua_pushnumber(L, r.estimate);
    lua_setfield(L, -2, "estimate");
    lua_pushnumber(L, r.u);
    lua_setfield(L, -2, "u");
    lua_pushnumber(L, r.p);
    lua_setfield(L, -2, "p");
    return 1;
}

static void make_meta(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction index)
{
    if (luaL_newmetatable(L, name)) {
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_pushcclosure(L, index, 1);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
}

int luaopen_core_verdict(lua_State *L)
{
    static const luaL_Reg functions[] = {{"absolute", l_absolute},
                                         {"relative", l_relative},
                                         {"relative_factor", l_relative_factor},
                                         {"promotion", l_promotion},
                                         {"promotion_requests", l_promotion_requests},
                                         {"interval", l_interval},
                                         {"rank_sum", l_rank_sum},
                                         {NULL, NULL}};
    static const luaL_Reg absolute[] = {{"update", l_absolute_update},
                                        {"batch", l_absolute_batch},
                                        {"stage_start", l_absolute_stage_start},
                                        {NULL, NULL}};
    static const luaL_Reg relative[] = {
        {"block", l_relative_block}, {"stage_start", l_relative_stage_start}, {NULL, NULL}};
    make_meta(L, ABSOLUTE_META, absolute, l_absolute_index);
    make_meta(L, RELATIVE_META, relative, l_relative_index);
    luaL_newlib(L, functions);
    return 1;
}
