#include "host/search.h"

#include "base/buf.h"
#include "bind/b_err.h"
#include "bind/runtime.h"
#include "host/baked.h"
#include "host/scan.h"
#include "host/version.h"

#include <ctype.h>
#include <errno.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Registry keys: the loaded modules by name, the folders in their order, and for each loaded
 * module { name, path, text }. */
#define LOADED  "engine.loaded"
#define FOLDERS "engine.folders"
#define SOURCES "engine.sources"
#define MAIN    "engine.main" /* the path of the playbook itself */
/* For each module that is to come from a record and not from a file: { path, text }. nil: none. */
#define RECORDED "engine.recorded"
/* Name of the module that stands in for another, by the other's name; nil: none. */
#define STAND_INS "engine.stand_ins"
/* Modules that others stand in for, loaded nevertheless. */
#define GENUINE "engine.genuine"
/* { function, path } of the modules that are not built in, by name, kept so that forget() costs no second
 * reading. */
#define CHUNKS "engine.chunks"
/* The function that every source which is not of the library goes through. nil: none. */
#define TRANSFORM "engine.transform"

enum { MAX_SOURCE_BYTES = 4 << 20 };

const struct baked_file *baked_find(const char *path)
{
    for (const struct baked_file *f = baked_files; f->path != NULL; f++)
        if (strcmp(f->path, path) == 0) return f;
    return NULL;
}

static int read_file(const char *path, struct buf *out, struct err *e)
{
    FILE *f = fopen(path, "rbe");
    /* "traffic/command.lua" beside a script called "traffic" is not there either. */
    if (f == NULL) return err_errno(e, errno == ENOTDIR ? ENOENT : errno, path, "%s cannot be opened", path);
    char chunk[8192];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0 && out->len <= MAX_SOURCE_BYTES)
        buf_add(out, chunk, n);
    int failed = ferror(f);
    int read_errno = errno;
    fclose(f);
    if (failed) return err_errno(e, read_errno, path, "%s cannot be read", path);
    if (out->len > MAX_SOURCE_BYTES)
        return err_set(e, ERR_LIMIT, path, "%s is larger than 4 MiB; that is no playbook", path);
    if (!buf_ok(out)) return err_set(e, ERR_MEMORY, path, "no memory to read %s", path);
    return 0;
}

static bool is_library(const char *path)
{
    return strncmp(path, "stdlib/", 7) == 0;
}

static int compile(lua_State *L, const char *path, const char *text, size_t size, struct err *e)
{
    char chunk_name[512];
    snprintf(chunk_name, sizeof chunk_name, "@%s", path);
    if (luaL_loadbufferx(L, text, size, chunk_name, "t") == LUA_OK) return 0;
    err_set(e, ERR_PLAYBOOK, path, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return -ERR_PLAYBOOK;
}

int search_load_text(lua_State *L, const char *path, const char *text, size_t size, struct err *e)
{
    if (!is_library(path) && scan_chunk(path, text, size, e) != 0) return -(int)e->code;
    return compile(L, path, text, size, e);
}

static void remember_source(lua_State *L, const char *name, const char *path, const char *text, size_t size)
{
    lua_getfield(L, LUA_REGISTRYINDEX, SOURCES);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, path);
    lua_setfield(L, -2, "path");
    lua_pushlstring(L, text, size);
    lua_setfield(L, -2, "text");
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
}

/* Pushes what the transform at the top makes of a text: the chunk of the new text, or, when a value came with
 * that, what this chunk returns for it. Without a new text, the chunk of the old one. [-1, +1], on failure
 * [-1, +0] */
static int compile_transformed(lua_State *L, const char *path, const char *text, size_t size, struct err *e)
{
    int top = lua_gettop(L) - 1;
    int rc = 0;
    lua_pushlstring(L, text, size);
    lua_pushstring(L, path);
    bool failed = lua_pcall(L, 2, 2, 0) != LUA_OK;
    if (!failed) {
        if (lua_type(L, top + 1) == LUA_TSTRING) text = lua_tolstring(L, top + 1, &size);
        rc = compile(L, path, text, size, e);
        if (rc == 0 && !lua_isnil(L, top + 2)) {
            lua_pushvalue(L, top + 2);
            failed = lua_pcall(L, 1, 1, 0) != LUA_OK;
        }
    }
    if (failed) {
        err_read(L, -1, e);
        rc = -(int)e->code;
    }
    if (rc == 0) lua_replace(L, top + 1);
    lua_settop(L, rc == 0 ? top + 1 : top);
    return rc;
}

