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
local restore_script = require "backup.restore_script"
local tables_of = require "backup.postgres_tables"
local take = require "backup.postgres_take"

local M = {}

-- Drops all that pg_dump's pre-data section makes, and nothing of extensions nor what they stand in. Objects are named as the server
-- itself identifies them; each may take others with it, so one that is gone already is no error.
local DROP = [[DO $drop$
DECLARE one record;
BEGIN
  FOR one IN SELECT kind, replace(identity, ' on language ', ' language ') AS name
    FROM (SELECT 1 AS place, 'SCHEMA' AS kind, tableoid AS class, oid FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('information_schema', 'public') AND NOT oid = ANY ($kept)
      UNION ALL SELECT 2, 'EVENT TRIGGER', tableoid, oid FROM pg_event_trigger
      UNION ALL SELECT 2, 'PUBLICATION', tableoid, oid FROM pg_publication
      UNION ALL SELECT 2, CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, tableoid, oid
        FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'
      UNION ALL SELECT 2, 'CAST', tableoid, oid FROM pg_cast
      UNION ALL SELECT 2, 'TRANSFORM', tableoid, oid FROM pg_transform
      UNION ALL SELECT 3, 'ROUTINE', tableoid, oid FROM pg_proc
      UNION ALL SELECT 3, 'TYPE', tableoid, oid FROM pg_type t WHERE typtype <> 'c' OR (SELECT relkind FROM pg_class WHERE oid = t.typrelid) = 'c'
      UNION ALL SELECT 3, 'OPERATOR', tableoid, oid FROM pg_operator
      UNION ALL SELECT 3, 'OPERATOR CLASS', tableoid, oid FROM pg_opclass
      UNION ALL SELECT 4, 'OPERATOR FAMILY', tableoid, oid FROM pg_opfamily
      UNION ALL SELECT 4, 'TEXT SEARCH CONFIGURATION', tableoid, oid FROM pg_ts_config
      UNION ALL SELECT 4, 'TEXT SEARCH DICTIONARY', tableoid, oid FROM pg_ts_dict
      UNION ALL SELECT 5, 'TEXT SEARCH PARSER', tableoid, oid FROM pg_ts_parser
      UNION ALL SELECT 5, 'TEXT SEARCH TEMPLATE', tableoid, oid FROM pg_ts_template
      UNION ALL SELECT 5, 'COLLATION', tableoid, oid FROM pg_collation
      UNION ALL SELECT 5, 'CONVERSION', tableoid, oid FROM pg_conversion
      UNION ALL SELECT 5, 'STATISTICS', tableoid, oid FROM pg_statistic_ext
      UNION ALL SELECT 5, 'SERVER', tableoid, oid FROM pg_foreign_server
      UNION ALL SELECT 6, 'FOREIGN DATA WRAPPER', tableoid, oid FROM pg_foreign_data_wrapper
      UNION ALL SELECT 6, 'LANGUAGE', tableoid, oid FROM pg_language
      UNION ALL SELECT 6, 'ACCESS METHOD', tableoid, oid FROM pg_am) x, pg_identify_object(class, x.oid, 0)
    WHERE x.oid >= 16384 -- what initdb made has a lower number
      AND NOT EXISTS (SELECT 1 FROM pg_namespace n WHERE nspname = schema AND n.nspname LIKE 'pg\_%')
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = class AND d.objid = x.oid
        AND (d.deptype = 'e' OR (d.deptype IN ('i', 'S', 'P') AND d.refobjid <> x.oid))) -- a partitioned table depends so on its own columns
    ORDER BY place
  LOOP EXECUTE format('DROP %s IF EXISTS %s CASCADE', one.kind, one.name); END LOOP;
  FOR one IN SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I %s', pg_get_userbyid(defaclrole), 'IN SCHEMA ' || quote_ident(nspname)) AS whose, nspname IS NULL AS everywhere, defaclobjtype AS kind,
      CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END AS on_what,
      quote_ident(pg_get_userbyid(defaclrole)) AS owner, (SELECT string_agg(DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, ', ') FROM aclexplode(defaclacl)) AS grantees
    FROM pg_default_acl LEFT JOIN pg_namespace n ON n.oid = defaclnamespace
  LOOP -- what is as it was at first has no entry
    IF one.grantees IS NOT NULL THEN EXECUTE format('%s REVOKE ALL ON %s FROM %s', one.whose, one.on_what, one.grantees); END IF;
    IF one.everywhere THEN
      EXECUTE format('%s GRANT ALL ON %s TO %s', one.whose, one.on_what, one.owner);
      IF one.kind IN ('f', 'T') THEN EXECUTE format('%s GRANT ALL ON %s TO PUBLIC', one.whose, one.on_what); END IF;
    END IF;
  END LOOP;
  CREATE SCHEMA IF NOT EXISTS public; -- which a dump takes to be there, as initdb made it
  IF (SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public') <> 'pg_database_owner' AND to_regrole('pg_database_owner') IS NOT NULL THEN
    ALTER SCHEMA public OWNER TO pg_database_owner;
  END IF;
  IF (SELECT nspacl FROM pg_namespace WHERE nspname = 'public') IS DISTINCT FROM (SELECT initprivs FROM pg_init_privs WHERE classoid = 'pg_namespace'::regclass AND objoid = 'public'::regnamespace) THEN
    FOR one IN SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS name FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'public'
    LOOP EXECUTE format('REVOKE ALL ON SCHEMA public FROM %s CASCADE', one.name); END LOOP;
    FOR one IN SELECT privilege_type AS kind, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS name
      FROM pg_init_privs, aclexplode(initprivs) WHERE classoid = 'pg_namespace'::regclass AND objoid = 'public'::regnamespace
    LOOP EXECUTE format('GRANT %s ON SCHEMA public TO %s', one.kind, one.name); END LOOP;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM pg_init_privs WHERE classoid = 'pg_namespace'::regclass AND objoid = 'public'::regnamespace) THEN
    -- It was made again since initdb, which is what a dump goes by.
    EXECUTE format('GRANT ALL ON SCHEMA public TO %I', (SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public'));
    EXECUTE format('GRANT %s ON SCHEMA public TO PUBLIC', CASE WHEN current_setting('server_version_num')::int >= 150000 THEN 'USAGE' ELSE 'ALL' END);
  END IF;
  IF obj_description('public'::regnamespace, 'pg_namespace') IS DISTINCT FROM 'standard public schema' THEN COMMENT ON SCHEMA public IS 'standard public schema'; END IF;
  PERFORM lo_unlink(oid) FROM pg_largeobject_metadata;
END $drop$]]

-- Schemas that extensions stand in, or have parts in: they stay.
local KEPT = [[SELECT n.oid::int8 AS oid, nspname AS name FROM pg_namespace n WHERE n.oid IN (SELECT extnamespace FROM pg_extension)
  OR EXISTS (SELECT 1 FROM pg_depend e WHERE e.deptype = 'e' AND ((e.classid = 'pg_namespace'::regclass AND e.objid = n.oid)
    OR EXISTS (SELECT 1 FROM pg_depend d WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid AND d.classid = e.classid AND d.objid = e.objid)))]]

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

-- The backup's schema without what stays of the live database.
local function pre_data(db, manifest, folder, passphrase, kept)
  local there = {}
  for _, one in ipairs(kept) do if one.name ~= "public" then there[#there + 1] = "SCHEMA - " .. one.name end end
  -- Their comments, too: on a hosted server an extension belongs to somebody else, who alone may comment on it.
  for _, one in ipairs(assert(db:query "SELECT extname AS name FROM pg_extension")) do
    there[#there + 1] = "EXTENSION - " .. one.name
    there[#there + 1] = "COMMENT - EXTENSION " .. one.name
  end
  return load.pre_data_without(manifest, folder, there, passphrase)
end

-- The conditions of the rows that count in extensions' tables, by the tables' names.
local function conditions_of(db)
  local conditions = {}
  for _, one in ipairs(tables_of.list(db)) do conditions[one.full_name] = one.condition end
  return conditions
end

-- All steps of the restore, in order, and which of them save rows.
local function plan(db, manifest, folder, options, same_server)
  local kept, kept_oids, conditions = assert(db:query(KEPT)), {}, conditions_of(db)
  for i, one in ipairs(kept) do kept_oids[i] = one.oid end
  local lock = tables_of.lock(tables_of.list(db), "ACCESS EXCLUSIVE")
  local steps = { lock and { sql = lock } }
  local saved = save_steps(db, manifest, options.to, same_server)
  local first = #steps + 1
  for _, step in ipairs(saved) do steps[#steps + 1] = step end
  local function add_text(text, name)
    for _, step in ipairs(text and load.text_steps(text, name) or {}) do steps[#steps + 1] = step end
  end
  local function add_script(name) add_text(load.script(manifest, folder, name, options.passphrase), name) end
  steps[#steps + 1] = { sql = DROP:gsub("%$kept", ("'{%s}'::oid[]"):format(table.concat(kept_oids, ","))), name = "dropping what is there" }
  add_text(pre_data(db, manifest, folder, options.passphrase, kept), "schema-pre.sql")
  for _, one in ipairs(manifest.database.tables) do
    local from, condition = ("%s.%s"):format(tables_of.quoted(one.schema), tables_of.quoted(one.table_name)), one.condition and conditions[one.name] or ""
    if condition ~= "" then steps[#steps + 1] = { sql = ("DELETE FROM ONLY %s %s"):format(from, condition) } end
    for _, name in ipairs(one.files) do
      for _, step in ipairs(load.steps(manifest, folder, one, name)) do steps[#steps + 1] = step end
    end
    if one.files[1] then
      steps[#steps + 1] = { out = ("COPY (SELECT %s FROM ONLY %s %s) TO STDOUT"):format(one.columns, from, condition), name = one.name, rows = one.rows, checksum = one.checksum }
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
      if to then lines[#lines + 1] = ("zstd -dc %s | psql -c %s"):format(step.to:match "[^/]+$", restore_script.shell(("COPY %s (%s) FROM STDIN"):format(step.from_table, step.columns))) end
    elseif step.to then
      assert(files.remove(step.to))
    end
  end
  if lines[1] then assert(files.write(to .. "/README", "Rows that were written since the backup, as COPY text. Each command brings one table's back:\n" .. table.concat(lines, "\n") .. "\n")) end
  return loss
end

local function load_whole(manifest, folder, url, options)
  local db, err = tables_of.open(url, 60)
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
