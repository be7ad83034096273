--- backup.postgres_swap: gives a restored PostgreSQL database the live one's name.
--
-- The whole swap is one statement that the server runs to its end, whatever becomes of the engine that sent it: new connections are kept
-- out, the present ones ended, both databases renamed in one transaction, and the new one opened.

local clock = require "clock"
local core_err = require "core.err"
local core_postgres = require "core.backup_postgres"
local diff = require "backup.diff"
local json = require "json"
local random = require "random"
local sql = require "sql"
local tables_of = require "backup.postgres_tables"

local M = {}

local TIMEOUT_S = 3600
local REPAIR_S = 60

local quoted, literal = tables_of.quoted, tables_of.literal

-- $live, $copy, $old are names as literals; $limit is the connection limit while it is counted, $ready the name that the counting
-- session gives itself when it has its snapshot, $watcher that of the session which waits for its turn, $counted whether there is one to wait for.
local SWAP = [[DO $swap$
DECLARE
  renamed boolean := false;
  reason text := 'connections did not end';
  stay int := (SELECT coalesce(nullif(datconnlimit, 0), -1) FROM pg_database WHERE datname = $live); -- 0: a swap died there
  note text := (SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $live);
BEGIN
  EXECUTE format('ALTER DATABASE %I ALLOW_CONNECTIONS false', $live);
  EXECUTE format('ALTER DATABASE %I ALLOW_CONNECTIONS false', $copy);
  COMMIT;
  FOR i IN 1..5000 LOOP
    PERFORM pg_stat_clear_snapshot();
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ($live, $copy) AND pid <> pg_backend_pid();
    IF NOT FOUND THEN
      BEGIN
        EXECUTE format('ALTER DATABASE %I RENAME TO %I', $live, $old);
        EXECUTE format('ALTER DATABASE %I RENAME TO %I', $copy, $live);
        EXECUTE format('ALTER DATABASE %I WITH ALLOW_CONNECTIONS true CONNECTION LIMIT %s', $live, CASE WHEN $counted THEN 0 ELSE stay END);
        EXECUTE format('COMMENT ON DATABASE %I IS %L', $live, note);
        renamed := true;
      EXCEPTION WHEN OTHERS THEN
        reason := SQLERRM;
        EXIT WHEN SQLSTATE <> '55006'; -- somebody is still connected
      END;
      EXIT WHEN renamed;
    END IF;
    PERFORM pg_sleep(0.001);
  END LOOP;
  IF NOT renamed THEN EXECUTE format('ALTER DATABASE %I WITH ALLOW_CONNECTIONS true', $live); END IF;
  COMMIT;
  IF renamed AND $counted THEN
    FOR i IN 1..2000 LOOP
      PERFORM pg_stat_clear_snapshot();
      EXIT WHEN EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = $live AND application_name = $ready AND backend_xmin IS NOT NULL)
        OR NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = $watcher); -- the engine died: nobody is to be waited for
      PERFORM pg_sleep(0.001);
    END LOOP;
    EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT %s', $live, stay);
    COMMIT;
  END IF;
  IF renamed THEN EXECUTE format('ALTER DATABASE %I WITH ALLOW_CONNECTIONS true', $old); END IF;
  COMMIT;
  IF NOT renamed THEN RAISE EXCEPTION '%', reason; END IF;
END $swap$]]

local function swap_statement(values)
  return (SWAP:gsub("%$(%l+)", function(name) return values[name] end))
end

-- Settings whose value is a list of names that are quoted each.
local LISTS = { search_path = true, local_preload_libraries = true, session_preload_libraries = true, shared_preload_libraries = true, temp_tablespaces = true, unix_socket_directories = true }

