-- A task that may only look: what the console's statements run in until something was confirmed.
local t = require "test"
local core_sql = require "core.sql"
local core_task = require "core.task"

local function looking(fn)
  local results = table.pack(task.scope("looking", 30, function()
    core_task.only_look(true)
    return fn()
  end))
  return table.unpack(results, 1, results.n)
end

local function refused(fn, what)
  local ok, err = looking(fn)
  t.eq(ok, false)
  t.eq(err.code, "read_only")
  t.has(err.message, what)
end

t.case("nothing is written, started or sent", function()
  local folder = t.ok(files.mkdtemp())
  t.ok(files.write(folder .. "/a", "1"))
  for name, fn in pairs {
    write = function() return files.write(folder .. "/b", "1") end, append = function() return files.append(folder .. "/a", "1") end,
    mkdir = function() return files.mkdir(folder .. "/c") end, mkdtemp = function() return files.mkdtemp(folder .. "/d") end,
    remove = function() return files.remove(folder .. "/a") end, remove_tree = function() return files.remove_tree(folder) end,
    copy = function() return files.copy(folder .. "/a", folder .. "/b") end, rename = function() return files.rename(folder .. "/a", folder .. "/b") end,
    link = function() return files.link(folder .. "/b", "a") end, hard_link = function() return files.hard_link(folder .. "/a", folder .. "/b") end,
  } do refused(fn, "files." .. name) end
  t.eq(table.concat(files.list(folder), " "), "a")
  t.eq(files.read(folder .. "/a"), "1")
  refused(function() return process.run { argv = { "true" } } end, "process.run")
  refused(function() return process.spawn { argv = { "true" } } end, "process.spawn")
  refused(function() return process.stop(process.self()) end, "process.stop")
  for _, method in ipairs { "POST", "PUT", "DELETE", "PATCH" } do
    refused(function() return http.request { url = "http://127.0.0.1:1/", method = method, timeout = 1 } end, method)
  end
  refused(function() return http.request { url = "http://127.0.0.1:1/", body = "x", timeout = 1 } end, "POST")
  refused(function() return http.request { url = "http://127.0.0.1:1/", to_file = folder .. "/x", timeout = 1 } end, "http.request")
  refused(function() return mail.send { server = "smtp://127.0.0.1:1", from = "a@b.c", to = { "d@e.f" }, subject = "s", text = "t", timeout = 1 } end, "a mail")
  refused(function() return require("core.traffic").run("show stat; set server a/b weight 1", 1, "/no/socket") end, "a command of the proxy")
  refused(function() return require("core.backup").sqlite_copy(folder .. "/a", folder .. "/b") end, "backup")
  files.remove_tree(folder)
end)

t.case("looking goes on", function()
  local ok, text = looking(function() return files.read "/etc/hostname" end)
  t.ok(ok and text)
  local asked, _, err = looking(function() return http.get("http://127.0.0.1:1/", { timeout = 1 }) end)
  t.ok(asked)
  t.eq(err.code, "connect")
  local shown, _, problem = looking(function() return require("core.traffic").run("show stat;show info", 1, "/no/socket") end)
  t.ok(shown)
  t.eq(problem.code, "connect")
end)

t.case("what such a task starts may only look too", function()
  refused(function() return parallel { function() return process.run { argv = { "true" } } end } end, "process.run")
  refused(function() return shield(function() return process.run { argv = { "true" } } end) end, "process.run")
end)

t.case("it can be lifted for what was confirmed, and others are not affected", function()
  t.ok(looking(function()
    t.eq(core_task.only_look(false), true)
    t.ok(process.run { argv = { "true" } })
  end))
  t.eq(core_task.only_look(false), false)
  t.ok(process.run { argv = { "true" } })
end)

