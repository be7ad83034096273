--- backup.postgres: the PostgreSQL driver of backup: copies beside the live database, and the swap that makes one live.

local core_err = require "core.err"
local core_postgres = require "core.backup_postgres"
local in_place = require "backup.postgres_in_place"
local load = require "backup.postgres_load"
local random = require "random"
local tables_of = require "backup.postgres_tables"
local take = require "backup.postgres_take"

local M = {}

--- The kind of database, as it stands in the manifest.
M.FORMAT = "postgres"

local TIMEOUT_S = 3600

-- The comment of a copy says whose it is: names that begin alike have copies whose names do, too.
local function copy_mark(live) return ("restored and compared by engine for %s; dropped when its run ends"):format(live) end

local quoted, literal = tables_of.quoted, tables_of.literal

local function failed(message, cause)
  return nil, core_err.new { code = "backup", op = "backup", message = message, cause = cause and (cause.message or tostring(cause)) or nil }
end

--- Takes a backup of one snapshot into the folder.
M.take = take.take

-- The server's own database, from which others are made, renamed and dropped.
local function with_admin(url, fn)
  local admin, err = tables_of.open(core_postgres.with_database(url, "postgres"), TIMEOUT_S)
  if not admin then return nil, err end
  local closer <close> = admin
  return fn(admin, closer and nil)
end

local function copy_prefix(live) return tables_of.shortened(live, 30) .. "_restore_" end

-- Copies that a run left behind when it died: marked ones, and those that it had no time to mark. A run holds the venture's lease,
-- so nobody uses them any more.
local function drop_leftovers(admin, live)
  for _, row in ipairs(assert(admin:query([[SELECT datname FROM pg_database WHERE starts_with(datname, $1) AND (shobj_description(oid, 'pg_database') = $2
      OR (shobj_description(oid, 'pg_database') IS NULL AND substr(datname, length($1) + 1) ~ '^([0-9]{4}t[0-9]{6}z_[0-9a-f]{6}_[0-9a-f]{4}|try_[0-9a-f]{8})$'))]], copy_prefix(live), copy_mark(live)))) do
    assert(admin:query(("DROP DATABASE IF EXISTS %s WITH (FORCE)"):format(quoted(row.datname))))
  end
end

local PROVIDERS = { i = "LOCALE_PROVIDER icu ICU_LOCALE ", b = "LOCALE_PROVIDER builtin BUILTIN_LOCALE " }

-- How CREATE DATABASE says which characters a database has and how they are sorted.
local function locale_of(info)
  local words = ("ENCODING %s LC_COLLATE %s LC_CTYPE %s"):format(literal(info.encoding), literal(info.collate), literal(info.ctype))
  if PROVIDERS[info.provider] then words = words .. " " .. PROVIDERS[info.provider] .. literal(info.locale) end
  return info.icu_rules and words .. " ICU_RULES " .. literal(info.icu_rules) or words
end

--- The address of a copy.
M.url_of = tables_of.url_of

--- Restores into a new database beside the live one and compares every table. Returns a reference to the copy: plain data, without an
-- address, which may be a secret.
function M.restore_beside(manifest, folder, url, id, options)
  local db, err = tables_of.open(url, 30)
  if not db then return nil, err end
  local live = assert(db:value "SELECT current_database()")
  db:close()
  local name = copy_prefix(live) .. id:gsub("%W", "_"):lower():sub(-24)
  local info = manifest.database.info
  local ok
  ok, err = with_admin(url, function(admin)
    drop_leftovers(admin, live)
    -- Whoever names the tablespace needs a right on it, even on the one where databases are made anyway.
    local space = admin:value([[SELECT spcname FROM pg_tablespace t JOIN pg_database d ON d.dattablespace = t.oid
      WHERE datname = $1 AND t.oid <> (SELECT dattablespace FROM pg_database WHERE datname = 'template0')]], live)
    local made, problem = admin:query(("CREATE DATABASE %s TEMPLATE template0 %s%s"):format(quoted(name), space and ("TABLESPACE %s "):format(quoted(space)) or "", locale_of(info)))
    if not made then return nil, problem end
    return admin:query(("COMMENT ON DATABASE %s IS %s"):format(quoted(name), literal(copy_mark(live))))
  end)
  if not ok then return failed(("the database %s could not be made"):format(name), err) end
  local copy = { name = name, live = live }
  if info.system and info.system == take.system_of(url) then copy.snapshot = info.current_snapshot end -- elsewhere its numbers mean nothing
  local loaded, problem = pcall(load.load, manifest, folder, M.url_of(copy, url), options or {})
  if loaded then return copy end
  shield(function() M.drop(copy, url) end)
  if core_err.is(problem) then return nil, problem end
  error(problem, 0)
end

--- Closes a copy to everybody until it is needed: nobody changes what was compared.
function M.keep(copy, url)
  return with_admin(url, function(admin) return admin:query(("ALTER DATABASE %s ALLOW_CONNECTIONS false"):format(quoted(copy.name))) end)
end

--- Restores into the live database itself, in one transaction. A copy is opened to be compared with, and closed again.
function M.restore_in_place(manifest, folder, url, options)
  local copy = options.copy
  if copy then
    local ok, err = with_admin(url, function(admin) return admin:query(("ALTER DATABASE %s ALLOW_CONNECTIONS true"):format(quoted(copy.name))) end)
    if not ok then return nil, err end
  end
  local restored, err = in_place.restore(manifest, folder, url, options)
  if copy then shield(function() M.keep(copy, url) end) end
  return restored, err
end

--- A second database with the same content, in which anything may be tried; dropped like a copy.
function M.scratch(copy, url)
  local name = copy_prefix(copy.live) .. "try_" .. random.hex(4)
  local ok, err = with_admin(url, function(admin)
    local made, problem = admin:query(("CREATE DATABASE %s TEMPLATE %s"):format(quoted(name), quoted(copy.name)))
    if not made then return nil, problem end
    return admin:query(("COMMENT ON DATABASE %s IS %s"):format(quoted(name), literal(copy_mark(copy.live))))
  end)
  if not ok then return failed(("the database %s could not be made"):format(name), err) end
  return { name = name, live = copy.live, url = core_postgres.with_database(url, name), address = function(other) return core_postgres.with_database(other, name) end }
end

--- Drops every copy of the live database, also those that a run left when it died.
function M.drop_all(url)
  local db, err = tables_of.open(url, 30)
  if not db then return nil, err end
  local live = assert(db:value "SELECT current_database()")
  db:close()
  return with_admin(url, function(admin)
    drop_leftovers(admin, live)
    return true
  end)
end

--- Drops what restore_beside made.
function M.drop(copy, url)
  return with_admin(url, function(admin) return admin:query(("DROP DATABASE IF EXISTS %s WITH (FORCE)"):format(quoted(copy.name))) end)
end

--- Makes the copy the live database.
M.swap = require("backup.postgres_swap").swap

--- The database of before, when a swap with this key happened.
M.swapped = require("backup.postgres_swap").swapped

return M