/* Compiles the source of a module or of a playbook, and remembers what was written. [-0, +1] on success */
static int load_source(lua_State *L, const char *name, const char *path, const char *text, size_t size,
                       struct err *e)
{
    int rc;
    if (is_library(path)) {
        rc = compile(L, path, text, size, e);
    } else if ((rc = scan_chunk(path, text, size, e)) == 0) {
        if (lua_getfield(L, LUA_REGISTRYINDEX, TRANSFORM) == LUA_TFUNCTION) {
            rc = compile_transformed(L, path, text, size, e);
        } else {
            lua_pop(L, 1);
            rc = compile(L, path, text, size, e);
        }
    }
    if (rc == 0) remember_source(L, name, path, text, size);
    return rc;
}

/* A file that is baked in. What was compiled when it was baked is taken for its text, unless this is another
 * Lua than that. */
static int load_baked(lua_State *L, const char *name, const struct baked_file *baked, struct err *e)
{
    if (baked->code != NULL) {
        if (luaL_loadbufferx(L, baked->code, baked->code_bytes, baked->path, "b") == LUA_OK) {
            remember_source(L, name, baked->path, baked->text, baked->size_bytes);
            return 0;
        }
        lua_pop(L, 1);
    }
    return load_source(L, name, baked->path, baked->text, baked->size_bytes, e);
}

static bool is_module_name(const char *name)
{
    if (name[0] == '\0' || name[0] == '.' || strlen(name) > 100) return false;
    for (const char *p = name; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-' &&
            !(*p == '.' && p[1] != '.' && p[1] != '\0'))
            return false;
    return true;
}

static void module_file(const char *name, char *out, size_t size)
{
    size_t n = 0;
    for (; name[n] != '\0' && n + 5 < size; n++)
        out[n] = name[n] == '.' ? '/' : name[n];
    memcpy(out + n, ".lua", 5);
}

/* Is path the playbook itself? A playbook called backup.lua must not hide the module backup from everybody.
 */
static bool is_main(lua_State *L, const char *path)
{
    struct stat a, b;
    lua_getfield(L, LUA_REGISTRYINDEX, MAIN);
    const char *main_path = lua_tostring(L, -1);
    bool same = main_path != NULL && stat(path, &a) == 0 && stat(main_path, &b) == 0 &&
                a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    lua_pop(L, 1);
    return same;
}

/* A module of the record. Pushes the compiled function and the path and returns 1; 0 if it has none of that
 * name, negative with *e if something is wrong with it (nothing pushed). */
static int load_recorded(lua_State *L, const char *name, struct err *e)
{
    int top = lua_gettop(L);
    if (lua_getfield(L, LUA_REGISTRYINDEX, RECORDED) != LUA_TTABLE ||
        lua_getfield(L, -1, name) != LUA_TTABLE) {
        lua_settop(L, top);
        return 0;
    }
    lua_getfield(L, -1, "path");
    lua_getfield(L, -2, "text");
    size_t size;
    const char *path = luaL_checkstring(L, -2), *text = luaL_checklstring(L, -1, &size);
    int rc = load_source(L, name, path, text, size, e);
    if (rc != 0) {
        lua_settop(L, top);
        return rc;
    }
    lua_copy(L, -1, top + 1);
    lua_copy(L, top + 3, top + 2);
    lua_settop(L, top + 2);
    return 1;
}

/* Looks through the record, the folders, then the baked files. Pushes the compiled function and the path and
 * returns 1; 0 if there is no such module (nothing pushed); raises what is wrong with one. */
static int find_and_load(lua_State *L, const char *name)
{
    char file[128], path[1024];
    struct err e;
    int found = load_recorded(L, name, &e);
    if (found != 0) return found > 0 ? 1 : err_raise(L, &e);
    module_file(name, file, sizeof file);
    lua_getfield(L, LUA_REGISTRYINDEX, FOLDERS);
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        snprintf(path, sizeof path, "%s/%s", lua_tostring(L, -1), file);
        lua_pop(L, 1);
        struct buf text = BUF_INIT;
        int rc = is_main(L, path) ? -ERR_NOT_FOUND : read_file(path, &text, &e);
        if (rc == 0) rc = load_source(L, name, path, buf_str(&text), text.len, &e);
        buf_release(&text);
        if (rc == 0) {
            lua_remove(L, -2);
            lua_pushstring(L, path);
            return 1;
        }
        if (rc != -ERR_NOT_FOUND) return err_raise(L, &e);
    }
    lua_pop(L, 1);
    static const char *const roots[] = {"stdlib", "playbooks"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", roots[i], file);
        const struct baked_file *baked = baked_find(path);
        if (baked == NULL) continue;
        if (load_baked(L, name, baked, &e) != 0) return err_raise(L, &e);
        lua_pushstring(L, path);
        return 1;
    }
    return 0;
}

