--- backup.diff: which rows two databases differ in: what a restore of one over the other loses.
--
-- Tables are read side by side in the order of their keys, a page at a time, so memory does not grow with them.
-- A table without a primary key is compared as a multiset of its rows. Columns that only one side has are
-- named and not compared.

local core_err = require "core.err"
local files = require "files"
local json = require "json"
local sql = require "sql"

local M = {}

local PAGE_ROWS = 2000
local LINES_A_WRITE = 1000
local EXAMPLES = 5

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

local dialects = {
  sqlite = {
    tables = [[SELECT '' AS schema, name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND sql NOT LIKE 'CREATE VIRTUAL%']],
    columns = "SELECT name, pk AS key FROM pragma_table_info($2) WHERE $1 = '' ORDER BY cid",
    text = function(column) return ("CASE typeof(%s) WHEN 'blob' THEN 'x' || hex(%s) ELSE CAST(%s AS TEXT) END"):format(column, column, column) end,
    collate = "",
  },
  postgres = {
    tables = [[SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')]],
    columns = [[SELECT a.attname AS name, coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0) AS key FROM pg_attribute a
      JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
      WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum]],
    text = function(column) return column .. "::text" end,
    collate = ' COLLATE "C"',
  },
}

local function describe(db)
  local dialect = dialects[db:dialect()]
  local tables = {}
  for _, row in ipairs(assert(db:query(dialect.tables))) do
    local name = row.schema == "" and row.name or row.schema .. "." .. row.name
    local columns, keys = {}, {}
    for _, column in ipairs(assert(db:query(dialect.columns, row.schema, row.name))) do
      columns[#columns + 1] = column.name
      if column.key > 0 then keys[column.key] = column.name end
    end
    tables[name] = { name = name, from = row.schema == "" and quoted(row.name) or quoted(row.schema) .. "." .. quoted(row.name), columns = columns, keys = keys }
  end
  return tables
end

-- Pages of a table's rows in the order of the key expressions, as a function that gives one row after the other.
local function reader(db, from, keys, columns, grouped)
  local dialect = dialects[db:dialect()]
  local key_texts, selected = {}, {}
  for i, key in ipairs(keys) do
    key_texts[i] = ("coalesce(%s, '')%s"):format(dialect.text(quoted(key)), dialect.collate)
    selected[#selected + 1] = key_texts[i] .. " AS k" .. i
  end
  for i, column in ipairs(columns) do selected[#selected + 1] = ("%s AS c%d"):format(grouped and ("min(%s)"):format(dialect.text(quoted(column))) or dialect.text(quoted(column)), i) end
  if grouped then selected[#selected + 1] = "count(*) AS n" end
  local order = table.concat(key_texts, ", ")
  local parameters = {}
  for i = 1, #keys do parameters[i] = "$" .. i end
  local function statement(where)
    return ("SELECT %s FROM %s%s%s ORDER BY %s LIMIT %d"):format(table.concat(selected, ", "), from, where, grouped and " GROUP BY " .. order or "", order, PAGE_ROWS)
  end
  local first, next_page = statement "", statement((" WHERE (%s) > (%s)"):format(order, table.concat(parameters, ", ")))
  local page, at, last, done = {}, 0, nil, false
  return function()
    at = at + 1
    if not page[at] then
      if done then return nil end
      page, at = assert(last and db:query(next_page, table.unpack(last)) or db:query(first)), 1
      done = #page < PAGE_ROWS
      if not page[1] then return nil end
      last = {}
      for i = 1, #keys do last[i] = page[#page]["k" .. i] end
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

local function as_row(row, columns)
  local out = {}
  for i, column in ipairs(columns) do out[column] = row["c" .. i] == nil and json.null or row["c" .. i] end
  return out
end

local function compare_table(live_db, old_db, live, old, write)
  local in_old, columns, only_live, only_old = {}, {}, {}, {}
  for _, column in ipairs(old.columns) do in_old[column] = true end
  for _, column in ipairs(live.columns) do
    if in_old[column] then
      columns[#columns + 1] = column
      in_old[column] = nil
    else
      only_live[#only_live + 1] = column
    end
  end
  for column in pairs(in_old) do only_old[#only_old + 1] = column end
  local grouped = #live.keys == 0 or table.concat(live.keys, "\0") ~= table.concat(old.keys, "\0")
  local keys = grouped and columns or live.keys
  local result = { name = live.name, inserted = 0, updated = 0, deleted = 0, examples = json.array {}, columns_only_live = json.array(only_live), columns_only_restored = json.array(only_old) }
  if #columns == 0 then return result end
  local next_live, next_old = reader(live_db, live.from, keys, columns, grouped), reader(old_db, old.from, keys, columns, grouped)
  local a, b = next_live(), next_old()
  local function note(change, row, restored)
    local key = {}
    for i = 1, #keys do key[i] = row["k" .. i] end
    if #result.examples < EXAMPLES then result.examples[#result.examples + 1] = change .. " " .. table.concat(key, ", "):sub(1, 100) end
    write { change = change, table_name = live.name, row = as_row(row, columns), restored = restored and as_row(restored, columns) or nil }
  end
  local function count(change, n, row, restored)
    if n <= 0 then return end
    result[change] = result[change] + n
    for _ = 1, n do note(change, row, restored) end
  end
  while a or b do
    local order = not a and 1 or not b and -1 or compare_keys(a, b, #keys)
    if order < 0 then
      count("inserted", a.n or 1, a)
      a = next_live()
    elseif order > 0 then
      count("deleted", b.n or 1, b)
      b = next_old()
    else
      if grouped then
        count("inserted", a.n - b.n, a)
        count("deleted", b.n - a.n, b)
      else
        for i = 1, #columns do
          if a["c" .. i] ~= b["c" .. i] then
            count("updated", 1, a, b)
            break
          end
        end
      end
      a, b = next_live(), next_old()
    end
  end
  return result
end

-- A database by its address, closed at the end, or a connection that somebody else opened and closes.
local function opened(given)
  if type(given) == "table" and given.query then return given, setmetatable({}, { __close = function() end }) end
  local db, err = sql.open(given, { timeout = 600 })
  if not db then return nil, err end
  return db, db
end

--- Compares two databases. Every row of live that the other does not have, or has differently, is lost by going back.
---@param live string|userdata url of the newer one
---@param restored string|userdata|table url of the one that goes back, or a connection to it
---@param to? string folder for <table>.jsonl files with the lost rows themselves
---@return { tables: table[], inserted: integer, updated: integer, deleted: integer, path?: string }? loss, table? err
function M.compare(live, restored, to)
  local live_db, live_end = opened(live)
  if not live_db then return nil, live_end end
  local close_live <close> = live_end
  local old_db, old_end = opened(restored)
  if not old_db then return nil, old_end, close_live and nil end
  local close_old <close> = old_end
  local loss = { tables = json.array {}, inserted = 0, updated = 0, deleted = 0, path = to, close_old and nil }
  local ok, problem = pcall(function()
    local live_tables, old_tables, names = describe(live_db), describe(old_db), {}
    for name in pairs(live_tables) do names[#names + 1] = name end
    for name in pairs(old_tables) do if not live_tables[name] then names[#names + 1] = name end end
    table.sort(names)
    if to then assert(files.mkdir(to)) end
    for _, name in ipairs(names) do
      local live_table, old_table = live_tables[name], old_tables[name]
      local lines, path = {}, to and ("%s/%s.jsonl"):format(to, (name:gsub("[^%w_.-]", "_")))
      local function flush(least)
        if #lines < least then return end
        assert(files.append(path, table.concat(lines, "\n") .. "\n"))
        lines = {}
      end
      local result
      if live_table and old_table then
        result = compare_table(live_db, old_db, live_table, old_table, function(row)
          if not to then return end
          lines[#lines + 1] = json.encode(row)
          flush(LINES_A_WRITE)
        end)
        if to and result.inserted + result.updated + result.deleted > 0 then
          flush(1)
          result.path = path
        end
      else
        local db, one = live_table and live_db or old_db, live_table or old_table
        local rows = assert(db:value("SELECT count(*) FROM " .. one.from))
        result = { name = name, inserted = live_table and rows or 0, updated = 0, deleted = live_table and 0 or rows, only_in = live_table and "live" or "restored" }
      end
      if result.inserted + result.updated + result.deleted > 0 or result.only_in or (result.columns_only_live and #result.columns_only_live > 0) then
        loss.tables[#loss.tables + 1] = result
      end
      loss.inserted, loss.updated, loss.deleted = loss.inserted + result.inserted, loss.updated + result.updated, loss.deleted + result.deleted
    end
  end)
  if not ok then
    if core_err.is(problem) then return nil, problem end
    error(problem, 0)
  end
  return loss
end

return M
