-- Runs that are gone through again, in this process: an engine that dies is played by an error which no playbook may answer (see
-- run.stops), so what was under way has no outcome, as after a SIGKILL. Engines that are really killed are in test_resume.lua.

local t = require "test"
local core_err = require "core.err"
local core_task = require "core.task"
local journal = require "journal"
local recorded = require "run.recorded"
local run_module = require "run"

local attempt = run_module.attempt

-- The engine ends here: nothing more is recorded.
local function die() error(core_err.new { code = "journal", message = "the engine died" }, 0) end

local World = {}
World.__index = World

-- Goes through the run with fn as its playbook: the first time, or again from what it has recorded.
function World:live(fn, operation)
  local j = t.ok(journal.open(self.path))
  local past
  if self.id then
    t.ok(j:take_up(j:run(self.id), { operation = operation or "resume", actor = "me" }))
    past = recorded.of(t.ok(j:events(self.id)), t.ok(j:approvals(self.id)))
  end
  local run = run_module.new { playbook = { name = "p" }, path = "p.lua", args = {}, mode = self.mode or "auto", actor = "me", venture = self.venture,
    state_folder = self.folder, open_journal = function() return j end, folder_of = function() return self.folder end, id = self.id, journal = self.id and j, recorded = past }
  self.did = {}
  local ok, result = task.scope("a life of the run", nil, function()
    core_task.set_context(run:context())
    local value = fn(run)
    run:came_to_its_end()
    return value
  end)
  self.id, self.run = run.id, run
  j:let_go()
  j:close()
  return ok, result
end

