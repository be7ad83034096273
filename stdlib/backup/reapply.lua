--- backup.reapply: brings back rows that a rollback lost, where the database of now can hold them and nobody changed them since.
--
-- All or nothing of one transaction. A row that is not as the report knew it is a conflict: it is left alone and named.

local core_err = require "core.err"
local files = require "files"
local json = require "json"
local sql = require "sql"
local tables_of = require "backup.postgres_tables"

local M = {}

local CONFLICTS_TOLD = 20

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

-- A report's value as an SQL literal: those of SQLite are literals already.
local dialects = {
  sqlite = {
    literal = function(value) return value end,
    equal = function(column, literal) return ("%s IS %s"):format(column, literal) end,
    row_id = "rowid", overriding = "", from = function(_, name) return quoted(name) end,
    tables = "SELECT '' AS schema, name FROM sqlite_master WHERE type = 'table'",
    columns = "SELECT name, hidden = 0 AS writable FROM pragma_table_xinfo($2) WHERE $1 = '' AND hidden <> 1",
  },
  postgres = {
    literal = tables_of.literal,
    equal = function(column, literal) return ("%s::text IS NOT DISTINCT FROM %s"):format(column, literal) end,
    row_id = "ctid", overriding = " OVERRIDING SYSTEM VALUE", from = function(schema, name) return quoted(schema) .. "." .. quoted(name) end,
    tables = "SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%'",
    columns = [[SELECT a.attname AS name, a.attgenerated = '' AS writable FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped]],
  },
}

-- Every table that the database has now, with its columns as a set: writable ones are true, generated ones false.
local function describe(db, dialect)
  local tables = {}
  for _, row in ipairs(assert(db:query(dialect.tables))) do
    local columns = {}
    for _, column in ipairs(assert(db:query(dialect.columns, row.schema, row.name))) do columns[column.name] = column.writable == true or column.writable == 1 end
    tables[row.schema == "" and row.name or tables_of.full_name(row.schema, row.name)] = { from = dialect.from(row.schema, row.name), columns = columns }
  end
  return tables
end

