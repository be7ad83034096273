-- Random histories between a backup and an incremental one: whatever happened, the incremental one has, file by file, the same bytes as
-- a full one taken at the same moment. The tables are small and made of several pieces each. Run by backup_incremental.sh.

local t = require "test"
local core_secret = require "core.secret"
local manifests = require "backup.manifest"
local setting = core_secret.environment

local URL, SCRATCH = setting "INCREMENTAL_URL", setting "SCRATCH"
local HISTORIES, SEED = math.tointeger(tonumber(setting "HISTORIES")), math.tointeger(tonumber(setting "SEED"))
local WORLD_LASTS, DRILL_EVERY = 20, 20 -- histories

local WORLD = [[
DROP SCHEMA public CASCADE; CREATE SCHEMA public;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN small AS int CHECK (VALUE < 1000000);
CREATE TABLE plain (id serial PRIMARY KEY, v text, n int) WITH (fillfactor = 70);
INSERT INTO plain (v, n) SELECT repeat(md5(i::text), 3), i FROM generate_series(1, 1200) i;
CREATE TABLE tight (v text, n int, c varchar(20));
INSERT INTO tight SELECT md5(i::text), i % 17, 'c' || i FROM generate_series(1, 2500) i;
CREATE INDEX tight_v ON tight (v); CREATE INDEX tight_n ON tight (n);
CREATE TABLE toasty (v text, n int); ALTER TABLE toasty ALTER v SET STORAGE EXTERNAL;
INSERT INTO toasty SELECT repeat(md5(i::text), CASE WHEN i % 9 = 0 THEN 100 ELSE 10 END), i FROM generate_series(1, 600) i;
CREATE TABLE parts (n int, v text) PARTITION BY RANGE (n);
CREATE TABLE leaf_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
CREATE TABLE leaf_2 PARTITION OF parts FOR VALUES FROM (1000) TO (1000000);
INSERT INTO parts SELECT i % 2000, repeat(md5(i::text), 2) FROM generate_series(1, 2400) i;
CREATE TABLE moody (n small, v text, m mood, all_m mood[], r int4range);
INSERT INTO moody SELECT i, md5(i::text), 'ok', ARRAY['sad', 'happy']::mood[], int4range(i, i + 3) FROM generate_series(1, 1500) i;
CREATE UNLOGGED TABLE fast (n int, v text);
INSERT INTO fast SELECT i, md5(i::text) FROM generate_series(1, 1500) i;
CREATE TABLE quiet (n int, v text);
INSERT INTO quiet SELECT i, md5(i::text) FROM generate_series(1, 2000) i;
CREATE TABLE named (n int, v text, c regclass);
INSERT INTO named SELECT i, 'v', 'quiet' FROM generate_series(1, 30) i;
]]

local TABLES = { "plain", "tight", "toasty", "leaf_1", "leaf_2", "parts", "moody", "fast", "named" }
local HEAPS = { "plain", "tight", "toasty", "leaf_1", "leaf_2", "moody", "fast" }

-- A generator of our own, so that a seed means the same everywhere.
local state = 0
local function seed(n) state = (n * 7919 + 17) % (1 << 31) end
local function random(n)
  state = (state * 1103515245 + 12345) % (1 << 31)
  return 1 + (state >> 8) % n
