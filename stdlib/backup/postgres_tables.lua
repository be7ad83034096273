--- backup.postgres_tables: what of a PostgreSQL database is rows, and in which pieces they are copied.

local core = require "core.backup"

local M = {}

local CHUNK_BLOCKS = 8192 -- 64 MB of pages a piece

function M.quoted(name) return '"' .. name:gsub('"', '""') .. '"' end
function M.literal(text) return "'" .. text:gsub("'", "''") .. "'" end

-- Ordinary tables and the leaves of partitioned ones; not those of extensions, not temporary or foreign ones.
local TABLES = [[SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, pg_relation_size(c.oid) / current_setting('block_size')::int8 AS blocks,
  c.relam = (SELECT oid FROM pg_am WHERE amname = 'heap') AS heap,
  (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%'
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  ORDER BY pg_table_size(c.oid) DESC, 2, 3]]

--- The tables of a database, the largest first: oid, schema, name, full_name, columns (nil: it has none), blocks, pieces.
---@param db table an open connection
---@return table[]
function M.list(db)
  local by_range = assert(db:value "SELECT current_setting('server_version_num')::int") >= 140000 -- scans of a range of row addresses
  local tables = assert(db:query(TABLES))
  for _, one in ipairs(tables) do
    one.full_name = one.schema .. "." .. one.name
    one.pieces = by_range and one.heap and math.max(1, math.ceil(one.blocks / CHUNK_BLOCKS)) or 1
  end
  return tables
end

function M.from(one) return M.quoted(one.schema) .. "." .. M.quoted(one.name) end

--- The statement that copies piece `index` of a table out. Rows that came after the blocks were counted are in the last.
---@param one table
---@param index integer
---@return string
function M.copy_out(one, index)
  if one.pieces == 1 then return ("COPY %s (%s) TO STDOUT"):format(M.from(one), one.columns) end
  local where = ("ctid >= '(%d,0)'::tid"):format((index - 1) * CHUNK_BLOCKS)
  if index < one.pieces then where = where .. (" AND ctid < '(%d,0)'::tid"):format(index * CHUNK_BLOCKS) end
  return ("COPY (SELECT %s FROM ONLY %s WHERE %s) TO STDOUT"):format(one.columns, M.from(one), where)
end

--- Every piece of every table, in order.
---@return { table: table, index: integer }[]
function M.pieces(tables)
  local out = {}
  for _, one in ipairs(tables) do
    for index = 1, one.columns and one.pieces or 0 do out[#out + 1] = { table = one, index = index } end
  end
  return out
end

--- The sum of two row checksums, modulo 2^128: that of both parts together.
---@param a string 32 hexadecimal digits
---@param b string
---@return string
---@usage assert(require("backup.postgres_tables").add(("f"):rep(32), ("0"):rep(31) .. "2") == ("0"):rep(31) .. "1")
function M.add(a, b)
  local function halves(text) return tonumber(text:sub(1, 16), 16), tonumber(text:sub(17), 16) end
  local high_a, low_a = halves(a)
  local high_b, low_b = halves(b)
  local low = low_a + low_b
  return ("%016x%016x"):format(high_a + high_b + (math.ult(low, low_a) and 1 or 0), low)
end

--- Reads all tables of a database: rows and checksum of each by its full name.
---@param url any
---@param tables table[]
---@param workers integer
---@return table<string, { rows: integer, checksum: string }>
function M.sums(url, tables, workers)
  local sums = {}
  for _, one in ipairs(tables) do sums[one.full_name] = { rows = 0, checksum = ("0"):rep(32) } end
  require("task").map(M.pieces(tables), function(piece)
    local found = assert(core.postgres_out(url, nil, M.copy_out(piece.table, piece.index), nil, 1))
    local sum = sums[piece.table.full_name]
    sum.rows, sum.checksum = sum.rows + found.rows, M.add(sum.checksum, found.checksum)
  end, { limit = workers })
  return sums
end

return M
