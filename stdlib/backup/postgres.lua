--- backup.postgres: the PostgreSQL driver of backup: every table of one snapshot as COPY text, the schema by pg_dump.

local clock = require "clock"
local core = require "core.backup"
local core_err = require "core.err"
local diff = require "backup.diff"
local files = require "files"
local host = require "host"
local json = require "json"
local process = require "process"
local sql = require "sql"
local tables_of = require "backup.postgres_tables"
local task = require "task"

local M = {}

local TIMEOUT_S = 3600
local LEVEL = 1 -- of zstd: the server's COPY is the limit, compression must not make it wait

local COPY_MARK = "restored and compared by engine; dropped when its run ends"

local quoted, literal = tables_of.quoted, tables_of.literal

-- Connections that copy at the same time. The worker threads are four.
local function workers() return math.max(2, math.min(4, assert(host.sample()).processors)) end

-- Which server this is, and which database of it; nil when the role may not ask.
local function system_of(url)
  local db = assert(sql.open(url, { timeout = 30 }))
  local closer <close> = db
  local id = db:value "SELECT system_identifier::text || '/' || (SELECT oid FROM pg_database WHERE datname = current_database()) FROM pg_control_system()"
  return id, closer and nil
end

local SEQUENCES = [[SELECT schemaname AS schema, sequencename AS name, last_value FROM pg_sequences ORDER BY 1, 2]]

local function failed(message, cause)
  return nil, core_err.new { code = "backup", op = "backup", message = message, cause = cause and (cause.message or tostring(cause)) or nil }
end

local function tool(argv, url, input)
  return process.run { argv = argv, env = core.postgres_environment(url), timeout = TIMEOUT_S, check = true, stdin = input }
end

local function pack_text(text, folder, name)
  local plain = folder .. "/" .. name
  local ok, err = files.write(plain, text)
  if not ok then return nil, err end
  local packed
  packed, err = core.pack(plain, plain .. ".zst", LEVEL)
  files.remove(plain)
  return packed, err
end

local function pack_schema(section, snapshot, url, folder)
  local plain = ("%s/schema-%s.sql"):format(folder, section)
  local ok, err = tool({ "pg_dump", "--section=" .. section .. "-data", "--snapshot=" .. snapshot, "--lock-wait-timeout=30000", "--file=" .. plain }, url)
  if not ok then return nil, err end
  local packed
  packed, err = core.pack(plain, plain .. ".zst", LEVEL)
  files.remove(plain)
  return packed, err
end

-- Large objects' contents; that they exist, and whose they are, is in the schema.
local function pack_large_objects(snapshot, url, folder)
  local plain = folder .. "/large-objects.sql"
  local ok, err = tool({ "pg_dump", "--section=data", "--blobs", "--exclude-table-data=*.*", "--snapshot=" .. snapshot, "--file=" .. plain }, url)
  if not ok then return nil, err end
  local packed
  packed, err = core.pack(plain, plain .. ".zst", LEVEL)
  files.remove(plain)
  return packed, err
end

local LARGE_OBJECTS = [[SELECT count(*) AS count, coalesce(md5(string_agg(oid::text || md5(lo_get(oid)), ',' ORDER BY oid)), '') AS checksum FROM pg_largeobject_metadata]]

-- A file's name for a piece of a table. The number keeps names apart that differ only in characters which a file's name cannot have.
local function piece_name(number, piece)
  local one = piece.table
  local part = one.pieces > 1 and (".%03d"):format(piece.index) or ""
  return ("data/%03d-%s.%s%s.copy.zst"):format(number, one.schema:gsub("[^%w_]", "_"), one.name:gsub("[^%w_]", "_"), part)
end