static lua_CFunction find_core(const char *name)
{
    for (const struct bind_module *m = bind_modules; m->name != NULL; m++)
        if (strcmp(m->name, name) == 0) return m->open;
    return NULL;
}

static int l_loading(lua_State *L)
{
    return luaL_error(L, "modules require each other in a circle");
}

/* As find_and_load; what was loaded once is not read again. A chunk that is called again makes all of its
 * locals anew, so a kept one is as good as a new one. */
static int find_once(lua_State *L, const char *name)
{
    int top = lua_gettop(L);
    lua_getfield(L, LUA_REGISTRYINDEX, CHUNKS);
    if (lua_getfield(L, top + 1, name) == LUA_TTABLE) {
        lua_rawgeti(L, top + 2, 1);
        lua_rawgeti(L, top + 2, 2);
        lua_remove(L, top + 2);
        lua_remove(L, top + 1);
        return 1;
    }
    lua_settop(L, top);
    if (!find_and_load(L, name)) return 0;
    if (strncmp(lua_tostring(L, -1), "stdlib/", 7) == 0) return 1;
    lua_getfield(L, LUA_REGISTRYINDEX, CHUNKS);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, top + 1);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, top + 2);
    lua_rawseti(L, -2, 2);
    lua_setfield(L, -2, name);
    lua_settop(L, top + 2);
    return 1;
}

/* Loads the module that is really called name into the table at index loaded, and pushes its value. */
static int load_into(lua_State *L, int loaded, const char *name)
{
    int top = lua_gettop(L);
    if (!is_module_name(name))
        return luaL_error(L, "'%s' is not a module name (letters, digits, _ and . between)", name);
    lua_CFunction core = find_core(name);
    if (core != NULL) {
        lua_pushcfunction(L, core);
        lua_pushstring(L, name);
    } else if (!find_once(L, name)) {
        struct err e;
        char file[128];
        module_file(name, file, sizeof file);
        err_set(&e, ERR_PLAYBOOK, "require",
                "module '%s' was not found: no %s in the venture's folder, beside the playbook, or built in",
                name, file);
        return err_raise(L, &e);
    }
    lua_pushcfunction(L, l_loading);
    lua_setfield(L, loaded, name);
    lua_pushstring(L, name);
    lua_insert(L, top + 2); /* function, name, path */
    if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
        lua_pushnil(L);
        lua_setfield(L, loaded, name);
        return lua_error(L);
    }
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, loaded, name);
    return 1;
}

/* Pushes the module's value and returns true, if it was loaded into the table at index loaded. */
static bool is_loaded(lua_State *L, int loaded, const char *name)
{
    if (lua_getfield(L, loaded, name) == LUA_TNIL) {
        lua_pop(L, 1);
        return false;
    }
    if (lua_tocfunction(L, -1) == l_loading) luaL_error(L, "module '%s' requires itself in a circle", name);
    return true;
}

/* require(name) -> the module's value */
static int l_require(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, LOADED);
    if (is_loaded(L, 2, name)) return 1;
    lua_getfield(L, LUA_REGISTRYINDEX, STAND_INS);
    if (lua_getfield(L, 3, name) != LUA_TSTRING) return load_into(L, 2, name);
    const char *other = lua_tostring(L, 4);
    if (!is_loaded(L, 2, other)) load_into(L, 2, other);
    lua_pushvalue(L, -1);
    lua_setfield(L, 2, name);
    return 1;
}

/* search.genuine(name) -> the module itself, also where another stands in for it */
static int l_genuine(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, GENUINE);
    if (!is_loaded(L, 2, name)) load_into(L, 2, name);
    return 1;
}

/* Does a module come from a file of its own, and not from what is built in? */
static bool is_kept_chunk(lua_State *L, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, CHUNKS);
    bool kept = lua_getfield(L, -1, name) == LUA_TTABLE;
    lua_pop(L, 2);
    return kept;
}

