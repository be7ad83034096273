/* b_backup: core.backup for Lua: the parts that burn CPU or block, each on a worker thread. What makes a
 * backup of them is decided in stdlib/backup.lua. */
#include "base/buf.h"
#include "bind/await.h"
#include "bind/b_err.h"
#include "bind/b_meter.h"
#include "bind/b_secret.h"
#include "core/backup_files.h"
#include "core/backup_sqlite.h"
#include "core/files.h"
#include "core/grant.h"
#include "core/work.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int luaopen_core_backup(lua_State *L);

#define CALL_META "engine.backup.call"
enum { CHUNK_BYTES = 256 << 10 };

enum action { SQLITE_COPY, SQLITE_CHECK, SQLITE_SUMS, PACK, UNPACK, FILES_PACK, FILES_UNPACK, SHA256 };

/* One call; the strings stay on the Lua stack. */
struct call {
    struct work work;
    enum action action;
    const char *a, *b, *passphrase;
    struct pack_expected expected;
    int number;
    bool is_scratch;
    struct meter *meter;
    char digest[65];
    struct buf out;
    struct pack_result pack;
    struct backup_tree tree;
    uint64_t count;
};

static int pack_file(struct call *c, struct err *e)
{
    struct pack_writer *writer;
    static _Thread_local char chunk[CHUNK_BYTES];
    int fd = open(c->a, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(e, errno, "pack", "%s cannot be read", c->a);
    struct stat st;
    if (fstat(fd, &st) == 0) meter_expect(c->meter, (uint64_t)st.st_size);
    int rc = pack_open(&writer, c->b, c->number, c->passphrase, e);
    ssize_t n = 0;
    while (rc == 0 && (n = read(fd, chunk, sizeof chunk)) > 0) {
        rc = work_is_canceled(&c->work) ? err_set(e, ERR_CANCELED, "pack", "canceled")
                                        : pack_write(writer, chunk, (size_t)n, e);
        meter_add(c->meter, (uint64_t)n);
    }
    if (rc == 0 && n < 0) rc = err_errno(e, errno, "pack", "%s cannot be read", c->a);
    close(fd);
    if (rc == 0) return pack_close(writer, &c->pack, e);
    pack_abandon(writer);
    return rc;
}

/* Into the file b; b NULL: only reads, which verifies. */
/* A manifest may say any size: a disk is not filled to find out that it is too small. */
static int check_room(const struct call *c, const char *path, struct err *e)
{
    struct statvfs fs;
    if (c->expected.raw_bytes <= 0 || statvfs(path, &fs) != 0) return 0;
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if ((uint64_t)c->expected.raw_bytes <= free_bytes) return 0;
    return err_set(e, ERR_LIMIT, "unpack", "%s holds %lld bytes, %s has room for %llu", c->a,
                   (long long)c->expected.raw_bytes, path, (unsigned long long)free_bytes);
}

static int unpack_file(struct call *c, struct err *e)
{
    struct pack_reader *reader;
    static _Thread_local char chunk[CHUNK_BYTES];
    int rc = pack_reader_open(&reader, c->a, &c->expected, e), fd = -1;
    if (rc != 0) return rc;
    if (c->b != NULL && (fd = open(c->b, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
        rc = err_errno(e, errno, "unpack", "%s cannot be written", c->b);
    if (rc == 0 && c->b != NULL) rc = check_room(c, c->b, e);
    if (c->expected.raw_bytes > 0) meter_expect(c->meter, (uint64_t)c->expected.raw_bytes);
    long n = 1;
    while (rc == 0 && (n = pack_read(reader, chunk, sizeof chunk, e)) > 0) {
        c->pack.raw_bytes += (uint64_t)n;
        meter_add(c->meter, (uint64_t)n);
        for (long at = 0; rc == 0 && fd >= 0 && at < n;) {
            ssize_t written = write(fd, chunk + at, (size_t)(n - at));
            if (written < 0 && errno != EINTR)
                rc = err_errno(e, errno, "unpack", "%s cannot be written", c->b);
            at += written > 0 ? written : 0;
        }
        if (work_is_canceled(&c->work)) rc = err_set(e, ERR_CANCELED, "unpack", "canceled");
    }
    if (n < 0) rc = (int)n;
    if (rc == 0 && fd >= 0 && fsync(fd) != 0)
        rc = err_errno(e, errno, "unpack", "%s cannot be made durable", c->b);
    if (fd >= 0) close(fd);
    struct err end;
    int ended = pack_reader_close(reader, rc == 0, &end);
    if (rc == 0 && ended != 0) {
        *e = end;
        rc = ended;
    }
    if (rc != 0 && fd >= 0) unlink(c->b);
    return rc;
}

static int act(struct work *work, void *arg, struct err *e)
{
    struct call *c = arg;
    switch (c->action) {
    case SQLITE_COPY:
        return backup_sqlite_copy(c->a, c->b, c->number, c->is_scratch, &work->canceled, c->meter, e);
    case SQLITE_CHECK:
        return backup_sqlite_check(c->a, &work->canceled, e);
    case SQLITE_SUMS:
        return backup_sqlite_sums(c->a, &c->out, &work->canceled, c->meter, e);
    case PACK:
        return pack_file(c, e);
    case UNPACK:
        return unpack_file(c, e);
    case FILES_PACK:
        return backup_files_pack(c->a, c->b, c->number, c->passphrase, &work->canceled, c->meter, &c->tree,
                                 e);
    case FILES_UNPACK:
        if (check_room(c, c->b, e) != 0) return -(int)e->code;
        return backup_files_unpack(c->a, &c->expected, c->b, &work->canceled, c->meter, &c->count, e);
    case SHA256:
        return files_sha256(c->a, &work->canceled, c->meter, c->digest, e);
    }
    return err_set(e, ERR_INTERNAL, "backup", "no such action");
}

static void set_integer(lua_State *L, const char *key, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, key);
}

static void push_pack(lua_State *L, const struct pack_result *pack)
{
    lua_createtable(L, 0, 5);
    set_integer(L, "raw_bytes", pack->raw_bytes);
    set_integer(L, "bytes", pack->file_bytes);
    lua_pushstring(L, pack->sha256);
    lua_setfield(L, -2, "sha256");
}

/* { { name, rows, checksum }, ... } */
static void push_sums(lua_State *L, const struct buf *out)
{
    lua_newtable(L);
    lua_Integer i = 0;
    for (const char *at = buf_str(out), *end = at + out->len; at < end;) {
        const char *rows = at + strlen(at) + 1, *checksum = rows + strlen(rows) + 1;
        lua_createtable(L, 0, 3);
        lua_pushstring(L, at);
        lua_setfield(L, -2, "name");
        lua_pushinteger(L, (lua_Integer)strtoull(rows, NULL, 10));
        lua_setfield(L, -2, "rows");
        lua_pushstring(L, checksum);
        lua_setfield(L, -2, "checksum");
        lua_rawseti(L, -2, ++i);
        at = checksum + strlen(checksum) + 1;
    }
}

static int call_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct op *op = await_end(L, ctx);
    struct call *c = (struct call *)op;
    if (op->status < 0) return err_return(L, &op->err);
    switch (c->action) {
    case SQLITE_SUMS:
        push_sums(L, &c->out);
        break;
    case PACK:
    case UNPACK:
        push_pack(L, &c->pack);
        break;
    case FILES_PACK:
        push_pack(L, &c->tree.pack);
        set_integer(L, "entries", c->tree.entries);
        set_integer(L, "skipped", c->tree.skipped);
        break;
    case FILES_UNPACK:
        lua_pushinteger(L, (lua_Integer)c->count);
        break;
    case SHA256:
        lua_pushstring(L, c->digest);
        break;
    default:
        lua_pushboolean(L, 1);
    }
    return 1;
}

static int call_gc(lua_State *L)
{
    buf_release(&((struct call *)lua_touserdata(L, 1))->out);
    return 0;
}

static struct call *push_call(lua_State *L, enum action action)
{
    lua_settop(L, 6);
    struct call *c = lua_newuserdatauv(L, sizeof *c, 0);
    memset(c, 0, sizeof *c);
    luaL_setmetatable(L, CALL_META);
    c->action = action;
    return c;
}

/* What a call reads and writes must have been granted, as everywhere. */
static int check_grants(const struct grant *grant, const struct call *c, struct err *e)
{
    if (grant == NULL) return 0;
    int rc = grant_check_path(grant, c->a, false, true, e);
    return rc == 0 && c->b != NULL ? grant_check_path(grant, c->b, true, true, e) : rc;
}

static int start(lua_State *L, struct call *c)
{
    struct err e;
    if (c->b != NULL) task_may_change(L, "backup");
    if (check_grants(runtime_of(L)->grant, c, &e) != 0) return err_return(L, &e);
    struct task *task = await_begin(L);
    if (work_start(&c->work, runtime_of(L)->loop, act, c, OP_NO_TIMEOUT, await_wake, task, &e) < 0)
        return err_return(L, &e);
    return await(L, &c->work.op, call_done);
}

/* The last argument of those that take long is a meter (core.meter) or nil. */

/* backup.sqlite_copy(from, to, busy_s, is_scratch, meter) -> true | nil, err */
static int l_sqlite_copy(lua_State *L)
{
    struct call *c = push_call(L, SQLITE_COPY);
    c->a = luaL_checkstring(L, 1);
    c->b = luaL_checkstring(L, 2);
    c->number = (int)(luaL_optnumber(L, 3, 30) * 1000);
    c->is_scratch = lua_toboolean(L, 4);
    c->meter = meter_opt(L, 5);
    return start(L, c);
}

/* backup.sqlite_check(path) -> true | nil, err */
static int l_sqlite_check(lua_State *L)
{
    struct call *c = push_call(L, SQLITE_CHECK);
    c->a = luaL_checkstring(L, 1);
    return start(L, c);
}

/* backup.sqlite_sums(path, meter) -> array of { name, rows, checksum } | nil, err */
static int l_sqlite_sums(lua_State *L)
{
    struct call *c = push_call(L, SQLITE_SUMS);
    c->a = luaL_checkstring(L, 1);
    c->meter = meter_opt(L, 2);
    return start(L, c);
}

static const char *opt_passphrase(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? NULL : secret_check_text(L, index, NULL);
}

/* backup.pack(from, to, level, passphrase | nil, meter) -> { raw_bytes, bytes, sha256 } | nil, err */
static int l_pack(lua_State *L)
{
    struct call *c = push_call(L, PACK);
    c->a = luaL_checkstring(L, 1);
    c->b = luaL_checkstring(L, 2);
    c->number = (int)luaL_optinteger(L, 3, 3);
    c->passphrase = opt_passphrase(L, 4);
    c->meter = meter_opt(L, 5);
    return start(L, c);
}

/* sha256 | nil, raw_bytes | nil, passphrase | nil */
static struct pack_expected read_expected(lua_State *L, int index)
{
    return (struct pack_expected){luaL_optstring(L, index, NULL), luaL_optinteger(L, index + 1, -1),
                                  opt_passphrase(L, index + 2)};
}

/* backup.unpack(from, to | nil, sha256 | nil, raw_bytes | nil, passphrase | nil, meter) -> { raw_bytes }
 * | nil, err */
static int l_unpack(lua_State *L)
{
    struct call *c = push_call(L, UNPACK);
    c->a = luaL_checkstring(L, 1);
    c->b = luaL_optstring(L, 2, NULL);
    c->expected = read_expected(L, 3);
    c->meter = meter_opt(L, 6);
    return start(L, c);
}

/* backup.files_pack(tree, to, level, passphrase | nil, meter) -> { raw_bytes, bytes, sha256, entries, skipped
 * } | nil, err */
static int l_files_pack(lua_State *L)
{
    struct call *c = push_call(L, FILES_PACK);
    c->a = luaL_checkstring(L, 1);
    c->b = luaL_checkstring(L, 2);
    c->number = (int)luaL_optinteger(L, 3, 3);
    c->passphrase = opt_passphrase(L, 4);
    c->meter = meter_opt(L, 5);
    return start(L, c);
}

/* backup.files_unpack(from, into, sha256 | nil, raw_bytes | nil, passphrase | nil, meter) -> entries
 * | nil, err */
static int l_files_unpack(lua_State *L)
{
    struct call *c = push_call(L, FILES_UNPACK);
    c->a = luaL_checkstring(L, 1);
    c->b = luaL_checkstring(L, 2);
    c->expected = read_expected(L, 3);
    c->meter = meter_opt(L, 6);
    return start(L, c);
}

/* backup.sha256(path, meter) -> hexadecimal digits | nil, err */
static int l_sha256(lua_State *L)
{
    struct call *c = push_call(L, SHA256);
    c->a = luaL_checkstring(L, 1);
    c->meter = meter_opt(L, 2);
    return start(L, c);
}

int luaopen_core_backup(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sqlite_copy", l_sqlite_copy},
        {"sqlite_check", l_sqlite_check},
        {"sqlite_sums", l_sqlite_sums},
        {"pack", l_pack},
        {"unpack", l_unpack},
        {"files_pack", l_files_pack},
        {"files_unpack", l_files_unpack},
        {"sha256", l_sha256},
        {NULL, NULL},
    };
    if (luaL_newmetatable(L, CALL_META)) {
        lua_pushcfunction(L, call_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
