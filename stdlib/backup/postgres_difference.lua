--- backup.postgres_difference: a restore into the live PostgreSQL database that changes only the rows that differ from the warm copy.
--
-- Both databases are compared while everybody works on, with every change watched from before that. Then the tables are locked, what
-- was changed meanwhile is added, and in the same transaction the rows that differ are deleted by their key and those of the copy
-- inserted: afterwards each table has the copy's rows, without an order that constraints could be hurt in. That the comparison found every
-- difference is proven before anything is locked: the live checksum of each table, without the live rows that differ and with the
-- copy's, is that of the backup. Where this is not possible or would not be quick, the caller is told why, and nothing was changed.

local clock = require "clock"
local core_err = require "core.err"
local core_postgres = require "core.backup_postgres"
local diff_postgres = require "backup.diff_postgres"
local process = require "process"
local rows_of = require "backup.postgres_rows"
local tables_of = require "backup.postgres_tables"
local take = require "backup.postgres_take"
local watch = require "backup.postgres_watch"

local M = {}

local TIMEOUT_S = 3600
local SCHEMA_BYTES = 64 << 20

-- What decides how a value looks as text is the same on both sides.
local SESSION = "SET LOCAL search_path = ''; SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL TimeZone = 'UTC'; SET LOCAL row_security = off; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; "
local READ = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; " .. SESSION
-- No trigger, rule or foreign key acts on rows that come back as they were.
local WRITE = SESSION .. "SET LOCAL session_replication_role = replica; SET LOCAL engine.restoring = 'on'; SET LOCAL lock_timeout = '30s'"

-- Everything that DDL changes, but nothing that ANALYZE, TRUNCATE, temporary tables or the watch's triggers do.
local SHAPE = ([[WITH mine AS (SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid >= 16384 AND relpersistence <> 't' AND nspname <> '$schema' AND nspname NOT LIKE 'pg\_%')
SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
  SELECT 'c' || (oid, relname, relnamespace, relowner, relkind, relpersistence, relrowsecurity, relforcerowsecurity, relreplident, reloptions, relacl)::text AS line FROM mine
  UNION ALL SELECT 'a' || (attrelid, attnum, xmin)::text FROM pg_attribute WHERE attrelid IN (SELECT oid FROM mine) AND attnum > 0
  UNION ALL SELECT 't' || (oid, xmin)::text FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM mine) AND tgname NOT IN ('$schema', '$schema_truncate')
  UNION ALL SELECT 'k' || (oid, xmin)::text FROM pg_constraint WHERE conrelid IN (SELECT oid FROM mine) OR contypid >= 16384
  UNION ALL SELECT 'i' || (indexrelid, xmin)::text FROM pg_index WHERE indrelid IN (SELECT oid FROM mine)
  UNION ALL SELECT 'd' || (oid, xmin)::text FROM pg_attrdef WHERE adrelid IN (SELECT oid FROM mine)
  UNION ALL SELECT 'r' || (oid, xmin)::text FROM pg_rewrite WHERE ev_class IN (SELECT oid FROM mine)
  UNION ALL SELECT 'o' || (oid, xmin)::text FROM pg_policy WHERE polrelid IN (SELECT oid FROM mine)
  UNION ALL SELECT 'y' || (oid, xmin)::text FROM pg_type WHERE typtype IN ('d', 'e', 'r', 'm') AND oid >= 16384
  UNION ALL SELECT 'e' || (oid, xmin)::text FROM pg_enum
  UNION ALL SELECT 'p' || (p.oid, p.xmin)::text FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE p.oid >= 16384 AND nspname <> '$schema'
  UNION ALL SELECT 'n' || (oid, xmin)::text FROM pg_namespace WHERE oid >= 16384 AND nspname <> '$schema' AND nspname NOT LIKE 'pg\_%'
) x]]):gsub("%$schema", watch.SCHEMA)

local HINDRANCES = ([[SELECT (SELECT count(*) FROM pg_largeobject_metadata) AS large_objects,
  (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('A', 'R') AND tgname NOT IN ('$schema', '$schema_truncate')) + (SELECT count(*) FROM pg_rewrite WHERE ev_enabled IN ('A', 'R') AND rulename <> '_RETURN') AS always]]):gsub("%$schema", watch.SCHEMA)

-- Not an error: the whole has to be loaded.
local Declined = {}
Declined.__index = Declined
local function decline(message, ...) error(setmetatable({ why = message:format(...) }, Declined), 0) end