static bool is_from_the_start(const char *name)
{
    static const char *const names[] = {"core.search", "task", "prelude", NULL};
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

/* A module that was used by its name alone is a global too: not any more. Its value is at the top. */
static void forget_global(lua_State *L, const char *name)
{
    lua_pushglobaltable(L);
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    if (lua_rawequal(L, -1, -3)) {
        lua_pushstring(L, name);
        lua_pushnil(L);
        lua_rawset(L, -4);
    }
    lua_pop(L, 2);
}

/* Forgets what is loaded: everything but what the state itself began with, or only what comes from files. */
static void forget(lua_State *L, bool everything)
{
    lua_newtable(L);
    int kept = lua_gettop(L);
    lua_getfield(L, LUA_REGISTRYINDEX, LOADED);
    for (lua_pushnil(L); lua_next(L, kept + 1) != 0; lua_pop(L, 1)) {
        const char *name = lua_tostring(L, -2);
        if (everything ? !is_from_the_start(name) : is_kept_chunk(L, name)) {
            forget_global(L, name);
            continue;
        }
        lua_pushvalue(L, -1);
        lua_setfield(L, kept, name);
    }
    lua_settop(L, kept);
    lua_setfield(L, LUA_REGISTRYINDEX, LOADED);
}

/* search.stand_in(table of other names by name): from now on, whoever requires a module of the first names
 * gets that of the second. Everything is loaded anew when it is next required, so that nobody still has the
 * module itself. */
static int l_stand_in(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, STAND_INS);
    forget(L, true);
    return 0;
}

/* search.forget(): modules that come from files, not built in, run anew when they are next required: a
 * playbook that is run again finds none of the values that it left in them. */
static int l_forget(lua_State *L)
{
    forget(L, false);
    return 0;
}

/* search.find(name) -> boolean: would require find it? Loads nothing. */
static int l_find(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    if (!is_module_name(name)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    lua_settop(L, 1);
    if (lua_getfield(L, LUA_REGISTRYINDEX, RECORDED) == LUA_TTABLE &&
        lua_getfield(L, -1, name) == LUA_TTABLE) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_settop(L, 1);
    char file[128], path[1024];
    module_file(name, file, sizeof file);
    lua_getfield(L, LUA_REGISTRYINDEX, FOLDERS);
    for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, 2); i++) {
        lua_rawgeti(L, 2, i);
        snprintf(path, sizeof path, "%s/%s", lua_tostring(L, -1), file);
        lua_pop(L, 1);
        FILE *f = fopen(path, "re");
        if (f != NULL) {
            fclose(f);
            lua_pushboolean(L, 1);
            return 1;
        }
    }
    snprintf(path, sizeof path, "stdlib/%s", file);
    bool found = baked_find(path) != NULL;
    snprintf(path, sizeof path, "playbooks/%s", file);
    lua_pushboolean(L, found || baked_find(path) != NULL);
    return 1;
}

/* search.add_folder(path) */
static int l_add_folder(lua_State *L)
{
    const char *folder = luaL_checkstring(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, FOLDERS);
    lua_pushstring(L, folder);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    return 0;
}

/* search.set_folders(list of paths): these are the folders from now on. Modules that came from others are
 * looked for anew, and run anew, when they are next required. */
static int l_set_folders(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    forget(L, false);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, CHUNKS);
    lua_newtable(L);
    for (lua_Integer i = 1; lua_rawgeti(L, 1, i) != LUA_TNIL; i++) {
        luaL_checkstring(L, -1);
        lua_rawseti(L, 2, i);
    }
    lua_settop(L, 2);
    lua_setfield(L, LUA_REGISTRYINDEX, FOLDERS);
    return 0;
}

/* search.sources() -> array of { name, path, text } of every module loaded so far */
static int l_sources(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, SOURCES);
    return 1;
}

/* search.use_recorded(array of { name, path, text }): these modules come from here from now on, whatever the
 * files hold; what is loaded already stays. */
static int l_use_recorded(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_newtable(L);
    for (lua_Integer i = 1; lua_rawgeti(L, 1, i) == LUA_TTABLE; i++) {
        lua_getfield(L, -1, "name");
        luaL_checkstring(L, -1);
        lua_insert(L, -2);
        lua_rawset(L, 2);
    }
    lua_settop(L, 2);
    lua_setfield(L, LUA_REGISTRYINDEX, RECORDED);
    return 0;
}

/* search.load_recorded() -> the recorded playbook as a function | nil, err; as load_file gives it */
static int l_load_recorded(lua_State *L)
{
    struct err e;
    int found = load_recorded(L, "main", &e);
    if (found == 0) err_set(&e, ERR_NOT_FOUND, "load playbook", "the record has no playbook");
    if (found <= 0) return err_return(L, &e);
    lua_setfield(L, LUA_REGISTRYINDEX, MAIN);
    return 1;
}

