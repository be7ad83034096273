-- A task that may only look: what the console's statements run in until something was confirmed.
local t = require "test"
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