--- Gives the copy what belongs to the database and not to its content: owner, rights, settings. They are in no dump.
---@param admin table
---@param live string
---@param copy string
function M.dress(admin, live, copy)
  local one = assert(admin:one("SELECT r.rolname AS owner, d.datacl IS NOT NULL AS has_rights FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = $1", live))
  assert(admin:query(("ALTER DATABASE %s OWNER TO %s"):format(quoted(copy), quoted(one.owner))))
  if one.has_rights then
    assert(admin:query(("REVOKE ALL ON DATABASE %s FROM PUBLIC"):format(quoted(copy))))
    for _, right in ipairs(assert(admin:query([[SELECT a.privilege_type AS privilege, a.is_grantable AS grantable, r.rolname AS grantee
        FROM pg_database d, aclexplode(d.datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE d.datname = $1]], live))) do
      assert(admin:query(("GRANT %s ON DATABASE %s TO %s%s"):format(right.privilege, quoted(copy), right.grantee and quoted(right.grantee) or "PUBLIC", right.grantable and " WITH GRANT OPTION" or "")))
    end
  end
  for _, setting in ipairs(assert(admin:query([[SELECT r.rolname AS role, unnest(s.setconfig) AS setting FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
      LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE d.datname = $1]], live))) do
    local name, value = setting.setting:match "^([^=]+)=(.*)$"
    local whose = setting.role and ("ALTER ROLE %s IN DATABASE %s"):format(quoted(setting.role), quoted(copy)) or "ALTER DATABASE " .. quoted(copy)
    assert(admin:query(("%s SET %s TO %s"):format(whose, quoted(name), LISTS[name] and value or literal(value))))
  end
end

-- A session in the new live database that sees what was restored and nothing that others write afterwards. It can connect where others
-- cannot: their limit is 0 until it has its snapshot.
local function count_restored(admin, url, names, ready, fn)
  while assert(admin:value("SELECT count(*) FROM pg_database WHERE datname = $1", names.old)) == 0 do sleep(0.001) end
  local restored = assert(sql.open(url, { timeout = TIMEOUT_S }))
  local closer <close> = restored
  return assert(restored:transaction(function(tx)
    assert(tx:execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL application_name = " .. literal(ready) .. "; SELECT 1"))
    assert(tables_of.settle(tx)) -- after the snapshot: clients wait for that
    return fn(tx)
  end)), closer and nil
end

-- The swap, and beside it a session that counts what is lost at leisure, to the row.
local function swap_and_count(admin, copy, url, old, lost_to)
  local ready = "engine-" .. random.hex(8)
  local values = { live = literal(copy.live), copy = literal(copy.name), old = literal(old), ready = literal(ready), watcher = literal(ready .. "-waits"), counted = "true" }
  local watcher = assert(tables_of.open(core_postgres.with_database(url, "postgres"), 60))
  local closer <close> = watcher
  assert(watcher:execute("SET application_name = " .. values.watcher))
  local began, downtime, loss, problem = clock.now(), nil, nil, nil
  parallel {
    function()
      assert(admin:query(swap_statement(values)))
      downtime = clock.now() - began
    end,
    function()
      local ok, result = pcall(count_restored, watcher, url, { old = old }, ready, function(tx)
        while not downtime do sleep(0.001) end
        return assert(diff.compare(core_postgres.with_database(url, old), tx, lost_to, copy.snapshot))
      end)
      if ok then loss = result elseif core_err.is(result) and downtime then problem = result else error(result, 0) end
    end,
  }
  -- The swap is done and stays: what could not be counted is said, and the old database is still there to be asked.
  loss = loss or { tables = json.array {}, inserted = 0, updated = 0, deleted = 0, problem = problem.message }
  return { downtime_s = downtime, loss = loss, old = old }, closer and nil
end

-- Without the right to pass a connection limit the loss is counted while others may still write, and only then are they kept out.
local function count_then_swap(admin, copy, url, old, lost_to)
  assert(admin:query(("ALTER DATABASE %s WITH ALLOW_CONNECTIONS true"):format(quoted(copy.name)))) -- it may have been kept closed
  local loss = assert(diff.compare(url, tables_of.url_of(copy, url), lost_to, copy.snapshot))
  local began = clock.now()
  assert(admin:query(swap_statement { live = literal(copy.live), copy = literal(copy.name), old = literal(old), ready = "''", watcher = "''", counted = "false" }))
  loss.approximate = "what was written while it was counted is missing from the count"
  return { downtime_s = clock.now() - began, loss = loss, old = old }
end

--- Opens databases that a swap left closed: the server, or it and the engine, died in the milliseconds between.
---@param url any
---@param names string[]
function M.repair(url, names)
  local give_up = clock.now() + REPAIR_S
  while true do
    local admin = tables_of.open(core_postgres.with_database(url, "postgres"), 30)
    if admin then
      local closer <close> = admin
      for _, name in ipairs(names) do
        if admin:value("SELECT count(*) FROM pg_database WHERE datname = $1 AND (NOT datallowconn OR datconnlimit = 0)", name) == 1 then
          admin:query(("ALTER DATABASE %s WITH ALLOW_CONNECTIONS true CONNECTION LIMIT -1"):format(quoted(name)))
        end
      end
      return closer and nil
    end
    if clock.now() > give_up then return end
    sleep(0.2)
  end
end

-- What the live database is called after the swap. With a key the name is known beforehand, so that a swap whose end nobody saw can be found.
local function old_name(live, id, key) return ("%s_before_%s_%s"):format(tables_of.shortened(live, 21), id:gsub("%W", "_"):lower():sub(-24), key and key:sub(1, 8) or random.hex(2)) end

-- A swap of this database goes on at the server when the engine that sent it is gone. It ends by itself; whoever only looks like one is not
-- waited for any longer than that.
local function wait_for_swaps(admin, live)
  deadline(REPAIR_S, function()
    while assert(admin:value("SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state <> 'idle' AND query LIKE 'DO $swap$%' AND position($1 IN query) > 0", literal(live))) > 0 do sleep(0.01) end
  end)
end

--- The database of before, when the swap with this key happened, whoever saw its end; nil when it did not.
---@param url any the live database's address
---@param id string of the backup
---@param key string
---@return { name: string, url: any }? old, table? err
function M.swapped(url, id, key)
  local admin, err = tables_of.open(core_postgres.with_database(url, "postgres"), TIMEOUT_S)
  if not admin then return nil, err end
  local closer <close> = admin
  local settings = core_postgres.environment(url) -- the live one may be closed: it cannot be asked for its name
  local live = settings.PGDATABASE or settings.PGUSER
  local old = old_name(live, id, key)
  wait_for_swaps(admin, live)
  M.repair(url, { live, old })
  if assert(admin:value("SELECT count(*) FROM pg_database WHERE datname = $1", old)) == 0 then return nil, nil, closer and nil end
  return { name = old, url = core_postgres.with_database(url, old) }
end

--- Makes the copy the live database, and counts from the database of before, which stays until it is dropped by hand, what is lost.
---@param copy table of restore_beside
---@param url any the live database's address
---@param id string of the backup
---@param options { to?: string, key?: string } to: folder for the lost rows; key: by which swapped() finds it
---@return { downtime_s: number, loss: table, old: string }? swapped, table? err
function M.swap(copy, url, id, options)
  local old, lost_to = old_name(copy.live, id, options.key), options.to
  local admin, err = tables_of.open(core_postgres.with_database(url, "postgres"), TIMEOUT_S)
  if not admin then return nil, err end
  local closer <close> = admin
  local ok, result = pcall(function()
    assert(admin:execute "SET statement_timeout = 0; SET lock_timeout = '30s'; SET client_connection_check_interval = 0")
    M.dress(admin, copy.live, copy.name)
    local superuser = admin:value "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    return (superuser and swap_and_count or count_then_swap)(admin, copy, url, old, lost_to)
  end)
  if ok then return result, nil, closer and nil end
  shield(function() M.repair(url, { copy.live, old }) end)
  if core_err.is(result) then return nil, result end
  error(result, 0)
end

return M
