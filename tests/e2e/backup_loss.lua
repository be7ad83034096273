-- What a rollback loses, against the truth: 1,000 random changes after the backup, also in tables without a key, in new tables and in
-- new columns; the rows brought back; and restores in place that exchange only the difference. Run by backup_loss.sh, which gives the address of an empty database.

local t = require "test"
local core_postgres = require "core.backup_postgres"
local core_secret = require "core.secret"
local diff = require "backup.diff"
local json = require "json"
local reapply = require "backup.reapply"
local tables_of = require "backup.postgres_tables"
local watch = require "backup.postgres_watch"

local URL = core_secret.environment "LOSS_URL"
local CHANGES = 1000

local SCHEMA = [[
DROP SCHEMA public CASCADE; CREATE SCHEMA public;
CREATE TABLE parents (id serial PRIMARY KEY, name text);
CREATE TABLE keyed (id serial PRIMARY KEY, v text, n numeric, doc jsonb, parent int REFERENCES parents ON DELETE CASCADE, twice numeric GENERATED ALWAYS AS (n * 2) STORED);
CREATE TABLE pairs (a int, b text, v bytea, PRIMARY KEY (a, b));
CREATE TABLE keyless (a int, b text);
INSERT INTO parents (name) SELECT 'parent ' || i FROM generate_series(1, 50) i;
INSERT INTO keyed (v, n, doc, parent) SELECT 'v' || i, i / 3.0, jsonb_build_object('i', i), 1 + i % 50 FROM generate_series(1, 800) i;
INSERT INTO pairs SELECT i % 20, 'b''"\' || i, decode(md5(i::text), 'hex') FROM generate_series(1, 400) i;
INSERT INTO keyless SELECT i % 7, CASE WHEN i % 5 = 0 THEN NULL ELSE 'k' || i % 11 END FROM generate_series(1, 500) i;
]]

-- Each makes one change; r is a random number from 1 on.
local CHANGE = {
  function(r) return ("INSERT INTO parents (name) VALUES ('new %d')"):format(r) end,
  function(r) return ("INSERT INTO keyed (v, n, parent, fresh) SELECT 'new %d', %d, max(id), %s FROM parents"):format(r, r, r % 2 == 0 and "'told'" or "'d'") end,
  function(r) return ("UPDATE keyed SET v = v || 'x', n = coalesce(n, 0) + 1 WHERE id = %d"):format(r % 900) end,
  function(r) return ("UPDATE keyed SET v = NULL, doc = '{\"a\": [%d]}' WHERE id = %d"):format(r, r % 900) end,
  function(r) return ("UPDATE keyed SET fresh = 'only here %d' WHERE id = %d"):format(r, r % 900) end,
  function(r) return ("DELETE FROM keyed WHERE id = %d"):format(r % 900) end,
  function(r) return ("DELETE FROM parents WHERE id = %d AND id %% 9 = 0"):format(r % 50) end,
  function(r) return ("INSERT INTO pairs VALUES (%d, 'p %d', '\\x00ff')"):format(r % 20, r) end,
  function(r) return ("UPDATE pairs SET v = decode(md5('%d'), 'hex') WHERE ctid = (SELECT ctid FROM pairs ORDER BY md5(b || '%d') LIMIT 1)"):format(r, r) end,
  function(r) return ("DELETE FROM pairs WHERE ctid = (SELECT ctid FROM pairs ORDER BY md5(b || '%d') LIMIT 1)"):format(r) end,
  function(r) return ("INSERT INTO keyless VALUES (%d, %s)"):format(r % 7, r % 3 == 0 and "NULL" or "'k" .. r % 11 .. "'") end,
  function(r) return ("DELETE FROM keyless WHERE ctid = (SELECT ctid FROM keyless ORDER BY md5(coalesce(b, '') || a || '%d') LIMIT 1)"):format(r) end,
  function(r) return ("UPDATE keyless SET b = 'changed %d' WHERE ctid = (SELECT ctid FROM keyless ORDER BY md5(coalesce(b, '') || a || '%d') LIMIT 1)"):format(r % 5, r) end,
  function(r) return ("INSERT INTO newer VALUES (%d, 'n')"):format(r) end,
}

local KEYS = { parents = { "id" }, keyed = { "id" }, pairs = { "a", "b" } }
local TABLES = { "parents", "keyed", "pairs", "keyless", "newer" }