end
local function one_of(list) return list[random(#list)] end
local function fill(text, values) return (text:gsub("%$(%a+)", values)) end

-- Pages of a piece; the earlier backup may have had others.
local function chunk() return random(12) == 1 and one_of { 4, 16 } or 8 end

-- Some rows: one, a few, a block, a half, all.
local function some()
  return one_of { "ctid = (SELECT max(ctid) FROM $t)", "ctid = (SELECT min(ctid) FROM $t)", "abs(hashtext(n::text || $r)) % 50 = 0", "abs(hashtext(v || $r)) % 400 = 0",
    "ctid >= '($b,0)' AND ctid < '($e,0)'", "abs(hashtext(v || $r)) % 2 = 0", "n % 7 = 3", "true" }
end

-- Changes of rows, for any of the tables; also inside transactions.
local ROWS = {
  function() return "INSERT INTO $t (n, v) SELECT i, md5(i::text || $r) FROM generate_series(1, $k) i" end,
  function() return "INSERT INTO $t (n, v) SELECT n, v FROM $t LIMIT $k" end,
  function() return "UPDATE $t SET n = n WHERE " .. some() end,
  function() return "UPDATE $t SET n = (n + 1) % 2000 WHERE " .. some() end,
  function() return "UPDATE $t SET v = left(v || md5(v), 300) WHERE " .. some() end,
  function() return "UPDATE parts SET n = (n + 1000) % 2000 WHERE n % 13 = 4" end,
  function() return "UPDATE moody SET m = 'ok' WHERE n % 5 = 1" end,
  function() return "DELETE FROM $t WHERE " .. some() end,
  function() return "DELETE FROM $t WHERE ctid >= '($b,0)'" end,
  -- As many rows as before, and the same ones, and yet others.
  function() return "WITH gone AS (DELETE FROM $t WHERE " .. some() .. " RETURNING n, v) INSERT INTO $t (n, v) SELECT n, v FROM gone" end,
  function() return "WITH gone AS (DELETE FROM $t WHERE ctid = (SELECT min(ctid) FROM $t) RETURNING n) INSERT INTO $t (n, v) SELECT n, 'instead ' || $r FROM gone" end,
  function() return "SELECT count(*) FROM (SELECT 1 FROM $t WHERE " .. some() .. " FOR " .. one_of { "UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE" } .. ") locked" end,
  function() return "DO $$ BEGIN FOR i IN 1..$k % 7 LOOP BEGIN DELETE FROM $t WHERE n = i; IF i % 2 = 0 THEN RAISE 'back'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$" end,
  function() return "DO $$ BEGIN FOR i IN 1..$k % 7 LOOP BEGIN INSERT INTO $t (n, v) VALUES (i, 'sub ' || $r); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$" end,
}

-- A history is mostly about one table, so that changes meet.
local favourite
local function table_of(list) return random(3) > 1 and favourite or one_of(list) end

local function row_change() return fill(one_of(ROWS)(), { t = table_of(TABLES), r = "'" .. random(100000) .. "'", k = tostring(random(60)), b = tostring(random(30)), e = tostring(30 + random(10)) }) end

-- Each is one statement, or several in one transaction.
local WHOLE = {
  function() return "VACUUM $h" end,
  function() return "VACUUM (FREEZE) $h" end,
  function() return "VACUUM (FREEZE, DISABLE_PAGE_SKIPPING, INDEX_CLEANUP ON)" end,
  function() return "VACUUM (FULL) $h" end,
  function() return "VACUUM (FULL, FREEZE) $h" end,
  function() return "ANALYZE $h" end,
  function() return "CLUSTER plain USING plain_pkey" end,
  function() return "CLUSTER tight USING " .. one_of { "tight_v", "tight_n" } end,
  function() return "CREATE INDEX ON $h (n)" end,
  function() return "TRUNCATE $h" end,
  function() return "CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT n, v FROM $h; TRUNCATE $h RESTART IDENTITY; INSERT INTO $h (n, v) SELECT n, v FROM kept" end,
  function() return "CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT n, v FROM $h; DELETE FROM $h; INSERT INTO $h (n, v) SELECT n, v FROM kept" end,
  function() return "COPY (SELECT n, v FROM $h) TO '$f'; TRUNCATE $h; COPY $h (n, v) FROM '$f' (FREEZE)" end,
  function() return "DO $$ BEGIN TRUNCATE $h; BEGIN INSERT INTO $h (n, v) VALUES (1, $r); RAISE 'back'; EXCEPTION WHEN raise_exception THEN NULL; END; END $$" end,
  function() return "CREATE TABLE again AS TABLE $h; DROP TABLE $h; ALTER TABLE again RENAME TO $h" end,
  function() return "CREATE TABLE again (LIKE tight INCLUDING ALL); INSERT INTO again SELECT * FROM tight; ALTER TABLE tight RENAME TO former; ALTER TABLE again RENAME TO tight; UPDATE tight SET v = $r WHERE n = 3; DROP TABLE former" end,
  function() return "ALTER TABLE $h ADD COLUMN IF NOT EXISTS $x int" end,
  function() return "ALTER TABLE $h ADD COLUMN IF NOT EXISTS $x int DEFAULT $k" end,
  function() return "ALTER TABLE $h ADD COLUMN IF NOT EXISTS $x float8 DEFAULT random()" end,
  function() return "ALTER TABLE $h DROP COLUMN IF EXISTS $x" end,
  function() return "ALTER TABLE $h DROP COLUMN IF EXISTS $x, ADD COLUMN $x int DEFAULT $k" end,
  function() return "ALTER TABLE $h RENAME COLUMN $x TO $y" end,
  function() return "ALTER TABLE $h ALTER COLUMN $x TYPE text" end,
  function() return "ALTER TABLE $h ALTER COLUMN n TYPE bigint" end,
  function() return "ALTER TABLE tight ALTER COLUMN c TYPE varchar(40)" end,
  function() return "ALTER TABLE $h ALTER COLUMN n SET DEFAULT $k" end,
  function() return "ALTER TABLE $h ALTER COLUMN n SET STATISTICS $k" end,
  function() return "ALTER TABLE $h SET (fillfactor = 80)" end,
  function() return "ALTER TABLE fast SET LOGGED" end,
  function() return "ALTER TABLE fast SET UNLOGGED" end,
  function() return "ALTER TABLE parts DETACH PARTITION leaf_2; UPDATE leaf_2 SET v = $r WHERE n % 31 = 2; ALTER TABLE parts ATTACH PARTITION leaf_2 FOR VALUES FROM (1000) TO (1000000)" end,
  function() return "ALTER TYPE mood RENAME VALUE 'sad' TO 'other'; ALTER TYPE mood RENAME VALUE 'happy' TO 'sad'; ALTER TYPE mood RENAME VALUE 'other' TO 'happy'" end,
  function() return "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'mood $k' BEFORE 'ok'" end,
  function() return "ALTER TABLE plain RENAME TO plain_2; ALTER TABLE plain_2 RENAME TO plain" end,
  function() return "DO $$ BEGIN EXECUTE format('ALTER TABLE %s RENAME TO quiet_$k', (SELECT relname FROM pg_class WHERE relname LIKE 'quiet%' AND relkind = 'r')); END $$" end,
  function() return "GRANT SELECT ON $h TO PUBLIC" end,
}

local function whole_change()
  return fill(one_of(WHOLE)(), { h = table_of(HEAPS), r = "'" .. random(100000) .. "'", k = tostring(random(90)), f = SCRATCH .. "/pg/rows", x = "x" .. random(3), y = "x" .. random(3) })
end

-- The world: a connection for changes, and transactions that stay open over a backup, or are prepared.
local world = { held = {}, prepared = {}, names = 0, done = 0, refused = 0 }

local function run(db, text)
  local ok, err
  if text:find ";" then ok, err = db:execute(text) else ok, err = db:query(text) end
  if ok then world.done = world.done + 1 else world.refused = world.refused + 1 end
  return ok, err
end

local function connect()
  local db = assert(sql.open(URL, { timeout = 60 }))
  assert(db:execute "SET lock_timeout = '20ms'; SET synchronous_commit = off; SET client_min_messages = error")
  return db
end

-- Within a transaction that goes on, whatever fails; now and then as a subtransaction.
local function run_within(db)
  local savepoint = random(2) == 1
  if savepoint then assert(db:execute "SAVEPOINT s") end
  if not run(db, row_change()) then
    assert(db:execute(savepoint and "ROLLBACK TO s" or "ROLLBACK; BEGIN"))
  elseif savepoint and random(4) == 1 then
    assert(db:execute "ROLLBACK TO s")
  end
end

local EVENTS = {
  function() run(world.db, row_change()) end,
  function() run(world.db, row_change()) end,
  function() run(world.db, whole_change()) end,
  function() -- rows move up to the place of one that is gone, without being written
    local name = table_of(HEAPS)
    run(world.db, "DELETE FROM " .. name .. " WHERE ctid = (SELECT min(ctid) FROM " .. name .. ")")
    run(world.db, one_of { "VACUUM (FULL) ", "VACUUM (FULL, FREEZE) " } .. name)
  end,
  function() -- taken back
    assert(world.db:execute "BEGIN")
    run(world.db, row_change())
    assert(world.db:execute "ROLLBACK")
  end,
  function() -- partly taken back; what fails takes back all
    assert(world.db:execute "BEGIN")
    run_within(world.db)
    run_within(world.db)
    run(world.db, row_change())
    assert(world.db:execute "COMMIT")
  end,
  function() for _ = 1, random(20) do assert(world.db:query "SELECT pg_current_xact_id()") end end,
  function() -- one that stays open
    if #world.held >= 3 then return end
    local db = connect()
    world.held[#world.held + 1] = db
    assert(db:execute "BEGIN")
    if random(3) == 1 then assert(db:query "SELECT pg_current_xact_id()") end
    for _ = 1, random(3) do run_within(db) end
  end,
  function()
    local db = world.held[random(3)]
    if db then run_within(db) end
  end,
  function() -- and ends, or is prepared
    local db = table.remove(world.held, random(3) > #world.held and #world.held or 1)
    if not db then return end
    local ending = one_of { "COMMIT", "ROLLBACK", "PREPARE" }
    if ending == "PREPARE" then
      world.names = world.names + 1
      ending = ("PREPARE TRANSACTION 'p%d'"):format(world.names)
      if db:execute(ending) and assert(world.db:value("SELECT count(*) FROM pg_prepared_xacts WHERE gid = $1", "p" .. world.names)) == 1 then world.prepared[#world.prepared + 1] = "p" .. world.names end
    else
      assert(db:execute(ending))
    end
    db:close()
  end,
  function()
    local name = table.remove(world.prepared)
    if name then assert(world.db:query(("%s PREPARED '%s'"):format(one_of { "COMMIT", "ROLLBACK" }, name))) end
  end,
}

local function make_world()
  for _, db in ipairs(world.held) do db:close() end
  world.held = {}
  for _, row in ipairs(assert(world.db:query "SELECT gid FROM pg_prepared_xacts")) do assert(world.db:query(("ROLLBACK PREPARED '%s'"):format(row.gid))) end
  world.prepared = {}
  -- The connections that were closed let go of their locks when the server notices.
  assert(world.db:execute("SET lock_timeout = '20s'; " .. WORLD .. "; SET lock_timeout = '20ms'"))
end

-- Files, rows and checksums of every piece, by table and place.
local function content(path)
  local manifest = t.ok(manifests.read(path))
  local out = {}
  for _, one in ipairs(manifest.database.tables) do
    out[#out + 1] = ("%s (%s): %d rows %s"):format(one.name, one.columns, one.rows, one.checksum)
    for _, piece in ipairs(one.pieces) do
      out[#out + 1] = ("%s %d-%s: %d rows %s %s"):format(one.name, piece.from_block, piece.to_block or "", piece.rows, piece.checksum, manifest.files[piece.file].sha256)
    end
  end
  table.sort(out)
  return out
end

t.case(("%d histories (seed %d)"):format(HISTORIES, SEED), function()
  world.db = connect()
  local linked, copied, wrong, drills, last = 0, 0, 0, 0, nil
  local before, folder = SCRATCH .. "/chain", SCRATCH .. "/full"
  local function take(options)
    options.database = URL
    return backup.take(options)
  end
  for history = 1, HISTORIES do
    seed(SEED * 100003 + history)
    if history % WORLD_LASTS == 1 then
      make_world()
      local first = t.ok(take { to = before, chunk_blocks = chunk() })
      if last then t.ok(files.remove_tree(last.path)) end
      last = first
    end
    favourite = one_of(HEAPS)
    for _ = 1, random(12) do one_of(EVENTS)() end
    local chunk_blocks = chunk()
    local taken = t.ok(take { to = before, since = random(3) == 1 or last.path, chunk_blocks = chunk_blocks })
    local full = t.ok(take { to = folder, chunk_blocks = chunk_blocks })
    t.eq(taken.incremental.since, last.id, "it goes on from the one before")
    linked, copied = linked + taken.incremental.linked, copied + taken.incremental.copied
    -- Nothing is missed when the earlier one goes.
    t.ok(files.remove_tree(last.path))
    t.ok(backup.verify(taken.path))
    if not t.eq(content(taken.path), content(full.path), ("history %d of seed %d"):format(history, SEED)) then wrong = wrong + 1 end
    if history % DRILL_EVERY == 0 then
      t.ok(backup.drill { backup = taken.path, database = URL })
      drills = drills + 1
    end
    t.ok(files.remove_tree(full.path))
    last = taken
  end
  for _, db in ipairs(world.held) do db:close() end
  for _, name in ipairs(world.prepared) do t.ok(world.db:query(("ROLLBACK PREPARED '%s'"):format(name))) end
  world.db:close()
  print(("%d histories, seed %d: %d statements, %d refused; %d pieces linked, %d copied, %d histories wrong, %d drills"):format(HISTORIES, SEED, world.done, world.refused, linked, copied, wrong, drills))
  t.ok(linked > HISTORIES and copied > HISTORIES, "both kinds were seen")
  t.eq(wrong, 0)
end, 24 * 3600)
