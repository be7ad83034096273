-- What a terminal shows of a run, without a terminal: events make a model, a model makes lines, lines make what is written.
local t = require "test"
local display = require "display"
local keys = require "display.keys"
local layout = require "display.layout"
local model = require "display.model"
local screen = require "display.screen"
local text = require "display.text"

local BEGAN = assert(clock.of_utc "2026-11-24T10:00:00.000Z")
local function at(seconds) return clock.utc(BEGAN + seconds) end

-- A model of a run that told these events: { seconds, kind, data, step }.
local function model_of(events)
  local m = model.new { id = "7f3c", venture = "shop", release = "4.9.0", mode = "auto", actor = "ana", playbook = "stage30" }
  for i, event in ipairs(events) do m:take { seq = i, at = at(event[1]), kind = event[2], data = event[3], step = event[4] } end
  return m
end

local COLOURS = { 1, "value", { name = "colours", result = { old = "blue", new = "green", version = "4.8.1" } }, 1 }
local POLICY = { 1, "policy", { error_rate = 0.05, target_error_rate = 0.01, slow_share = 0.05, slow_ms = 500 } }
local FORECAST = { 1, "forecast", { stages = { { share = 10 }, { share = 50 }, { share = 100 } } } }

local function slots(seconds, words, more)
  local data = { words = words, judged = "green", p95_ms = { green = 212, blue = 204 }, stage = { seconds = seconds, minimum = 300, limit = 600 }, readings = { cpu = 0.31, memory = 0.6 } }
  for name, value in pairs(more or {}) do data[name] = value end
  return { seconds, "slots", data, 4 }
end