-- Notes that something was done, not only given again.
function World:do_it(name, value)
  self.did[#self.did + 1] = name
  return value
end

-- fn(journal) on a connection of its own, as another process has it.
function World:look(fn)
  local j = t.ok(journal.open(self.path))
  local ok, value = pcall(fn, j)
  j:close()
  if not ok then error(value, 0) end
  return value
end

function World:kinds(kind)
  return self:look(function(j)
    local found = {}
    for _, event in ipairs(j:events(self.id)) do if not kind or event.kind == kind then found[#found + 1] = event end end
    return found
  end)
end

-- The step of that name, as the journal has it.
function World:step(name)
  for _, row in ipairs(self:look(function(j) return j:steps(self.id) end)) do if row.name == name then return row end end
end

local function with_world(fn, fields)
  local world = setmetatable(fields or {}, World)
  world.folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  world.path = world.folder .. "/journal.db"
  local ok, err = pcall(fn, world)
  if world.id then t.ok(world:look(function(j) return j:verify() end)) end
  files.remove_tree(world.folder)
  if not ok then error(err, 0) end
end

local VENTURE = { name = "acme", folder = "/nowhere", source = "return {}", approvals = { timeout = 20 } }

t.case("what is recorded is given again, and not done again", function()
  with_world(function(w)
    local dies = true
    local function book(run)
      local out = {}
      out.early = run:record("early", function() return w:do_it("early", { "before the run began" }) end)
      out.early_failure = { attempt(function() run:record("early failure", function() fail("connect", "nobody there", { cause = "rain" }) end) end) }
      out.table = step("a table", function() return w:do_it("table", { n = 1, list = { 1, 2 }, text = "ä" }) end)
      out.nothing = step("nothing", function() w:do_it "nothing" end) == nil
      local _, failed = attempt(function() step("fails", function() fail("check", "no good", { cause = "rain", limit = 5, first = true }) end) end)
      out.failed = { failed.code, failed.message, failed.cause, failed.step, failed.limit, failed.first }
      out.nested = step("outer", function()
        return { step("inner", function() return w:do_it("inner", 1) end), step("inner", function() return w:do_it("inner again", 2) end) }
      end)
      out.parallel = parallel {
        function() sleep(0.02) return step("left", function() return w:do_it("left", "l") end) end,
        function() return step("right", function() return w:do_it("right", "r") end) end,
      }
      local beside = background(function() return step("beside", function() return w:do_it("beside", "b") end) end)
      out.beside = beside:join()
      for n = 1, 3 do
        local ok, value = attempt(function()
          return step { "try", args = { n = n }, run = function() w:do_it("try " .. n) if n < 3 then fail("connect", "not yet") end return n end }
        end)
        if ok then out.tried = value break end
      end
      local _, late = attempt(function() deadline(0.05, function() step("long", function() w:do_it "long" sleep(60) end) end) end)
      out.late = { late.code, late.message }
      out.shielded = shield(function() return step("shielded", function() return w:do_it("shielded", "s") end) end)
      out.value = run:record("value", function() return w:do_it("value", { blue = 100 }) end)
      out.no_value = run:record("no value", function() return nil end) == nil
      local _, unread = attempt(function() run:record("unread", function() fail("closed", "the proxy hung up", { retryable = true }) end) end)
      out.unread = { unread.code, unread.message }
      run:event("note", { text = "once" })
      run:output("address", "http://x")
      step("the last", function() w:do_it "last" if dies then die() end end)
      out.output = run.outputs.address
      return out
    end
    local ok, err = w:live(book)
    t.eq({ ok, err.message }, { false, "the engine died" })
    t.eq(w.did, { "early", "table", "nothing", "inner", "inner again", "right", "left", "beside", "try 1", "try 2", "try 3", "long", "shielded", "value", "last" })
    dies = false
    local notes = #w:kinds "note"
    local _, again = w:live(book)
    t.eq(w.did, { "last" })
    t.eq(#w:kinds "note", notes)
    t.eq({ again.early, again.table, again.nothing }, { { "before the run began" }, { n = 1, list = { 1, 2 }, text = "ä" }, true })
    t.eq(again.early_failure[2].message, "nobody there")
    t.eq(again.early_failure[2].cause, "rain")
    t.eq(again.failed, { "check", "no good", "rain", "fails", 5, true })
    t.eq({ again.nested, again.parallel, again.beside, again.tried }, { { 1, 2 }, { "l", "r" }, "b", 3 })
    t.eq(again.late[1], "deadline")
    t.eq({ again.shielded, again.value, again.no_value, again.unread, again.output }, { "s", { blue = 100 }, true, { "closed", "the proxy hung up" }, "http://x" })
    t.eq(w:step("the last").attempts, 2)
    -- And once more, when all of it is there: nothing is done.
    local _, third = w:live(book)
    t.eq(w.did, {})
    t.eq(third, again)
  end)
end)

t.case("time and random numbers outside of steps are those of the first time", function()
  with_world(function(w)
    local function book(run)
      local out = { clock.wall(), clock.utc(), random.hex(8), random.integer(1, 1 << 40) }
      step("begin", function() end)
      out[#out + 1], out[#out + 2] = clock.utc(), random.hex(8)
      return out, run
    end
    local _, first = w:live(book)
    local _, second = w:live(book)
    t.eq(second, first)
    t.eq(clock.utc(0), "1970-01-01T00:00:00.000Z")
    local inside
    local function in_step() step("look", function() inside = random.hex(8) die() end) end
    with_world(function(other)
      other:live(in_step)
      local before = inside
      other:live(in_step)
      t.ok(inside ~= before, "in a step they are new each time: its result is what is recorded")
    end)
  end)
end)

-- first is what the playbook did when it was recorded, then what it does now.
local function changed(first, now, ...)
  local parts = { ... }
  with_world(function(w)
    local ok, err = w:live(function(run) first(w, run) die() end)
    t.eq({ ok, err.message }, { false, "the engine died" })
    local events = #w:kinds()
    ok, err = w:live(function(run) now(w, run) end)
    t.eq({ ok, core_err.is(err) and err.code }, { false, "replay" }, tostring(err))
    for _, part in ipairs(parts) do t.has(tostring(err), part) end
    t.eq(w.did, {}, "nothing is done")
    t.eq(#w:kinds(), events + 1, "nothing is recorded but that it was taken up") -- the event "resume"
    t.ok(run_module.stops(err), "no playbook may answer it")
    -- The playbook of before goes on.
    t.ok(select(2, w:live(function(run) first(w, run) die() end)).code == "journal")
  end)
end

t.case("a playbook that does something else stops, with what is recorded and what it does now", function()
  local function s(name, args) return function(w) return step { name, args = args, run = function() return w:do_it(name) end } end end
  local function both(a, b) return function(w, run) a(w, run) b(w, run) end end
  local a, b, c = s "a", s "b", s "c"
  changed(both(a, b), both(a, s "B"), "at place 2", "step 'b'", "step 'B'")
  changed(both(a, s("b", { share = 10 })), both(a, s("b", { share = 50 })), "with the arguments {\"share\":10}", 'the same with the arguments {"share":50}')
  changed(both(both(a, b), c), both(a, c), "step 'b'", "step 'c'")
  changed(both(a, c), both(both(a, b), c), "step 'c'", "step 'b'")
  changed(both(a, b), function(w, run) a(w, run) run:event("note", { text = "b" }) end, "step 'b'", "event 'note'")
  changed(function(_, run) run:event("note", {}) end, function(_, run) run:event("gate", {}) end, "event 'note'", "event 'gate'")
  changed(function(_, run) run:record("a", function() return 1 end) a { do_it = function() end } end, function(w, run) run:record("b", function() return w:do_it "b" end) end, "value 'a'", "value 'b'")
  changed(both(a, b), function(w) parallel { function() return a(w) end, function() return b(w) end } end, "at place 1")
  changed(function(w) parallel { function() return a(w) end, function() return b(w) end } end, both(a, b), "at place 1", "step 'a'")
  changed(both(a, b), a, "at place 2", "step 'b'")
end)

t.case("work side by side begins the run once", function()
  with_world(function(w)
    local function s(name) return function() return step(name, function() return w:do_it(name, name) end) end end
    local function book() return parallel { s "left", s "right" } end
    t.eq({ w:live(book) }, { true, { "left", "right" } })
    t.eq(#w:look(function(j) return j:runs() end), 1)
    t.eq({ w:live(book) }, { true, { "left", "right" } })
    t.eq(w.did, {}, "all of it stands in the one run")
  end)
end)

t.case("work in the background that its owner ended is ended by it again, and fails nothing", function()
  with_world(function(w)
    local dies = true
    local function book()
      local beside = background(function() step("beside", function() w:do_it "beside" sleep(60) end) end)
      local begun = step("first", function() while #w.did == 0 do sleep(0.001) end return true end)
      beside:cancel "enough"
      attempt(function() beside:join() end)
      step("second", function() w:do_it "second" if dies then die() end end)
      return begun
    end
    t.eq(w:live(book), false)
    t.eq(w:step "beside".state, "canceled")
    dies = false
    t.eq({ w:live(book) }, { true, true })
    t.eq(w.did, { "second" })
  end)
  -- The end of the engine's part in a run is not an end of its steps.
  with_world(function(w)
    local dies = true
    local function book()
      local beside = background(function() return step("beside", function() w:do_it "beside" if dies then sleep(60) end return 5 end) end)
      step("first", function() while #w.did == 0 do sleep(0.001) end if dies then die() end end)
      return beside:join()
    end
    t.eq(w:live(book), false)
    t.eq(w:step "beside".ended_at, nil, "beside has no outcome")
    dies = false
    t.eq({ w:live(book) }, { true, 5 })
  end)
end)

t.case("siblings of a failure fail as they did", function()
  with_world(function(w)
    local function book()
      local ok, err = attempt(function()
        parallel {
          function() step("slow", function() w:do_it "slow" sleep(60) end) end,
          function() step("bad", function() w:do_it "bad" fail("check", "no good") end) end,
        }
      end)
      return { ok, err.code, err.message, err.step }
    end
    local _, first = w:live(book)
    t.eq(first, { false, "check", "no good", "bad" })
    local _, second = w:live(book)
    t.eq(w.did, {})
    t.eq(second, first)
  end)
end)

t.case("a step that was begun: pure, idempotent and keyed are done again, with the same key", function()
  for _, class in ipairs { "pure", "idempotent", "keyed" } do
    with_world(function(w)
      local keys, dies = {}, true
      local function book()
        return step { "go", effect = class, args = { n = 1 }, run = function(key)
          keys[#keys + 1] = key
          t.eq(effect.key(), key)
          if dies then die() end
          return w:do_it("go", 7)
        end }
      end
      t.eq(w:live(book), false)
      t.eq(w:step("go").state, class == "pure" and "running" or "intent")
      t.eq(w:step("go").key, keys[1])
      dies = false
      t.eq({ w:live(book) }, { true, 7 })
      t.eq({ #keys, keys[2] }, { 2, keys[1] }, class)
      t.eq({ w:step("go").state, w:step("go").attempts }, { "done", 2 })
    end)
  end
end)

-- A probed step whose engine died in its middle, and what its probe says afterwards, one answer for each time that it is asked.
local function probed(answers, undo, fn)
  with_world(function(w)
    local dies, asked = true, 0
    local function book()
      return step { "go", effect = "probed", undo = undo and function() w:do_it "undo" end,
        run = function() w:do_it "go" if dies then die() end return "made now" end,
        probe = function()
          asked = asked + 1
          local answer = answers[math.min(asked, #answers)]
          return answer, "looked " .. asked .. " times", answer == "done" and "found" or nil
        end }
    end
    t.eq(w:live(book), false)
    t.eq(asked, 0, "a step that begins for the first time is not probed")
    dies = false
    fn(w, book)
  end, { venture = VENTURE })
end

t.case("a step that was begun: its probe says whether it happened", function()
  probed({ "done" }, true, function(w, book)
    t.eq({ w:live(book) }, { true, "found" })
    t.eq({ w.did, w:step("go").state, w:step("go").result }, { {}, "done", "found" })
    t.eq({ w:live(book) }, { true, "found" })
  end)
  probed({ "absent" }, true, function(w, book)
    t.eq({ w:live(book) }, { true, "made now" })
    t.eq(w.did, { "go" })
  end)
  probed({ "partial", "absent" }, true, function(w, book)
    t.eq({ w:live(book) }, { true, "made now" })
    t.eq(w.did, { "undo", "go" })
  end)
  probed({ "unknown", "unknown", "done" }, true, function(w, book)
    t.eq({ w:live(book) }, { true, "found" })
    t.eq(w.did, {})
  end)
end)

-- Asks something of the run as somebody else.
local function signal(w, kind, reason) w:look(function(j) t.ok(j:signal(w.run.id, { kind = kind, by = "ana", reason = reason })) end) end

-- Waits until the run has recorded an event of that kind.
local function until_recorded(w, kind)
  w.id = w.run.id
  while not w:kinds(kind)[1] do sleep(0.01) end
end

t.case("a paused run waits before it changes the world, and not before it looks", function()
  with_world(function(w)
    local ok = w:live(function(run)
      w.run = run
      step("looks", function() return 1 end)
      signal(w, "pause", "lunch")
      step("looks again", function() w:do_it "looks again" end)
      local other = background(function()
        until_recorded(w, "paused")
        t.eq({ w.did, run.paused.by }, { { "looks again" }, "ana" })
        signal(w, "go_on")
      end)
      step { "changes", effect = "idempotent", run = function() w:do_it "changes" end }
      other:join()
      t.eq(run.paused, nil)
    end)
    t.ok(ok)
    t.eq(w.did, { "looks again", "changes" })
    t.eq(w:kinds("paused")[1].data, { by = "ana", reason = "lunch", before = "changes" })
    t.ok(w:kinds("went_on")[1].data.seconds > 0)
  end)
end)

t.case("a paused run is taken back, and a rollback is not paused", function()
  with_world(function(w)
    local ok = w:live(function(run)
      w.run = run
      step("looks", function() return 1 end)
      signal(w, "pause")
      background(function()
        until_recorded(w, "paused")
        signal(w, "rollback")
      end)
      local done, err = attempt(function() step { "changes", effect = "idempotent", run = function() w:do_it "changes" end } end)
      t.eq({ done, err.code }, { false, "rollback_asked" })
      run.is_rolling_back = true
      step { "back", effect = "idempotent", run = function() w:do_it "back" end }
    end)
    t.ok(ok)
    t.eq(w.did, { "back" })
  end)
end)

t.case("a run that is paused when it is gone through again is still paused", function()
  with_world(function(w)
    local dies = true
    local function book(run)
      w.run = run
      step { "first", effect = "idempotent", run = function() w:do_it "first" end }
      if dies then die() end
      background(function()
        until_recorded(w, "paused")
        signal(w, "go_on")
      end)
      step { "second", effect = "idempotent", run = function() w:do_it "second" end }
    end
    w:live(book)
    dies = false
    signal(w, "pause")
    t.eq(w:live(book), true)
    t.eq(w.did, { "second" })
    t.eq(#w:kinds "paused", 1)
  end)
end)

-- Answers the run's open question as somebody else.
local function answer_when_asked(w, answer)
  return background(function()
    while true do
      local question = w:look(function(j)
        local open = j:open_question(w.id)
        if open then t.ok(j:answer(w.id, open.seq, { answer = answer, by = "ana", reason = "looked" })) end
        return open
      end)
      if question then return question.question end
      sleep(0.01)
    end
  end)
end

t.case("a step that was begun: where nothing can say, a person does", function()
  for _, way in ipairs { { "partial" }, { "partial", "partial", undo = true }, { "strange" } } do
    probed(way, way.undo, function(w, book)
      local asking = answer_when_asked(w, "yes")
      t.eq({ w:live(book) }, { true, nil })
      t.has(asking:join(), "did 'go' happen before the engine died")
      t.eq({ w.did, w:step("go").state }, { way.undo and { "undo" } or {}, "done" })
    end)
  end
  for answer, did in pairs { yes = {}, no = { "go" } } do
    with_world(function(w)
      local dies = true
      local function book() return step { "go", effect = "manual", run = function() w:do_it "go" if dies then die() end end } end
      w:live(book)
      dies = false
      local asking = answer_when_asked(w, answer)
      t.eq(w:live(book), true)
      asking:join()
      t.eq(w.did, did, answer)
    end, { venture = VENTURE })
  end
end)

t.case("a probe that never knows ends with a person", function()
  local module = require "clock"
  local now, jump = module.now, 0
  module.now = function() jump = jump + 40 return now() + jump end -- a minute passes from one probe to the next
  local closer <close> = setmetatable({}, { __close = function() module.now = now end })
  probed({ "unknown" }, true, function(w, book)
    local asking = answer_when_asked(w, "no")
    t.eq({ w:live(book) }, { true, "made now" })
    asking:join()
  end)
  return closer and nil
end)

t.case("nobody answers: the run stays as it is, and the question is not put twice", function()
  with_world(function(w)
    local dies = true
    local function book() return step { "go", effect = "manual", run = function() w:do_it "go" if dies then die() end return 1 end } end
    w:live(book)
    dies = false
    local ok, err = w:live(book)
    t.eq({ ok, err.code, err.unanswered, run_module.stops(err) }, { false, "in_doubt", true, true })
    t.has(err.next, "engine resume " .. w.id)
    t.eq(w:step("go").ended_at, nil)
    w.venture = VENTURE
    local asking = answer_when_asked(w, "no")
    t.eq({ w:live(book) }, { true, 1 })
    asking:join()
    t.eq({ w.did, #w:kinds "ask" }, { { "go" }, 1 })
  end, { venture = { name = "acme", folder = "/nowhere", source = "return {}", approvals = { timeout = 0.05 } } })
end)

t.case("what is watched while somebody is asked can end the question, and takes no place of the run", function()
  with_world(function(w)
    local dies = true
    local function book(run)
      run.while_waiting = function()
        while #run.journal:approvals(run.id) == 0 do sleep(0.01) end
        error(core_err.new { code = "breach", message = "it fails" }, 0)
      end
      local ok, err = attempt(function() step { "go", effect = "idempotent", approve = true, run = function() w:do_it "go" end } end)
      step("after", function() if dies then die() end end)
      return { ok, err.code, err.message }
    end
    w:live(book)
    dies = false
    t.eq({ w:live(book) }, { true, { false, "breach", "it fails" } })
    t.eq({ w.did, #w:kinds "ask" }, { {}, 1 })
  end, { mode = "assisted", venture = VENTURE })
end)

t.case("approvals that were given or denied are not asked for again", function()
  for answer, outcome in pairs { yes = { true, 1 }, no = { false, "denied" } } do
    with_world(function(w)
      local dies = true
      local function book()
        local ok, result = attempt(function() return step { "go", effect = "idempotent", approve = true, run = function() w:do_it "go" return 1 end } end)
        step("after", function() if dies then die() end end)
        if not ok then t.has(result.message, "denied by ana: looked") end
        return { ok, ok and result or "denied" }
      end
      local asking = background(function() -- the journal knows the run before live() returns
        while not w.id do w.id = w:look(function(j) local row = j:run() return row and row.id end) sleep(0.01) end
        return answer_when_asked(w, answer):join()
      end)
      local living = background(function() return w:live(book) end)
      asking:join()
      living:join()
      dies = false
      local _, result = w:live(book)
      t.eq({ result, w.did, #w:kinds "ask" }, { outcome, {}, 1 })
    end, { mode = "assisted", venture = VENTURE })
  end
end)

t.case("what changes the world is refused in a step that does not say so", function()
  with_world(function(w)
    w:live(function()
      local err = t.raises(function() step("look", function() effect.change("traffic.set", function() w:do_it "changed" end) end) end, "traffic.set changes the world, and the step 'look' does not say so")
      t.has(err.message, 'effect = "probed" (with probe and undo)')
      t.raises(function() effect.change("traffic.set", function() w:do_it "changed" end) end, "the code outside of any step")
      step { "outer", effect = "idempotent", run = function()
        step("inner", function() effect.change("traffic.set", function() w:do_it "declared" end) end)
      end }
    end)
    t.eq(w.did, { "declared" })
  end, { venture = VENTURE })
  with_world(function(w)
    w:live(function() step("no venture", function() effect.change("traffic.set", function() w:do_it "changed" end) end) end)
    t.eq(w.did, { "changed" })
  end)
  local object = { provision = function(self, n) return self.n + n end, destroy = function() end, n = 1 }
  effect.wrap(object, "environment")
  t.eq(object:provision(2), 3)
end)

t.case("a step's declaration that cannot hold is a mistake", function()
  with_world(function(w)
    w:live(function()
      t.raises(function() step { "a", effect = "magic", run = function() end } end, "effect is pure, idempotent, keyed, probed or manual, not magic")
      t.raises(function() step { "a", effect = "probed", run = function() end } end, "is probed and has no probe")
      t.raises(function() step { "a", undo = function() end, run = function() end } end, "has an undo: say by effect what it changes")
    end)
  end)
end)

-- Three steps, of which the last fails; then all of it is taken back.
local function unwinding(w, dies_in)
  local function one(name, state)
    step { name, effect = "probed", run = function() w:do_it(name) if name == "c" then fail("check", "no good") end end,
      probe = function() w:do_it("probe " .. name) return state end,
      undo = function()
        w:do_it("undo " .. name)
        if dies_in == name then die() end
      end }
  end
  return function(run)
    attempt(function() one("a", "done") one("b", "done") one("c", "absent") end)
    return run:unwind()
  end
end

t.case("taking back is journaled alike: what is taken back is not taken back twice", function()
  with_world(function(w)
    t.eq(w:live(unwinding(w, "a")), false)
    t.eq(w.did, { "a", "b", "c", "probe c", "probe b", "undo b", "probe a", "undo a" })
    t.eq({ w:live(unwinding(w)) }, { true, true })
    t.eq(w.did, { "undo a" }, "it was begun and not ended")
    t.eq({ w:live(unwinding(w)) }, { true, true })
    t.eq(w.did, {})
    t.eq({ w:step("undo b").attempts, w:step("undo a").attempts }, { 1, 2 })
  end)
end)

t.case("taking back is held by no pause and ended by nothing that is asked meanwhile", function()
  with_world(function(w)
    t.eq({ w:live(function(run)
      attempt(function()
        step { "a", effect = "idempotent", run = function() w:do_it "a" end, undo = function() w:do_it "undo a" end }
        step { "b", effect = "idempotent", undo = false, run = function()
          w:look(function(j)
            t.ok(j:signal(run.id, { kind = "pause", by = "ana", reason = "lunch" }))
            t.ok(j:signal(run.id, { kind = "rollback", by = "ana" }))
          end)
          fail("check", "no good")
        end }
      end)
      return run:unwind()
    end) }, { true, true })
    t.eq(w.did, { "a", "undo a" })
  end)
end)

t.case("whatever the encoding of what somebody said, it is recorded and the run goes on", function()
  with_world(function(w)
    t.eq({ w:live(function(run)
      local ok, err = attempt(function() step("said", function() fail("check", "caf\xE9 is closed") end) end)
      t.eq({ ok, err.message }, { false, "caf\xE9 is closed" })
      run:event("note", { text = "caf\xE9" })
      return step("gives", function() return { "caf\xE9", "é" } end)
    end) }, { true, { "caf\\xE9", "é" } })
    t.eq(w:step("said").error.message, "caf\\xE9 is closed")
  end)
end)

t.case("a record that fails for whatever reason ends the engine's part in the run, and says why", function()
  with_world(function(w)
    local ok, err = w:live(function(run)
      step("before", function() end)
      run.journal.event = function() error("the disk is on fire", 0) end
      attempt(function() run:event("note", { text = "lost" }) end)
      w:do_it "answered"
    end)
    t.eq({ ok, err.code, run_module.stops(err) }, { false, "journal", true })
    t.has(tostring(err.cause), "the disk is on fire")
    t.eq(w.did, {})
  end)
end)

t.case("what a step gives that cannot be kept is its own mistake", function()
  with_world(function(w)
    w:live(function()
      t.raises(function() step("prints", function() return { show = print } end) end, "step 'prints' must give plain data")
      t.raises(function() step("circle", function() local c = {} c.c = c return c end) end, "step 'circle' must give plain data")
      t.raises(function() step("\xFF", function() end) end, "a step's name is text in UTF-8")
    end)
  end)
end)

t.case("a rollback that is asked for while a step is in doubt takes that step back too", function()
  with_world(function(w)
    local dies = true
    local function book(run)
      local ok, err = attempt(function()
        step { "go", effect = "probed", run = function() w:do_it "go" if dies then die() end end, probe = function() return "done" end, undo = function() w:do_it "undo go" end }
      end)
      if ok then return "went" end
      t.eq(err.code, "rollback_asked")
      run.is_rolling_back = true
      step("decide", function() w:do_it "decide" end)
      return run:unwind()
    end
    w:live(book)
    dies = false
    w:look(function(j) t.ok(j:signal(w.id, { kind = "rollback", data = { type = "traffic" }, by = "ana", reason = "slow" })) end)
    t.eq({ w:live(book) }, { true, true })
    t.eq(w.did, { "decide", "undo go" })
    t.eq({ w:step("go").state, w:step("go").error.rollback }, { "canceled", "traffic" })
    t.eq({ w:live(book) }, { true, true })
    t.eq(w.did, {}, "and it is gone through the same way again")
  end)
end)

t.case("an end that is recorded can still be taken back, also twice interrupted", function()
  with_world(function(w)
    local dies = true
    local function book(run)
      local ok, err = attempt(function()
        step("forward", function() w:do_it "forward" end)
        run:heed()
      end)
      if ok then
        step("papers", function() w:do_it "papers" end)
        return "promoted"
      end
      run.is_rolling_back = true
      run:event("reason", { text = err.message })
      step("back", function() w:do_it "back" if dies then die() end end)
      step("papers of a rollback", function() w:do_it "papers of a rollback" end)
      return err.rollback
    end
    t.eq({ w:live(book) }, { true, "promoted" })
    w:look(function(j) t.ok(j:signal(w.id, { kind = "rollback", data = { type = "full" }, by = "ana", reason = "slow" })) end)
    t.eq(w:live(book), false)
    t.eq(w.did, { "back" })
    dies = false
    t.eq({ w:live(book) }, { true, "full" })
    t.eq(w.did, { "back", "papers of a rollback" })
    t.eq(#w:kinds "reason", 1)
    t.eq({ w:live(book) }, { true, "full" })
    t.eq(w.did, {})
  end)
end)

t.case("what ends a wait outside of any step is recorded where the next thing would have been", function()
  with_world(function(w)
    local dies, seen = true, nil
    local function book(run)
      local ok, err = attempt(function()
        step("one", function() w:do_it "one" end)
        if run.is_live and not run.recorded then deadline(0.01, function() sleep(60) end) end
        step("two", function() w:do_it "two" end)
      end)
      seen = { ok, not ok and err.code }
      run.is_rolling_back = true
      step("back", function() w:do_it "back" if dies then die() end end)
      return "back"
    end
    t.eq(w:live(book), false)
    t.eq({ seen, w.did }, { { false, "deadline" }, { "one", "back" } })
    dies = false
    t.eq({ w:live(book) }, { true, "back" })
    t.eq({ seen, w.did }, { { false, "deadline" }, { "back" } }, "the second step is not begun by going through the run again")
  end)
end)

t.case("what failed is gone through again when the run is taken back again: what is done stays done", function()
  with_world(function(w)
    local broken, dies = "reading", false
    local function book(run)
      step("forward", function() w:do_it "forward" end)
      run.is_rolling_back = true
      local ok, err = run:again(function()
        step("a", function() w:do_it "a" end)
        step("outer", function()
          step("inner", function() w:do_it "inner" end)
          run:record("reading", function()
            w:do_it "reading"
            if broken == "reading" then fail("check", "no reading") end
            return 1
          end)
          step("b", function()
            w:do_it "b"
            if broken == "b" then fail("check", "no b") end
          end)
        end)
        return step("c", function()
          w:do_it "c"
          if dies then die() end
          return "back"
        end)
      end)
      run:event("note", { text = ok and "back" or err.message })
      step("papers", function() w:do_it "papers" end)
      return ok and "back" or "failed"
    end
    local function lives(operation, result, did)
      t.eq({ select(2, w:live(book, operation)) }, { result })
      t.eq(w.did, did)
    end
    lives(nil, "failed", { "forward", "a", "inner", "reading", "papers" })
    lives("resume", "failed", {})
    broken = "b"
    lives("rollback", "failed", { "reading", "b", "papers" })
    lives("resume", "failed", {})
    broken, dies = nil, true
    t.eq(select(2, w:live(book, "rollback")).message, "the engine died")
    t.eq(w.did, { "b", "c" })
    dies = false
    lives("resume", "back", { "c", "papers" })
    lives("resume", "back", {})
    lives("rollback", "back", {})
    t.eq({ w:step "a".attempts, w:step "outer".attempts, w:step "inner".attempts, w:step "b".attempts, w:step "c".attempts }, { 1, 3, 1, 2, 2 })
    t.eq({ w:step "outer".state, w:step "outer".error }, { "done" })
    local notes = {}
    for i, event in ipairs(w:kinds "note") do notes[i] = event.data.text end
    t.eq(notes, { "no reading", "no b", "back" })
  end)
end)
