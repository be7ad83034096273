-- What an incremental backup of PostgreSQL takes over and what it copies, one thing at a time. Run by backup_incremental.sh.

local t = require "test"
local core_postgres = require "core.backup_postgres"
local core_secret = require "core.secret"
local manifests = require "backup.manifest"
local retention = require "backup.retention"
local unchanged = require "backup.postgres_unchanged"
local setting = core_secret.environment

local URL, SCRATCH = setting "INCREMENTAL_URL", setting "SCRATCH"
local PIECES = 3

-- What is done to a table `$t` of three pieces (a third of each page is free), and how many of its pieces may be linked after that.
-- before: ahead of the earlier backup.
local CHANGES = {
  { "nothing", "", 3 },
  { "rows are frozen", "VACUUM (FREEZE) $t", 3 },
  { "statistics", "ANALYZE $t", 3 },
  { "an index", "CREATE INDEX ON $t (n)", 3 },
  { "an aborted delete", "BEGIN; DELETE FROM $t; ROLLBACK", 3 },
  { "an aborted update", "BEGIN; UPDATE $t SET n = 0 WHERE id < 50; ROLLBACK", 3 },
  { "locked rows", "SELECT count(*) FROM (SELECT 1 FROM $t FOR UPDATE) l", 3 },
  { "a renamed table", "ALTER TABLE $t RENAME TO $t_renamed; ALTER TABLE $t_renamed RENAME TO $t", 0 },
  { "a HOT update", "UPDATE $t SET n = n + 1 WHERE id = 1", 2 },
  { "an update that changes nothing", "UPDATE $t SET n = n WHERE id = 1", 2 },
  { "a deleted row", "DELETE FROM $t WHERE id = 1", 2 },
  { "one row instead of another", "WITH gone AS (DELETE FROM $t WHERE id = 1 RETURNING v) INSERT INTO $t (id, v) SELECT 1, v FROM gone", 1 }, -- the new one is at the end
  { "an update that fails in a subtransaction", "DO $$ BEGIN UPDATE $t SET n = 7 WHERE id = 1; RAISE 'back'; EXCEPTION WHEN raise_exception THEN NULL; END $$", 3 },
  { "a delete that is prepared", "BEGIN; DELETE FROM $t WHERE id = 1; PREPARE TRANSACTION '$t'", 3 },
  { "a delete that was prepared", "COMMIT PREPARED '$t'", 2, before = "BEGIN; DELETE FROM $t WHERE id = 1; PREPARE TRANSACTION '$t'" },
  { "VACUUM FULL", "VACUUM (FULL) $t", 0 },
  { "CLUSTER", "CLUSTER $t USING $t_pkey", 0 },
  { "the same rows after TRUNCATE", "CREATE TEMP TABLE kept AS TABLE $t; TRUNCATE $t; INSERT INTO $t SELECT * FROM kept; DROP TABLE kept", 0 },
  { "COPY FREEZE", "COPY $t TO '$f'; BEGIN; TRUNCATE $t; COPY $t FROM '$f' (FREEZE); COMMIT", 0 },
  { "the same rows in a new table", "CREATE TABLE again AS TABLE $t; DROP TABLE $t; ALTER TABLE again RENAME TO $t", 0 },
  { "a new column", "ALTER TABLE $t ADD COLUMN x int DEFAULT 5", 0 },
  { "a column less", "ALTER TABLE $t DROP COLUMN n", 0 },
  { "a column of the same name", "ALTER TABLE $t DROP COLUMN n; ALTER TABLE $t ADD COLUMN n int DEFAULT 5", 0 },
  { "a column that came and went", "ALTER TABLE $t ADD COLUMN x int DEFAULT 5; ALTER TABLE $t DROP COLUMN x", 0 },
  { "a renamed column", "ALTER TABLE $t RENAME COLUMN n TO number", 0 },
  { "a wider type, rewritten", "ALTER TABLE $t ALTER COLUMN n TYPE bigint", 0 },
  { "a wider type, not rewritten", "ALTER TABLE $t ALTER COLUMN c TYPE varchar(30)", 0 },
  { "labels that are exchanged", "ALTER TYPE m_$t RENAME VALUE 'a' TO 'x'; ALTER TYPE m_$t RENAME VALUE 'b' TO 'a'; ALTER TYPE m_$t RENAME VALUE 'x' TO 'b'", 0 },
  { "a label that is renamed and named back", "ALTER TYPE m_$t RENAME VALUE 'a' TO 'x'; ALTER TYPE m_$t RENAME VALUE 'x' TO 'a'", 0 },
  { "rights", "GRANT SELECT ON $t TO PUBLIC", 0 },
  { "a table that is logged from now on", "ALTER TABLE $t SET LOGGED", 0, before = "ALTER TABLE $t SET UNLOGGED" },
  -- The last piece had no end; it may have had rows that are in the next one now.
  { "rows at the end, in a new piece", "INSERT INTO $t (id, v) SELECT i, repeat('z', 300) FROM generate_series(1000, 1200) i", 2 },
  -- Only catalogs and settings say how these are written, so that nothing is proven.
  { "names of the catalog", "", 0, before = "ALTER TABLE $t ADD COLUMN x regclass DEFAULT 'pg_class'" },
  { "names of the catalog in an array of a domain", "", 0, before = "CREATE DOMAIN d_$t AS regtype; ALTER TABLE $t ADD COLUMN x d_$t[]" },
  { "money", "", 0, before = "ALTER TABLE $t ADD COLUMN x money DEFAULT 5" },
  { "a composite type", "", 0, before = "CREATE TYPE c_$t AS (a int); ALTER TABLE $t ADD COLUMN x c_$t" },
  { "times, ranges, arrays and documents", "", 4, before = "ALTER TABLE $t ADD COLUMN x timestamptz DEFAULT now(), ADD COLUMN y int4range, ADD COLUMN z numeric[], ADD COLUMN j jsonb, ADD COLUMN g int GENERATED ALWAYS AS (n + 1) STORED" }, -- now larger
}

