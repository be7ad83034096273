--- migrations: which changes of the schema a database has, and applying those of a release.
--
-- The table (schema_migrations) holds version, checksum and applied_at of every migration. Each is
-- applied in one transaction with its row, so that it happened exactly if its row is there.

local clock = require "clock"
local core_err = require "core.err"
local effect = require "effect"

local M = {}

local function create_table(db, name)
  return db:execute(("CREATE TABLE IF NOT EXISTS %s (version TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TEXT NOT NULL)"):format(name))
end

local function check_name(name)
  if not name:match "^[%a_][%w_.]*$" then error(("'%s' is not a table's name"):format(name), 3) end
end

--- The migrations that have been applied: version -> checksum. A database without the table has none.
---@param db table an open database
---@param table_name string
---@return table<string, string>?, table? err
function M.applied(db, table_name)
  check_name(table_name)
  local rows, err = db:query(("SELECT version, checksum FROM %s"):format(table_name))
  if not rows then
    -- Neither dialect has one error for "no such table" in common; ask for the table itself.
    local exists = db:value(("SELECT count(*) FROM %s WHERE %s = $1"):format(
      db:dialect() == "postgres" and "information_schema.tables" or "sqlite_master",
      db:dialect() == "postgres" and "table_name" or "name"), (table_name:gsub("^.*%.", "")))
    if exists == 0 then return {} end
    return nil, err
  end
  local applied = {}
  for _, row in ipairs(rows) do applied[row.version] = row.checksum end
  return applied
end

--- Those of `migrations` that the database does not have yet. A changed file of an applied one is an error.
---@param db table
---@param migrations table[] see release.open
---@param table_name string
---@return table[]?, table? err
function M.pending(db, migrations, table_name)
  local applied, err = M.applied(db, table_name)
  if not applied then return nil, err end
  local pending = {}
  for _, migration in ipairs(migrations) do
    local checksum = applied[migration.version]
    if not checksum then
      pending[#pending + 1] = migration
    elseif checksum ~= migration.checksum then
      return nil, core_err.new { code = "check", op = "compare migrations",
        message = ("%s was changed after it had been applied"):format(migration.path),
        next = "Restore the file as it was applied, and put the change into a new migration." }
    end
  end
  return pending
end

--- Those of `migrations` with these versions, in their order.
---@param migrations table[]
---@param versions string[]
---@return table[]
---@usage assert(#migrations.named({ { version = "1" }, { version = "2" } }, { "2" }) == 1)
function M.named(migrations, versions)
  local wanted, found = {}, {}
  for _, version in ipairs(versions) do wanted[version] = true end
  for _, migration in ipairs(migrations) do if wanted[migration.version] then found[#found + 1] = migration end end
  return found
end

--- Applies the migrations in their order; each with its row in one transaction.
---@param db table
---@param migrations table[]
---@param table_name string
---@return string[]? versions applied, table? err
function M.apply(db, migrations, table_name)
  check_name(table_name)
  local ok, err = create_table(db, table_name)
  if not ok then return nil, err end
  local versions = {}
  for _, migration in ipairs(migrations) do
    ok, err = effect.change("migration " .. migration.version, function()
      return db:transaction(function(tx)
        assert(tx:execute(migration.sql))
        assert(tx:query(("INSERT INTO %s (version, checksum, applied_at) VALUES ($1, $2, $3)"):format(table_name),
          migration.version, migration.checksum, clock.utc()))
        return true
      end)
    end)
    if not ok then
      return nil, core_err.new { code = "sql", op = "migrate", message = ("migration %s failed and was taken back: %s"):format(migration.version, err.message or tostring(err)),
        next = ("Correct %s; what had been applied before it stays."):format(migration.path) }
    end
    versions[#versions + 1] = migration.version
  end
  return versions
end

return M