t.case("SQLite: a connection that an effect opened writes as long as an effect runs", function()
  local folder = t.ok(files.mkdtemp())
  local url = ("sqlite:%s/a.db"):format(folder)
  local db <close> = t.ok(sql.open(url))
  t.ok(db:execute "CREATE TABLE a (x integer)")
  local function let_through(fn)
    core_task.only_look(false)
    fn()
    core_task.only_look(true)
  end
  t.ok(looking(function()
    local kept <const> = {}
    let_through(function()
      kept.here = t.ok(sql.open(url))
      kept.prepared = t.ok(sql.prepare(url))
      parallel { function() kept.below = t.ok(sql.open(url)) end }
      shield(function() kept.shielded = t.ok(sql.open(url)) end)
      for _, open in pairs(kept) do t.ok(open:query "INSERT INTO a VALUES (1)") end
    end)
    for name, open in pairs(kept) do
      for _, use in ipairs {
        function() return open:query "INSERT INTO a VALUES (2)" end, function() return open:execute "INSERT INTO a VALUES (2)" end,
        function() return open:batch { { "INSERT INTO a VALUES (2)" }, { "INSERT INTO a VALUES (3)" } } end,
        function() return open:transaction(function(tx) return tx:query "INSERT INTO a VALUES (2)" end) end,
        function() return open:within(5):value "SELECT count(*) FROM a" end,
        function() return parallel { function() return open:query "INSERT INTO a VALUES (2)" end } end,
      } do
        local err = t.raises(use, "a connection that an effect opened", name)
        t.eq(err.code, "read_only")
      end
    end
    let_through(function() t.ok(kept.here:query "INSERT INTO a VALUES (1)") end)
    for _, open in pairs(kept) do open:close() end
    -- The journal's are opened when something is first recorded, and must be there for what is only looked at.
    local records
    let_through(function()
      records = t.ok(sql.open(url))
      core_sql.for_records(records.core)
    end)
    t.ok(records:query "INSERT INTO a VALUES (1)")
    records:close()
    -- One of a task that was never restricted is its own.
    t.ok(db:query "INSERT INTO a VALUES (1)")
  end))
  t.eq(db:query("SELECT DISTINCT x FROM a"), { { x = 1 }, columns = { "x" }, affected = 0 })
  t.eq(db:value "SELECT count(*) FROM a", 7)
  files.remove_tree(folder)
end)

t.case("SQLite: reading keeps nobody from writing", function()
  local folder = t.ok(files.mkdtemp())
  local url = ("sqlite:%s/a.db"):format(folder)
  local db <close> = t.ok(sql.open(url, { timeout = 1 }))
  t.ok(db:execute "CREATE TABLE a (x integer); INSERT INTO a VALUES (7)")
  t.ok(looking(function()
    local reading <close> = t.ok(sql.open(url))
    for _, text in ipairs {
      "BEGIN", "begin deferred", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "/* a */ BEGIN", "SAVEPOINT a", "COMMIT", "ROLLBACK", "END", "RELEASE a",
      "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA Main.Locking_Mode('exclusive')", "EXPLAIN BEGIN", "PRAGMA optimize", "PRAGMA optimize(-1)",
    } do
      for _, way in ipairs { "query", "execute" } do
        local rows, err = reading[way](reading, text)
        t.eq(rows, nil, text)
        t.eq(err.sqlstate, "SQLITE_AUTH", text)
        t.has(err.message, "only reads, and holds no lock")
      end
    end
    t.eq(reading:value "PRAGMA locking_mode", "normal")
    t.eq(reading:value "SELECT x FROM a", 7)
    core_task.only_look(false)
    t.ok(db:execute "INSERT INTO a VALUES (8)")
    core_task.only_look(true)
    -- A transaction that somebody waits for is one; inside it no other begins either.
    t.eq(reading:transaction(function(tx)
      t.eq(tx:query "COMMIT", nil)
      t.eq(tx:query "SAVEPOINT a", nil)
      return tx:value "SELECT count(*) FROM a"
    end), 2)
    t.raises(function() reading:transaction(function() error "given up" end) end, "given up")
    local affected, err = reading:batch { { "INSERT INTO a VALUES ($1)", 9 }, { "DELETE FROM a" } }
    t.eq(affected, nil)
    t.eq(err.sqlstate, "SQLITE_READONLY")
  end))
  t.ok(db:execute "BEGIN; INSERT INTO a VALUES (9); COMMIT") -- a connection that writes is asked nothing
  t.eq(db:value "SELECT count(*) FROM a", 3)
  files.remove_tree(folder)
end)

t.case("SQLite: the connection itself reads alone, whatever it is told", function()
  local folder = t.ok(files.mkdtemp())
  local url = ("sqlite:%s/a.db"):format(folder)
  local db <close> = t.ok(sql.open(url))
  t.ok(db:execute "CREATE TABLE a (x integer); INSERT INTO a VALUES (7)")
  t.ok(looking(function()
    local reading <close> = t.ok(sql.open(url))
    t.ok(reading:is_read_only())
    t.eq(reading:value "SELECT x FROM a", 7)
    t.eq(reading:transaction(function(tx) return tx:value "SELECT x FROM a" end), 7)
    t.ok(reading:query "PRAGMA query_only = OFF")
    for _, text in ipairs { "INSERT INTO a VALUES (1)", "UPDATE a SET x = 1", "DELETE FROM a", "DROP TABLE a", "CREATE TABLE b (x)" } do
      local rows, err = reading:query(text)
      t.eq(rows, nil)
      t.eq(err.sqlstate, "SQLITE_READONLY")
    end
    t.eq(reading:execute "INSERT INTO a VALUES (1)", nil)
    local missing, err = sql.open(("sqlite:%s/none.db"):format(folder))
    t.eq(missing, nil)
    t.eq(err.code, "connect")
  end))
  t.eq(db:value "SELECT count(*) FROM a", 1)
  t.eq(files.exists(folder .. "/none.db"), false)
  files.remove_tree(folder)
end)
