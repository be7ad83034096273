/* b_files: core.files for Lua. Every call runs on a worker thread while the task waits. */
#include "base/buf.h"
#include "bind/await.h"
#include "bind/b_err.h"
#include "core/files.h"
#include "core/work.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>

int luaopen_core_files(lua_State *L);

#define FILES_META "engine.files"
enum { READ_LIMIT_BYTES = 64 << 20 };

enum action {
    READ,
    TAIL,
    WRITE,
    APPEND,
    LIST,
    STAT,
    MAKE,
    REMOVE,
    REMOVE_TREE,
    SHA256,
    REALPATH,
    MKDTEMP,
    LINK,
    RENAME
};

/* One call. The strings stay on the Lua stack below it. */
struct call {
    struct work work;
    enum action action;
    const char *path, *bytes;
    size_t size;
    int64_t limit;
    unsigned mode;
    struct buf out;
    struct files_stat stat;
    char text[PATH_MAX];
};

static int act(struct work *work, void *arg, struct err *e)
{
    struct call *c = arg;
    (void)work;
    switch (c->action) {
    case READ:
        return files_read(c->path, c->limit, &c->out, e);
    case TAIL:
        return files_read_tail(c->path, c->limit, &c->out, e);
    case WRITE:
        return files_write(c->path, c->bytes, c->size, c->mode, e);
    case APPEND:
        return files_append(c->path, c->bytes, c->size, c->mode, e);
    case LIST:
        return files_list(c->path, &c->out, e);
    case STAT:
        return files_stat_path(c->path, &c->stat, e);
    case MAKE:
        return files_make_folders(c->path, e);
    case REMOVE:
        return files_remove(c->path, e);
    case REMOVE_TREE:
        return files_remove_tree(c->path, e);
    case SHA256:
        return files_sha256(c->path, c->text, e);
    case REALPATH:
        return realpath(c->path, c->text) != NULL ? 0 : err_errno(e, errno, "look at file", "%s", c->path);
    case MKDTEMP:
        snprintf(c->text, sizeof c->text, "%sXXXXXX", c->path);
        return mkdtemp(c->text) != NULL ? 0
                                        : err_errno(e, errno, "make folder", "%s cannot be made", c->path);
    case RENAME:
        return files_rename(c->path, c->bytes, e);
    case LINK:
        return symlink(c->bytes, c->path) == 0
                   ? 0
                   : err_errno(e, errno, "make link", "%s cannot be made", c->path);
    }
    return err_set(e, ERR_INTERNAL, "files", "no such action");
}

static int push_result(lua_State *L, struct call *c)
{
    switch (c->action) {
    case READ:
    case TAIL:
        lua_pushlstring(L, buf_str(&c->out), c->out.len);
        break;
    case LIST: {
        lua_newtable(L);
        lua_Integer i = 0;
        for (const char *at = buf_str(&c->out), *end = at + c->out.len; at < end; at += strlen(at) + 1) {
            lua_pushstring(L, at);
            lua_rawseti(L, -2, ++i);
        }
        break;
    }
    case STAT:
        lua_createtable(L, 0, 4);
        lua_pushstring(L, c->stat.type);
        lua_setfield(L, -2, "type");
        lua_pushinteger(L, c->stat.size_bytes);
        lua_setfield(L, -2, "size");
        lua_pushinteger(L, c->stat.mode);
        lua_setfield(L, -2, "mode");
        lua_pushnumber(L, c->stat.modified_s);
        lua_setfield(L, -2, "modified");
        break;
    case SHA256:
    case REALPATH:
    case MKDTEMP:
        lua_pushstring(L, c->text);
        break;
    default:
        lua_pushboolean(L, 1);
    }
    buf_release(&c->out);
    return 1;
}

static int call_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx); /* a raise leaves the buffer to __gc */
    struct call *c = (struct call *)op;
    return op->status < 0 ? err_return(L, &op->err) : push_result(L, c);
}

static int l_gc(lua_State *L)
{
    struct call *c = lua_touserdata(L, 1);
    buf_release(&c->out);
    return 0;
}

