--- backup.postgres_unchanged: which pieces of an earlier backup are still what their tables hold, and the proof of it.
--
-- A row that the new snapshot sees in a range of blocks, and whose transaction had ended before the earlier snapshot began, was
-- seen by that one too, in the same place: so the new rows are among the old ones. As many of them as then: they are the same.
-- This holds as long as nobody moved rows, gave out a transaction number twice, or changed how a value reads; M.origin and
-- M.identities say what must be equal for that. docs/decisions/0010-incremental.md goes through what could break it.

local tables_of = require "backup.postgres_tables"

local M = {}

-- Transaction numbers are compared modulo 2^32, so 2^31 is the limit; while a backup is taken they go on.
local MOST_APART = 1 << 30

-- Transaction numbers and the places of rows mean the same only as long as a server has not been started again: recovery after a
-- crash gives numbers out again that the log does not have, and a restored data directory has another history. The
-- checkpointer is started anew with every recovery. Not equal to anything: a standby, and a role that may not see it.
local ORIGIN = [[SELECT system_identifier || '/' || d.oid || '/' || d.xmin || '/' ||
    (SELECT (extract(epoch FROM backend_start) * 1000000)::int8 FROM pg_stat_activity WHERE backend_type = 'checkpointer')
  FROM pg_control_system(), pg_database d WHERE d.datname = current_database() AND NOT pg_is_in_recovery()]]

-- The heap of a table (its file, and the version of its entry, which every rewriting makes anew), and its columns. A table has
-- none if a value of it may read differently without being written: types whose text is made of names in the catalog, of settings
-- or by an extension. The labels of enums are part of it, with their versions: one may be renamed and named back.
local IDENTITIES = [[WITH RECURSIVE mine AS (
    SELECT c.oid, c.xmin::text AS version, n.nspname AS schema, c.relname AS name, pg_relation_filepath(c.oid) AS path
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'heap') AND n.nspname NOT IN ('pg_catalog', 'information_schema')),
  columns AS (
    SELECT a.attrelid AS oid, a.attnum, a.attname, a.atttypid AS type, a.atttypmod FROM pg_attribute a JOIN mine m ON m.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
  part (whole, type) AS (
    SELECT DISTINCT type, type FROM columns
    UNION SELECT p.whole, inner_type.oid FROM part p JOIN pg_type y ON y.oid = p.type LEFT JOIN pg_range r ON r.rngtypid = y.oid,
      LATERAL (VALUES (y.typelem), (y.typbasetype), (r.rngsubtype)) inner_type (oid) WHERE inner_type.oid <> 0),
  known (type, fixed, labels) AS (
    SELECT p.whole,
      bool_and(CASE y.typtype WHEN 'b' THEN y.typoutput = 'pg_catalog.array_out'::regproc
          OR (y.oid < 16384 AND y.typname NOT LIKE 'reg%' AND y.typname NOT IN ('aclitem', 'money'))
        ELSE y.typtype IN ('d', 'e', 'r') END),
      string_agg((SELECT string_agg(concat_ws(' ', e.oid, e.xmin, quote_literal(e.enumlabel)), ',' ORDER BY e.oid) FROM pg_enum e WHERE e.enumtypid = y.oid), ';' ORDER BY y.oid)
    FROM part p JOIN pg_type y ON y.oid = p.type GROUP BY p.whole)
  SELECT m.schema, m.name, m.oid::int8 AS oid, concat_ws(' ', m.path, m.oid, m.version,
    encode(sha256(convert_to(string_agg(concat_ws(' ', c.attnum, quote_ident(c.attname), c.type, c.atttypmod, k.labels), ', ' ORDER BY c.attnum), 'UTF8')), 'hex')) AS identity
  FROM mine m JOIN columns c USING (oid) JOIN known k USING (type) GROUP BY m.oid, m.version, m.schema, m.name, m.path
  HAVING bool_and(k.fixed) AND m.path IS NOT NULL]]

--- What a database and its server must still be for an earlier backup to count; nil where nothing can be proven.
---@param url any
---@return string?
function M.origin(url)
  local db = assert(tables_of.open(url, 30))
  local closer <close> = db
  return db:value(ORIGIN), closer and nil
end

--- Notes in each table what must be equal in the next backup: `identity`, nil where nothing can be proven. To be called with
-- the tables locked, on a connection of its own: a snapshot from before the lock sees the catalog of then, not the heap of now.
---@param url any
---@param tables table[] of postgres_tables.list
---@return string? origin
function M.identify(url, tables)
  local db = assert(tables_of.open(url, 300))
  local closer <close> = db
  local origin, now = db:value(ORIGIN), {}
  for _, row in ipairs(assert(db:query(IDENTITIES))) do now[tables_of.full_name(row.schema, row.name)] = row end
  for _, one in ipairs(tables) do
    local row = now[one.full_name]
    -- Another oid: made again under the same name between snapshot and lock. Of a table of an extension only some rows are in the backup.
    one.identity = row and row.oid == one.oid and not one.condition and row.identity or nil
  end
  return origin, closer and nil
end

local function number_of(snapshot, at) return math.tointeger(tonumber(snapshot:match(at))) end

--- The tables of an earlier backup, as far as it counts for one of now. Pure.
---@param manifest table of the earlier backup, verified
---@param info { origin?: string, current_snapshot: string } of now
---@return { oldest: integer, tables: table<string, table> }? earlier
---@return string? why not
---@usage assert(select(2, require("backup.postgres_unchanged").earlier({ id = "a", database = { info = { origin = "1/5" }, tables = {} } }, { origin = "2/5" })):find "another")
function M.earlier(manifest, info)
  local past = manifest.database.info
  if not info.origin or past.origin ~= info.origin then return nil, manifest.id .. " is of another database, or the server was started again since" end
  local oldest, newest = number_of(past.current_snapshot, "^(%d+):"), number_of(info.current_snapshot, "^%d+:(%d+):")
  if newest - oldest >= MOST_APART or newest < oldest then return nil, manifest.id .. " is too many transactions ago" end
  local tables = {}
  for _, one in ipairs(manifest.database.tables) do
    if one.identity then tables[one.identity] = one end
  end
  return { oldest = oldest, tables = tables }
end

--- The piece of an earlier backup that a piece of now may be equal to. It may have had more room: then all of its rows must be in
-- the range of now. Pure.
---@param earlier { tables: table<string, table> }
---@param piece { table: table, index: integer }
---@return { file: string, rows: integer, checksum: string }?
function M.candidate(earlier, piece)
  local past = piece.table.identity and earlier.tables[piece.table.identity]
  if not past then return nil end
  local from, to = tables_of.blocks_of(piece.table, piece.index)
  for _, one in ipairs(past.pieces) do
    if one.from_block == from and (not one.to_block or (to and to <= one.to_block)) then return one end
  end
end

--- The statement that gives one row if a piece still has the rows of its candidate, and none if that is not proven. Numbers
-- below 3 are no transaction's: rows that somebody froze by hand.
---@param piece { table: table, index: integer }
---@param candidate { rows: integer }
---@param oldest integer of the earlier snapshot: from this transaction on, rows are newer
---@return string
function M.question(piece, candidate, oldest)
  return ([[COPY (SELECT 1 FROM (SELECT count(*) AS rows, count(*) FILTER (WHERE age(xmin) > (SELECT age('%d'::xid)) AND age(xmin) < 2147483647) AS old
  FROM ONLY %s%s) found WHERE rows = %d AND old = %d) TO STDOUT]]):format(oldest % (1 << 32), tables_of.from(piece.table), tables_of.where(piece.table, piece.index), candidate.rows, candidate.rows)
end

return M
