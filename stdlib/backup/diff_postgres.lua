--- backup.diff_postgres: what a table lost, without reading it row by row: only rows that a transaction made after the backup's
-- snapshot are looked at, and deleted ones are found by counting.
--
-- A row whose xmin is older than the snapshot's is in the backup as it is. What is newer, or may be, is compared with the
-- restored table by its primary key. What the restored table has beyond that was deleted: counts of 4096 buckets of keys say where to
-- look. Both connections are in a transaction of one snapshot.

local tables_of = require "backup.postgres_tables"

local M = {}

local PAGE_ROWS = 2000
local BUCKETS = 4096
local BUCKETS_A_QUERY = 64
local COUNTS_A_QUERY = 100

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

--- '{"a",NULL}': an array as text, which the server casts to what it needs.
---@param values table of texts; nil is NULL
---@param n integer
---@return string
---@usage assert(require("backup.diff_postgres").array({ 'a"b', nil, "c" }, 3) == '{"a\\"b",NULL,"c"}')
function M.array(values, n)
  local out = {}
  for i = 1, n do out[i] = values[i] and '"' .. values[i]:gsub('[\\"]', "\\%0") .. '"' or "NULL" end
  return "{" .. table.concat(out, ",") .. "}"
end

--- A row's key as one text.
---@param row table
---@param count integer of its columns
---@return string
function M.key_of(row, count)
  local parts = {}
  for i = 1, count do parts[i] = ("%d:%s"):format(#row["k" .. i], row["k" .. i]) end
  return table.concat(parts)
end

--- The pieces of SQL that a table's statements are made of. A list of keys is one array a column ($1, $2, ...).
---@param one table as diff describes it
---@param columns string[] that both sides have
---@param new string[] that only the live one has
---@return table<string, string>
function M.words_of(one, columns, new)
  local keys, values, joined, arrays, names = {}, {}, {}, {}, {}
  for i, key in ipairs(one.keys) do
    local column = "t." .. quoted(key)
    keys[i] = ("%s::text AS k%d"):format(column, i)
    joined[i] = ("%s = u.k%d"):format(column, i)
    arrays[i] = ("$%d::%s[]"):format(i, one.types[key])
    names[i] = "k" .. i
  end
  for i, column in ipairs(columns) do values[i] = ("t.%s::text AS c%d"):format(quoted(column), i) end
  local new_values = {}
  for i, column in ipairs(new) do new_values[i] = ("t.%s::text AS n%d"):format(quoted(column), i) end
  local function with(...)
    local all = table.concat(keys, ", ")
    for _, list in ipairs { ... } do if list[1] then all = all .. ", " .. table.concat(list, ", ") end end
    return all
  end
  local texts = {}
  for i, key in ipairs(one.keys) do texts[i] = "t." .. quoted(key) .. "::text" end
  return {
    keys = table.concat(keys, ", "), row = with(values), live_row = with(values, new_values),
    bucket = ("(hashtext(concat_ws(chr(1), %s)) & %d)"):format(table.concat(texts, ", "), BUCKETS - 1),
    listed = ("unnest(%s) AS u(%s)"):format(table.concat(arrays, ", "), table.concat(names, ", ")), joined = table.concat(joined, " AND "),
  }
end

--- May this table be compared so? Both sides need the same primary key.
---@param live table as diff describes it, with types
---@param old table
---@return boolean
function M.can(live, old)
  return #live.keys > 0 and table.concat(live.keys, "\0") == table.concat(old.keys, "\0") and live.types ~= nil
end

--- The keys of a page of rows as parameters for `listed`.
---@param one table
---@param page table[]
---@return string[]
function M.keys_of(one, page)
  local parameters = {}
  for i = 1, #one.keys do
    local values = {}
    for j, row in ipairs(page) do values[j] = row["k" .. i] end
    parameters[i] = M.array(values, #page)
  end
  return parameters
end

--- The rows that have the keys of a page of others, by their keys.
---@param db table
---@param one table
---@param words table of words_of
---@param page table[]
---@return table<string, table>
function M.find(db, one, words, page)
  local found = {}
  local statement = ("SELECT %s FROM %s t JOIN %s ON %s"):format(words.row, one.from, words.listed, words.joined)
  for _, row in ipairs(assert(db:query(statement, table.unpack(M.keys_of(one, page))))) do found[M.key_of(row, #one.keys)] = row end
  return found
end

-- Pages of a statement's rows: those of a small table at once, without a cursor.
local function pages(db, statement, most_rows)
  if most_rows <= PAGE_ROWS then
    local page = assert(db:query(statement))
    return function()
      local rows = page
      page = {}
      return rows[1] and rows or nil
    end
  end
  assert(db:execute("DECLARE changed NO SCROLL CURSOR FOR " .. statement))
  return function()
    local page = assert(db:query(("FETCH %d FROM changed"):format(PAGE_ROWS)))
    if not page[1] then assert(db:execute "CLOSE changed") end
    return page[1] and page or nil
  end
end

-- Compares rows that may be new with the restored ones, a page at a time. Gives the inserted ones by bucket.
local function changed(live_db, old_db, live, words, snapshot, live_rows, is_changed, count)
  local inserted = {}
  local statement = ("SELECT %s, %s AS bucket FROM %s t WHERE %s"):format(words.live_row, words.bucket, live.from, tables_of.newer_than(snapshot, "t"))
  for page in pages(live_db, statement, live_rows) do
    local restored = M.find(old_db, live, words, page)
    for _, row in ipairs(page) do
      local before = restored[M.key_of(row, #live.keys)]
      if not before then
        inserted[row.bucket] = (inserted[row.bucket] or 0) + 1
        count("inserted", 1, row)
      elseif is_changed(row, before) then
        count("updated", 1, row, before)
      end
    end
  end
  return inserted
end

local function bucket_counts(db, from, words)
  local out = {}
  for _, row in ipairs(assert(db:query(("SELECT %s AS bucket, count(*) AS n FROM %s t GROUP BY 1"):format(words.bucket, from)))) do out[row.bucket] = row.n end
  return out
end

-- Buckets in which the restored table has more keys than the live one has old ones.
local function buckets_with_deleted(live_db, old_db, live, words, inserted)
  local mine, theirs, out = bucket_counts(live_db, live.from, words), bucket_counts(old_db, live.from, words), {}
  for bucket, n in pairs(theirs) do
    if n > (mine[bucket] or 0) - (inserted[bucket] or 0) then out[#out + 1] = bucket end
  end
  table.sort(out)
  return out
end

local function deleted(live_db, old_db, live, words, inserted, count)
  local buckets = buckets_with_deleted(live_db, old_db, live, words, inserted)
  for first = 1, #buckets, BUCKETS_A_QUERY do
    local list = table.concat(buckets, ",", first, math.min(first + BUCKETS_A_QUERY - 1, #buckets))
    local where = (" FROM %s t WHERE %s IN (%s)"):format(live.from, words.bucket, list)
    local there = {}
    for _, row in ipairs(assert(live_db:query("SELECT " .. words.keys .. where))) do there[M.key_of(row, #live.keys)] = true end
    for _, row in ipairs(assert(old_db:query("SELECT " .. words.row .. where))) do
      if not there[M.key_of(row, #live.keys)] then count("deleted", 1, row) end
    end
  end
end

--- How many rows the tables have, in both databases at the same time.
---@param live_db table
---@param old_db table
---@param tables table[] that both have
---@return table<string, { live: integer, restored: integer }>
function M.counts(live_db, old_db, tables)
  local out = {}
  for first = 1, #tables, COUNTS_A_QUERY do
    local parts = {}
    for i = first, math.min(first + COUNTS_A_QUERY - 1, #tables) do parts[#parts + 1] = ("SELECT %d AS i, count(*) AS n FROM %s"):format(i, tables[i].from) end
    local statement = table.concat(parts, " UNION ALL ")
    local counted = parallel { function() return assert(live_db:query(statement)) end, function() return assert(old_db:query(statement)) end }
    for _, row in ipairs(counted[1]) do out[tables[row.i].name] = { live = row.n } end
    for _, row in ipairs(counted[2]) do out[tables[row.i].name].restored = row.n end
  end
  return out
end

--- Counts what the live table has that the restored one has not, or differently.
---@param live_db table in a transaction
---@param old_db table the restored one, in a transaction
---@param live table
---@param columns string[] those that both have
---@param new string[] those that only the live table has
---@param snapshot string of the backup, as pg_current_snapshot() gave it
---@param is_changed fun(row: table, restored: table): boolean
---@param rows { live: integer, restored: integer } how many both tables have
---@param count fun(change: string, n: integer, row: table, restored?: table)
function M.compare(live_db, old_db, live, columns, new, snapshot, rows, is_changed, count)
  local words = M.words_of(live, columns, new)
  local inserted, came = changed(live_db, old_db, live, words, snapshot, rows.live, is_changed, count), 0
  for _, n in pairs(inserted) do came = came + n end
  if rows.restored ~= rows.live - came then deleted(live_db, old_db, live, words, inserted, count) end
end

return M