local function take_tables(tx, url, snapshot, folder, packed, progress)
  local tables, numbers, entries = tables_of.list(tx), {}, {}
  for number, one in ipairs(tables) do
    assert(tx:execute(("LOCK TABLE ONLY %s IN ACCESS SHARE MODE"):format(tables_of.from(one))))
    numbers[one] = number
    entries[number] = { name = one.full_name, schema = one.schema, table_name = one.name, columns = one.columns or "", rows = 0, checksum = ("0"):rep(32), files = json.array {} }
  end
  packed["schema-pre.sql.zst"] = assert(pack_schema("pre", snapshot, url, folder))
  local pieces, done, bytes = tables_of.pieces(tables), 0, 0
  task.map(pieces, function(piece)
    local number = numbers[piece.table]
    local name = piece_name(number, piece)
    local copied = assert(core.postgres_out(url, snapshot, tables_of.copy_out(piece.table, piece.index), folder .. "/" .. name, LEVEL))
    packed[name] = { bytes = copied.bytes, raw_bytes = copied.raw_bytes, sha256 = copied.sha256 }
    local entry = entries[number]
    entry.rows, entry.checksum = entry.rows + copied.rows, tables_of.add(entry.checksum, copied.checksum)
    entry.files[#entry.files + 1] = name
    done, bytes = done + 1, bytes + copied.raw_bytes
    if progress then progress { done = done, all = #pieces, bytes = bytes } end
  end, { limit = workers() })
  for _, entry in ipairs(entries) do table.sort(entry.files) end
  return entries
end

--- Takes a backup of one snapshot into the folder.
function M.take(url, folder, progress)
  local db, err = sql.open(url, { timeout = TIMEOUT_S })
  if not db then return nil, err end
  local closer <close> = db
  local ok
  ok, err = files.mkdir(folder .. "/data")
  if not ok then return nil, err, closer and nil end
  return db:transaction(function(tx)
    assert(tx:execute "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'; SET LOCAL row_security = off")
    local snapshot = assert(tx:value "SELECT pg_export_snapshot()")
    local packed = {}
    local entries = take_tables(tx, url, snapshot, folder, packed, progress)
    local large = assert(tx:one(LARGE_OBJECTS))
    if large.count > 0 then packed["large-objects.sql.zst"] = assert(pack_large_objects(snapshot, url, folder)) end
    local lines = {}
    for _, sequence in ipairs(assert(tx:query(SEQUENCES))) do
      if sequence.last_value then
        lines[#lines + 1] = ("SELECT pg_catalog.setval(%s, %d, true);"):format(literal(quoted(sequence.schema) .. "." .. quoted(sequence.name)), sequence.last_value)
      end
    end
    packed["sequences.sql.zst"] = assert(pack_text(table.concat(lines, "\n") .. "\n", folder, "sequences.sql"))
    packed["schema-post.sql.zst"] = assert(pack_schema("post", snapshot, url, folder))
    return { tables = entries, files = packed, info = {
      format = "postgres", snapshot = snapshot, server_version = assert(tx:value "SHOW server_version"), current_snapshot = assert(tx:value "SELECT pg_current_snapshot()::text"),
      system = system_of(url), lsn = assert(tx:value "SELECT pg_current_wal_lsn()::text"), encoding = assert(tx:value "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"),
      collate = assert(tx:value "SELECT datcollate FROM pg_database WHERE datname = current_database()"), ctype = assert(tx:value "SELECT datctype FROM pg_database WHERE datname = current_database()"),
      large_objects = { count = large.count, checksum = large.checksum },
    } }
  end)
end

-- The server's own database, from which others are made, renamed and dropped.
local function with_admin(url, fn)
  local admin, err = sql.open(core.postgres_with_database(url, "postgres"), { timeout = TIMEOUT_S })
  if not admin then return nil, err end
  local closer <close> = admin
  return fn(admin, closer and nil)
end

local function run_file(manifest, folder, name, url)
  local plain = ("%s.%s.%s"):format(folder, name, require("random").hex(6)) -- beside the backup, not in it
  local ok, err = core.unpack(folder .. "/" .. name, plain, manifest.files[name].sha256)
  if not ok then return nil, err end
  ok, err = tool({ "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-f", plain }, url)
  files.remove(plain)
  return ok, err
end

local function load(manifest, folder, url)
  local ok, err = run_file(manifest, folder, "schema-pre.sql.zst", url)
  if not ok then return nil, err end
  local pieces, came = {}, {}
  for _, one in ipairs(manifest.database.tables) do
    came[one] = 0
    for _, name in ipairs(one.files) do pieces[#pieces + 1] = { table = one, name = name } end
  end
  task.map(pieces, function(piece)
    local one = piece.table
    local statement = ("COPY %s.%s (%s) FROM STDIN"):format(quoted(one.schema), quoted(one.table_name), one.columns)
    local rows = assert(core.postgres_in(url, nil, statement, folder .. "/" .. piece.name, manifest.files[piece.name].sha256))
    came[one] = came[one] + rows
  end, { limit = workers() })
  for one, rows in pairs(came) do
    if rows ~= one.rows then
      error(core_err.new { code = "backup_mismatch", op = "load", message = ("table %s: %d rows came in, the backup has %d"):format(one.name, rows, one.rows) }, 0)
    end
  end
  if manifest.files["large-objects.sql.zst"] then ok, err = run_file(manifest, folder, "large-objects.sql.zst", url) end
  if ok then ok, err = run_file(manifest, folder, "sequences.sql.zst", url) end
  if ok then ok, err = run_file(manifest, folder, "schema-post.sql.zst", url) end
  return ok, err
end

local function mismatch(message) error(core_err.new { code = "backup_mismatch", op = "compare", message = message }, 0) end

local function compare(manifest, url)
  local db = assert(sql.open(url, { timeout = TIMEOUT_S }))
  local closer <close> = db
  local sums = tables_of.sums(url, tables_of.list(db), workers())
  for _, one in ipairs(manifest.database.tables) do
    local found = sums[one.name]
    if not found then mismatch(("table %s is not there"):format(one.name)) end
    if found.rows ~= one.rows or found.checksum ~= one.checksum then
      mismatch(("table %s: %d rows, checksum %s; the backup has %d rows, checksum %s"):format(one.name, found.rows, found.checksum, one.rows, one.checksum))
    end
  end
  local large, wanted = assert(db:one(LARGE_OBJECTS)), manifest.database.info.large_objects
  if large.count ~= wanted.count or large.checksum ~= wanted.checksum then
    mismatch(("%d large objects, checksum %s; the backup has %d, checksum %s"):format(large.count, large.checksum, wanted.count, wanted.checksum))
  end
  return true, closer and nil
end

local function copy_prefix(live) return live:sub(1, 30) .. "_restore_" end

-- A copy that a run left behind when it died. A run holds the venture's lease, so nobody uses it any more.
local function drop_leftovers(admin, live)
  for _, row in ipairs(assert(admin:query("SELECT datname FROM pg_database WHERE starts_with(datname, $1) AND shobj_description(oid, 'pg_database') = $2", copy_prefix(live), COPY_MARK))) do
    assert(admin:query(("DROP DATABASE IF EXISTS %s WITH (FORCE)"):format(quoted(row.datname))))
  end
end

--- Restores into a new database beside the live one and compares every table. Returns a reference to the copy.
function M.restore_beside(manifest, folder, url, id)
  local db, err = sql.open(url, { timeout = 30 })
  if not db then return nil, err end
  local live = assert(db:value "SELECT current_database()")
  db:close()
  local name = copy_prefix(live) .. id:gsub("%W", "_"):lower():sub(-24)
  local info = manifest.database.info
  local ok
  ok, err = with_admin(url, function(admin)
    drop_leftovers(admin, live)
    local made, problem = admin:query(("CREATE DATABASE %s TEMPLATE template0 ENCODING %s LC_COLLATE %s LC_CTYPE %s"):format(quoted(name), literal(info.encoding), literal(info.collate), literal(info.ctype)))
    if not made then return nil, problem end
    return admin:query(("COMMENT ON DATABASE %s IS %s"):format(quoted(name), literal(COPY_MARK)))
  end)
  if not ok then return failed(("the database %s could not be made"):format(name), err) end
  local copy = { name = name, url = core.postgres_with_database(url, name), live = live }
  if info.system == system_of(url) then copy.snapshot = info.current_snapshot end -- elsewhere its numbers mean nothing
  local loaded, problem = pcall(function()
    assert(load(manifest, folder, copy.url))
    return compare(manifest, copy.url)
  end)
  if loaded then return copy end
  shield(function() M.drop(copy, url) end)
  if core_err.is(problem) then return nil, problem end
  error(problem, 0)
end

--- Closes a copy to everybody until it is needed: nobody changes what was compared.
function M.keep(copy, url)
  return with_admin(url, function(admin) return admin:query(("ALTER DATABASE %s ALLOW_CONNECTIONS false"):format(quoted(copy.name))) end)
end

--- A second database with the same content, in which anything may be tried; dropped like a copy.
function M.scratch(copy, url)
  local name = copy_prefix(copy.live) .. "try_" .. require("random").hex(4)
  local ok, err = with_admin(url, function(admin)
    local made, problem = admin:query(("CREATE DATABASE %s TEMPLATE %s"):format(quoted(name), quoted(copy.name)))
    if not made then return nil, problem end
    return admin:query(("COMMENT ON DATABASE %s IS %s"):format(quoted(name), literal(COPY_MARK)))
  end)
  if not ok then return failed(("the database %s could not be made"):format(name), err) end
  return { name = name, live = copy.live, url = core.postgres_with_database(url, name), address = function(other) return core.postgres_with_database(other, name) end }
end

--- Drops what restore_beside made.
function M.drop(copy, url)
  return with_admin(url, function(admin) return admin:query(("DROP DATABASE IF EXISTS %s WITH (FORCE)"):format(quoted(copy.name))) end)
end

local function close_to_all(admin, name)
  assert(admin:query(("ALTER DATABASE %s ALLOW_CONNECTIONS false"):format(quoted(name))))
end

local function open_to_all(admin, name)
  assert(admin:query(("ALTER DATABASE %s ALLOW_CONNECTIONS true CONNECTION LIMIT -1"):format(quoted(name))))
end

-- Ends every connection to both databases and gives each the other's place, in one transaction.
local function rename(admin, copy, old)
  local ok, err
  for _ = 1, 200 do -- ended connections take a moment to be gone
    assert(admin:query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ($1, $2) AND pid <> pg_backend_pid()", copy.live, copy.name))
    ok, err = admin:transaction(function(tx)
      assert(tx:query(("ALTER DATABASE %s RENAME TO %s"):format(quoted(copy.live), quoted(old))))
      assert(tx:query(("ALTER DATABASE %s RENAME TO %s"):format(quoted(copy.name), quoted(copy.live))))
      return true
    end)
    if ok then return true end
    sleep(0.01)
  end
  error(err, 0)
end

-- Renames, and holds a snapshot of what was restored before anybody else can come in, so that the loss can be counted afterwards
-- at leisure, to the row. Needs a role that may pass a connection limit of 0.
local function swap_then_count(admin, copy, url, old, lost_to, snapshot)
  local began = clock.now()
  close_to_all(admin, copy.live)
  close_to_all(admin, copy.name)
  rename(admin, copy, old)
  assert(admin:query(("ALTER DATABASE %s ALLOW_CONNECTIONS true CONNECTION LIMIT 0"):format(quoted(copy.live))))
  local restored = assert(sql.open(url, { timeout = TIMEOUT_S }))
  local closer <close> = restored
  local downtime
  local loss, err = restored:transaction(function(tx)
    assert(tx:execute "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    assert(tx:value "SELECT 1") -- from here on its snapshot holds
    open_to_all(admin, copy.live)
    downtime = clock.now() - began
    assert(admin:query(("COMMENT ON DATABASE %s IS NULL"):format(quoted(copy.live))))
    open_to_all(admin, old)
    return diff.compare(core.postgres_with_database(url, old), tx, lost_to, snapshot)
  end)
  if not downtime then error(err, 0) end
  -- The swap is done and stays: what could not be counted is said, and the old database is still there to be asked.
  loss = loss or { tables = json.array {}, inserted = 0, updated = 0, deleted = 0, problem = err.message }
  return { downtime_s = downtime, loss = loss, old = old, closer and nil }
end

-- Without that right the loss is counted while others may still write, and only then are they kept out.
local function count_then_swap(admin, copy, url, old, lost_to, snapshot)
  local loss = assert(diff.compare(url, copy.url, lost_to, snapshot))
  local began = clock.now()
  close_to_all(admin, copy.live)
  rename(admin, copy, old)
  open_to_all(admin, copy.live)
  assert(admin:query(("COMMENT ON DATABASE %s IS NULL"):format(quoted(copy.live))))
  loss.approximate = "what was written while it was counted is missing from the count"
  return { downtime_s = clock.now() - began, loss = loss, old = old }
end

--- Makes the copy the live database: connections are ended, two renames in one transaction, and the loss is counted from the
-- database of before, which stays until it is dropped by hand.
function M.swap(copy, url, id, lost_to)
  local old = ("%s_before_%s"):format(copy.live:sub(1, 30), id:gsub("%W", "_"):lower():sub(-24))
  return with_admin(url, function(admin)
    local superuser = admin:value "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    if not superuser then open_to_all(admin, copy.name) end -- it may have been kept closed
    local done, result = pcall(superuser and swap_then_count or count_then_swap, admin, copy, url, old, lost_to, copy.snapshot)
    if done then return result end
    shield(function()
      -- Whatever happened, nobody is kept out of the database that serves now, nor out of the old one.
      for _, name in ipairs { copy.live, old } do
        if admin:value("SELECT count(*) FROM pg_database WHERE datname = $1", name) == 1 then open_to_all(admin, name) end
      end
    end)
    if core_err.is(result) then return nil, result end
    error(result, 0)
  end)
end

return M
