--- backup.postgres_tables: what of a PostgreSQL database is rows, and in which pieces they are copied.

local core = require "core.backup_postgres"
local core_err = require "core.err"
local sql = require "sql"
local task = require "task"

local M = {}

--- Pages of a piece, unless a take says otherwise: 64 MB.
M.CHUNK_BLOCKS = 8192

local BATCH_BLOCKS, BATCH_PIECES = 1024, 40 -- small tables share a connection: opening one takes longer than reading them

-- What a role, a database or a server is set to must change neither the text of a value nor which function or table a name means: a
-- schema that others may write to could hold another quote_ident.
local SESSION = [[SET search_path = ''; SET standard_conforming_strings = on; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC';
  SET bytea_output = 'hex'; SET extra_float_digits = 3; SET lc_monetary = 'C'; SET row_security = off]]

--- Sets a session to what every part of a backup relies on.
---@param db table
---@return true? ok, table? err
function M.settle(db)
  local ok, err = db:query "SET statement_timeout = 0" -- a role's own might cut short what comes now
  if not ok then return nil, err end
  return db:execute(SESSION)
end

--- Connects, and sets the session to what every part of a backup relies on.
---@param url any
---@param timeout number seconds, for connecting and for each query
---@return sql.db? db, table? err
function M.open(url, timeout)
  local db, err = sql.open(url, { timeout = timeout })
  if not db then return nil, err end
  local ok
  ok, err = M.settle(db)
  if ok then return db end
  db:close()
  return nil, err
end

function M.quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

--- A text as a literal that means the same whatever standard_conforming_strings is.
---@param text string
---@return string
---@usage assert(require("backup.postgres_tables").literal "it's" == "'it''s'")
function M.literal(text)
  local doubled = text:gsub("'", "''")
  if not text:find("\\", 1, true) then return "'" .. doubled .. "'" end
  return " E'" .. doubled:gsub("\\", "\\\\") .. "'"
end

--- The name that a table has in manifests and reports: no two tables have the same.
---@param schema string
---@param name string
---@return string
---@usage assert(require("backup.postgres_tables").full_name("a.b", "c") == '"a.b".c')
function M.full_name(schema, name)
  local function word(text) return text:find '[."]' and M.quoted(text) or text end
  return word(schema) .. "." .. word(name)
end

