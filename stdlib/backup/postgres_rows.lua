--- backup.postgres_rows: rows in which a live PostgreSQL database and its warm copy differ: collected, exchanged, reported.
--
-- They are held in memory, and so are few: too many are declined. Tables without a key are exchanged as a whole.

local core_err = require "core.err"
local diff = require "backup.diff"
local diff_postgres = require "backup.diff_postgres"
local diff_report = require "backup.diff_report"
local files = require "files"
local json = require "json"
local tables_of = require "backup.postgres_tables"

local M = {
  --- Rows a statement.
  PAGE_ROWS = 2000,
}

local MOST_ROWS, MOST_BYTES = 100000, 64 << 20 -- more are quicker loaded than exchanged
local MOST_SHARE, FEW_ROWS = 0.2, 10000

--- The tables of a database as diff describes them, with the pieces of SQL that exchanging rows needs: what is stored (generated columns are
-- not), and how it is inserted.
---@param db table
---@return table<string, table>
function M.describe(db)
  local tables = diff.describe(db)
  for _, one in pairs(tables) do
    local values, stored, stored_at, arrays, names, casts = {}, {}, {}, {}, {}, {}
    for i, column in ipairs(one.columns) do
      local name = tables_of.quoted(column)
      values[i] = ("t.%s::text AS c%d"):format(name, i)
      if not one.generated[column] then
        local n = #stored + 1
        stored[n], stored_at[n], arrays[n], names[n], casts[n] = name, i, ("$%d::text[]"):format(n), "v" .. n, ("u.v%d::%s"):format(n, one.types[column])
      end
    end
    one.words = one.keys[1] and diff_postgres.words_of(one, one.columns, {}) or {}
    one.words.values, one.words.stored, one.words.stored_at = table.concat(values, ", "), "t." .. table.concat(stored, ", t."), stored_at
    one.words.insert = ("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM unnest(%s) AS u(%s)"):format(one.target, table.concat(stored, ", "), table.concat(casts, ", "), table.concat(arrays, ", "), table.concat(names, ", "))
  end
  return tables
end

-- What differs, by table: live rows that go, rows of the copy that come, and their keys. Both kinds are also counted.
local Rows = {}
Rows.__index = Rows

--- No rows yet.
---@param tables table<string, table> of describe
---@param all_rows integer of all tables together
---@param decline fun(message: string, ...: any) never returns
---@return table rows
function M.new(tables, all_rows, decline) return setmetatable({ tables = tables, by_name = {}, rows = 0, bytes = 0, all_rows = all_rows, decline = decline }, Rows) end

function Rows:weigh(row, columns)
  self.rows = self.rows + 1
  for i = 1, columns do self.bytes = self.bytes + #(row["c" .. i] or "") end
  if self.rows > MOST_ROWS or self.bytes > MOST_BYTES or self.rows > math.max(FEW_ROWS, MOST_SHARE * self.all_rows) then self.decline("too much has changed: more than %d rows", self.rows - 1) end
end

function Rows:of(name)
  local one = self.by_name[name]
  if not one then
    one = { table = self.tables[name], keys = {}, known = {}, comes = {} }
    self.by_name[name] = one
  end
  return one
end