local function sorted_names(row, wanted)
  local names = {}
  for name in pairs(row) do if wanted(name) then names[#names + 1] = name end end
  table.sort(names)
  return names
end

local function literal_of(dialect, value)
  if value == nil or value == json.null then return "NULL" end
  return dialect.literal(value)
end

local function condition(dialect, row, names)
  local parts = {}
  for i, name in ipairs(names) do parts[i] = dialect.equal(quoted(name), literal_of(dialect, row[name])) end
  return table.concat(parts, " AND ")
end

local function insert(dialect, one, row)
  local names, columns, values = sorted_names(row, function(name) return one.columns[name] end), {}, {}
  if not names[1] then return nil end
  for i, name in ipairs(names) do columns[i], values[i] = quoted(name), literal_of(dialect, row[name]) end
  return ("INSERT INTO %s (%s)%s VALUES (%s) ON CONFLICT DO NOTHING RETURNING 1"):format(one.from, table.concat(columns, ", "), dialect.overriding, table.concat(values, ", "))
end

-- Only what the lost change had changed is set, and only where it still has the value of before.
local function update(dialect, one, change)
  local row, before = change.row, change.restored
  local changed = sorted_names(row, function(name) return one.columns[name] and before[name] ~= nil and row[name] ~= before[name] end)
  if not changed[1] or not change.key then return nil end
  local set = {}
  for i, name in ipairs(changed) do set[i] = quoted(name) .. " = " .. literal_of(dialect, row[name]) end
  return ("UPDATE %s SET %s WHERE %s AND %s RETURNING 1"):format(one.from, table.concat(set, ", "), condition(dialect, row, change.key), condition(dialect, before, changed))
end

local function delete(dialect, one, row)
  local known = sorted_names(row, function(name) return one.columns[name] ~= nil end)
  if not known[1] then return nil end
  return ("DELETE FROM %s WHERE %s = (SELECT %s FROM %s WHERE %s LIMIT 1) RETURNING 1"):format(one.from, dialect.row_id, dialect.row_id, one.from, condition(dialect, row, known))
end

--- The statement that makes one lost change again.
---@param dialect_name "postgres"|"sqlite"
---@param one { from: string, columns: table<string, boolean> } the table of now
---@param change { change: string, row: table, restored?: table, key?: string[] } a line of the report
---@return string? statement which returns a row if it did something; nil: the table of now cannot hold the change
---@usage assert(require("backup.reapply").statement("sqlite", { from = '"t"', columns = { a = true } }, { change = "inserted", row = { a = "1" } }):find "INSERT")
function M.statement(dialect_name, one, change)
  local dialect = dialects[dialect_name]
  if change.change == "inserted" then return insert(dialect, one, change.row) end
  if change.change == "updated" then return update(dialect, one, change) end
  return delete(dialect, one, change.row)
end

-- Every change of a report, in the order of its files.
local function read_changes(folder)
  local names, err = files.list(folder)
  if not names then error(err, 0) end
  local changes = {}
  for _, name in ipairs(names) do
    if name:match "%.jsonl$" then
      local number = 0
      for line in assert(files.read(folder .. "/" .. name)):gmatch "([^\n]*)\n" do
        number = number + 1
        local change, problem = json.decode(line)
        if not change or type(change.row) ~= "table" or type(change.table_name) ~= "string" or not ({ inserted = true, updated = true, deleted = true })[change.change] then
          error(core_err.new { code = "usage", op = "reapply", message = ("%s/%s:%d is no lost row; nothing was changed"):format(folder, name, number), cause = problem and problem.message or nil }, 0)
        end
        changes[#changes + 1] = change
      end
    end
  end
  if not changes[1] then error(core_err.new { code = "usage", op = "reapply", message = folder .. " holds no lost rows (*.jsonl)" }, 0) end
  return changes
end

-- Foreign keys as conditions: with triggers off the server does not look at them.
local FOREIGN_KEYS = [[SELECT conname AS name, conrelid::regclass::text AS child,
  (SELECT string_agg(format('c.%I IS NOT NULL', ca.attname), ' AND ') FROM unnest(conkey) k(c) JOIN pg_attribute ca ON ca.attrelid = conrelid AND ca.attnum = k.c) AS given,
  confrelid::regclass::text AS parent,
  (SELECT string_agg(format('c.%I = p.%I', ca.attname, pa.attname), ' AND ') FROM unnest(conkey, confkey) k(c, p)
    JOIN pg_attribute ca ON ca.attrelid = conrelid AND ca.attnum = k.c JOIN pg_attribute pa ON pa.attrelid = confrelid AND pa.attnum = k.p) AS joined
  FROM pg_constraint WHERE contype = 'f' AND convalidated AND conparentid = 0]]

local function check_foreign_keys(tx)
  for _, key in ipairs(assert(tx:query(FOREIGN_KEYS))) do
    local orphans = assert(tx:value(("SELECT count(*) FROM %s c WHERE %s AND NOT EXISTS (SELECT 1 FROM %s p WHERE %s)"):format(key.child, key.given, key.parent, key.joined)))
    if orphans > 0 then
      error(core_err.new { code = "sql", op = "reapply", message = ("%d rows of %s would have no counterpart in %s (foreign key %s); nothing was changed"):format(orphans, key.child, key.parent, key.name) }, 0)
    end
  end
end

-- Sequences go on behind the rows that came back; never backwards.
local SEQUENCES = [[SELECT d.objid::regclass::text AS sequence, format('%I.%I', n.nspname, c.relname) AS from, quote_ident(a.attname) AS column
  FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')]]

local function advance_sequences(tx)
  for _, one in ipairs(assert(tx:query(SEQUENCES))) do
    assert(tx:query(("SELECT setval($1::regclass, m) FROM (SELECT max(%s) AS m FROM %s) t, %s s WHERE m > s.last_value OR (m = s.last_value AND NOT s.is_called)"):format(one.column, one.from, one.sequence), one.sequence))
  end
end

-- Triggers off, where the role may: the rows come back as they were, and nothing else happens. True if it may.
local function without_triggers(tx)
  if not tx:value "SELECT rolsuper FROM pg_roles WHERE rolname = current_user" then return false end
  assert(tx:execute "SET LOCAL session_replication_role = replica")
  return true
end

-- Applies the changes, those that fail for want of another row again after the others, until a round does nothing more.
local function apply(tx, tables, changes, result)
  local dialect_name, waiting = tx:dialect(), changes
  while waiting[1] do
    local failed, problem = {}, nil
    for _, change in ipairs(waiting) do
      local one = tables[change.table_name]
      local statement = one and M.statement(dialect_name, one, change)
      for name in pairs(one and change.row or {}) do if one.columns[name] == nil then result.columns_not_held[change.table_name .. "." .. name] = true end end
      if not statement then
        result.not_held = result.not_held + 1
      else
        assert(tx:execute "SAVEPOINT one")
        local rows, err = tx:query(statement)
        if rows then
          assert(tx:execute "RELEASE SAVEPOINT one")
          if rows[1] then
            result[change.change] = result[change.change] + 1
          else
            result.conflicts = result.conflicts + 1
            if #result.examples < CONFLICTS_TOLD then result.examples[#result.examples + 1] = ("%s %s in %s"):format(change.change, json.encode(change.row), change.table_name) end
          end
        else
          assert(tx:execute "ROLLBACK TO SAVEPOINT one")
          failed[#failed + 1], problem = change, err
        end
      end
    end
    if #failed == #waiting then error(problem, 0) end
    waiting = failed
  end
end

--- Brings the rows of a report (the folder that restore or diff wrote) back.
---@param options { database: any, lost: string, dry_run?: boolean }
---@return { inserted: integer, updated: integer, deleted: integer, conflicts: integer, not_held: integer, columns_not_held: string[], examples: string[] }? result, table? err
function M.run(options)
  local db, err = sql.open(options.database, { timeout = 600 })
  if not db then return nil, err end
  local closer <close> = db
  local dialect, done = dialects[db:dialect()], core_err.new { code = "canceled", message = "dry run" }
  local result = { inserted = 0, updated = 0, deleted = 0, conflicts = 0, not_held = 0, columns_not_held = {}, examples = json.array {} }
  local ok
  ok, err = db:transaction(function(tx)
    local changes = read_changes(options.lost)
    local is_postgres = tx:dialect() == "postgres"
    local checks_itself = not is_postgres or not without_triggers(tx)
    if not is_postgres then assert(tx:execute "PRAGMA defer_foreign_keys = ON") end
    apply(tx, describe(tx, dialect), changes, result)
    if not checks_itself then check_foreign_keys(tx) end
    if is_postgres then advance_sequences(tx) end
    if options.dry_run then error(done, 0) end
    return true
  end)
  result.columns_not_held = sorted_names(result.columns_not_held, function() return true end)
  if ok or err == done then return result, nil, closer and nil end
  return nil, err
end

return M
