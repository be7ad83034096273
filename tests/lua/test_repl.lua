-- The console's pieces, without a terminal and without a server: a venture whose proxy is two lines of shell.
local t = require "test"
local annotations = require "check.annotations"
local complete = require "repl.complete"
local core_search = require "core.search"
local figures = require "repl.figures"
local follow = require "repl.follow"
local help = require "repl.help"
local history = require "repl.history"
local journals = require "journal"
local prompt = require "repl.prompt"
local sessions = require "repl.session"
local show = require "repl.show"
local statement = require "repl.statement"

local VENTURE = [[
return {
  name = "shop", id = 1, mode = "auto",
  database = { url = "sqlite:%s/shop.db" },
  environment = { driver = "command", addresses = { blue = "127.0.0.1:1", green = "127.0.0.1:2" }, provision = { "false" }, destroy = { "false" }, alive = { "true" } },
  traffic = { driver = "command", get = { "cat", "shares" }, set = { "sh", "-c", 'echo "blue=$1 green=$2" > shares', "-", "{blue}", "{green}" } },
  metrics = { driver = "none" }, backup = { to = "backups" },
  console = { environment = "prod", read_only = { { "uname" } } },
  health = { { name = "there is a disk", command = { "true" } } },
}
]]

-- Calls fn(session, said) with a console on a venture of its own; said() is what was printed since it was last asked.
local function with_console(options, fn)
  local folder, lines, plain_print = assert(files.mkdtemp()), {}, print
  assert(files.mkdir(folder .. "/shop"))
  assert(files.write(folder .. "/shop/venture.lua", VENTURE:format(folder)))
  assert(files.write(folder .. "/shop/shares", "blue=90 green=10"))
  local db <close> = assert(sql.open(("sqlite:%s/shop.db"):format(folder)))
  assert(db:execute "CREATE TABLE orders (id integer, name text); INSERT INTO orders VALUES (1, 'one'), (2, 'two')")
  options.venture, options.state = folder .. "/shop", folder .. "/state"
  local session = sessions.new(options)
  session:load()
  t.eq(session.problem, nil)
  rawset(_G, "print", function(...) lines[#lines + 1] = table.concat({ ... }, "\t") end)
  local ok, err = pcall(fn, session, function()
    local text = table.concat(lines, "\n")
    lines = {}
    return text
  end, folder)
  session:close()
  rawset(_G, "print", plain_print)
  files.remove_tree(folder)
  if not ok then error(err, 0) end
end

local function run(session, text)
  local ok, err = statement.run(session, text)
  return ok, err
end

t.case("rows are a table that fits, numbers to the right", function()
  local text = show.rows({ { id = 7, name = ("long "):rep(30) }, { id = 1200 }, columns = { "id", "name" } }, 30)
  for line in text:gmatch "[^\n]+" do t.ok(utf8.len(line) <= 30, line) end
  t.has(text, "   7  long long")
  t.has(text, "…")
  t.has(text, "2 rows")
  t.eq(show.rows({ columns = { "a" } }, 30), "a\n0 rows")
  t.eq(show.value { 1, 2 }, "{ 1, 2 }")
  t.ok(not show.is_rows { a = 1 } and not show.is_rows {})
end)

t.case("what a terminal would obey and what is secret is not shown", function()
  secret.wrap("hunter2222", "x")
  t.eq(show.safe "pw hunter2222 \27[2J", "pw ********** \\x1B[2J")
end)

t.case("figures: gaps are not zeros", function()
  t.eq(figures.sparkline { 1, false, 8 }, "▁ █")
  t.eq(figures.sparkline {}, "")
  t.eq(figures.text { value = 0.214, unit = "%" }, "0.21 %")
  t.eq(figures.text {}, "no data")
  local rows = figures.of { { server = "b1", requests = 7 }, { server = "g1", requests = 9 } }
  t.eq(rows[2].name, "g1 requests")
  t.eq(figures.of { name = "text" }, nil)
  t.eq(figures.quantile({ [0.1] = 0, [0.5] = 0, [math.huge] = 0 }, { [0.1] = 90, [0.5] = 100, [math.huge] = 100 }, 0.95), 0.3)
  t.eq(figures.quantile({ [0.1] = 5, [math.huge] = 5 }, { [0.1] = 5, [math.huge] = 5 }, 0.95), nil)
  t.eq(figures.quantile({ [0.1] = 5, [math.huge] = 5 }, { [0.1] = 1, [math.huge] = 1 }, 0.95), nil)
end)

t.case("history: a statement an entry, the last thousand, what is no entry is passed over", function()
  local folder = t.ok(files.mkdtemp())
  local path = folder .. "/deep/console.jsonl"
  t.ok(history.add(path, "1 + 1"))
  t.ok(history.add(path, "for i = 1, 2 do\nend"))
  t.eq(files.stat(path).mode & 511, 384)
  t.ok(files.append(path, "not JSON\n{}\n"))
  t.eq(table.concat(history.read(path), "|"), "1 + 1|for i = 1, 2 do\nend")
  local many = {}
  for i = 1, 2 * history.MOST + 1 do many[i] = ("%q\n"):format(tostring(i)) end
  t.ok(files.write(path, table.concat(many)))
  t.eq(#history.read(path), history.MOST)
  t.eq(#history.read(path), history.MOST)
  t.eq(history.read(path)[history.MOST], tostring(2 * history.MOST + 1))
  for _, text in ipairs { " 1", "", "secret.wrap('a', 'b')", "x = 'my PASSWORD'", "token = 7" } do t.ok(not history.may_keep(text), text) end
  files.remove_tree(folder)
end)

t.case("every example of the console's words is a statement", function()
  local count = 0
  for _, path in ipairs(core_search.baked_paths()) do
    if path:find "^stdlib/repl/words/" then
      local _, functions = annotations.read(core_search.baked(path))
      t.ok(#functions > 0, path)
      for _, fn in ipairs(functions) do
        local has_example = false
        for _, line in ipairs(fn.lines) do
          local example = line:match "^@example (.*)$"
          if example then
            count, has_example = count + 1, true
            t.ok(statement.compile(example, {}), example)
          end
        end
        t.ok(has_example, fn.name)
      end
    end
  end
  t.ok(count > 20)
end)

t.case("help comes from the blocks: signature, types, effect, undo, usage", function()
  local text = table.concat(help.lines("traffic.set", help.all("traffic.set")["traffic.set"]), "\n")
  for _, part in ipairs { "traffic.set(shares)", "takes   shares { blue?: integer", "gives   {", "effect  probed", "undo    traffic.set", "usage   traffic.set{green=0}" } do t.has(text, part) end
  t.has(table.concat(help.lines("http.get", help.all("http.get")["http.get"]), "\n"), "takes   url string")
  t.ok(help.all("step").step and help.all()["metrics.p95.by_server"])
end)

t.case("events as lines", function()
  t.eq(follow.line { at = "2026-11-24T10:00:00.000Z", kind = "step_begin", data = { name = "30.2.2 watch" } }, "10:00:00 ▶ 30.2.2 watch")
  t.eq(follow.line { at = "2026-11-24T10:00:00.000Z", kind = "step_end", data = { state = "done" } }, nil)
  t.has(follow.line { at = "2026-11-24T10:00:00.000Z", kind = "run_end", data = { outcome = "rolled_back", exit_code = 4, summary = "verified" } }, "rolled_back, exit 4: verified")
end)

t.case("completion: names, fields of live values, and what is quoted", function()
  with_console({ interactive = false }, function(session)
    complete.learn(session)
    session.environment.mine = { speed = 1, size = 2 }
    local function words(line) return table.concat(complete.words(session, line, #line - #line:match "[%w_.:]*$" + 1, #line), " ") end
    t.eq(words "traffic.se", "traffic.servers traffic.set")
    t.eq(words "traffic.set{gr", "green=")
    t.eq(words "mine.s", "mine.size mine.speed")
    t.eq(words "roll", "rollback")
    t.has(words "str", "string")
    t.eq(words "health.check(\"there is a d", "disk")
    t.eq(words "sql \"SELECT * FROM ord", "orders")
    t.eq(words "confirm \"s", "shop")
    t.eq(words "traffic.drain \"b", "blue")
    t.eq(words "print(\"tra", "")
    t.eq(words "nothing.like.th", "")
    t.eq(words "venture.tra", "venture.traffic")
  end)
end)

t.case("the prompt shows what is known", function()
  with_console({ interactive = false, reason = "r" }, function(session)
    t.eq(prompt.text(session), "RO shop prod> ")
    session:look()
    session.run_state = "WAITING"
    t.eq(prompt.text(session), "RO shop prod 10% WAITING> ")
    session:arm "10m"
    t.eq(prompt.text(session), "RW 10:00 shop prod 10% WAITING> ")
  end)
  t.eq(prompt.text(sessions.new { interactive = false }), "RO> ")
end)

t.case("read-only: whatever changes something is refused, and what looks is not", function()
  with_console({ interactive = false }, function(session, said, folder)
    for _, text in ipairs { "traffic.set{green=0}", 'process.run { argv = { "id" } }', 'files.write("x", "y")', "sql \"DELETE FROM orders\"", 'effect.change("e", function() end)',
      'parallel { function() traffic.set{green=0} end }', 'pcall(files.write, "x", "y") files.write("x", "y")' } do
      local ok, err = run(session, text)
      t.eq(ok, false, text)
      t.eq(err.code, "read_only", text)
      t.eq(said(), 'refused: this changes production. arm("10m") first, or plan(...) to see what it would do')
    end
    for _, text in ipairs { "traffic.get()", "sql \"SELECT * FROM orders\"", "health.check()", 'process.run { argv = { "uname" } }', 'plan "traffic.set{green=0}"' } do t.ok(run(session, text), text) end
    t.eq(files.read(folder .. "/shop/shares"), "blue=90 green=10")
  end)
end)

t.case("armed: shown, confirmed by name, done, read back, recorded", function()
  with_console({ interactive = false, reason = "p95 breach" }, function(session, said, folder)
    t.ok(run(session, 'arm("10m")'))
    local ok, err = run(session, 'confirm "shap" traffic.set{green=0}')
    t.eq(ok, false)
    t.has(err.message, "'shap' is not 'shop': nothing was changed")
    t.eq(run(session, "traffic.set{green=0}"), false) -- a word confirms one effect
    t.eq(files.read(folder .. "/shop/shares"), "blue=90 green=10")
    said()
    t.ok(run(session, 'confirm "shop" traffic.set{green=0}'))
    t.has(said(), "plan  green 10 -> 0, blue 90 -> 100;  undo traffic.set{green=10}\n✓ ")
    t.eq(files.read(folder .. "/shop/shares"), "blue=100 green=0\n")
    t.ok(run(session, 'disarm()'))
    t.eq(select(2, run(session, "traffic.set{green=10}")).code, "read_only")
    local steps = t.ok(session.journal:steps(session.id))
    t.eq(#steps, 1)
    t.eq(steps[1].state, "done")
    t.eq(steps[1].effect, "probed")
    t.eq(steps[1].undo, "traffic.set{green=10}")
    t.eq(steps[1].result.green, 0)
    local kinds = {}
    for _, event in ipairs(session.journal:events(session.id)) do kinds[#kinds + 1] = event.kind end
    t.has(table.concat(kinds, " "), "run_begin statement arm statement hold declined statement statement step_begin step_end statement release disarm statement")
    t.ok(session.journal:verify())
    t.ok(session.journal:verify(session.id))
  end)
end)

t.case("what an effect did in vain is recorded too, and a statement with a secret is not", function()
  with_console({ interactive = false, reason = "r", yes = "shop" }, function(session, said)
    t.ok(run(session, "arm()"))
    t.eq(run(session, 'effect.change("in vain", function() error "broken" end)'), false)
    t.has(said(), "✗ failed after")
    t.eq(session.journal:steps(session.id)[1].state, "failed")
    t.has(session.journal:steps(session.id)[1].error.message, "broken")
    t.ok(run(session, 'x = secret.wrap("topsecret77", "label")'))
    for _, event in ipairs(session.journal:events(session.id)) do t.ok(not require("json").encode(event.data):find "topsecret77") end
  end)
end)

t.case("a console that changed something holds its venture, and is fenced when it is taken away", function()
  with_console({ interactive = false, reason = "r", yes = "shop" }, function(session)
    t.ok(run(session, 'arm() traffic.set{green=0}'))
    local other = t.ok(journals.open(session.options.state .. "/journal.db"))
    local held = t.ok(other:held_by "shop")
    t.eq(held.code, "lock_held")
    t.has(held.message, ("run %s holds shop"):format(session.id))
    local id, err = other:run_begin { venture = "shop", playbook = "p", path = "p", args = {}, mode = "auto", actor = "a", sources = {} }
    t.eq(id, nil)
    t.eq(err.code, "lock_held")
    t.ok(run(session, "disarm()"))
    t.eq(other:held_by "shop", nil)
    t.ok(run(session, 'arm() traffic.set{green=10}'))
    t.ok(other:unlock({ id = session.id, venture = "shop" }, "somebody", "it was forgotten"))
    local ok, problem = run(session, "traffic.set{green=0}")
    t.eq(ok, false)
    t.eq(problem.code, "lock_held")
    other:close()
  end)
end)

t.case("a run that is under way, or whose engine is gone, is in charge", function()
  with_console({ interactive = false, reason = "r", yes = "shop" }, function(session, said, folder)
    t.ok(run(session, "1")) -- the journal begins
    local other = t.ok(journals.open(session.options.state .. "/journal.db"))
    local id = t.ok(other:run_begin { venture = "shop", playbook = "stage30", path = "p", args = {}, mode = "auto", actor = "ben", sources = {} })
    t.ok(run(session, "arm()"))
    local ok, err = run(session, "traffic.set{green=0}")
    t.eq(ok, false)
    t.eq(err.code, "lock_held")
    t.has(said(), "It is in charge of the traffic: rollback.traffic() or rollback.full() tells it to go back")
    other:let_go()
    ok, err = run(session, "traffic.set{green=0}")
    t.eq(ok, false)
    t.eq(err.code, "lock_held")
    t.has(said(), ("{ over = %q }"):format(id))
    t.eq(files.read(folder .. "/shop/shares"), "blue=90 green=10")
    t.ok(run(session, ('disarm() arm("1m", "in spite of it", { over = %q }) traffic.set{green=0}'):format(id)))
    t.eq(files.read(folder .. "/shop/shares"), "blue=100 green=0\n")
    other:close()
  end)
end)

t.case("an arming ends by itself, and its length is limited", function()
  with_console({ interactive = false, reason = "r", yes = "shop" }, function(session)
    t.ok(run(session, 'arm("1m") traffic.set{green=0}'))
    t.ok(session.journal:holder("shop").run)
    session.armed_until = require("core.clock").now() -- the minute is over
    t.eq(select(2, run(session, "traffic.set{green=10}")).code, "read_only")
    t.eq(session.journal:holder("shop").run, nil)
    for _, text in ipairs { 'arm("2h")', 'arm("soon")', 'arm("-1s")', "arm(0)" } do t.eq(select(2, run(session, text)).code, "usage", text) end
  end)
end)

t.case("a plan does nothing, also one of several effects", function()
  with_console({ interactive = false }, function(session, said, folder)
    t.ok(run(session, 'plan(function() assert(traffic.set{green=0}) files.write("x", "y") end)'))
    t.eq(said(), 'plan  green 10 -> 0, blue 90 -> 100;  undo traffic.set{green=10}\nplan  files.write("x", "y");  undo none: nothing takes it back')
    for _, text in ipairs { "plan(traffic.set{green=0})", "plan(assert(traffic.set{green=0}))", "plan( (traffic.set{green=0}) )" } do
      t.ok(run(session, text), text)
      t.eq(said(), "plan  green 10 -> 0, blue 90 -> 100;  undo traffic.set{green=10}", text)
    end
    t.ok(run(session, "f = function() traffic.set{green=0} end"))
    t.ok(run(session, "plan(f)"))
    t.eq(said(), "plan  green 10 -> 0, blue 90 -> 100;  undo traffic.set{green=10}")
    t.ok(run(session, 'plan "1 + 1"'))
    t.eq(said(), "plan  nothing would be changed")
    t.eq(run(session, 'plan "traffic.set{green=200}"'), false)
    t.eq(files.read(folder .. "/shop/shares"), "blue=90 green=10")
  end)
end)

t.case("a watch off a terminal is a number of blocks; its expression is evaluated each time", function()
  with_console({ interactive = false }, function(session, said)
    t.ok(run(session, 'n = 0'))
    t.ok(run(session, 'function f() n = n + 1 return n end'))
    t.ok(run(session, 'watch(f(), "0.1s", 3)'))
    t.eq(select(2, said():gsub("value ", "")), 3)
    t.ok(run(session, 'watch(f, "0.1s")'))
    t.eq(session.environment.n, 4)
    t.ok(run(session, 'watch("traffic.get()", "0.1s", 2)'))
    t.has(said(), "green ▂▂")
    t.eq(run(session, 'watch("traffic.", "1s")'), false)
  end)
end)

t.case("the world went on while somebody thought: nothing is done", function()
  with_console({ interactive = false, reason = "r" }, function(session, _, folder)
    t.ok(run(session, "arm()"))
    session.interactive = true
    session.editor = { print = function() return false end, read = function()
      effect.look(function() t.ok(files.write(folder .. "/shop/shares", "blue=50 green=50")) end) -- somebody else
      return "shop"
    end }
    local ok, err = run(session, "traffic.set{green=0}")
    t.eq(ok, false)
    t.eq(err.code, "drift")
    t.eq(files.read(folder .. "/shop/shares"), "blue=50 green=50")
  end)
end)

t.case("a session is exported as a playbook that the checker accepts and that does the same", function()
  with_console({ interactive = false, reason = "p95 breach", yes = "shop" }, function(session, _, folder)
    t.eq(run(session, ('export "%s/x.lua"'):format(folder)), false) -- there is nothing yet
    t.ok(run(session, "arm()"))
    t.ok(run(session, "traffic.set{green=0}"))
    t.ok(run(session, 'health.check "there is a disk"'))
    t.ok(run(session, "sql \"UPDATE orders SET name = 'renamed' WHERE id = 1\""))
    t.ok(run(session, ('export "%s/incident.lua"'):format(folder)))
    t.eq(select(2, run(session, ('export "%s/incident.lua"'):format(folder))).code, "exists")
    t.ok(run(session, "traffic.set{green=10} disarm()"))
    local result = t.ok(require("check.examine").examine({ folder .. "/incident.lua" }, folder .. "/shop"))
    t.eq(#result.findings, 0, result.findings[1] and result.findings[1].message)
    local again = t.ok(process.run { argv = { process.self().exe, folder .. "/incident.lua", "--venture", folder .. "/shop", "--state", folder .. "/state" }, timeout = 60 })
    t.eq(again.code, 0, again.stdout .. again.stderr)
    t.eq(files.read(folder .. "/shop/shares"), "blue=100 green=0\n")
  end)
end)
