--- backup.diff: which rows two databases differ in: what a restore of one over the other loses.
--
-- Tables are read side by side in the order of their keys, a page at a time, so memory does not grow with them.
-- A table without a primary key is compared as a multiset of its rows. A value in a column that the restored
-- side does not have is lost, too, unless it is what the column was added with; it is in the row as it is written.

local core_err = require "core.err"
local diff_postgres = require "backup.diff_postgres"
local diff_report = require "backup.diff_report"
local files = require "files"
local json = require "json"
local postgres_tables = require "backup.postgres_tables"
local sql = require "sql"

local M = {}

local PAGE_ROWS = 2000
local LIMIT = (" LIMIT %d"):format(PAGE_ROWS)
local TIMEOUT_S = 600

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

local dialects = {
  sqlite = {
    columns = [[SELECT '' AS schema, m.name AS table_name, c.name, c.pk AS key, c.dflt_value AS added_with FROM sqlite_master m JOIN pragma_table_info(m.name) c
      WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND m.sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY m.name, c.cid]],
    text = function(column) return ("nullif(quote(%s), 'NULL')"):format(column) end, -- SQL literals: a column's values may be of several types
    collate = "",
  },
  postgres = {
    columns = ([[SELECT t.schema, t.name AS table_name, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attgenerated <> '' AS generated,
      coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0) AS key, CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END AS added_with
      FROM (%s) t LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_index i ON i.indrelid = t.oid AND i.indisprimary ORDER BY 1, 2, a.attnum]]):format(postgres_tables.NAMES),
    text = function(column) return column .. "::text" end,
    collate = ' COLLATE "C"',
  },
}