--- At most so many bytes of a name, which ends with a whole character.
---@param name string
---@param bytes integer
---@return string
---@usage assert(require("backup.postgres_tables").shortened("aé", 2) == "a")
function M.shortened(name, bytes)
  local length = math.min(#name, bytes)
  while length > 0 and (name:byte(length + 1) or 0) & 0xC0 == 0x80 do length = length - 1 end
  return name:sub(1, length)
end

-- Of an extension's own tables only those count that it has declared for this (pg_extension_config_dump), with its condition. The others
-- come with CREATE EXTENSION.
local CONFIGURATION = [[(SELECT e.extcondition[array_position(e.extconfig, c.oid)] FROM pg_extension e WHERE c.oid = ANY (e.extconfig))]]
local OURS = "(NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') OR EXISTS (SELECT 1 FROM pg_extension e WHERE c.oid = ANY (e.extconfig)))"

-- Ordinary tables and the leaves of partitioned ones; not temporary or foreign ones.
local WHERE = [[FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%'
  AND ]] .. OURS

local TABLES = [[SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, pg_relation_size(c.oid) / current_setting('block_size')::int8 AS blocks,
  c.relam = (SELECT oid FROM pg_am WHERE amname = 'heap') AS heap, ]] .. CONFIGURATION .. [[ AS condition,
  (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns
  ]] .. WHERE .. [[ ORDER BY pg_table_size(c.oid) DESC, 2, 3]]

--- The statement for the names alone of those tables.
M.NAMES = "SELECT c.oid AS oid, n.nspname AS schema, c.relname AS name " .. WHERE

local SEQUENCES = [[SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ]] .. OURS .. " ORDER BY 1"
local SEQUENCES_A_QUERY = 200

--- The address of a copy of a database: a copy is plain data, without an address, which may be a secret.
---@param copy { name: string }
---@param url any the live database's
---@return any
function M.url_of(copy, url) return core.with_database(url, copy.name) end

--- The tables of a database, the largest first: oid, schema, name, full_name, columns (nil: it has none), blocks, pieces, and condition
-- (of the rows that count; nil: of all).
---@param db table an open connection
---@param chunk_blocks? integer pages of a piece
---@return table[]
function M.list(db, chunk_blocks)
  local by_range = assert(db:value "SELECT current_setting('server_version_num')::int") >= 140000 -- scans of a range of row addresses
  local tables = assert(db:query(TABLES))
  for _, one in ipairs(tables) do
    one.full_name = M.full_name(one.schema, one.name)
    one.chunk_blocks = chunk_blocks or M.CHUNK_BLOCKS
    one.pieces = by_range and one.heap and not one.condition and math.max(1, math.ceil(one.blocks / one.chunk_blocks)) or 1
  end
  return tables
end

--- Where every sequence of a database stands.
---@param db table
---@return { name: string, last_value: integer, is_called: boolean }[] sequences name: as it stands in a statement
function M.sequences(db)
  local all, names = {}, assert(db:query(SEQUENCES))
  for first = 1, #names, SEQUENCES_A_QUERY do
    local parts = {}
    for i = first, math.min(first + SEQUENCES_A_QUERY - 1, #names) do parts[#parts + 1] = ("SELECT %d AS i, last_value, is_called FROM %s"):format(i, names[i].name) end
    for _, one in ipairs(assert(db:query(table.concat(parts, " UNION ALL ")))) do all[one.i] = { name = names[one.i].name, last_value = one.last_value, is_called = one.is_called } end
  end
  return all
end

function M.from(one) return M.quoted(one.schema) .. "." .. M.quoted(one.name) end

--- The statement that locks tables; nil without any.
---@param tables table[] of list
---@param mode string
---@return string?
---@usage assert(require("backup.postgres_tables").lock({ { schema = "a", name = "b" } }, "SHARE") == 'LOCK TABLE ONLY "a"."b" IN SHARE MODE')
function M.lock(tables, mode)
  local names = {}
  for i, one in ipairs(tables) do names[i] = "ONLY " .. M.from(one) end
  return names[1] and ("LOCK TABLE %s IN %s MODE"):format(table.concat(names, ", "), mode)
end

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
  if one.condition then return ("COPY (SELECT %s FROM ONLY %s %s) TO STDOUT"):format(one.columns, M.from(one), one.condition) end
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

--- The condition for rows that may be newer than a snapshot. Transaction numbers are 32 bits wide and go round, which age() knows;
-- those of subtransactions are not in a snapshot's list, so everything from its oldest on counts as newer.
---@param snapshot string as pg_current_snapshot() gives it
---@param alias string of the table in the statement
---@return string condition
---@usage assert(require("backup.postgres_tables").newer_than("700:700:", "t"):find "700")
function M.newer_than(snapshot, alias)
  return ("age(%s.xmin) <= age('%d'::xid)"):format(alias, math.tointeger(tonumber(snapshot:match "^(%d+):")) % (1 << 32))
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

--- The difference of two row checksums: what is left of a sum without one of its parts.
---@param a string 32 hexadecimal digits
---@param b string
---@return string
---@usage local t = require "backup.postgres_tables"  assert(t.add(t.subtract(("0"):rep(32), ("1"):rep(32)), ("1"):rep(32)) == ("0"):rep(32))
function M.subtract(a, b)
  local negative = b:gsub("%x", function(digit) return ("%x"):format(15 - tonumber(digit, 16)) end)
  return M.add(M.add(a, negative), ("0"):rep(31) .. "1")
end

--- The statements that begin a worker's transaction within another one's snapshot.
---@param snapshot string as pg_export_snapshot() gives it
---@return string
function M.begin_within(snapshot) return ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '%s'"):format(snapshot) end

--- Reads all tables of a database: rows and checksum of each by its full name.
---@param url any
---@param tables table[]
---@param workers integer
---@param snapshot? string of pg_export_snapshot(); nil: what each of the workers sees
---@param progress? fun(at: table) as of backup.metered
---@return table<string, { rows: integer, checksum: string }>
function M.sums(url, tables, workers, snapshot, progress)
  local begin = snapshot and M.begin_within(snapshot) or "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
  local sums = {}
  for _, one in ipairs(tables) do sums[one.full_name] = { rows = 0, checksum = ("0"):rep(32) } end
  local pieces = M.pieces(tables)
  local at = { done = 0, all = #pieces, bytes = 0 }
  task.map(M.batches(pieces), function(batch)
    local steps = {}
    for i, piece in ipairs(batch) do steps[i] = { out = M.copy_out(piece.table, piece.index), name = piece.table.full_name } end
    for i, found in ipairs(assert(core.run(url, begin, steps))) do
      local sum = sums[batch[i].table.full_name]
      sum.rows, sum.checksum = sum.rows + found.rows, M.add(sum.checksum, found.checksum)
      at.done, at.bytes = at.done + 1, at.bytes + (found.raw_bytes or 0)
    end
    if progress then progress(at) end
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
---@param progress? fun(at: table) as of backup.metered
function M.compare(manifest, db, url, workers, progress)
  local there, tables = {}, {}
  for _, one in ipairs(M.list(db)) do there[one.full_name] = one end
  for i, one in ipairs(manifest.database.tables) do
    tables[i] = there[one.name] or mismatch(("table %s is not there"):format(one.name))
    tables[i].columns = one.columns ~= "" and one.columns or nil -- in the order of then: pg_dump gives those of a parent another
  end
  local sums = M.sums(url, tables, workers, nil, progress)
  for _, one in ipairs(manifest.database.tables) do
    local found = sums[one.name]
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