local function table_of(number) return ("t_%02d"):format(number) end

local function each(db, scripts)
  for _, text in ipairs(scripts) do
    local ok, err
    if text:find ";" then ok, err = db:execute(text) else ok, err = db:query(text) end
    t.ok(ok, text .. ": " .. tostring(err))
  end
end

local function shop()
  local db = t.ok(sql.open(URL, { timeout = 60 }))
  t.ok(db:execute "SET client_min_messages = error")
  return db
end

local function make_table(name)
  return ([[CREATE TYPE m_$t AS ENUM ('a', 'b');
  CREATE TABLE $t (id int PRIMARY KEY, v text, n int DEFAULT 1, c varchar(20) DEFAULT 'c', m m_$t DEFAULT 'a') WITH (fillfactor = 66);
  INSERT INTO $t (id, v) SELECT i, repeat('x', 300) FROM generate_series(1, 340) i]]):gsub("%$t", name)
end

local function take(options)
  options.database, options.chunk_blocks = URL, 8
  return backup.take(options)
end

-- A link has the time of the file that it is a name of.
local function linked_pieces(earlier, taken)
  local times, counts = {}, {}
  for _, name in ipairs(files.list(earlier.path .. "/data")) do times[files.stat(earlier.path .. "/data/" .. name).modified] = true end
  for _, one in ipairs(t.ok(manifests.read(taken.path)).database.tables) do
    counts[one.name] = 0
    for _, name in ipairs(one.files) do
      if times[files.stat(taken.path .. "/" .. name).modified] then counts[one.name] = counts[one.name] + 1 end
    end
  end
  return counts
end