--- The tables of a database by name: name, target, from (target as it stands in a FROM), columns, keys, and by column types, generated, added_with.
---@param db table
---@return table<string, table>
function M.describe(db)
  local tables = {}
  for _, column in ipairs(assert(db:query(dialects[db:dialect()].columns))) do
    local name = column.schema == "" and column.table_name or postgres_tables.full_name(column.schema, column.table_name)
    local one = tables[name]
    if not one then
      local target = column.schema == "" and quoted(name) or quoted(column.schema) .. "." .. quoted(column.table_name)
      one = { name = name, target = target, from = column.schema == "" and target or "ONLY " .. target, columns = {}, keys = {}, types = {}, generated = {}, added_with = {} }
      tables[name] = one
    end
    if column.name then -- a table may have none
      one.columns[#one.columns + 1] = column.name
      one.types[column.name], one.generated[column.name], one.added_with[column.name] = column.type, column.generated, column.added_with
      if column.key > 0 then one.keys[column.key] = column.name end
    end
  end
  return tables
end

-- Pages of a sorted statement: sorted once, within the transaction that the connection is in.
local cursors = 0
local function by_cursor(db, statement)
  cursors = cursors + 1
  local name = "pages_" .. cursors
  assert(db:execute(("DECLARE %s NO SCROLL CURSOR FOR %s"):format(name, statement)))
  return function()
    local page = assert(db:query(("FETCH %d FROM %s"):format(PAGE_ROWS, name)))
    if #page < PAGE_ROWS then assert(db:execute("CLOSE " .. name)) end
    return page
  end
end

-- The same without cursors: each page begins behind the last key of the former.
local function by_key(db, first, following, keys)
  local last
  return function()
    local page = assert(last and db:query(following .. LIMIT, table.unpack(last)) or db:query(first .. LIMIT))
    last = {}
    for i = 1, page[1] and keys or 0 do last[i] = page[#page]["k" .. i] end
    return page
  end
end

-- Pages of a table's rows in the order of the key expressions, as a function that gives one row after the other. Columns beyond
-- those that both sides have come as n1, n2, ...
local function reader(db, from, keys, columns, grouped, new)
  local dialect = dialects[db:dialect()]
  local key_texts, selected = {}, {}
  for i, key in ipairs(keys) do
    key_texts[i] = ("coalesce(%s, '')%s"):format(dialect.text(quoted(key)), dialect.collate)
    selected[#selected + 1] = key_texts[i] .. " AS k" .. i
  end
  for i, column in ipairs(columns) do selected[#selected + 1] = ("%s AS c%d"):format(grouped and ("min(%s)"):format(dialect.text(quoted(column))) or dialect.text(quoted(column)), i) end
  for i, column in ipairs(new) do selected[#selected + 1] = ("%s AS n%d"):format(dialect.text(quoted(column)), i) end
  local order = table.concat(key_texts, ", ")
  local group = order
  if grouped then
    selected[#selected + 1] = "count(*) AS n"
    for _, column in ipairs(new) do group = group .. ", " .. dialect.text(quoted(column)) end
  end
  local parameters = {}
  for i = 1, #keys do parameters[i] = "$" .. i end
  local function statement(where)
    return ("SELECT %s FROM %s%s%s ORDER BY %s"):format(table.concat(selected, ", "), from, where, grouped and " GROUP BY " .. group or "", order)
  end
  local fetch = db:dialect() == "postgres" and by_cursor(db, statement "")
    or by_key(db, statement "", statement((" WHERE (%s) > (%s)"):format(order, table.concat(parameters, ", "))), #keys)
  local page, at, done = {}, 0, false
  return function()
    at = at + 1
    if not page[at] then
      if done then return nil end
      page, at = fetch(), 1
      done = #page < PAGE_ROWS
    end
    return page[at]
  end
end

local function compare_keys(a, b, count)
  for i = 1, count do
    local x, y = a["k" .. i], b["k" .. i]
    if x ~= y then return x < y and -1 or 1 end
  end
  return 0
end

-- Which columns both tables have, and which only one.
local function split_columns(live, old)
  local in_old, both, new, gone = {}, {}, {}, {}
  for _, column in ipairs(old.columns) do in_old[column] = true end
  for _, column in ipairs(live.columns) do
    local list = in_old[column] and both or new
    list[#list + 1], in_old[column] = column, nil
  end
  for _, column in ipairs(old.columns) do if in_old[column] then gone[#gone + 1] = column end end
  return both, new, gone
end

-- The live rows that equal one restored row in all columns that both have; they may differ in new columns and so come in several
-- groups. Those with new values are the changed ones.
local function match_groups(groups, before, is_changed, count)
  local left = before.n
  for _, changed in ipairs { false, true } do
    for _, group in ipairs(groups) do
      if is_changed(group, before) == changed then
        local n = math.min(left, group.n)
        if changed then count("updated", n, group, before) end
        count("inserted", group.n - n, group)
        left = left - n
      end
    end
  end
  count("deleted", left, before)
end

-- Both tables side by side in the order of their keys.
local function merge(live_rows, old_rows, key_count, grouped, is_changed, count)
  local a, b = live_rows(), old_rows()
  while a or b do
    local order = not a and 1 or not b and -1 or compare_keys(a, b, key_count)
    if order < 0 then
      count("inserted", a.n or 1, a)
      a = live_rows()
    elseif order > 0 then
      count("deleted", b.n or 1, b)
      b = old_rows()
    elseif grouped then
      local groups = {}
      repeat
        groups[#groups + 1] = a
        a = live_rows()
      until not a or compare_keys(a, b, key_count) ~= 0
      match_groups(groups, b, is_changed, count)
      b = old_rows()
    else
      if is_changed(a, b) then count("updated", 1, a, b) end
      a, b = live_rows(), old_rows()
    end
  end
end

local function compare_table(live_db, old_db, live, old, write, snapshot, rows)
  local columns, new, gone = split_columns(live, old)
  local grouped = #live.keys == 0 or table.concat(live.keys, "\0") ~= table.concat(old.keys, "\0")
  local keys = grouped and columns or live.keys
  local result, count = diff_report.tally(live.name, keys, columns, new, grouped, write)
  result.columns_only_live, result.columns_only_restored = json.array(new), json.array(gone)
  if #columns == 0 then return result end
  local function is_changed(row, before)
    for i = 1, #columns do if row["c" .. i] ~= before["c" .. i] then return true end end
    for i, column in ipairs(new) do if row["n" .. i] ~= nil and row["n" .. i] ~= live.added_with[column] then return true end end
    return false
  end
  if rows then
    diff_postgres.compare(live_db, old_db, live, columns, new, snapshot, rows, is_changed, count)
  else
    merge(reader(live_db, live.from, keys, columns, grouped, new), reader(old_db, old.from, keys, columns, grouped, {}), #keys, grouped, is_changed, count)
  end
  return result
end

-- A table that only one side has. All rows of the live one are lost, and written.
local function lone_table(db, one, is_live, write)
  local result = { name = one.name, inserted = 0, updated = 0, deleted = 0, only_in = is_live and "live" or "restored" }
  if not is_live then
    result.deleted = assert(db:value("SELECT count(*) FROM " .. one.from))
  elseif #one.columns > 0 then
    local grouped = #one.keys == 0
    for row in reader(db, one.from, grouped and one.columns or one.keys, one.columns, grouped, {}) do
      for _ = 1, row.n or 1 do write { change = "inserted", key = not grouped and json.array(one.keys) or nil, row = diff_report.as_row(row, one.columns) } end
      result.inserted = result.inserted + (row.n or 1)
    end
  end
  return result
end

-- A database by its address, closed at the end, or a connection that somebody else opened and closes.
local function opened(given)
  if type(given) == "table" and given.query then return given, setmetatable({}, { __close = function() end }) end
  local db, err = sql.open(given, { timeout = TIMEOUT_S })
  if db and db:dialect() == "postgres" then
    db:close()
    db, err = postgres_tables.open(given, TIMEOUT_S)
  end
  if not db then return nil, err end
  return db, db
end

local function compare_all(live_db, old_db, to, snapshot)
  local loss = { tables = json.array {}, inserted = 0, updated = 0, deleted = 0, path = to }
  local live_tables, old_tables, names = M.describe(live_db), M.describe(old_db), {}
  for name in pairs(live_tables) do names[#names + 1] = name end
  for name in pairs(old_tables) do if not live_tables[name] then names[#names + 1] = name end end
  table.sort(names)
  if to then assert(files.mkdir(to)) end
  local by_snapshot = {}
  for _, name in ipairs(snapshot and names or {}) do
    if live_tables[name] and old_tables[name] and diff_postgres.can(live_tables[name], old_tables[name]) then by_snapshot[#by_snapshot + 1] = live_tables[name] end
  end
  local counts = diff_postgres.counts(live_db, old_db, by_snapshot)
  for _, name in ipairs(names) do
    local live_table, old_table = live_tables[name], old_tables[name]
    local write, close = diff_report.rows_file(to, name)
    local result
    if live_table and old_table then
      result = compare_table(live_db, old_db, live_table, old_table, write, snapshot, counts[name])
    else
      result = lone_table(live_table and live_db or old_db, live_table or old_table, live_table ~= nil, write)
    end
    result.path = close()
    if result.inserted + result.updated + result.deleted > 0 or result.only_in or (result.columns_only_live and #result.columns_only_live > 0) then
      loss.tables[#loss.tables + 1] = result
    end
    loss.inserted, loss.updated, loss.deleted = loss.inserted + result.inserted, loss.updated + result.updated, loss.deleted + result.deleted
  end
  return loss
end

-- PostgreSQL is read within one snapshot a side; a connection that was given is in its own already.
local function within_snapshots(live_db, old_db, old_was_given, fn)
  if live_db:dialect() ~= "postgres" then return fn(live_db, old_db) end
  local function in_transaction(db, inner)
    return assert(db:transaction(function(tx)
      assert(tx:execute "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
      return inner(tx)
    end))
  end
  return in_transaction(live_db, function(live_tx)
    if old_was_given then return fn(live_tx, old_db) end
    return in_transaction(old_db, function(old_tx) return fn(live_tx, old_tx) end)
  end)
end

--- May lost rows be written into this folder? Those of another rollback must not be among them.
---@param to string
---@return true? ok, table? err
function M.check_folder(to)
  for _, name in ipairs(files.list(to) or {}) do
    if name:match "%.jsonl$" then
      return nil, core_err.new { code = "exists", op = "diff", message = ("%s holds the lost rows of another comparison; name an empty or new folder"):format(to) }
    end
  end
  return true
end

--- Compares two databases. Every row of live that the other does not have, or has differently, is lost by going back.
---@param live string|userdata url of the newer one
---@param restored string|userdata|table url of the one that goes back, or a connection to it
---@param to? string folder for <table>.jsonl files with the lost rows themselves
---@param snapshot? string PostgreSQL, same server: that of the backup (pg_current_snapshot()); then only rows that are newer are read
---@return { tables: table[], inserted: integer, updated: integer, deleted: integer, path?: string }? loss, table? err
function M.compare(live, restored, to, snapshot)
  if to then
    local free, problem = M.check_folder(to)
    if not free then return nil, problem end
  end
  local live_db, live_end = opened(live)
  if not live_db then return nil, live_end end
  local close_live <close> = live_end
  local old_db, old_end = opened(restored)
  if not old_db then return nil, old_end, close_live and nil end
  local close_old <close> = old_end
  local ok, result = pcall(within_snapshots, live_db, old_db, type(restored) == "table", function(one, other) return compare_all(one, other, to, snapshot) end)
  if ok then return result, nil, close_old and nil end
  if core_err.is(result) then return nil, result end
  error(result, 0)
end

return M
