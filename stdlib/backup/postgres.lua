--- backup.postgres: the PostgreSQL driver of backup: every table of one snapshot as COPY text, the schema by pg_dump.

local clock = require "clock"
local core = require "core.backup"
local core_err = require "core.err"
local diff = require "backup.diff"
local files = require "files"
local process = require "process"
local sql = require "sql"
local task = require "task"

local M = {}

local WORKERS = 2
local TIMEOUT_S = 3600

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end
local function literal(text) return "'" .. text:gsub("'", "''") .. "'" end

-- Ordinary tables and the leaves of partitioned ones; not those of extensions, not temporary or foreign ones.
local TABLES = [[SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.reltuples::float8 AS rows,
  (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%'
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  ORDER BY pg_relation_size(c.oid) DESC]]

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
  packed, err = core.pack(plain, plain .. ".zst", 3)
  files.remove(plain)
  return packed, err
end

local function pack_schema(section, snapshot, url, folder)
  local plain = ("%s/schema-%s.sql"):format(folder, section)
  local ok, err = tool({ "pg_dump", "--section=" .. section .. "-data", "--snapshot=" .. snapshot, "--lock-wait-timeout=30000", "--file=" .. plain }, url)
  if not ok then return nil, err end
  local packed
  packed, err = core.pack(plain, plain .. ".zst", 3)
  files.remove(plain)
  return packed, err
end

local function copy_statement(one, direction) return ("COPY %s.%s (%s) %s"):format(quoted(one.schema), quoted(one.name), one.columns, direction) end

--- Takes a backup of one snapshot into the folder.
function M.take(url, folder)
  local db, err = sql.open(url, { timeout = TIMEOUT_S })
  if not db then return nil, err end
  local closer <close> = db
  local ok
  ok, err = files.mkdir(folder .. "/data")
  if not ok then return nil, err, closer and nil end
  return db:transaction(function(tx)
    assert(tx:execute "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'; SET LOCAL row_security = off")
    local snapshot = assert(tx:value "SELECT pg_export_snapshot()")
    local large = assert(tx:value "SELECT count(*) FROM pg_largeobject_metadata")
    if large > 0 then error(core_err.new { code = "backup", message = ("the database has %d large objects, which are not backed up yet; nothing was taken"):format(large) }, 0) end
    local tables, packed = assert(tx:query(TABLES)), {}
    for _, one in ipairs(tables) do assert(tx:execute(("LOCK TABLE ONLY %s.%s IN ACCESS SHARE MODE"):format(quoted(one.schema), quoted(one.name)))) end
    packed["schema-pre.sql.zst"] = assert(pack_schema("pre", snapshot, url, folder))
    local manifest_tables = {}
    task.map(tables, function(one, index)
      -- The number keeps names apart that differ only in characters which a file's name cannot have.
      local name = ("data/%03d-%s.%s.copy.zst"):format(index, one.schema:gsub("[^%w_]", "_"), one.name:gsub("[^%w_]", "_"))
      local copied = { rows = 0, checksum = ("0"):rep(32) }
      if one.columns then copied = assert(core.postgres_out(url, snapshot, copy_statement(one, "TO STDOUT"), folder .. "/" .. name, 3)) end
      if one.columns then packed[name] = { bytes = copied.bytes, raw_bytes = copied.raw_bytes, sha256 = copied.sha256 } end
      manifest_tables[index] = { name = one.schema .. "." .. one.name, schema = one.schema, table_name = one.name, columns = one.columns or "", rows = copied.rows, checksum = copied.checksum,
        file = one.columns and name or nil }
    end, { limit = WORKERS })
    local lines = {}
    for _, sequence in ipairs(assert(tx:query(SEQUENCES))) do
      if sequence.last_value then
        lines[#lines + 1] = ("SELECT pg_catalog.setval(%s, %d, true);"):format(literal(quoted(sequence.schema) .. "." .. quoted(sequence.name)), sequence.last_value)
      end
    end
    packed["sequences.sql.zst"] = assert(pack_text(table.concat(lines, "\n") .. "\n", folder, "sequences.sql"))
    packed["schema-post.sql.zst"] = assert(pack_schema("post", snapshot, url, folder))
    return { tables = manifest_tables, files = packed, info = {
      format = "postgres", snapshot = snapshot, server_version = assert(tx:value "SHOW server_version"), current_snapshot = assert(tx:value "SELECT pg_current_snapshot()::text"),
      lsn = assert(tx:value "SELECT pg_current_wal_lsn()::text"), encoding = assert(tx:value "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"),
      collate = assert(tx:value "SELECT datcollate FROM pg_database WHERE datname = current_database()"), ctype = assert(tx:value "SELECT datctype FROM pg_database WHERE datname = current_database()"),
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
  task.map(manifest.database.tables, function(one)
    if not one.file then return end
    local statement = ("COPY %s.%s (%s) FROM STDIN"):format(quoted(one.schema), quoted(one.table_name), one.columns)
    local rows = assert(core.postgres_in(url, nil, statement, folder .. "/" .. one.file, manifest.files[one.file].sha256))
    if rows ~= one.rows then
      error(core_err.new { code = "backup_mismatch", op = "load", message = ("table %s: %d rows came in, the backup has %d"):format(one.name, rows, one.rows) }, 0)
    end
  end, { limit = WORKERS })
  ok, err = run_file(manifest, folder, "sequences.sql.zst", url)
  if ok then ok, err = run_file(manifest, folder, "schema-post.sql.zst", url) end
  return ok, err
end

local function compare(manifest, url)
  task.map(manifest.database.tables, function(one)
    if not one.file then return end
    local found = assert(core.postgres_out(url, nil, ("COPY %s.%s (%s) TO STDOUT"):format(quoted(one.schema), quoted(one.table_name), one.columns), nil, 3))
    if found.rows ~= one.rows or found.checksum ~= one.checksum then
      error(core_err.new { code = "backup_mismatch", op = "compare", message = ("table %s: %d rows, checksum %s; the backup has %d rows, checksum %s"):format(
        one.name, found.rows, found.checksum, one.rows, one.checksum) }, 0)
    end
  end, { limit = WORKERS })
  return true
end

--- Restores into a new database beside the live one and compares every table. Returns a reference to the copy.
function M.restore_beside(manifest, folder, url, id)
  local db, err = sql.open(url, { timeout = 30 })
  if not db then return nil, err end
  local live = assert(db:value "SELECT current_database()")
  db:close()
  local name = ("%s_restore_%s"):format(live:sub(1, 30), id:gsub("%W", "_"):lower():sub(-24))
  local info = manifest.database.info
  local ok
  ok, err = with_admin(url, function(admin)
    local _, problem = admin:query(("DROP DATABASE IF EXISTS %s"):format(quoted(name)))
    if problem then return nil, problem end
    return admin:query(("CREATE DATABASE %s TEMPLATE template0 ENCODING %s LC_COLLATE %s LC_CTYPE %s"):format(quoted(name), literal(info.encoding), literal(info.collate), literal(info.ctype)))
  end)
  if not ok then return failed(("the database %s could not be made"):format(name), err) end
  local copy = { name = name, url = core.postgres_with_database(url, name), live = live }
  local loaded, problem = pcall(function()
    assert(load(manifest, folder, copy.url))
    return compare(manifest, copy.url)
  end)
  if loaded then return copy end
  shield(function() M.drop(copy, url) end)
  if core_err.is(problem) then return nil, problem end
  error(problem, 0)
end

--- Drops what restore_beside made.
function M.drop(copy, url)
  return with_admin(url, function(admin) return admin:query(("DROP DATABASE IF EXISTS %s WITH (FORCE)"):format(quoted(copy.name))) end)
end

--- Makes the copy the live database: no new connections, the others are ended, what is lost is counted while
-- nobody writes, and two renames in one transaction. The database of before stays until it is dropped by hand.
function M.swap(copy, url, id, lost_to)
  local old = ("%s_before_%s"):format(copy.live:sub(1, 30), id:gsub("%W", "_"):lower():sub(-24))
  local loss_url, began = url, nil
  local function stop_writers(admin)
    assert(admin:query(("ALTER DATABASE %s CONNECTION LIMIT 0"):format(quoted(copy.live))))
    assert(admin:query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()", copy.live))
  end
  return with_admin(url, function(admin)
    -- A connection limit of 0 keeps everybody out but superusers; without that right, connections are refused for all.
    local superuser = admin:value "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    local done, result = pcall(function()
      began = clock.now()
      if superuser then stop_writers(admin) end
      local loss = assert(diff.compare(loss_url, copy.url, lost_to))
      assert(admin:query(("ALTER DATABASE %s ALLOW_CONNECTIONS false"):format(quoted(copy.live))))
      assert(admin:query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ($1, $2) AND pid <> pg_backend_pid()", copy.live, copy.name))
      local ok, err
      for _ = 1, 50 do -- ended connections take a moment to be gone
        ok, err = admin:transaction(function(tx)
          assert(tx:query(("ALTER DATABASE %s RENAME TO %s"):format(quoted(copy.live), quoted(old))))
          assert(tx:query(("ALTER DATABASE %s RENAME TO %s"):format(quoted(copy.name), quoted(copy.live))))
          return true
        end)
        if ok then break end
        sleep(0.05)
      end
      if not ok then error(err, 0) end
      return { downtime_s = clock.now() - began, loss = loss, old = old }
    end)
    shield(function()
      -- Whatever happened, nobody is kept out of the database that serves now, nor out of the old one.
      for _, name in ipairs { copy.live, old } do
        if admin:value("SELECT count(*) FROM pg_database WHERE datname = $1", name) == 1 then
          admin:query(("ALTER DATABASE %s ALLOW_CONNECTIONS true"):format(quoted(name)))
          admin:query(("ALTER DATABASE %s CONNECTION LIMIT -1"):format(quoted(name)))
        end
      end
    end)
    if done then return result end
    if core_err.is(result) then return nil, result end
    error(result, 0)
  end)
end

return M