local function same_content(a, b)
  local function lines(path)
    local out, manifest = {}, t.ok(manifests.read(path))
    for _, one in ipairs(manifest.database.tables) do
      out[#out + 1] = ("%s %s %d %s"):format(one.name, one.columns, one.rows, one.checksum)
      for _, piece in ipairs(one.pieces) do out[#out + 1] = ("%s %d %s"):format(one.name, piece.from_block, manifest.files[piece.file].sha256) end
    end
    table.sort(out)
    return out
  end
  t.eq(lines(a), lines(b))
end

t.case("each change costs the pieces that it must, and no other", function()
  local db <close> = shop()
  t.ok(db:execute "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
  local function words(text, number) return (text:gsub("%$t", table_of(number)):gsub("%$f", SCRATCH .. "/pg/one")) end
  for number in ipairs(CHANGES) do t.ok(db:execute(make_table(table_of(number)))) end
  -- The one that is prepared last of all: what comes after it counts as newer.
  local last
  for number, change in ipairs(CHANGES) do
    local before = change.before and words(change.before, number)
    if before and before:find "PREPARE" then last = before elseif before then t.ok(db:execute(before), before) end
  end
  t.ok(db:execute(last))
  local first = t.ok(take { to = SCRATCH .. "/ones" })
  for number, change in ipairs(CHANGES) do each(db, { change[2] ~= "" and words(change[2], number) or "SELECT 1" }) end
  local second = t.ok(take { to = SCRATCH .. "/ones", since = first.path })
  local full = t.ok(take { to = SCRATCH .. "/ones" })
  same_content(second.path, full.path)
  local counts, linked = linked_pieces(first, second), 0
  for number, change in ipairs(CHANGES) do
    local name = "public." .. table_of(number)
    t.eq(counts[name], change[3], change[1])
    linked = linked + counts[name]
  end
  t.eq(second.incremental.linked, linked)
  t.ok(backup.drill { backup = second.path, database = URL })
  for _, row in ipairs(t.ok(db:query "SELECT gid FROM pg_prepared_xacts")) do t.ok(db:query(("ROLLBACK PREPARED '%s'"):format(row.gid))) end
end, 300)

-- A small database for what is not about rows.
local function small()
  local db = shop()
  t.ok(db:execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; " .. make_table "small"))
  return db
end

local function all_linked(taken) return t.eq({ taken.incremental.linked, taken.incremental.copied, taken.incremental.why }, { PIECES, 0 }) end

local function all_copied(taken, words)
  t.eq({ taken.incremental.linked, taken.incremental.copied }, { 0, PIECES })
  return t.has(tostring(taken.incremental.why), words)
end

t.case("the latest that verifies is the one to go on from; one that is named must verify", function()
  local db <close>, to = small(), SCRATCH .. "/damaged"
  all_copied(t.ok(take { to = to, since = true }), "no earlier backup")
  local good = t.ok(take { to = to, id = "a", since = true })
  local bad = t.ok(take { to = to, id = "b" })
  local name = bad.path .. "/data/" .. files.list(bad.path .. "/data")[1]
  t.ok(files.remove(name)) -- a second name must not be written through
  t.ok(files.write(name, "torn"))
  local taken = t.ok(take { to = to, id = "c", since = true })
  all_linked(taken)
  t.eq(taken.incremental.since, good.id)
  local nothing, err = take { to = to, since = bad.path }
  t.err(nothing, err, "backup_corrupt")
  nothing, err = take { to = to, since = to .. "/none" }
  t.err(nothing, err, "backup_corrupt")
end)

t.case("it is whole by itself: the earlier one is pruned, restore.sh and the engine restore it", function()
  local db <close>, to = small(), SCRATCH .. "/pruned"
  local first = t.ok(take { to = to, id = "1" })
  local second = t.ok(take { to = to, id = "2", since = true })
  all_linked(second)
  t.eq(t.ok(retention.prune { to = to, last = 1 }).removed, { first.id })
  t.ok(backup.drill { backup = second.path, database = URL })
  local admin <close> = t.ok(sql.open(core_postgres.with_database(URL, "postgres")))
  t.ok(admin:query "CREATE DATABASE alone")
  t.ok(process.run { argv = { second.path .. "/restore.sh", "alone" }, check = true })
  local alone = t.ok(sql.open(core_postgres.with_database(URL, "alone")))
  t.eq(alone:value "SELECT count(*) FROM small", 340)
  alone:close()
  t.ok(admin:query "DROP DATABASE alone")
end)

t.case("on the command line", function()
  local db <close> = small()
  local said
  for _ = 1, 2 do said = t.ok(process.run { argv = { setting "ENGINE", "backup", "take", "--to", SCRATCH .. "/command", "--database", URL, "--incremental" }, check = true }) end
  t.has(said.stdout, "1 of 1 pieces of tables are unchanged since") -- of 64 MB
end)

t.case("on another file system it is a copy", function()
  local db <close>, to = small(), SCRATCH .. "/here"
  local first = t.ok(take { to = to })
  local there = t.ok(files.mkdtemp "/dev/shm/engine-")
  local cleanup <close> = setmetatable({}, { __close = function() files.remove_tree(there) end })
  local second = t.ok(take { to = there, since = first.path })
  all_linked(second)
  same_content(second.path, first.path)
  t.ok(backup.verify(second.path))
end)

t.case("encrypted: the passphrase must be the same", function()
  local db <close>, to = small(), SCRATCH .. "/sealed"
  local function sealed(passphrase, since) return t.ok(take { to = to, passphrase = passphrase, since = since }) end
  sealed "one"
  local second = sealed("one", true)
  all_linked(second)
  t.ok(backup.drill { backup = second.path, database = URL, passphrase = "one" })
  all_copied(sealed("two", second.path), "passphrase")
  all_copied(sealed(nil, second.path), "passphrase")
  local plain = sealed(nil)
  all_copied(sealed("one", plain.path), "passphrase")
  -- Of all that are there it finds the one that it can read.
  local third = sealed("one", true)
  all_linked(third)
  t.ok(backup.drill { backup = third.path, database = URL, passphrase = "one" })
end)

t.case("another database, and a role that may not see when the server was started", function()
  local db <close>, to = small(), SCRATCH .. "/others"
  local first = t.ok(take { to = to })
  local admin <close> = t.ok(sql.open(core_postgres.with_database(URL, "postgres")))
  db:close()
  t.ok(admin:execute "DROP ROLE IF EXISTS unknowing; CREATE ROLE unknowing LOGIN; GRANT pg_read_all_data TO unknowing")
  t.ok(admin:query "CREATE DATABASE twin TEMPLATE shop STRATEGY file_copy")
  local twin = t.ok(backup.take { database = core_postgres.with_database(URL, "twin"), to = to, since = first.path, chunk_blocks = 8 })
  all_copied(twin, "another database")
  t.ok(admin:query "DROP DATABASE twin")
  local as = t.ok(backup.take { database = URL:gsub("postgres@", "unknowing@"), to = to, since = first.path, chunk_blocks = 8 })
  all_copied(as, "pg_read_all_stats")
  t.ok(admin:query "DROP ROLE unknowing")
end)

t.case("after a crash of the server transaction numbers may be given out again: nothing is proven", function()
  local db, to = small(), SCRATCH .. "/crashed"
  local first = t.ok(take { to = to })
  all_linked(t.ok(take { to = to, since = first.path }))
  -- A process of the server that dies makes it recover from the log.
  local before, pid = t.ok(unchanged.origin(URL)), t.ok(db:value "SELECT pg_backend_pid()")
  t.ok(process.run { argv = { "kill", "-9", tostring(pid) }, check = true })
  db:close()
  local ok, now
  repeat
    sleep(0.02)
    ok, now = pcall(unchanged.origin, URL)
  until ok and now and now ~= before
  all_copied(t.ok(take { to = to, since = first.path }), "started again")
end)

t.case("how rows are written does not depend on the settings of a database", function()
  local db <close> = small()
  t.ok(db:execute "ALTER TABLE small ADD COLUMN at timestamptz DEFAULT '2026-07-01 12:00:00+00', ADD COLUMN long interval DEFAULT '-1 day 02:03', ADD COLUMN b bytea DEFAULT '\\x00ff'")
  t.ok(db:execute "ALTER DATABASE shop SET timezone = 'Asia/Tokyo'; ALTER DATABASE shop SET intervalstyle = 'sql_standard'; ALTER DATABASE shop SET bytea_output = 'escape'")
  local first = t.ok(take { to = SCRATCH .. "/settings" })
  t.ok(db:execute "ALTER DATABASE shop RESET ALL")
  local second = t.ok(take { to = SCRATCH .. "/settings", since = first.path })
  all_linked(second)
  same_content(first.path, t.ok(take { to = SCRATCH .. "/settings" }).path)
  t.ok(backup.drill { backup = first.path, database = URL })
end)
