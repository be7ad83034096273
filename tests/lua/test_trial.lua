-- `engine test`: what a test of a playbook says when it fails, and what is said of mistakes in it. Each in a process of its own, as a process that has been in a
-- simulated world stays there.
local t = require "test"

local ENGINE = process.self().exe
local VENTURE = "playbooks/demo/venture"

-- Writes files into a new folder, calls fn(folder), takes it away.
local function with_files(texts, fn)
  local folder = t.ok(files.mkdtemp "/tmp/engine-trial-")
  for name, text in pairs(texts) do
    if name:find "/" then t.ok(files.mkdir(folder .. "/" .. name:match "^(.*)/")) end
    t.ok(files.write(folder .. "/" .. name, text))
  end
  local ok, err = pcall(fn, folder)
  t.ok(files.remove_tree(folder))
  if not ok then error(err, 0) end
end

local function engine(...) return t.ok(process.run { argv = { ENGINE, ... }, timeout = 50 }) end

local HEAD = ('local well = world { venture = "%s", release = "1.1", migrations = { "002_plans" } }\n'):format(VENTURE)

-- Runs one test whose function has this body, from line 2 of the file on.
local function run(body, more)
  local ended
  with_files({ ["a_test.lua"] = HEAD .. 'test("it", function()' .. body .. "\nend)\n" .. (more or "") }, function(folder)
    ended = engine("test", folder .. "/a_test.lua")
    ended.stdout = ended.stdout:gsub("%f[/]" .. folder:gsub("%p", "%%%0") .. "/", "")
  end)
  return ended
end

local function mistake(body, where, part)
  local ended = run(body)
  t.eq(ended.code, 2)
  t.has(ended.stdout, ("a_test.lua:%d: "):format(where))
  t.has(ended.stdout, part)
  t.has(ended.stdout, "\n1 mistake in tests\n0 passed, 0 failed\n")
end

local function fails(body, where, part)
  local ended = run(body)
  t.eq(ended.code, 1)
  t.has(ended.stdout, ("a_test.lua:%d: "):format(where))
  t.has(ended.stdout, part)
  t.has(ended.stdout, "\n0 passed, 1 failed\n")
  return ended.stdout
end

t.case("a test that passes", function()
  local ended = run [[ well:run():expect { exit = 0, version = "1.1" } ]]
  t.eq(ended.code, 0)
  t.has(ended.stdout, "✓ it\n")
  t.has(ended.stdout, "playbooks/rollback/decide.lua  lines ")
  t.has(ended.stdout, "no test reached playbooks/rollback/full.lua:6 call of `function(run, d)`")
  t.ok(ended.stdout:find "\n1 passed, 0 failed\n$")
end)

t.case("one that fails says what was there, the steps that ran, and how to have that world again", function()
  local said = fails("\n  well:run { rps = 60 }:expect { exit = 4, green = 0 }", 3, "exit is 0, expected 4\n    green is 100, expected 0\n")
  t.ok(said:find "\n +%d+%.%d  ✓ 30%.4 exit gate")
  t.has(said, ([[next   engine simulate playbooks/stage30.lua --venture %s --release 1.1 --world '{"migrations":["002_plans"],"rps":60}']]):format(VENTURE))
end)

