local t = require "test"

local function world(fn)
  local folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  local url = "sqlite:" .. folder .. "/live.db"
  local db = t.ok(sql.open(url))
  t.ok(db:execute [[CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, data BLOB, score REAL);
    CREATE TABLE log (text TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO people SELECT i, 'name ' || i, randomblob(20), i / 3.0 FROM n;
    INSERT INTO log VALUES ('a'), ('a'), ('b');]])
  t.ok(files.mkdir(folder .. "/tree/sub"))
  t.ok(files.write(folder .. "/tree/sub/file", "content"))
  t.ok(files.link(folder .. "/tree/link", "sub/file"))
  local ok, err = pcall(fn, folder, url, db)
  db:close()
  files.remove_tree(folder)
  if not ok then error(err, 0) end
end

t.case("take, verify, list, drill", function()
  world(function(folder, url)
    local taken = t.ok(backup.take { database = url, files = { folder .. "/tree" }, to = folder .. "/backups" })
    t.ok(t.ok(backup.verify(taken.path)).files >= 5)
    t.eq(backup.list(folder .. "/backups")[1].id, taken.id)
    local drill = t.ok(backup.drill { backup = taken.path, database = url })
    t.eq({ drill.tables, drill.rows }, { 2, 5003 })
    t.eq(t.ok(backup.restore_files { backup = taken.path, to = folder .. "/restored" }), 4)
    t.eq(files.read(folder .. "/restored/001/sub/file"), "content")
    t.eq(files.stat(folder .. "/restored/001/link").type, "link")
    for _, name in ipairs(files.list(folder)) do t.ok(not name:find "restore%-", "no scratch database is left: " .. name) end
  end)
end)