local function with(list, ...)
  local all = table.move(list, 1, #list, 1, {})
  for _, one in ipairs { ... } do all[#all + 1] = one end
  return all
end

local CANARY = { COLOURS, POLICY, FORECAST, { 2, "step_begin", { name = "30.1.1 health checks" }, 2 }, { 14, "step_end", { state = "done", seconds = 12 }, 2 },
  { 14, "step_begin", { name = "30.2.1 provision green" }, 3 }, { 20, "step_end", { state = "done", seconds = 6 }, 3 }, { 20, "traffic", { blue = 90, green = 10 } },
  { 21, "step_begin", { name = "30.2.2 watch green at 10 %" }, 4 }, slots(60, "s 900.2.0.10/8000.16.0.80"), slots(120, "100.0.0.2/900.1.0.9") }

local PAST = { of = function(name) return name:find "health" and 10 or nil end, total = function() return 1140 end, rollback_s = 1, next = function() return { "30.2.2 traffic: 50 % to green", "30.3.1 smoke tests, full", "30.4 exit gate" } end }

-- The lines as plain text.
local function shown(m, fields)
  local view = { model = m, columns = 79, rows = 24, now = BEGAN + 122, began = BEGAN, expected = PAST }
  for name, value in pairs(fields or {}) do view[name] = value end
  local lines = {}
  for i, line in ipairs(layout.lines(view)) do lines[i] = text.line(line, view.columns, view.look) end
  return table.concat(lines, "\n"), #lines
end

t.case("a canary at 80 columns", function()
  t.eq(shown(model_of(CANARY)), table.concat({
    "shop 4.8.1 -> 4.9.0  auto  run 7f3c  ana                          2:02 / ~19:00",
    "✓ 30.1 0:12   ✓ 30.2.1 0:06",
    "▶ 30.2.2 watch green at 10 %  2:02/5:00  █████░░░░░░░  next 50 %",
    "   errors  green 0.20 %   blue 0.19 %   max 1 %   █▁  ok  n=1000",
    "   slow    green 1.20 %   blue 1.00 %   max 5 %   ▁█  ok  p95 212 ms",
    "   db pool NO DATA   cpu 31 %   memory 60 %",
    "· 30.2.2 traffic: 50 % to green  · 30.3.1 smoke tests, full … 1 more",
    "d detach  l logs  p pause  r rollback (~1 s)",
  }, "\n"))
end)

t.case("every size has its lines", function()
  local m = model_of(with(CANARY, { 100, "signal", { signal = "pause", by = "bo", reason = "the database is slow" } }))
  for _, columns in ipairs { 10, 20, 40, 60, 79, 119, 300 } do
    for _, rows in ipairs { 2, 3, 5, 10, 24, 40 } do
      local all, count = shown(m, { columns = columns, rows = rows })
      t.ok(count >= 1 and count < rows, ("%d lines for %d rows"):format(count, rows))
      for line in all:gmatch "[^\n]+" do t.ok(text.width(line) <= columns, ("%d columns: %s"):format(columns, line)) end
      t.ok(all:find "shop", "the header is always there")
    end
  end
  local small = shown(m, { columns = 79, rows = 4 })
  t.ok(small:find "watch green" and small:find "PAUSED by bo: the database is slow", small)
end)

t.case("no data is a state of its own", function()
  local silent = shown(model_of(CANARY), { now = BEGAN + 150 })
  t.ok(silent:find "n=1000" and silent:find "NO DATA  n=1000", silent)
  local none = shown(model_of(with(table.move(CANARY, 1, 9, 1, {}), slots(60, "s -/800.1.0.3", { p95_ms = {} }))), { now = BEGAN + 62 })
  t.ok(none:find "green NO DATA" and none:find "p95 NO DATA", none)
  local last = shown(model_of(with(CANARY, { 121, "traffic", { blue = 0, green = 100 } })))
  t.ok(last:find "blue no traffic", last)
end)

t.case("hold and bad", function()
  local function word(words) return shown(model_of(with(table.move(CANARY, 1, 9, 1, {}), slots(120, words)))):match "(%a+)  n=" end
  t.eq({ word "s 1000.9.0.0/-", word "s 1000.20.0.0/-", word "s 1000.60.0.0/-" }, { "ok", "hold", "bad" })
  local held = shown(model_of(with(CANARY, { 121, "canary", { from = "S10", state = "HOLD", reason = "both colours are bad" } })))
  t.ok(held:find "! on hold: both colours are bad", held)
end)

t.case("a pause is shown, and ends", function()
  local paused = with(CANARY, { 100, "signal", { signal = "pause", by = "bo" } })
  local all = shown(model_of(paused))
  t.ok(all:find "PAUSED by bo" and all:find "p go on", all)
  t.ok(all:find("2:00/5:00", 1, true), "the stage's clock stands still: " .. all)
  all = shown(model_of(with(paused, { 110, "signal", { signal = "go_on", by = "ana" } })))
  t.ok(not all:find "PAUSED" and all:find "p pause", all)
end)

t.case("the failed step expands", function()
  local problem = { number = "E0412", code = "breach", message = "green: errors above 5 %: 10 of 85 requests failed", where = "playbooks/stage30/blue_green.lua:41" }
  local m = model_of(with(CANARY, { 121, "step_end", { state = "failed", error = problem, seconds = 100 }, 4 }, { 121, "traffic", { blue = 100, green = 0 } },
    { 121, "reason", { text = problem.message, code = "breach" } }, { 121, "step_begin", { name = "RB1 all traffic to blue" }, 5 }))
  local all = shown(m)
  t.ok(all:find("✗ E0412 30.2.2 watch green at 10 %: green: errors above 5 %", 1, true), all)
  t.ok(all:find("  where  playbooks/stage30/blue_green.lua:41\n  state  going back: traffic blue 100 %, green 0 %", 1, true), all)
  t.ok(all:find "▶ RB1 all traffic to blue" and not all:find "r rollback" and not all:find "30.3.1", all)
end)

t.case("a question, and one that was answered", function()
  local asked = with(CANARY, { 121, "ask", { seq = 1, question = "30.2.2 traffic: 50 % to green" } })
  t.ok(shown(model_of(asked)):find("? 30.2.2 traffic: 50 % to green  y yes  n no", 1, true))
  t.ok(not shown(model_of(with(asked, { 122, "answer", { seq = 1, answer = "yes", by = "bo" } }))):find "y yes")
end)

t.case("progress says amount, share, rate and what is left", function()
  t.eq(layout.progress { what = "30.1.3 backup", done = 1.2e9, all = 3.4e9, unit = "bytes", rate = 82e6, left_s = 27 }, "30.1.3 backup: 1.2 of 3.4 GB, 35 %, 82.0 MB/s, about 0:27 left")
  t.eq(layout.progress { what = "drain", done = 3, unit = "open requests" }, "drain: 3 open requests")
end)

t.case("without UTF-8 nothing but ASCII, without colour no escape", function()
  local m = model_of(CANARY)
  local plain = shown(m, { look = { ascii = true } })
  t.ok(not plain:find "[\x80-\xFF]" and plain:find "> 30.2.2 watch" and plain:find("#####.......", 1, true), plain)
  t.ok(not shown(m):find "\27" and shown(m, { look = { colour = true } }):find "\27%[32m✓")
end)

t.case("names that a terminal would obey are not", function()
  local m = model_of { { 1, "step_begin", { name = "30.1.1 \xFFname" }, 2 } }
  t.ok(shown(m):find "30%.1%.1")
  t.ok(utf8.len(text.valid "\xFFa\xC3(") ~= nil)
  t.eq(text.width "日本", 4)
  t.eq(text.cut("日本語", 5), "日本…")
end)

t.case("the screen writes what has changed, and goes up as far as it was", function()
  local s = screen.new {}
  s:draw({ { { "one" } }, { { "two" } }, { { "three" } } }, {}, 80)
  t.eq(s:draw({ { { "one" } }, { { "two" } }, { { "three" } } }, {}, 80), "")
  t.eq(s:draw({ { { "one" } } }, { "up" }, 80), "\27[2A\r\27[Jup\r\none")
  t.eq(s:draw({ { { "two" } } }, {}, 80), "\r\27[Jtwo")
  s:draw({ { { ("x"):rep(60) } }, { { "y" } } }, {}, 80)
  t.eq(s:draw({ { { "z" } } }, {}, 30):sub(1, 4), "\27[2A", "a narrower terminal has broken the first line into two")
  t.eq(s:clear(30), "\r\27[J")
end)

-- A viewer of keys without a terminal: what was asked of the journal, and said.
local function viewer(events)
  local self = { model = model_of(events or CANARY), asked = {}, said = {} }
  self.journal = {
    signal = function(_, run, signal) table.insert(self.asked, run .. " " .. signal.kind) return true end,
    answer = function(_, run, seq, answer) table.insert(self.asked, ("%s %d %s"):format(run, seq, answer.answer)) return { by = answer.by } end,
  }
  function self:say(line) table.insert(self.said, line) end
  return self
end

t.case("keys: leave, pause, go on", function()
  local v = viewer()
  t.eq(keys.take(v, "xlp"), nil)
  t.eq(v.asked, { "7f3c pause" })
  t.eq(v.show_all, true)
  t.eq(keys.take(v, "d"), "left")
  v = viewer(with(CANARY, { 100, "signal", { signal = "pause", by = "bo" } }))
  keys.take(v, "p")
  t.eq(v.asked, { "7f3c go_on" })
end)

t.case("keys: a rollback is confirmed by the venture's name or y, and by nothing else", function()
  for typed, asked in pairs { ["rshop\r"] = true, ["ry\r"] = true, ["rshoq\127p\r"] = true, ["rshoo\r"] = false, ["r\r"] = false, ["ry\27"] = false, ["ryd"] = false } do
    local v = viewer()
    t.eq(keys.take(v, typed), nil, typed)
    t.eq(#v.asked, asked and 1 or 0, typed)
  end
  local v = viewer()
  v.expected = { rollback_s = 45 }
  keys.take(v, "rsh")
  t.eq(keys.prompt(v), "roll back, about 0:45? first all traffic goes back. type shop or y: sh")
end)

t.case("keys: Ctrl-C asks", function()
  local v = viewer()
  keys.take(v, "\3")
  t.ok(keys.prompt(v):find "d detach %(in 10 s%), p pause, r roll back")
  keys.take(v, "x")
  t.eq(keys.prompt(v), nil)
  t.eq(v.asked, {})
  keys.take(v, "\3p")
  keys.take(v, "\3r")
  t.eq(v.asked, { "7f3c pause", "7f3c rollback" })
  t.eq(keys.take(v, "\3d"), "left")
  keys.take(v, "\3")
  v.question.until_at = -math.huge -- nobody answers
  t.eq(keys.take(v, ""), "left")
end)

t.case("keys: a question is answered with Enter, not by one key", function()
  local v = viewer(with(CANARY, { 121, "ask", { seq = 3, question = "30.2.2 traffic: 50 %" } }))
  keys.take(v, "y\27")
  t.eq(v.asked, {})
  keys.take(v, "y\r")
  keys.take(v, "n\r")
  t.eq(v.asked, { "7f3c 3 yes", "7f3c 3 no" })
end)

t.case("options that are known before the playbook is", function()
  local options = require("display.attended").options { "--venture", "v", "--state=s", "--help", "--json", "--reason", "why" }
  t.eq({ options.venture, options.state, options.help, options.json, options.reason }, { "v", "s", true, true, "why" })
end)

t.case("progress tells its rate, and ends", function()
  local lines, genuine = {}, display.line
  display.line = function(_, _, line) lines[#lines + 1] = line end
  local first = { what = "test work", done = 0, all = 100, unit = "rows" }
  display.progress(first)
  t.eq(first.left_s, nil)
  local second = { what = "test work", done = 50, all = 100, unit = "rows" }
  repeat
    sleep(0.001)
    display.progress(second)
  until second.rate
  t.ok(second.left_s > 0)
  display.line = genuine
end)

t.case("progress is left with the run, and is gone when the work is over", function()
  local behind = require "display.behind"
  local folder = t.ok(files.mkdtemp())
  behind.run_known { id = "7f3c", folder = folder }
  local path = folder .. "/progress.json"
  t.ok(behind.progress { what = "backup", done = 1, all = 3 })
  t.eq(json.decode(files.read(path)).done, 1)
  -- Two pieces at the same time: the last one is over while the other one is being written.
  local again = background(function() behind.progress { what = "backup", done = 3, all = 3 } end)
  again:join()
  t.eq(files.exists(path), false)
  behind.run_known { id = "7f3c" }
  t.eq(behind.progress { what = "backup", done = 1, all = 3 }, false)
  files.remove_tree(folder)
end)

t.case("on the way back nothing comes next", function()
  local m = model_of(with(CANARY, { 121, "traffic", { blue = 100, green = 0 } }, { 121, "reason", { text = "breach" } }, { 121, "step_begin", { name = "RB1 watch error rates of blue" }, 5 }))
  t.ok(shown(m):find "▶ RB1 watch error rates of blue  0:01" and not shown(m):find "next", shown(m))
  local asked = model_of(with(CANARY, { 121, "signal", { signal = "rollback", by = "bo" } }, { 121, "signal", { signal = "pause", by = "ana" } }))
  t.ok(not shown(asked):find "next 50" and not shown(asked):find "PAUSED" and not shown(asked):find "p pause", shown(asked))
end)

t.case("a stage's clock stands still while the run holds, and goes on from there", function()
  local paused = with(CANARY, { 123, "signal", { signal = "pause", by = "bo" } })
  local function clock_at(events, seconds) return math.tointeger((model_of(events):stage_time(BEGAN + seconds))) end
  t.eq(clock_at(CANARY, 122), 122)
  t.eq({ clock_at(paused, 123), clock_at(paused, 400) }, { 123, 123 })
  local again = with(paused, { 400, "signal", { signal = "go_on", by = "bo" } })
  t.eq({ clock_at(again, 400), clock_at(again, 402) }, { 123, 125 })
  -- The canary's own hold ends a little after the pause that it came of.
  local held = with(paused, { 124, "canary", { state = "HOLD", reason = "paused by bo" } }, { 400, "signal", { signal = "go_on", by = "bo" } })
  t.eq(clock_at(held, 401), 123)
  t.eq(clock_at(with(held, { 401, "canary", { state = "S10" } }), 403), 125)
  t.eq(clock_at(with(again, slots(124, "100.0.0.2/900.1.0.9")), 0), 124)
end)

t.case("what people wrote is text", function()
  local evil = "lun\27[31mch\27[2J\n\u{9B}2J\u{202E}\xFF"
  local safe = "lun\\x1B[31mch\\x1B[2J \\x9B2J\\u{202E}\\xFF"
  t.eq(text.one_line(evil), safe)
  t.eq(display.plain "é ▶\tok\n\xE9t\xE9", "é ▶\tok\n\\xE9t\\xE9")
  local m = model_of(with(CANARY, { 121, "signal", { signal = "pause", by = evil, reason = evil } }, { 121, "ask", { seq = 1, question = evil } }, { 122, "step_begin", { name = "30.9 " .. evil }, 9 }))
  m.row.actor, m.row.venture, m.row.release = evil, evil, evil
  for _, columns in ipairs { 20, 79, 300 } do
    local all = shown(m, { columns = columns })
    t.ok(not all:find "[%z\1-\9\11-\31\127]" and not all:find("\u{9B}", 1, true) and utf8.len(all), all)
    for line in all:gmatch "[^\n]+" do t.ok(text.width(line) <= columns, line) end
  end
end)

t.case("a narrow window shows what to type, and what was", function()
  local v = viewer()
  keys.take(v, "rsh")
  t.eq(keys.prompt(v, 50), "roll back? type shop or y: sh")
  t.eq({ keys.prompt(v, 30), keys.prompt(v, 20), keys.prompt(v, 5) }, { "roll back? type shop or y: sh", "type shop or y: sh", "y: sh" })
  keys.take(v, "opshop")
  t.eq(keys.prompt(v, 8), "y: pshop")
  v = viewer(with(CANARY, { 121, "ask", { seq = 3, question = "30.2.2 traffic: 50 % to green" } }))
  keys.take(v, "y")
  for _, columns in ipairs { 12, 30, 60 } do t.ok(text.width(keys.prompt(v, columns)) <= columns and keys.prompt(v, columns):find "Enter: $", keys.prompt(v, columns)) end
  t.ok(shown(v.model, { columns = 30 }):find "y yes  n no\n?", shown(v.model, { columns = 30 }))
end)

t.case("keys: Ctrl-C on the way back says so, and asks for nothing", function()
  local v = viewer()
  keys.take(v, "\3")
  t.ok(keys.prompt(v):find("Ctrl-C again rolls back", 1, true))
  v = viewer(with(CANARY, { 121, "reason", { text = "breach" } }))
  keys.take(v, "\3")
  t.ok(keys.prompt(v):find "^Ctrl%-C: it is going back already; d detach")
  keys.take(v, "\3")
  keys.take(v, "\3p\3r")
  t.eq(v.asked, {})
  t.eq(v.said[1], "· it is going back already")
end)

t.case("an engine that is gone is said to be, with what to type", function()
  local m = model_of(CANARY)
  m.is_dead = true
  t.ok(shown(m, { columns = 119, where = " --state /s" }):find("\n   ! its engine is gone; nobody goes on with it by itself\n.*engine resume 7f3c %-%-state /s | engine rollback 7f3c %-%-state /s  d detach$"))
end)

t.case("a rollback that failed is told, also when the run was interrupted", function()
  local outcome_of, interrupted = require("execute").outcome_of, { code = "interrupted" }
  local function ended(result) return table.concat({ outcome_of({ id = "7f3c", result = result }, false, interrupted) }, " ", 1, 2) end
  t.eq(ended { outcome = "failed", exit = 5 }, "failed 5")
  t.eq(ended { outcome = "rolled_back", exit = 4 }, "rolled_back 130")
  t.eq(ended(), "interrupted 130")
end)

local function engine(words, env) return t.ok(process.run { argv = { process.self().exe, table.unpack(words) }, env = env }) end

t.case("without a name in the environment the operator is the process's user", function()
  local function actor(env) return (engine({ "-e", "return require('execute').actor()" }, env).stdout:gsub("%s+$", "")) end
  t.eq(actor { USER = "ana" }, "ana")
  t.eq(actor { USER = "", LOGNAME = "bo" }, "bo")
  local name = t.ok(process.run { argv = { "id", "-un" } }).stdout:gsub("%s+$", "")
  t.eq(actor { USER = false, LOGNAME = false }, name)
end)

t.case("errors of status and log are objects for machines", function()
  local folder = t.ok(files.mkdtemp())
  for _, name in ipairs { "status", "log" } do
    for _, words in ipairs { { name, "--json", "--state", folder .. "/none" }, { name, "--json", "--nonsense" } } do
      local ended = engine(words)
      local object = t.ok(json.decode(ended.stdout))
      t.eq({ ended.code, object.kind, object.v, object.data.code }, { 2, "error", 1, "usage" }, name)
      t.has(ended.stderr, "✗ E0100 usage")
    end
  end
  t.ok(require("journal").open(folder .. "/journal.db")):close()
  local ended = engine { "status", "nothing", "--json", "--state", folder }
  t.eq({ ended.code, json.decode(ended.stdout).data.code }, { 2, "not_found" })
  t.has(engine({ "status", "nothing", "--state", folder }).stdout, "there is no run nothing\n  next   engine status --state " .. folder)
  files.remove_tree(folder)
end)