t.case("each expectation", function()
  fails([[ well:run():step "RB1 retire green" ]], 2, "the step 'RB1 retire green' was never reached")
  fails([[ well:run { migration = "breaking" }:step "30.2.1 rehearsal" ]], 2, "was not done: 1.0 does not work with the migrated schema")
  fails([[ well:run():failed "30.4 exit gate" ]], 2, "the step '30.4 exit gate' was done; it should have failed")
  fails([[ well:run { migration = "breaking" }:failed("30.2.1 rehearsal", "a flood") ]], 2, 'expected a reason with "a flood"')
  fails([[ well:run():never "30.4" ]], 2, "the step '30.4 exit gate' was begun (done); expected that it never is")
  fails([[ well:run():order { "30.4", "30.1" } ]], 2, "the step '30.1.1 health checks' began before '30.4 exit gate'; expected it afterwards")
  fails([[ well:run():shares { 10, 100 } ]], 2, "green had, one after the other, { 10, 50, 100 } percent; expected { 10, 100 }")
  fails([[ well:run():says "a flood" ]], 2, 'the operator was never told "a flood"')
  fails([[ well:run():event("gate", { name = "a flood" }) ]], 2, [[no event 'gate' with { name = "a flood" } is in the journal; of that kind there are 7]])
  fails([[ expect_equal({ 1 }, { 2 }, "it") ]], 2, "it is { 1 }, expected { 2 }")
  fails("\n local x = nil\n return x.y", 4, "attempt to index a nil value (local 'x')")
end)

t.case("a fault that is never met is no test of it", function()
  local body = [[ well:run { faults = { { kind = "down", colour = "green", anchor = "rollback" } } %s } ]]
  fails(body:format "", 2, "the fault was never met: down colour=green, 0 s after rollback")
  t.eq(run(body:format ", unmet = true").code, 0)
end)

t.case("what must be true of every world is asked of each, also the venture's own; a test may allow what it says", function()
  local venture = t.ok(files.read(VENTURE .. "/venture.lua"))
  local rules = 'return { invariants = { { "nobody is sad", function(world) if world.weights.green == 100 then return "somebody is" end end } } }'
  local test = 'test("it", function() world { release = "1.1" %s }:run() end)'
  with_files({ ["venture.lua"] = venture, ["rollback.md"] = "How to go back.", ["simulation.lua"] = rules, ["parts/sad_test.lua"] = test:format "", ["glad_test.lua"] = test:format ', allows = { "nobody is sad" }', ["typo_test.lua"] = test:format ', allows = { "nobody is mad" }' }, function(folder)
    local ended = engine("test", folder .. "/parts/sad_test.lua")
    t.eq(ended.code, 1)
    t.has(ended.stdout, "this must be true of every world, and is not: nobody is sad: somebody is")
    t.eq(engine("test", folder .. "/glad_test.lua").code, 0)
    ended = engine("test", folder .. "/typo_test.lua")
    t.eq(ended.code, 2)
    t.has(ended.stdout, "nothing called 'nobody is mad' must be true of every world; did you mean 'nobody is sad'?")
    ended = engine("test", folder)
    t.eq(ended.code, 2)
    t.has(ended.stdout, "\n1 mistake in tests\n1 passed, 1 failed\n")
    t.ok(not ended.stdout:find "simulation.lua  lines", "it is no playbook")
  end)
end)

t.case("mistakes in worlds and expectations have their line and the nearest name", function()
  mistake("\n  world { venture = 'x',\n  relaese = 'x' }", 4, "a world has no field 'relaese'; did you mean 'release'?")
  mistake("\n  well:run {\n    faults = {\n { kind = 'errors', colour = 'green',\n color = 'green', rate = 1 } } }", 6, "fault 1 (errors) has no field 'color'; did you mean 'colour'?")
  mistake("\n  well:with { faults = {\n { kind = 'eror' } } }", 4, "there is no kind of fault 'eror'; did you mean 'errors'?")
  mistake([[ well:with { faults = { { kind = "check", name = "database answer" } } } ]], 2, "did you mean 'database answers'?")
  mistake([[ well:with { settings = { bakup = {} } } ]], 2, "did you mean 'backup'?")
  mistake([[ world { venture = "no/such" } ]], 2, "no/such/venture.lua does not exist")
  mistake([[ world { venture = "playbooks/demo/venture", playbook = "no/such.lua" } ]], 2, "no/such.lua")
  mistake([[ world {} ]], 2, "a world needs a venture")
  mistake([[ world "x" ]], 2, "a world is a table of fields, and no string")
  mistake([[ well:run():expect { exot = 4 } ]], 2, "nothing is called 'exot' in what a run shows; did you mean 'exit'?")
  mistake([[ well:run():never "30.4 exit gaet" ]], 2, "no step is called '30.4 exit gaet'; did you mean '30.4 exit gate'?")
  mistake([[ well:run():never "30.2.1 retire grene, which still holds 0.9" ]], 2, "no step is called '30.2.1 retire grene")
  mistake([[ well:run():step "undo 30.2.1 provison green" ]], 2, "did you mean 'undo 30.2.1 provision green'?")
  mistake([[ well:run { faults = { { kind = "kill", during = "30.4 exit gaet" } }, unmet = true } ]], 2, "fault 1 (kill): no step is called '30.4 exit gaet'")
  mistake([[ well:run { faults = { { kind = "silent", anchor = "step:30.4 exit gaet" } }, unmet = true } ]], 2, "did you mean '30.4 exit gate'?")
end)

