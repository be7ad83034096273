--- backup.postgres_watch: the keys of all rows that anybody changes from a moment on, so that what has changed since a comparison is
-- known at once, without reading the tables again.
--
-- A trigger on every table notes the key in a table of the schema engine_restore. It fires whatever the writer's
-- session_replication_role is, but not for the session that restores. It notes only while the session that asked for it lives, which
-- holds an advisory lock: what a killed engine left behind grows no more, and the next restore in place drops it.

local tables_of = require "backup.postgres_tables"

local M = {}

--- The schema of what the watch makes.
M.SCHEMA = "engine_restore"

local LOCK = "1701734759, 1919251317" -- any two numbers that nobody else takes
local LOCK_TIMEOUT = "5s" -- a writer that does not end must not keep the others waiting
local SESSION = "SET LOCAL session_replication_role = replica; SET LOCAL engine.restoring = 'on'; SET LOCAL statement_timeout = 0; "

local SETUP = [[CREATE SCHEMA engine_restore;
CREATE UNLOGGED TABLE engine_restore.changed (table_oid oid NOT NULL, key text[]);
CREATE FUNCTION engine_restore.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET DateStyle = 'ISO' SET IntervalStyle = 'postgres' AS $note$
BEGIN
  IF pg_try_advisory_xact_lock_shared(]] .. LOCK .. [[) THEN RETURN NULL; END IF;
  IF TG_NARGS = 0 THEN
    INSERT INTO engine_restore.changed VALUES (TG_RELID, NULL);
    RETURN NULL;
  END IF;
  IF TG_OP <> 'INSERT' THEN EXECUTE 'INSERT INTO engine_restore.changed SELECT $1, ARRAY[' || TG_ARGV[0] || ']' USING TG_RELID, OLD; END IF;
  IF TG_OP <> 'DELETE' THEN EXECUTE 'INSERT INTO engine_restore.changed SELECT $1, ARRAY[' || TG_ARGV[0] || ']' USING TG_RELID, NEW; END IF;
  RETURN NULL;
END $note$]]

-- The row trigger of one table and that for TRUNCATE, which says no keys.
local function triggers(one)
  local target, keys = one.target, {}
  for i, key in ipairs(one.keys) do keys[i] = ("($2).%s::text"):format(tables_of.quoted(key)) end
  local when = "WHEN (current_setting('engine.restoring', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION engine_restore.note"
  return ([[CREATE TRIGGER engine_restore AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW %s(%s);
ALTER TABLE %s ENABLE ALWAYS TRIGGER engine_restore;
CREATE TRIGGER engine_restore_truncate AFTER TRUNCATE ON %s FOR EACH STATEMENT %s();
ALTER TABLE %s ENABLE ALWAYS TRIGGER engine_restore_truncate]]):format(target, when, keys[1] and tables_of.literal(table.concat(keys, ", ")) or "", target, target, when, target)
end

--- Drops what a watch that was not ended left behind.
---@param db table
function M.sweep(db)
  assert(db:transaction(function(tx) return tx:execute(SESSION .. "SET LOCAL client_min_messages = warning; DROP SCHEMA IF EXISTS engine_restore CASCADE") end))
end

--- Begins to watch. From here on no change of a row stays unknown: what a transaction had changed before is committed, and seen by
-- a snapshot that is taken afterwards.
---@param db table the connection that will restore
---@param tables table<string, table> as diff describes them
---@return integer pid of the session whose end ends the watch
function M.begin(db, tables)
  local pid = assert(db:value("SELECT pg_backend_pid() FROM pg_advisory_lock(" .. LOCK .. ")"))
  assert(db:transaction(function(tx) return tx:execute(SESSION .. SETUP) end))
  for _, one in pairs(tables) do
    assert(db:transaction(function(tx) return tx:execute(("%sSET LOCAL lock_timeout = '%s'; %s"):format(SESSION, LOCK_TIMEOUT, triggers(one))) end))
  end
  return pid
end

--- Is this still the session that watches?
---@param tx table
---@param pid integer of begin
---@return boolean
function M.holds(tx, pid)
  return assert(tx:value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND pid = pg_backend_pid() AND pid = $1", pid)) > 0
end

--- The keys that were noted of each table, by its name; `true` where all of the table may have changed.
---@param tx table that has locked the tables
---@param tables table<string, table>
---@return table<string, table[]|true> pages rows of k1, k2, ...
function M.noted(tx, tables)
  local by_oid, out = {}, {}
  for _, row in ipairs(assert(tx:query [[SELECT format('%s.%s', n.nspname, c.relname) AS name, c.oid::int8 AS oid, bool_or(w.key IS NULL) AS whole
    FROM engine_restore.changed w JOIN pg_class c ON c.oid = w.table_oid JOIN pg_namespace n ON n.oid = c.relnamespace GROUP BY 1, 2]])) do
    by_oid[row.name] = row
  end
  for name, row in pairs(by_oid) do
    local columns = {}
    for i, key in ipairs(tables[name].keys) do columns[i] = ("key[%d]::%s::text AS k%d"):format(i, tables[name].types[key], i) end
    out[name] = row.whole or assert(tx:query(("SELECT DISTINCT %s FROM engine_restore.changed WHERE table_oid = $1"):format(table.concat(columns, ", ")), row.oid))
  end
  return out
end

--- Ends the watch within the transaction that restores.
---@param tx table
function M.finish(tx) assert(tx:execute "SET LOCAL client_min_messages = warning; DROP SCHEMA engine_restore CASCADE") end

return M