-- The entries of a schema by their text. Their order says when things were made, and nothing else.
local function entries_of(url)
  local dumped = assert(process.run { argv = { "pg_dump", "--schema-only", "--exclude-schema=" .. watch.SCHEMA }, env = core_postgres.environment(url), timeout = TIMEOUT_S, max_output = SCHEMA_BYTES, check = true })
  if dumped.truncated then decline("the schema is more than %d bytes", SCHEMA_BYTES) end
  local entries, text = {}, dumped.stdout:gsub("\n\\u?n?restrict %w+", "")
  for entry in (text .. "\n--\n"):gmatch "(.-)\n%-%-\n" do entries[#entries + 1] = entry end
  table.sort(entries)
  return table.concat(entries, "\0")
end

local function check_schemas(live_url, copy_url)
  local same = parallel { function() return entries_of(live_url) end, function() return entries_of(copy_url) end }
  if same[1] ~= same[2] then decline "the schema is not that of the backup" end
end

local function check_live(db, manifest)
  local found = assert(db:one(HINDRANCES))
  if found.large_objects + manifest.database.info.large_objects.count > 0 then decline "there are large objects" end
  if found.always > 0 then decline "there are triggers or rules that always fire" end
  local may, err = db:transaction(function(tx) return tx:execute(WRITE) end)
  if not may then decline("the role may not keep triggers from firing: %s", err.message) end
end

-- Every difference of the snapshots that both transactions have.
local function compare(live_tx, copy_tx, tables, manifest, sums, snapshot)
  local wanted, all_rows = {}, 0
  for _, one in ipairs(manifest.database.tables) do wanted[one.name], all_rows = one, all_rows + one.rows end
  local found = rows_of.new(tables, all_rows, decline)
  for name, one in pairs(tables) do
    local sum, want = sums[name], wanted[name]
    if not (sum and want) then decline("table %s is not in both", name) end
    if sum.checksum == want.checksum and sum.rows == want.rows then goto continue end
    if one.keys[1] then
      local columns = one.columns
      local function is_changed(row, before)
        for i = 1, #columns do if row["c" .. i] ~= before["c" .. i] then return true end end
        return false
      end
      diff_postgres.compare(live_tx, copy_tx, one, columns, {}, snapshot, { live = sum.rows, restored = want.rows }, is_changed, function(change, _, row, before)
        found:add(name, row, change == "deleted" and row or before)
      end)
    else
      found:add_whole(name, live_tx, copy_tx)
    end
    ::continue::
  end
  return found, wanted
end

-- Rows and checksum of listed keys as COPY gives them.
local function sum_of(url, begin, one, keys)
  local steps, sum = {}, { rows = 0, checksum = ("0"):rep(32) }
  for first = 1, #keys, rows_of.PAGE_ROWS do
    local parameters = diff_postgres.keys_of(one, rows_of.page_of(keys, first))
    local listed = one.words.listed:gsub("%$(%d+)", function(n) return tables_of.literal(parameters[tonumber(n)]) end)
    steps[#steps + 1] = { out = ("COPY (SELECT %s FROM %s t JOIN %s ON %s) TO STDOUT"):format(one.words.stored, one.from, listed, one.words.joined), name = one.name }
  end
  for _, done in ipairs(assert(core_postgres.run(url, begin, steps))) do
    sum.rows, sum.checksum = sum.rows + done.rows, tables_of.add(sum.checksum, done.checksum)
  end
  return sum
end

-- The live table without what goes and with what comes is the backup's.
local function prove(found, wanted, sums, live_url, live_begin, copy_url)
  for name, want in pairs(wanted) do
    local part, sum = found.by_name[name], sums[name]
    local rows, checksum = sum.rows, sum.checksum
    if part and part.whole then rows, checksum = want.rows, want.checksum end
    if part and not part.whole then
      local goes, comes = sum_of(live_url, live_begin, part.table, part.keys), sum_of(copy_url, "BEGIN READ ONLY", part.table, part.keys)
      rows, checksum = rows - goes.rows + comes.rows, tables_of.add(tables_of.subtract(checksum, goes.checksum), comes.checksum)
    end
    if rows ~= want.rows or checksum ~= want.checksum then decline("the difference of table %s is not all of it", name) end
  end
end

-- What was noted since, with the copy's rows.
local function top_up(found, tx, copy_tx)
  for name, page in pairs(watch.noted(tx, found.tables)) do
    local one = found.tables[name]
    if page == true then
      if one.keys[1] then decline("table %s was emptied meanwhile", name) end
      found:add_whole(name, tx, copy_tx)
    else
      for first = 1, #page, rows_of.PAGE_ROWS do
        local part = rows_of.page_of(page, first)
        local restored = diff_postgres.find(copy_tx, one, one.words, part)
        for _, row in ipairs(part) do found:add(name, row, restored[diff_postgres.key_of(row, #one.keys)]) end
      end
    end
  end
end

-- Sequences go on where they are, and never below the backup's.
local function raise_sequences(tx, copy_tx)
  for _, one in ipairs(assert(copy_tx:query "SELECT format('%I.%I', schemaname, sequencename) AS name, last_value, increment_by FROM pg_sequences WHERE last_value IS NOT NULL")) do
    assert(tx:query(("SELECT setval($1::regclass, $2) FROM %s WHERE last_value %s $2 OR (last_value = $2 AND NOT is_called)"):format(one.name, one.increment_by > 0 and "<" or ">"), one.name, one.last_value))
  end
end

-- Under the lock. Gives the moment from which on others waited.
local function exchange(tx, copy_tx, found, pid, shape)
  assert(tx:execute(WRITE))
  local lock = tables_of.lock(tables_of.list(tx), "ACCESS EXCLUSIVE")
  local began = clock.now() -- while it waits for the lock, others wait behind it
  assert(tx:execute(lock))
  if not watch.holds(tx, pid) then decline "the connection that watched the changes was lost" end
  if assert(tx:value(SHAPE)) ~= shape then decline "the schema was changed meanwhile" end
  top_up(found, tx, copy_tx)
  found:exchange(tx)
  raise_sequences(tx, copy_tx)
  watch.finish(tx)
  return began
end

-- They hold what their queries gave, and are no part of a comparison.
local function refresh(db)
  for _, one in ipairs(assert(db:query [[SELECT format('%I.%I', nspname, relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'm' AND relispopulated ORDER BY c.oid]])) do
    local done, err = db:query("REFRESH MATERIALIZED VIEW " .. one.name)
    if not done then error(core_err.new { code = "backup", op = "restore", message = ("the rows are restored, but the materialized view %s could not be refreshed"):format(one.name), cause = err.message }, 0) end
  end
end

local function difference(db, copy_db, manifest, copy, url, to)
  check_live(db, manifest)
  watch.sweep(db)
  local shape = assert(db:value(SHAPE))
  check_schemas(url, tables_of.url_of(copy, url))
  local tables = assert(db:transaction(function(tx)
    assert(tx:execute(READ))
    return rows_of.describe(tx)
  end))
  local pid = watch.begin(db, tables)
  local found, downtime
  assert(copy_db:transaction(function(copy_tx)
    assert(copy_tx:execute(READ))
    assert(db:transaction(function(live_tx)
      assert(live_tx:execute(READ))
      local snapshot = assert(live_tx:value "SELECT pg_export_snapshot()")
      local sums = tables_of.sums(url, tables_of.list(live_tx), take.workers(), snapshot)
      local wanted
      found, wanted = compare(live_tx, copy_tx, tables, manifest, sums, copy.snapshot)
      prove(found, wanted, sums, url, tables_of.begin_within(snapshot), tables_of.url_of(copy, url))
    end))
    local began = assert(db:transaction(function(tx) return exchange(tx, copy_tx, found, pid, shape) end))
    downtime = clock.now() - began
  end))
  refresh(db)
  return { downtime_s = downtime, loss = found:report(to) }
end

--- Makes the live database's rows those of the copy.
---@param manifest table
---@param copy table of restore_beside, open to connections
---@param url any the live database's address
---@param to? string folder for the lost rows
---@return { downtime_s: number, loss: table }? restored, table? err, string? why nil, nil, why: the whole has to be loaded, and this is why
function M.restore(manifest, copy, url, to)
  if not copy.snapshot then return nil, nil, "the backup is of another server" end
  local db, err = tables_of.open(url, TIMEOUT_S)
  if not db then return nil, err end
  local close_live <close> = db
  local copy_db
  copy_db, err = tables_of.open(tables_of.url_of(copy, url), TIMEOUT_S)
  if not copy_db then return nil, err, close_live and nil end
  local close_copy <close> = copy_db
  local ok, result = pcall(difference, db, copy_db, manifest, copy, url, to)
  if ok then return result, nil, close_copy and nil end
  shield(function() pcall(watch.sweep, db) end)
  if getmetatable(result) == Declined then return nil, nil, result.why end
  if core_err.is(result) then return nil, result end
  error(result, 0)
end

return M