--- A key whose live row, if there is one, goes, and in whose place the copy's row comes, if there is one.
---@param name string of the table
---@param row table with the key
---@param restored? table
function Rows:add(name, row, restored)
  local one = self:of(name)
  local key = diff_postgres.key_of(row, #one.table.keys)
  if one.known[key] then return end
  one.known[key], one.keys[#one.keys + 1] = true, row
  self:weigh(row, #one.table.columns)
  if restored then one.comes[#one.comes + 1] = restored end
end

--- All rows of a table without a key.
---@param name string
---@param live_tx table
---@param copy_tx table
function Rows:add_whole(name, live_tx, copy_tx)
  local one = self:of(name)
  if one.whole then return end
  one.whole = true
  local from = one.table.from
  if not one.table.columns[1] then self.decline("rows of %s, a table without columns, were changed", name) end
  local live = assert(live_tx:one(("SELECT count(*) AS rows, pg_table_size(%s::regclass) AS bytes FROM (SELECT 1 FROM %s LIMIT %d) x"):format(tables_of.literal(one.table.target), from, MOST_ROWS + 1)))
  if live.rows > MOST_ROWS or live.bytes > MOST_BYTES then self.decline("%s has no key, and too many rows", name) end
  for _, row in ipairs(assert(copy_tx:query(("SELECT %s FROM %s t LIMIT %d"):format(one.table.words.values, from, MOST_ROWS + 1)))) do
    self:weigh(row, #one.table.columns)
    one.comes[#one.comes + 1] = row
  end
end

--- The page of a list that begins at a place.
---@param list table
---@param first integer
---@return table
---@usage assert(#require("backup.postgres_rows").page_of({ 1, 2, 3 }, 2) == 2)
function M.page_of(list, first) return table.move(list, first, math.min(first + M.PAGE_ROWS - 1, #list), 1, {}) end

local function insert(tx, one, rows)
  for first = 1, #rows, M.PAGE_ROWS do
    local page, parameters = M.page_of(rows, first), {}
    for i, at in ipairs(one.words.stored_at) do
      local values = {}
      for j, row in ipairs(page) do values[j] = row["c" .. at] end
      parameters[i] = diff_postgres.array(values, #page)
    end
    local done = assert(tx:query(one.words.insert, table.unpack(parameters)))
    if done.affected ~= #page then error(core_err.new { code = "backup_mismatch", op = "restore", message = ("table %s: %d of %d rows came in"):format(one.name, done.affected, #page) }, 0) end
  end
end

--- Exchanges the rows. Those that went are kept: they say what is lost.
---@param tx table that has locked the tables
function Rows:exchange(tx)
  for _, part in pairs(self.by_name) do
    local one = part.table
    part.went = {}
    if part.whole then
      part.went = assert(tx:query(("DELETE FROM %s t RETURNING %s"):format(one.from, one.words.values)))
    else
      local delete = ("DELETE FROM %s t USING %s WHERE %s RETURNING %s"):format(one.from, one.words.listed, one.words.joined, one.words.row)
      for first = 1, #part.keys, M.PAGE_ROWS do
        local page = assert(tx:query(delete, table.unpack(diff_postgres.keys_of(one, M.page_of(part.keys, first)))))
        table.move(page, 1, #page, #part.went + 1, part.went)
      end
    end
  end
  for _, part in pairs(self.by_name) do insert(tx, part.table, part.comes) end
end

local function all_values(row, columns)
  local parts = {}
  for i = 1, columns do parts[i] = row["c" .. i] and ("%d:%s"):format(#row["c" .. i], row["c" .. i]) or "-" end
  return table.concat(parts)
end

-- Rows without a key as a multiset: those that only one side has.
local function report_whole(part, count)
  local columns, left = #part.table.columns, {}
  for _, row in ipairs(part.comes) do
    local values = all_values(row, columns)
    left[values] = left[values] or { n = 0, row = row }
    left[values].n = left[values].n + 1
  end
  local function with_keys(row)
    for i = 1, columns do row["k" .. i] = row["c" .. i] or "" end
    return row
  end
  for _, row in ipairs(part.went) do
    local same = left[all_values(row, columns)]
    if same and same.n > 0 then same.n = same.n - 1 else count("inserted", 1, with_keys(row)) end
  end
  for _, same in pairs(left) do count("deleted", same.n, with_keys(same.row)) end
end

local function report_keyed(part, count)
  local keys, columns, comes = #part.table.keys, #part.table.columns, {}
  for _, row in ipairs(part.comes) do comes[diff_postgres.key_of(row, keys)] = row end
  for _, row in ipairs(part.went) do
    local key = diff_postgres.key_of(row, keys)
    local before = comes[key]
    comes[key] = nil
    if not before then count("inserted", 1, row) elseif all_values(row, columns) ~= all_values(before, columns) then count("updated", 1, row, before) end
  end
  for _, row in pairs(comes) do count("deleted", 1, row) end
end

--- What is lost by the exchange, as backup.diff reports it.
---@param to? string folder for the lost rows
---@return table loss
function Rows:report(to)
  local loss, names = { tables = json.array {}, inserted = 0, updated = 0, deleted = 0, path = to }, {}
  if to then assert(files.mkdir(to)) end
  for name in pairs(self.by_name) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local part = self.by_name[name]
    local one, write, close = part.table, diff_report.rows_file(to, name)
    local result, count = diff_report.tally(name, part.whole and one.columns or one.keys, one.columns, {}, part.whole, write);
    (part.whole and report_whole or report_keyed)(part, count)
    result.path = close()
    if result.inserted + result.updated + result.deleted > 0 then loss.tables[#loss.tables + 1] = result end
    for _, change in ipairs { "inserted", "updated", "deleted" } do loss[change] = loss[change] + result[change] end
  end
  return loss
end

return M
