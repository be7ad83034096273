/* b_exposition: core.exposition for Lua. */
#include "core/exposition.h"

#include <lauxlib.h>
#include <string.h>

int luaopen_core_exposition(lua_State *L);

static void push_sample(lua_State *L, const struct exposition_sample *s)
{
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, s->name, s->name_len);
    lua_setfield(L, -2, "name");
    lua_pushnumber(L, s->value);
    lua_setfield(L, -2, "value");
    lua_createtable(L, 0, (int)s->label_count);
    for (size_t i = 0; i < s->label_count; i++) {
        const struct exposition_label *label = &s->labels[i];
        luaL_Buffer buffer;
        lua_pushlstring(L, label->name, label->name_len);
        char *room = luaL_buffinitsize(L, &buffer, label->value_len + 1);
        luaL_pushresultsize(&buffer, exposition_unescape(label, room));
        lua_settable(L, -3);
    }
    lua_setfield(L, -2, "labels");
}

/* exposition.parse(text [, names]) -> samples, unreadable. names: a set; others are skipped. */
static int l_parse(lua_State *L)
{
    size_t len, at = 0;
    const char *text = luaL_checklstring(L, 1, &len);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_Integer count = 0, unreadable = 0;
    struct exposition_sample sample;
    lua_newtable(L);
    for (enum exposition_line line; (line = exposition_next(text, len, &at, &sample)) != EXPOSITION_END;) {
        unreadable += line == EXPOSITION_UNREADABLE;
        if (line != EXPOSITION_SAMPLE) continue;
        bool wanted = true;
        if (lua_istable(L, 2)) {
            lua_pushlstring(L, sample.name, sample.name_len);
            lua_rawget(L, 2);
            wanted = lua_toboolean(L, -1);
            lua_pop(L, 1);
        }
        if (!wanted) continue;
        push_sample(L, &sample);
        lua_rawseti(L, 3, ++count);
    }
    lua_pushinteger(L, unreadable);
    return 2;
}

int luaopen_core_exposition(lua_State *L)
{
    static const luaL_Reg functions[] = {{"parse", l_parse}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
