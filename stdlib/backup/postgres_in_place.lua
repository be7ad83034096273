--- backup.postgres_in_place: a backup restored into the live PostgreSQL database itself, in one transaction: for servers on which no
-- database may be made or renamed.
--
-- Where a drill kept a copy beside it, only the rows that differ are exchanged (backup.postgres_difference), and others wait for
-- milliseconds. Otherwise everything of before is dropped, made again from the backup, filled, compared table by table, and only then
-- committed; others wait for the whole of it, and the drill's time says for how long. A failure at any moment leaves the database as it was.

local clock = require "clock"
local core_postgres = require "core.backup_postgres"
local difference = require "backup.postgres_difference"
local display = require "display"
local files = require "files"
local json = require "json"
local load = require "backup.postgres_load"
local sql = require "sql"
local tables_of = require "backup.postgres_tables"
local take = require "backup.postgres_take"

local M = {}

-- Drops all that pg_dump's pre-data section makes, and nothing of extensions.
local DROP = [[DO $drop$
DECLARE one record;
BEGIN
  FOR one IN SELECT nspname FROM pg_namespace n WHERE nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('information_schema', 'public')
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
      AND EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e'))
    AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_namespace'::regclass AND e.objid = n.oid AND e.deptype = 'e')
  LOOP EXECUTE format('DROP SCHEMA %I CASCADE', one.nspname); END LOOP;
  FOR one IN SELECT evtname FROM pg_event_trigger t WHERE NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_event_trigger'::regclass AND e.objid = t.oid AND e.deptype = 'e')
  LOOP EXECUTE format('DROP EVENT TRIGGER %I', one.evtname); END LOOP;
  FOR one IN SELECT pubname FROM pg_publication LOOP EXECUTE format('DROP PUBLICATION %I', one.pubname); END LOOP;
  LOOP
    -- One at a time: each may take others with it.
    SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS kind,
      format('%I.%I', n.nspname, c.relname) AS name INTO one
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
      AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid
        AND (e.deptype = 'e' OR (e.deptype = 'i' AND e.refobjid <> c.oid))) -- a partitioned table depends so on its own columns
      LIMIT 1;
    EXIT WHEN NOT FOUND;
    EXECUTE format('DROP %s %s CASCADE', one.kind, one.name);
  END LOOP;
  LOOP
    SELECT CASE WHEN p.prokind = 'p' THEN 'PROCEDURE' WHEN p.prokind = 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END AS kind, p.oid::regprocedure::text AS name INTO one
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype IN ('e', 'i')) LIMIT 1;
    EXIT WHEN NOT FOUND;
    EXECUTE format('DROP %s %s CASCADE', one.kind, one.name);
  END LOOP;
  LOOP
    SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END AS kind, t.oid::regtype::text AS name INTO one
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
      AND t.typtype IN ('d', 'e', 'r', 'b') AND t.typelem = 0 AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype IN ('e', 'i')) LIMIT 1;
    EXIT WHEN NOT FOUND;
    EXECUTE format('DROP %s %s CASCADE', one.kind, one.name);
  END LOOP;
  FOR one IN SELECT kind, name FROM (
      SELECT 'OPERATOR' AS kind, o.oid::regoperator::text AS name, 'pg_operator'::regclass AS class, o.oid AS oid, o.oprnamespace AS namespace FROM pg_operator o
      UNION ALL SELECT 'TEXT SEARCH CONFIGURATION', format('%I.%I', n.nspname, cfgname), 'pg_ts_config'::regclass, c.oid, cfgnamespace FROM pg_ts_config c JOIN pg_namespace n ON n.oid = cfgnamespace
      UNION ALL SELECT 'TEXT SEARCH DICTIONARY', format('%I.%I', n.nspname, dictname), 'pg_ts_dict'::regclass, c.oid, dictnamespace FROM pg_ts_dict c JOIN pg_namespace n ON n.oid = dictnamespace
      UNION ALL SELECT 'COLLATION', format('%I.%I', n.nspname, collname), 'pg_collation'::regclass, c.oid, collnamespace FROM pg_collation c JOIN pg_namespace n ON n.oid = collnamespace
      UNION ALL SELECT 'STATISTICS', format('%I.%I', n.nspname, stxname), 'pg_statistic_ext'::regclass, c.oid, stxnamespace FROM pg_statistic_ext c JOIN pg_namespace n ON n.oid = stxnamespace
    ) x JOIN pg_namespace n ON n.oid = x.namespace WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = x.class AND e.objid = x.oid AND e.deptype = 'e')
  LOOP EXECUTE format('DROP %s IF EXISTS %s CASCADE', one.kind, one.name); END LOOP;
  PERFORM lo_unlink(oid) FROM pg_largeobject_metadata;
END $drop$]]