-- What a progress was told, and that every part of the work was measured to its end, which came once and last.
local function listener()
  local parts, order = {}, {}
  return function(at)
    local name = at.phase or "all"
    if not parts[name] then order[#order + 1] = name end
    local part = parts[name] or { done = 0 }
    parts[name] = part
    t.ok(not part.is_over, name .. " is over only once")
    t.ok(at.done >= part.done and at.done <= at.all, name .. " never goes back and never beyond its end")
    part.done, part.all, part.is_over = at.done, at.all, at.done == at.all
    t.eq(at.unit, "bytes")
  end, function()
    for name, part in pairs(parts) do t.ok(part.is_over, name .. " was told to its end") end
    return order, parts
  end
end

t.case("long work tells how far it is, part by part", function()
  world(function(folder, url)
    local progress, told = listener()
    local taken = t.ok(backup.take { database = url, files = { folder .. "/tree" }, to = folder .. "/backups", progress = progress })
    local order, parts = told()
    t.eq(order, { "copying", "packing", "packing files" })
    t.eq(parts.copying.all, files.stat(folder .. "/live.db").size)
    progress, told = listener()
    local verified = t.ok(backup.verify(taken.path, nil, progress))
    order, parts = told()
    t.eq({ order, parts.all.all }, { { "all" }, verified.bytes })
    progress, told = listener()
    local drill = t.ok(backup.drill { backup = taken.path, database = url, keep = true, progress = progress })
    t.eq(told(), { "reading the backup", "unpacking", "comparing", "noting its checksum" })
    progress, told = listener()
    t.ok(backup.restore { backup = taken.path, database = url, copy = drill.copy, progress = progress })
    t.eq(told(), { "reading the copy", "keeping what is there", "putting it in place" })
  end)
end)

t.case("what is told of work does it no harm, and failed work is not over", function()
  local metered, told = require "backup.metered", {}
  t.eq(metered.run(function() error "nobody listens" end, function() return "done" end, 10), "done")
  t.has(t.raises(function() metered.run(function(at) told[#told + 1] = at end, function() error("no disk", 0) end, 10) end, "no disk").message or "no disk", "no disk")
  t.eq(told, {})
end)

t.case("a copy of many steps is of one moment, and comes to its end while others write without a pause", function()
  world(function(folder, url, db)
    t.ok(db:execute "PRAGMA journal_mode = WAL")
    t.ok(db:execute [[CREATE TABLE filler (data BLOB); CREATE TABLE a (n INTEGER); CREATE TABLE b (n INTEGER); INSERT INTO a VALUES (0); INSERT INTO b VALUES (0);
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 48) INSERT INTO filler SELECT randomblob(1000000) FROM n]])
    local taken
    local writer = background(function()
      local second <close> = t.ok(sql.open(url, { timeout = 30 }))
      local count = 0
      while not taken do
        count = count + 1
        t.ok(second:execute(("BEGIN IMMEDIATE; UPDATE a SET n = %d; UPDATE b SET n = %d; COMMIT"):format(count, count)))
      end
      return count
    end)
    taken = t.ok(backup.take { database = url, to = folder .. "/backups" })
    t.ok(writer:join() > 1)
    t.ok(files.mkdir(folder .. "/there"))
    t.ok(sql.open("sqlite:" .. folder .. "/there/x.db")):close()
    t.ok(backup.restore { backup = taken.path, database = "sqlite:" .. folder .. "/there/x.db" })
    local restored <close> = t.ok(sql.open("sqlite:" .. folder .. "/there/x.db"))
    t.eq(restored:value "SELECT n FROM a", restored:value "SELECT n FROM b")
    t.eq(restored:value "SELECT count(*) FROM filler", 48)
  end)
end)

t.case("an incremental backup of SQLite is a full one, and says so", function()
  world(function(folder, url)
    for _ = 1, 2 do
      local taken = t.ok(backup.take { database = url, to = folder .. "/backups", since = true })
      t.has(backup.reuse_text(taken.incremental), "everything was copied: only tables of PostgreSQL")
      t.ok(backup.verify(taken.path))
    end
    t.raises(function() backup.take { database = url, to = folder, chunk_blocks = 0 } end, "chunk_blocks")
  end)
end)

t.case("a restore takes back and says what is lost", function()
  world(function(folder, url, db)
    local taken = t.ok(backup.take { database = url, to = folder .. "/backups" })
    t.ok(db:execute [[INSERT INTO people (id, name) VALUES (9001, 'new'), (9002, 'new too'); UPDATE people SET name = 'changed' WHERE id IN (5, 6, 7);
      DELETE FROM people WHERE id = 10; INSERT INTO log VALUES ('a'); ALTER TABLE people ADD COLUMN plan TEXT]])
    local restored = t.ok(backup.restore { backup = taken.path, database = url, to = folder .. "/lost" })
    local by_name = {}
    for _, one in ipairs(restored.loss.tables) do by_name[one.name] = one end
    t.eq({ by_name.people.inserted, by_name.people.updated, by_name.people.deleted }, { 2, 3, 1 })
    t.eq({ by_name.log.inserted, by_name.log.updated, by_name.log.deleted }, { 1, 0, 0 })
    t.eq(by_name.people.columns_only_live, { "plan" })
    t.has(files.read(by_name.people.path), "new too")
    t.eq(db:value "SELECT count(*) FROM people", 5000)
    t.eq(db:value "SELECT count(*) FROM pragma_table_info('people') WHERE name = 'plan'", 0)
    t.eq(db:value "SELECT name FROM people WHERE id = 5", "name 5")
    -- What was lost comes back, where nobody changed it since.
    t.ok(db:execute "UPDATE people SET name = 'meanwhile' WHERE id = 6")
    local reapply = require "backup.reapply"
    local would = t.ok(reapply.run { database = url, lost = folder .. "/lost", dry_run = true })
    t.eq(db:value "SELECT count(*) FROM people", 5000)
    local done = t.ok(reapply.run { database = url, lost = folder .. "/lost" })
    t.eq(would, done)
    t.eq({ done.inserted, done.updated, done.deleted, done.conflicts, done.not_held }, { 3, 2, 1, 1, 0 })
    t.eq(done.columns_not_held, { "people.plan" })
    t.eq(db:value "SELECT group_concat(name, ',') FROM (SELECT name FROM people WHERE id IN (5, 6, 7, 10, 9001, 9002) ORDER BY id)", "changed,meanwhile,changed,new,new too")
    t.eq(db:value "SELECT count(*) FROM log", 4)
    local ok, err = backup.restore { backup = taken.path, database = url, to = folder .. "/lost" }
    t.err(ok, err, "exists")
  end)
end)

t.case("a kept copy is swapped in; one that is gone is refused and the live database stays", function()
  world(function(folder, url, db)
    local taken = t.ok(backup.take { database = url, to = folder .. "/backups" })
    local kept = t.ok(backup.drill { backup = taken.path, database = url, keep = true }).copy
    t.ok(db:query "DELETE FROM people WHERE id > 100")
    local options = { backup = taken.path, database = url, copy = kept, key = ("ab"):rep(16) }
    local restored = t.ok(backup.restore(options))
    t.eq({ restored.warm, db:value "SELECT count(*) FROM people" }, { true, 5000 })
    -- Its end may have been seen by nobody: it is not made again, however often it is asked for, and what it lost is counted.
    t.ok(db:query "INSERT INTO people (id) VALUES (9000001)")
    for round = 1, 2 do
      options.to = folder .. "/lost" .. round
      local again = t.ok(backup.restore(options))
      t.eq({ again.had_happened, again.loss.deleted, db:value "SELECT count(*) FROM people" }, { true, restored.loss.deleted, 5001 })
    end
    -- The database is restored also when nobody can count what that lost.
    options.to = nil
    t.ok(files.write(taken.path .. "/extra", "x"))
    local uncounted = t.ok(backup.restore(options))
    t.eq({ uncounted.had_happened, uncounted.loss.tables, db:value "SELECT count(*) FROM people" }, { true, {}, 5001 })
    t.has(uncounted.loss.problem, "extra does not belong to it")
    t.ok(files.remove(taken.path .. "/extra"))
    t.ok(backup.forget(url))
    t.ok(db:query "DELETE FROM people WHERE id = 9000001")
    options.key, options.to = ("cd"):rep(16), nil
    local none, err = backup.restore(options)
    t.has(t.err(none, err, "backup").message, "is gone")
    t.eq(db:value "SELECT count(*) FROM people", 5000)
    t.eq(db:value "SELECT count(*) FROM sqlite_master WHERE name = 'engine_restore_mark'", 0)
  end)
end)

t.case("a kept copy that is torn or another one is found out, and the live database stays", function()
  world(function(folder, url, db)
    local taken = t.ok(backup.take { database = url, to = folder .. "/backups" })
    local whole
    local damages = {
      torn = function(text) return text:sub(1, #text // 2) .. ("\0"):rep(#text - #text // 2) end,
      cut = function(text) return text:sub(1, #text // 2) end,
      flipped = function(text) return text:sub(1, -101) .. string.char(text:byte(-100) ~ 1) .. text:sub(-99) end,
      empty = function() return "" end,
      another = function()
        local other <close> = t.ok(sql.open("sqlite:" .. folder .. "/other.db"))
        t.ok(other:execute "CREATE TABLE people (id integer)")
        return t.ok(files.read(folder .. "/other.db"))
      end,
    }
    for name, damage in pairs(damages) do
      local kept = t.ok(backup.drill { backup = taken.path, database = url, keep = true }).copy
      whole = t.ok(files.read(kept.path))
      t.ok(files.write(kept.path, damage(whole)))
      t.ok(db:query "UPDATE people SET name = 'later' WHERE id = 5")
      local none, err = backup.restore { backup = taken.path, database = url, copy = kept }
      t.has(t.err(none, err, "backup").message, "is not what was restored and compared", name)
      t.eq(db:value "SELECT name FROM people WHERE id = 5", "later", name)
      t.eq(files.stat(kept.path), nil, name)
      t.ok(files.remove(folder .. "/other.db"))
    end
    -- The backup itself is loaded then.
    t.eq(t.ok(backup.restore { backup = taken.path, database = url }).warm, false)
    t.ok(db:value "SELECT name FROM people WHERE id = 5" ~= "later")
  end)
end)

t.case("copies that nobody knows of any more are dropped, and what is no copy stays", function()
  world(function(folder, url)
    local taken = t.ok(backup.take { database = url, to = folder .. "/backups" })
    local kept = t.ok(backup.drill { backup = taken.path, database = url, keep = true }).copy
    t.ok(backup.scratch(kept, url))
    t.ok(files.write(folder .. "/live.db.before-1", "of a restore"))
    t.ok(backup.drop_copies(url))
    local left = {}
    for _, name in ipairs(files.list(folder)) do if name:find("^live%.db%.") then left[#left + 1] = name end end
    t.eq(left, { "live.db.before-1" })
  end)
end)

t.case("one changed bit, a missing, a truncated and an extra file are found and named, for every file", function()
  world(function(folder, url)
    local taken = t.ok(backup.take { database = url, files = { folder .. "/tree" }, to = folder .. "/backups" })
    for _, name in ipairs(files.list(taken.path)) do
      local path = taken.path .. "/" .. name
      local text = files.read(path)
      local middle = #text // 2 + 1
      local damages = {
        flipped = text:sub(1, middle - 1) .. string.char(text:byte(middle) ~ 1) .. text:sub(middle + 1),
        truncated = text:sub(1, #text // 2),
      }
      for how, damaged in pairs(damages) do
        files.write(path, damaged)
        local ok, err = backup.verify(taken.path)
        t.err(ok, err, "backup_corrupt")
        t.has(err.message, name)
        t.ok(process.run { argv = { "sh", taken.path .. "/restore.sh", "--check" } }.code ~= 0 or name == "restore.sh", how .. " " .. name .. " passes restore.sh")
      end
      files.remove(path)
      local ok, err = backup.verify(taken.path)
      t.err(ok, err, "backup_corrupt")
      files.write(path, text, name == "restore.sh" and tonumber("700", 8) or nil)
    end
    t.ok(backup.verify(taken.path), "whole again")
    files.write(taken.path .. "/extra", "x")
    local ok, err = backup.verify(taken.path)
    t.err(ok, err, "backup_corrupt")
    t.has(err.message, "extra does not belong")
  end)
end)

t.case("a damaged database is no backup, and nothing is left behind", function()
  world(function(folder, url, db)
    db:query "PRAGMA journal_mode = DELETE"
    local page = db:value "SELECT max(pageno) FROM dbstat WHERE name = 'people'"
    local size = db:value "PRAGMA page_size"
    db:close()
    process.run { argv = { "dd", "if=/dev/urandom", "of=" .. folder .. "/live.db", "bs=" .. size, "seek=" .. page - 1, "count=1", "conv=notrunc" } }
    local taken, err = backup.take { database = url, to = folder .. "/backups" }
    t.err(taken, err, "backup_corrupt")
    t.eq(files.list(folder .. "/backups"), {})
  end)
end)

t.case("restore.sh alone restores it", function()
  world(function(folder, url)
    local taken = t.ok(backup.take { database = url, to = folder .. "/backups" })
    local result = process.run { argv = { "sh", taken.path .. "/restore.sh", folder .. "/by-hand.db" } }
    t.eq(result.code, 0)
    t.eq(process.run { argv = { "sqlite3", folder .. "/by-hand.db", "SELECT count(*) FROM people" } }.stdout, "5000\n")
  end)
end)
