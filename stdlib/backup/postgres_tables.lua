--- backup.postgres_tables: what of a PostgreSQL database is rows, and in which pieces they are copied.

local core = require "core.backup_postgres"
local core_err = require "core.err"
local task = require "task"

local M = {}

--- Pages of a piece, unless a take says otherwise: 64 MB.
M.CHUNK_BLOCKS = 8192

local BATCH_BLOCKS, BATCH_PIECES = 1024, 40 -- small tables share a connection: opening one takes longer than reading them

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

--- What begins a transaction that reads rows as text. Their checksums must be the same in every session, so no setting of a
-- database or a role may change how a value is written.
M.BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL TimeZone = 'UTC'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL bytea_output = 'hex'"

--- The tables of a database, the largest first: oid, schema, name, full_name, columns (nil: it has none), blocks, pieces.
---@param db table an open connection
---@param chunk_blocks? integer pages of a piece
---@return table[]
function M.list(db, chunk_blocks)
  local by_range = assert(db:value "SELECT current_setting('server_version_num')::int") >= 140000 -- scans of a range of row addresses
  local tables = assert(db:query(TABLES))
  for _, one in ipairs(tables) do
    one.full_name = one.schema .. "." .. one.name
    one.chunk_blocks = chunk_blocks or M.CHUNK_BLOCKS
    one.pieces = by_range and one.heap and math.max(1, math.ceil(one.blocks / one.chunk_blocks)) or 1
  end
  return tables
end

function M.from(one) return M.quoted(one.schema) .. "." .. M.quoted(one.name) end

--- The blocks of piece `index` of a table: from the first on, up to the second, which is not of it. The last piece has no end: rows
-- that came after the blocks were counted are in it.
---@param one table
---@param index integer
---@return integer from, integer? to
---@usage assert(require("backup.postgres_tables").blocks_of({ pieces = 2, chunk_blocks = 8 }, 2) == 8)
function M.blocks_of(one, index)
  local from = (index - 1) * one.chunk_blocks
  return from, index < one.pieces and from + one.chunk_blocks or nil
end

--- The condition for the rows of piece `index`; empty: it is the whole table.
---@param one table
---@param index integer
---@return string
function M.where(one, index)
  if one.pieces == 1 then return "" end
  local from, to = M.blocks_of(one, index)
  return (" WHERE ctid >= '(%d,0)'::tid"):format(from) .. (to and (" AND ctid < '(%d,0)'::tid"):format(to) or "")
end

--- The statement that copies piece `index` of a table out.
---@param one table
---@param index integer
---@return string
function M.copy_out(one, index)
  if one.pieces == 1 then return ("COPY %s (%s) TO STDOUT"):format(M.from(one), one.columns) end
  return ("COPY (SELECT %s FROM ONLY %s%s) TO STDOUT"):format(one.columns, M.from(one), M.where(one, index))
end

--- Every piece of every table, in order.
---@return { table: table, index: integer, blocks: integer }[]
function M.pieces(tables)
  local out = {}
  for _, one in ipairs(tables) do
    for index = 1, one.columns and one.pieces or 0 do out[#out + 1] = { table = one, index = index, blocks = one.blocks // one.pieces } end
  end
  return out
end

--- Groups pieces for one connection each, the largest first.
---@param pieces { blocks: integer }[]
---@param ways? integer into so many of about the same size, if there is enough for that; without it into small ones
---@return table[][]
---@usage assert(#require("backup.postgres_tables").batches { { blocks = 9000 }, { blocks = 1 }, { blocks = 2 } } == 2)  assert(#require("backup.postgres_tables").batches({ { blocks = 9000 }, { blocks = 5000 }, { blocks = 4000 } }, 2) == 2)
function M.batches(pieces, ways)
  local room_blocks, room_pieces = BATCH_BLOCKS, BATCH_PIECES
  if ways then
    local all = 0
    for _, piece in ipairs(pieces) do all = all + piece.blocks end
    room_blocks, room_pieces = math.max(room_blocks, math.ceil(all / ways)), math.max(room_pieces, math.ceil(#pieces / ways))
  end
  local sorted, out, batch, blocks = table.move(pieces, 1, #pieces, 1, {}), {}, nil, 0
  table.sort(sorted, function(a, b) return a.blocks > b.blocks end)
  for _, piece in ipairs(sorted) do
    if not batch or blocks + piece.blocks > room_blocks or #batch == room_pieces then
      batch, blocks = {}, 0
      out[#out + 1] = batch
    end
    batch[#batch + 1], blocks = piece, blocks + piece.blocks
  end
  return out
end

--- The condition for rows that may be newer than a snapshot. Transaction numbers are 32 bits wide and go round; those of
-- subtransactions are not in a snapshot's list, so everything from its oldest on counts as newer.
---@param snapshot string as pg_current_snapshot() gives it
---@param alias string of the table in the statement
---@return string condition
---@usage assert(require("backup.postgres_tables").newer_than("700:700:", "t"):find "700")
function M.newer_than(snapshot, alias)
  local oldest = math.tointeger(tonumber(snapshot:match "^(%d+):")) % (1 << 32)
  return ("((%s.xmin::text::bigint - %d + 4294967296) %% 4294967296) < 2147483648"):format(alias, oldest)
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
  task.map(M.batches(M.pieces(tables)), function(batch)
    local steps = {}
    for i, piece in ipairs(batch) do steps[i] = { out = M.copy_out(piece.table, piece.index), name = piece.table.full_name } end
    for i, found in ipairs(assert(core.run(url, M.BEGIN, steps))) do
      local sum = sums[batch[i].table.full_name]
      sum.rows, sum.checksum = sum.rows + found.rows, M.add(sum.checksum, found.checksum)
    end
  end, { limit = workers })
  return sums
end

local function mismatch(message) error(core_err.new { code = "backup_mismatch", op = "compare", message = message }, 0) end

--- The number of large objects and a checksum of their content.
---@param db table
---@return { count: integer, checksum: string }
function M.large_objects(db)
  return assert(db:one "SELECT count(*) AS count, coalesce(md5(string_agg(oid::text || md5(lo_get(oid)), ',' ORDER BY oid)), '') AS checksum FROM pg_largeobject_metadata")
end

--- Compares every table of a database with a manifest; raises backup_mismatch, which names the table.
---@param manifest table
---@param db table a connection to the database
---@param url any its address
---@param workers integer
function M.compare(manifest, db, url, workers)
  local sums = M.sums(url, M.list(db), workers)
  for _, one in ipairs(manifest.database.tables) do
    local found = sums[one.name]
    if not found then mismatch(("table %s is not there"):format(one.name)) end
    if found.rows ~= one.rows or found.checksum ~= one.checksum then
      mismatch(("table %s: %d rows, checksum %s; the backup has %d rows, checksum %s"):format(one.name, found.rows, found.checksum, one.rows, one.checksum))
    end
  end
  local large, wanted = M.large_objects(db), manifest.database.info.large_objects
  if large.count ~= wanted.count or large.checksum ~= wanted.checksum then
    mismatch(("%d large objects, checksum %s; the backup has %d, checksum %s"):format(large.count, large.checksum, wanted.count, wanted.checksum))
  end
end

return M