-- What the live database holds that a transaction wrote after the backup's snapshot, or may have written: its rows are copied away. Tables
-- that the backup does not know are copied whole.
local function save_steps(db, manifest, to, same_server)
  local known, steps = {}, {}
  for _, one in ipairs(manifest.database.tables) do known[one.name] = one end
  for number, one in ipairs(tables_of.list(db)) do
    if one.columns then
      local where = known[one.full_name] and same_server and " WHERE " .. tables_of.newer_than(manifest.database.info.current_snapshot, "t") or ""
      steps[#steps + 1] = {
        out = ("COPY (SELECT %s FROM ONLY %s t%s) TO STDOUT"):format(one.columns, tables_of.from(one), where), name = one.full_name, columns = one.columns, from_table = tables_of.from(one),
        to = to and ("%s/%03d-%s.copy.zst"):format(to, number, (one.full_name:gsub("[^%w_.-]", "_"))) or nil,
      }
    end
  end
  return steps
end

-- All steps of the restore, in order, and which of them save rows.
local function plan(db, manifest, folder, options, same_server)
  local lock = tables_of.lock(tables_of.list(db), "ACCESS EXCLUSIVE")
  local steps = { lock and { sql = lock } }
  local saved = save_steps(db, manifest, options.to, same_server)
  local first = #steps + 1
  for _, step in ipairs(saved) do steps[#steps + 1] = step end
  local function add_script(name)
    local text = load.script(manifest, folder, name, options.passphrase)
    if text then steps[#steps + 1] = { sql = text, name = name } end
  end
  steps[#steps + 1] = { sql = DROP, name = "dropping what is there" }
  add_script "schema-pre.sql"
  for _, one in ipairs(manifest.database.tables) do
    for _, name in ipairs(one.files) do
      for _, step in ipairs(load.steps(manifest, folder, one, name)) do steps[#steps + 1] = step end
    end
    if one.files[1] then
      steps[#steps + 1] = { out = ("COPY %s.%s (%s) TO STDOUT"):format(tables_of.quoted(one.schema), tables_of.quoted(one.table_name), one.columns), name = one.name, rows = one.rows, checksum = one.checksum }
    end
  end
  add_script "large-objects.sql"
  add_script "sequences.sql"
  add_script "schema-post.sql"
  return steps, first, saved
end

-- What the saved rows say is lost. Rows are not told apart here: a changed row counts as new, and its former version as gone.
local function loss_of(manifest, saved, results, first, to)
  local wanted, lines = {}, {}
  for _, one in ipairs(manifest.database.tables) do wanted[one.name] = one.rows end
  local loss = { tables = json.array {}, inserted = 0, updated = 0, deleted = 0, path = to, approximate = "rows written since the backup are counted as inserted, changed ones too" }
  for i, step in ipairs(saved) do
    local rows = results[first + i - 1].rows
    if rows > 0 then
      loss.tables[#loss.tables + 1] = { name = step.name, inserted = rows, updated = 0, deleted = 0, path = step.to, only_in = not wanted[step.name] and "live" or nil }
      loss.inserted = loss.inserted + rows
      if to then lines[#lines + 1] = ("zstd -dc %s | psql -c 'COPY %s (%s) FROM STDIN'"):format(step.to:match "[^/]+$", step.from_table, step.columns) end
    elseif step.to then
      assert(files.remove(step.to))
    end
  end
  if lines[1] then assert(files.write(to .. "/README", "Rows that were written since the backup, as COPY text. Each command brings one table's back:\n" .. table.concat(lines, "\n") .. "\n")) end
  return loss
end

local function load_whole(manifest, folder, url, options)
  local db, err = sql.open(url, { timeout = 60 })
  if not db then return nil, err end
  local closer <close> = db
  local same_server = manifest.database.info.system ~= nil and manifest.database.info.system == take.system_of(url)
  if options.to then
    local ok
    ok, err = files.mkdir(options.to)
    if not ok then return nil, err, closer and nil end
  end
  local steps, first, saved = plan(db, manifest, folder, options, same_server)
  db:close()
  local began = clock.now()
  local results
  results, err = core_postgres.run(url, "BEGIN; SET LOCAL lock_timeout = '30s'", steps, { passphrase = options.passphrase })
  if not results then return nil, err end
  return { downtime_s = clock.now() - began, loss = loss_of(manifest, saved, results, first, options.to) }
end

--- Restores into the live database in one transaction: the rows that differ from a warm copy where there is one and they are few, and
-- everything otherwise.
---@param manifest table
---@param folder string the backup
---@param url any
---@param options { to?: string, passphrase?: any, copy?: table, announce?: fun(text: string) } to: folder for the rows that were written since the backup; copy: of the drill, open to connections; announce: says before everything is locked for long why, and how long
---@return { downtime_s: number, loss: table, whole?: string }? restored, table? err and then the database is as it was. whole: why everything was loaded in spite of the copy
function M.restore(manifest, folder, url, options)
  local restored, err, why
  if options.copy then
    restored, err, why = difference.restore(manifest, options.copy, url, options.to)
    if not why then return restored, err end
    if options.announce then
      options.announce(("%s: every table is locked while everything is loaded%s"):format(why, options.copy.seconds and ", which took " .. display.duration(options.copy.seconds) .. " in the drill" or ""))
    end
  end
  restored, err = load_whole(manifest, folder, url, options)
  if restored then restored.whole = why end
  return restored, err
end

return M