-- All rows of a table, as an array of columns to text.
local function rows_of(db, name)
  local columns = {}
  for i, one in ipairs(t.ok(db:query("SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum", name))) do columns[i] = one.attname end
  if not columns[1] then return {} end
  local selected = {}
  for i, column in ipairs(columns) do selected[i] = ('"%s"::text AS "%s"'):format(column, column) end
  local out = {}
  for i, row in ipairs(t.ok(db:query(("SELECT %s FROM %s"):format(table.concat(selected, ", "), name)))) do
    out[i] = {}
    for _, column in ipairs(columns) do out[i][column] = row[column] end
  end
  return out
end

local function words(row, without)
  local parts = {}
  for column, value in pairs(row) do if column ~= without and value ~= json.null then parts[#parts + 1] = column .. "=" .. value end end
  table.sort(parts)
  return table.concat(parts, "|")
end

-- The truth: what became of each row, by a comparison that shares nothing with the engine's.
local function truth_of(name, before, after)
  local lines, keys = {}, KEYS[name]
  local function add(change, row) lines[#lines + 1] = change .. " " .. words(row) end
  if keys then
    local function key_of(row) return row[keys[1]] .. "\0" .. (keys[2] and row[keys[2]] or "") end
    local old = {}
    for _, row in ipairs(before) do old[key_of(row)] = row end
    for _, row in ipairs(after) do
      local was = old[key_of(row)]
      old[key_of(row)] = nil
      if not was then
        add("inserted", row)
      elseif words(row, "fresh") ~= words(was, "fresh") or (row.fresh or "d") ~= "d" then
        add("updated", row)
      end
    end
    for _, row in pairs(old) do add("deleted", row) end
  else
    local left = {}
    for _, row in ipairs(before) do left[words(row)] = (left[words(row)] or 0) + 1 end
    for _, row in ipairs(after) do
      local same = words(row)
      if (left[same] or 0) > 0 then left[same] = left[same] - 1 else add("inserted", row) end
    end
    for same, n in pairs(left) do for _ = 1, n do lines[#lines + 1] = "deleted " .. same end end
  end
  table.sort(lines)
  return lines
end

local function report_of(folder, name)
  local lines = {}
  for line in (files.read(("%s/public.%s.jsonl"):format(folder, name)) or ""):gmatch "[^\n]+" do
    local change = t.ok(json.decode(line))
    lines[#lines + 1] = change.change .. " " .. words(change.row)
  end
  table.sort(lines)
  return lines
end

local function state_of(db, without)
  local out = {}
  for _, name in ipairs(TABLES) do
    local lines = {}
    for i, row in ipairs(rows_of(db, name)) do lines[i] = words(row, without) end
    table.sort(lines)
    out[name] = lines
  end
  return out
end

-- A generator of our own, so that a seed means the same everywhere.
local function random_of(seed)
  local state = seed * 7919
  return function(n)
    state = (state * 1103515245 + 12345) % (1 << 31)
    return 1 + (state >> 8) % n
  end
end

local function make_changes(db, n, random)
  local made = 0
  while made < n do made = made + t.ok(db:query(CHANGE[random(#CHANGE)](random(100000)))).affected end
end

for seed = 1, 3 do
  t.case(("1,000 random changes: the report is the truth to the row, and they come back (seed %d)"):format(seed), function()
    local folder = t.ok(files.mkdtemp "/tmp/engine-loss-")
    local cleanup <close> = setmetatable({}, { __close = function() files.remove_tree(folder) end })
    local db = t.ok(sql.open(URL))
    t.ok(db:execute(SCHEMA))
    local before_rows, before = {}, state_of(db)
    for _, name in ipairs(TABLES) do before_rows[name] = rows_of(db, name) end
    local taken = t.ok(backup.take { database = URL, to = folder .. "/backups" })
    local drill = t.ok(backup.drill { backup = taken.path, database = URL, keep = true })
    t.ok(db:execute "ALTER TABLE keyed ADD COLUMN fresh text DEFAULT 'd'; CREATE TABLE newer (x int, y text)")
    make_changes(db, CHANGES, random_of(seed))
    local after_rows, after = {}, state_of(db, "fresh")
    for _, name in ipairs(TABLES) do after_rows[name] = rows_of(db, name) end
    db:close()

    local restored = t.ok(backup.restore { backup = taken.path, database = URL, to = folder .. "/lost", copy = drill.copy })
    for _, name in ipairs(TABLES) do t.eq(report_of(folder .. "/lost", name), truth_of(name, before_rows[name], after_rows[name]), name) end
    local total = { inserted = 0, updated = 0, deleted = 0 }
    for _, name in ipairs(TABLES) do for _, line in ipairs(report_of(folder .. "/lost", name)) do
      local change = line:match "^%a+"
      total[change] = total[change] + 1
    end end
    t.eq({ restored.loss.inserted, restored.loss.updated, restored.loss.deleted }, { total.inserted, total.updated, total.deleted })
    t.ok(not restored.loss.problem and not restored.loss.approximate)

    -- Read row by row, without the snapshot, the report is the same.
    local admin = t.ok(sql.open(URL))
    t.eq(state_of(admin), before, "the database is as it was")
    local old = core_postgres.with_database(URL, restored.old)
    t.ok(diff.compare(old, URL, folder .. "/again"))
    for _, name in ipairs(TABLES) do t.eq(report_of(folder .. "/again", name), report_of(folder .. "/lost", name), name .. ", compared row by row") end

    local done = t.ok(reapply.run { database = URL, lost = folder .. "/lost" })
    t.eq(done.conflicts, 0, table.concat(done.examples, "\n"))
    t.eq(done.columns_not_held, total.inserted > 0 and { "public.keyed.fresh" } or {})
    after.newer = {} -- a table that the old schema does not have
    t.eq(state_of(admin), after, "what was lost is back, as far as the schema can hold it")
    local twice = t.ok(reapply.run { database = URL, lost = folder .. "/lost", dry_run = true })
    t.eq(twice.inserted, #after_rows.keyless > 0 and twice.inserted or 0)
    t.eq(twice.updated, 0, "a second time, updates are conflicts")
    t.ok(admin:query "INSERT INTO keyed (v) VALUES ('the sequence goes on')")
    admin:close()
    local server = t.ok(sql.open(core_postgres.with_database(URL, "postgres")))
    t.ok(server:query(('DROP DATABASE "%s" WITH (FORCE)'):format(restored.old)))
    server:close()
  end, 120)
end

-- The database, its backup and its warm copy, for restores in place. What the random changes touch is there from the start.
local function with_copy(fn)
  local folder = t.ok(files.mkdtemp "/tmp/engine-loss-")
  local cleanup <close> = setmetatable({}, { __close = function() files.remove_tree(folder) end })
  local db = t.ok(sql.open(URL))
  local closer <close> = db
  t.ok(db:execute(SCHEMA .. "ALTER TABLE keyed ADD COLUMN fresh text DEFAULT 'd'; CREATE TABLE newer (x int, y text); CREATE MATERIALIZED VIEW names AS SELECT name FROM parents"))
  local taken = t.ok(backup.take { database = URL, to = folder .. "/backups" })
  local copy = t.ok(backup.drill { backup = taken.path, database = URL, keep = true }).copy
  fn(folder, db, function(options)
    options.backup, options.database, options.copy, options.in_place, options.safety = taken.path, URL, copy, true, false
    return t.ok(backup.restore(options))
  end)
  t.ok(backup.drop_copy(copy, URL))
  return cleanup, closer
end

-- Something that happens between the comparison and the lock.
local function meanwhile(act, fn)
  local real = tables_of.lock
  local back <close> = setmetatable({}, { __close = function() tables_of.lock = real end })
  tables_of.lock = function(...)
    tables_of.lock = real
    act()
    return real(...)
  end
  return fn(), back
end

local function rows_and_state(db)
  local rows = {}
  for _, name in ipairs(TABLES) do rows[name] = rows_of(db, name) end
  return rows, state_of(db)
end

for seed = 4, 6 do
  t.case(("in place: only the rows that differ, also those of the last moment, are exchanged (seed %d)"):format(seed), function()
    with_copy(function(folder, db, restore)
      local before, state = rows_and_state(db)
      local random, after, changed = random_of(seed), nil, nil
      make_changes(db, 500, random)
      local untouched = t.ok(db:value "SELECT xmin::text FROM keyed ORDER BY xmin::text::bigint LIMIT 1")
      local restored = meanwhile(function()
        make_changes(db, 200, random)
        after, changed = rows_and_state(db)
      end, function() return restore { to = folder .. "/lost" } end)
      t.ok(not restored.whole and restored.warm, restored.whole)
      t.eq(state_of(db), state, "the rows are those of the backup")
      t.eq(db:value "SELECT xmin::text FROM keyed ORDER BY xmin::text::bigint LIMIT 1", untouched, "rows that did not differ were left alone")
      for _, name in ipairs(TABLES) do t.eq(report_of(folder .. "/lost", name), truth_of(name, before[name], after[name]), name) end
      t.eq(db:value "SELECT count(*) FROM pg_namespace WHERE nspname = 'engine_restore'", 0)
      t.eq(db:value "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal", 0)
      t.eq(db:value "SELECT count(*) FROM names FULL JOIN parents USING (name) WHERE names.name IS NULL OR parents.name IS NULL", 0, "the materialized view follows")
      t.ok(db:value "SELECT nextval('keyed_id_seq') > max(id) FROM keyed", "sequences go on")
      t.eq(t.ok(reapply.run { database = URL, lost = folder .. "/lost" }).conflicts, 0)
      t.eq(state_of(db), changed, "what was lost is back")
    end)
  end, 120)
end

-- What makes the whole be loaded: before the restore, or in the middle of it.
local WHOLE = {
  { "another schema", "schema is not that", before = "ALTER TABLE keyed ADD COLUMN extra int DEFAULT 1" },
  { "a schema that changes meanwhile", "changed meanwhile", meanwhile = "CREATE INDEX ON keyed (n)" },
  { "a table that is emptied meanwhile", "pairs was emptied", meanwhile = "TRUNCATE pairs" },
  { "too many changes", "too much has changed", before = "INSERT INTO pairs SELECT i, 'x', '' FROM generate_series(1000, 12000) i" },
  { "a large object", "large objects", before = "SELECT lo_create(0)" },
  { "a trigger that always fires", "always fire",
    before = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER f AFTER INSERT ON keyed EXECUTE FUNCTION f(); ALTER TABLE keyed ENABLE ALWAYS TRIGGER f" },
}

t.case("in place: where the difference does not do, that is said and everything is loaded", function()
  with_copy(function(_, db, restore)
    local _, state = rows_and_state(db)
    for _, one in ipairs(WHOLE) do
      make_changes(db, 50, random_of(7))
      if one.before then t.ok(db:execute(one.before)) end
      local said
      local restored = meanwhile(function() if one.meanwhile then t.ok(db:execute(one.meanwhile)) end end, function()
        return restore { announce = function(text) said = text end }
      end)
      t.ok(restored.whole and restored.whole:find(one[2]), ("%s: %s"):format(one[1], restored.whole))
      t.ok(said:find(one[2], 1, true) and said:find "locked", said)
      t.eq(state_of(db), state, one[1])
      t.eq(db:value "SELECT count(*) FROM pg_namespace WHERE nspname = 'engine_restore'", 0)
    end
  end)
end, 120)

t.case("in place: what a killed restore left behind notes nothing more, and the next one drops it", function()
  with_copy(function(_, db, restore)
    local killed = t.ok(sql.open(URL))
    watch.begin(killed, diff.describe(killed))
    local noted = "SELECT count(*) FROM engine_restore.changed"
    t.ok(db:query "UPDATE pairs SET v = 'a' WHERE a = 3")
    local while_it_lives = t.ok(db:value(noted))
    t.ok(while_it_lives > 0)
    killed:close()
    t.ok(db:query "SELECT pg_advisory_lock(1701734759, 1919251317), pg_advisory_unlock(1701734759, 1919251317)") -- waits for its end
    t.ok(db:query "UPDATE pairs SET v = 'b' WHERE a = 4")
    t.eq(db:value(noted), while_it_lives)
    local restored = restore {}
    t.ok(not restored.whole, restored.whole)
    t.eq(db:value "SELECT count(*) FROM pg_namespace WHERE nspname = 'engine_restore'", 0)
  end)
end, 60)

t.case("in place: a role that may not keep triggers from firing loads everything", function()
  local folder = t.ok(files.mkdtemp "/tmp/engine-loss-")
  local cleanup <close> = setmetatable({}, { __close = function() files.remove_tree(folder) end })
  local admin = t.ok(sql.open(core_postgres.with_database(URL, "postgres")))
  t.ok(admin:query "CREATE ROLE keeper LOGIN CREATEDB")
  t.ok(admin:query "CREATE DATABASE kept OWNER keeper")
  local url = core_secret.environment "KEEPER_URL"
  local db = t.ok(sql.open(url))
  t.ok(db:execute "CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a SELECT i, 'x' FROM generate_series(1, 100) i")
  local taken = t.ok(backup.take { database = url, to = folder })
  local copy = t.ok(backup.drill { backup = taken.path, database = url, keep = true }).copy
  t.ok(db:execute "UPDATE a SET v = 'y' WHERE id < 20")
  local restored = t.ok(backup.restore { backup = taken.path, database = url, copy = copy, in_place = true, safety = false })
  t.ok(restored.whole and restored.whole:find "triggers from firing", restored.whole)
  t.eq(db:value "SELECT count(*) FROM a WHERE v = 'x'", 100)
  t.ok(backup.drop_copy(copy, url))
  db:close()
  t.ok(admin:query "DROP DATABASE kept WITH (FORCE)")
  t.ok(admin:query "DROP ROLE keeper")
  admin:close()
  return cleanup
end, 60)