t.case("steps that no run has shown are known from the sources", function()
  t.eq(run([[ local seen = well:run() for _, name in ipairs { "RB1", "RB2 stop green, it writes no more", "30.2.1 retire green, which still holds 0.9", "undo 30.2.1 provision green", "rollback: verified" } do seen:never(name) end ]]).code, 0)
end)

t.case("files that cannot be run", function()
  local function refuse(texts, argv, ...)
    local parts = { ... }
    with_files(texts, function(folder)
      for i, word in ipairs(argv) do argv[i] = word:gsub("@", folder) end
      local ended = engine("test", table.unpack(argv))
      t.eq(ended.code, 2)
      for _, part in ipairs(parts) do t.has(ended.stdout, part) end
    end)
  end
  refuse({ ["a_test.lua"] = HEAD .. "test('x', function( end)" }, { "@/a_test.lua" }, "a_test.lua:2:", "near 'end'")
  refuse({ ["a_test.lua"] = HEAD .. "\nlocal x = os.time()" }, { "@/a_test.lua" }, "a_test.lua:3:", "use process.run")
  refuse({ ["a_test.lua"] = HEAD .. "tset('x', print)" }, { "@/a_test.lua" }, "a_test.lua:2:", "there is no global 'tset'")
  refuse({ ["a_test.lua"] = HEAD }, { "@/a_test.lua" }, "a_test.lua declares no test")
  refuse({ ["a_test.lua"] = HEAD .. "test('x', print)\ntest('x', print)" }, { "@/a_test.lua" }, "a_test.lua:3: two tests are called 'x'")
  refuse({ ["a_test.lua"] = HEAD .. "test 'x'" }, { "@/a_test.lua" }, "a_test.lua:2: test takes a name and a function")
  refuse({ ["a.lua"] = "" }, { "@" }, "there is no test")
  refuse({}, { "@/none_test.lua" }, "there is no file or folder")
  refuse({}, { "--venture" }, "--venture needs a value")
  refuse({}, { "--jsn" }, "did you mean --json?")
end)

t.case("for machines everything is one object", function()
  with_files({ ["a_test.lua"] = HEAD .. 'test("good", function() well:run() end)\ntest("bad", function() well:run():expect { exit = 1 } end)\ntest("typo", function() well:run { rsp = 1 } end)' }, function(folder)
    local ended = engine("test", folder .. "/a_test.lua", "--json")
    t.eq(ended.code, 2)
    local said = t.ok(json.decode(ended.stdout))
    t.eq({ said.passed, said.failed, said.mistakes, #said.tests }, { 1, 1, 1, 3 })
    local bad = said.tests[2]
    t.eq({ bad.name, bad.ok, bad.kind, bad.line, bad.text }, { "bad", false, "failed", 3, "exit is 0, expected 1" })
    t.ok(#bad.story > 20 and bad.next:find "^engine simulate ")
    t.ok(said.coverage.lines.executed > 100 and said.rollback.branches > 50 and #said.rollback.never > 5)
  end)
end)