/* Gives the function at the top the table at index as its globals. They are the first upvalue of a chunk, and
 * any of what a transform made of one. */
static void set_globals(lua_State *L, int index)
{
    const char *name;
    for (int i = 1; (name = lua_getupvalue(L, -1, i)) != NULL; i++) {
        lua_pop(L, 1);
        if (strcmp(name, "_ENV") != 0) continue;
        lua_pushvalue(L, index);
        lua_setupvalue(L, -2, i);
        return;
    }
}

/* search.load_file(path [, env]) -> function | nil, err. Baked playbooks are found by their path when there
 * is no such file. */
static int l_load_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    bool has_env = !lua_isnoneornil(L, 2);
    struct buf text = BUF_INIT;
    struct err e;
    int rc = read_file(path, &text, &e);
    const struct baked_file *baked = rc == -ERR_NOT_FOUND ? baked_find(path) : NULL;
    if (baked != NULL) {
        buf_add(&text, baked->text, baked->size_bytes);
        rc = buf_ok(&text) ? 0 : err_set(&e, ERR_MEMORY, path, "no memory to read %s", path);
    }
    if (rc == 0) rc = load_source(L, "main", path, buf_str(&text), text.len, &e);
    if (rc == 0) {
        lua_pushvalue(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, MAIN);
    }
    buf_release(&text);
    if (rc != 0) return err_return(L, &e);
    if (has_env) set_globals(L, 2);
    return 1;
}

/* search.transform(fn or nil): from now on the source of every module and playbook that is not of the library
 * goes through fn(text, path) -> new text [, value], or nil to leave it. With a value, the new text is one
 * whose chunk, called with the value, returns the function to run. sources() keeps what was written. */
static int l_transform(lua_State *L)
{
    if (!lua_isnoneornil(L, 1)) luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, TRANSFORM);
    return 0;
}

/* search.load_text(text, name [, env]) -> function | nil, err */
static int l_load_text(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    const char *name = luaL_checkstring(L, 2);
    bool has_env = !lua_isnoneornil(L, 3);
    struct err e;
    if (search_load_text(L, name, text, size, &e) != 0) return err_return(L, &e);
    if (has_env) set_globals(L, 3);
    return 1;
}

/* search.baked(path) -> text | nil: the text of a file that is built in, such as "stdlib/health.lua" */
static int l_baked(lua_State *L)
{
    const struct baked_file *baked = baked_find(luaL_checkstring(L, 1));
    if (baked == NULL) return 0;
    lua_pushlstring(L, baked->text, baked->size_bytes);
    return 1;
}

/* search.version() -> the engine's own */
static int l_version(lua_State *L)
{
    lua_pushliteral(L, ENGINE_VERSION);
    return 1;
}

/* search.baked_paths() -> array of the paths of everything that is built in */
static int l_baked_paths(lua_State *L)
{
    lua_newtable(L);
    for (lua_Integer i = 0; baked_files[i].path != NULL; i++) {
        lua_pushstring(L, baked_files[i].path);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int luaopen_core_search(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"find", l_find},
        {"add_folder", l_add_folder},
        {"set_folders", l_set_folders},
        {"sources", l_sources},
        {"load_file", l_load_file},
        {"use_recorded", l_use_recorded},
        {"load_recorded", l_load_recorded},
        {"transform", l_transform},
        {"load_text", l_load_text},
        {"baked", l_baked},
        {"baked_paths", l_baked_paths},
        {"version", l_version},
        {"stand_in", l_stand_in},
        {"genuine", l_genuine},
        {"forget", l_forget},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}

void search_open(lua_State *L)
{
    lua_newtable(L);
    luaopen_core_search(L);
    lua_setfield(L, -2, "core.search");
    lua_setfield(L, LUA_REGISTRYINDEX, LOADED);
    static const char *const tables[] = {FOLDERS, STAND_INS, GENUINE, CHUNKS};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        lua_newtable(L);
        lua_setfield(L, LUA_REGISTRYINDEX, tables[i]);
    }
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, SOURCES);
    lua_register(L, "require", l_require);
}

int search_add_folder(lua_State *L, const char *folder, struct err *e)
{
    lua_pushcfunction(L, l_add_folder);
    lua_pushstring(L, folder);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK) return 0;
    err_read(L, -1, e);
    lua_pop(L, 1);
    return -(int)e->code;
}