static struct call *push_call(lua_State *L, enum action action)
{
    struct call *c = lua_newuserdatauv(L, sizeof *c, 0);
    memset(c, 0, sizeof *c);
    luaL_setmetatable(L, FILES_META);
    size_t len;
    c->action = action;
    c->path = luaL_checklstring(L, 1, &len);
    if (len == 0 || strlen(c->path) != len) luaL_argerror(L, 1, "a path is not empty and has no NUL bytes");
    return c;
}

static int start(lua_State *L, struct call *c)
{
    struct err e;
    struct task *task = await_begin(L);
    if (work_start(&c->work, runtime_of(L)->loop, act, c, OP_NO_TIMEOUT, await_wake, task, &e) < 0)
        return err_return(L, &e);
    return await(L, &c->work.op, call_done);
}

static int simple(lua_State *L, enum action action)
{
    return start(L, push_call(L, action));
}

/* files.read(path [, limit_bytes]) -> text */
static int l_read(lua_State *L)
{
    lua_Integer limit = luaL_optinteger(L, 2, READ_LIMIT_BYTES);
    struct call *c = push_call(L, READ);
    c->limit = limit;
    return start(L, c);
}

/* files.read_tail(path, bytes) -> text */
static int l_read_tail(lua_State *L)
{
    lua_Integer bytes = luaL_checkinteger(L, 2);
    luaL_argcheck(L, bytes >= 0, 2, "not negative");
    struct call *c = push_call(L, TAIL);
    c->limit = bytes;
    return start(L, c);
}

static int write_text(lua_State *L, enum action action)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    lua_Integer mode = luaL_optinteger(L, 3, 0600);
    struct call *c = push_call(L, action);
    c->bytes = bytes;
    c->size = size;
    c->mode = (unsigned)mode;
    return start(L, c);
}

static int l_write(lua_State *L)
{
    return write_text(L, WRITE);
}

static int l_append(lua_State *L)
{
    return write_text(L, APPEND);
}

static int l_list(lua_State *L)
{
    return simple(L, LIST);
}

static int l_stat(lua_State *L)
{
    return simple(L, STAT);
}

static int l_mkdir(lua_State *L)
{
    return simple(L, MAKE);
}

static int l_remove(lua_State *L)
{
    return simple(L, REMOVE);
}

static int l_remove_tree(lua_State *L)
{
    return simple(L, REMOVE_TREE);
}

static int l_sha256(lua_State *L)
{
    return simple(L, SHA256);
}

static int l_realpath(lua_State *L)
{
    return simple(L, REALPATH);
}

static int l_mkdtemp(lua_State *L)
{
    return simple(L, MKDTEMP);
}

/* files.link(path, target) */
static int l_link(lua_State *L)
{
    const char *target = luaL_checkstring(L, 2);
    struct call *c = push_call(L, LINK);
    c->bytes = target;
    return start(L, c);
}

/* files.rename(from, to) */
static int l_rename(lua_State *L)
{
    const char *to = luaL_checkstring(L, 2);
    struct call *c = push_call(L, RENAME);
    c->bytes = to;
    return start(L, c);
}

/* files.sha256_text(text) -> 64 hexadecimal digits; at once, for short texts */
static int l_sha256_text(lua_State *L)
{
    size_t len;
    char hex[65];
    struct err e;
    const char *text = luaL_checklstring(L, 1, &len);
    if (files_sha256_bytes(text, len, hex, &e) != 0) return err_raise(L, &e);
    lua_pushstring(L, hex);
    return 1;
}

int luaopen_core_files(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"read", l_read},       {"read_tail", l_read_tail},
        {"write", l_write},     {"append", l_append},
        {"list", l_list},       {"stat", l_stat},
        {"mkdir", l_mkdir},     {"remove", l_remove},
        {"sha256", l_sha256},   {"realpath", l_realpath},
        {"mkdtemp", l_mkdtemp}, {"remove_tree", l_remove_tree},
        {"link", l_link},       {"sha256_text", l_sha256_text}, {"rename", l_rename},
        {NULL, NULL},
    };
    if (luaL_newmetatable(L, FILES_META)) {
        lua_pushcfunction(L, l_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
