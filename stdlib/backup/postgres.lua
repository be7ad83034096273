--- backup.postgres: the PostgreSQL driver of backup: copies beside the live database, and the swap that makes one live.

local clock = require "clock"
local core_err = require "core.err"
local core_postgres = require "core.backup_postgres"
local diff = require "backup.diff"
local json = require "json"
local load = require "backup.postgres_load"
local random = require "random"
local sql = require "sql"
local tables_of = require "backup.postgres_tables"
local take = require "backup.postgres_take"

local M = {}

local TIMEOUT_S = 3600

local COPY_MARK = "restored and compared by engine; dropped when its run ends"

local quoted, literal = tables_of.quoted, tables_of.literal

local function failed(message, cause)
  return nil, core_err.new { code = "backup", op = "backup", message = message, cause = cause and (cause.message or tostring(cause)) or nil }
end

--- Takes a backup of one snapshot into the folder.
M.take = take.take

--- Restores into the live database itself, in one transaction.
M.restore_in_place = require("backup.postgres_in_place").restore

-- The server's own database, from which others are made, renamed and dropped.
local function with_admin(url, fn)
  local admin, err = sql.open(core_postgres.with_database(url, "postgres"), { timeout = TIMEOUT_S })
  if not admin then return nil, err end
  local closer <close> = admin
  return fn(admin, closer and nil)
end

local function copy_prefix(live) return live:sub(1, 30) .. "_restore_" end

-- A copy that a run left behind when it died. A run holds the venture's lease, so nobody uses it any more.
local function drop_leftovers(admin, live)
  for _, row in ipairs(assert(admin:query("SELECT datname FROM pg_database WHERE starts_with(datname, $1) AND shobj_description(oid, 'pg_database') = $2", copy_prefix(live), COPY_MARK))) do
    assert(admin:query(("DROP DATABASE IF EXISTS %s WITH (FORCE)"):format(quoted(row.datname))))
  end
end

--- Restores into a new database beside the live one and compares every table. Returns a reference to the copy.
function M.restore_beside(manifest, folder, url, id, options)
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
  local copy = { name = name, url = core_postgres.with_database(url, name), live = live }
  if info.system == take.system_of(url) then copy.snapshot = info.current_snapshot end -- elsewhere its numbers mean nothing
  local loaded, problem = pcall(function() return assert(load.load(manifest, folder, copy.url, options or {})) end)
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
  local name = copy_prefix(copy.live) .. "try_" .. random.hex(4)
  local ok, err = with_admin(url, function(admin)
    local made, problem = admin:query(("CREATE DATABASE %s TEMPLATE %s"):format(quoted(name), quoted(copy.name)))
    if not made then return nil, problem end
    return admin:query(("COMMENT ON DATABASE %s IS %s"):format(quoted(name), literal(COPY_MARK)))
  end)
  if not ok then return failed(("the database %s could not be made"):format(name), err) end
  return { name = name, live = copy.live, url = core_postgres.with_database(url, name), address = function(other) return core_postgres.with_database(other, name) end }
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
    return diff.compare(core_postgres.with_database(url, old), tx, lost_to, snapshot)
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
