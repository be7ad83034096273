-- Runs whose engine is really killed, on small playbooks in a folder of their own: what the commands resume, rollback, approve and unlock
-- make of them. What going through a run again means in every case is in test_run.lua.

local t = require "test"
local core_search = require "core.search"
local process = require "process"

local ENGINE = process.self().exe

local Place = {}
Place.__index = Place

-- Runs the engine to its end.
function Place:engine(argv, env)
  local words = { ENGINE, table.unpack(argv) }
  words[#words + 1], words[#words + 2] = "--state", self.folder .. "/state"
  local result = t.ok(process.run { argv = words, cwd = self.folder, env = env, timeout = 50 })
  result.text = result.stdout .. result.stderr
  return result
end

function Place:write(name, text) t.ok(files.write(self.folder .. "/" .. name, text)) end

-- What the playbooks noted in the file "did", one line each, since the last look.
function Place:did()
  local text = files.read(self.folder .. "/did") or ""
  files.remove(self.folder .. "/did")
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

function Place:journal(fn)
  local j = t.ok(require("journal").open(self.folder .. "/state/journal.db"))
  local ok, value = pcall(fn, j)
  j:close()
  if not ok then error(value, 0) end
  return value
end

function Place:row() return self:journal(function(j) return j:run() end) end

local function with_place(fn)
  local place = setmetatable({ folder = t.ok(files.mkdtemp "/tmp/engine-test-") }, Place)
  local ok, err = pcall(fn, place)
  files.remove_tree(place.folder)
  if not ok then error(err, 0) end
end

-- What every playbook here begins with: did(name) notes it, died_once() kills this engine the first time.
local HEAD = [[
local function did(name) assert(process.run { argv = { "sh", "-c", "echo \"$1\" >> did", "sh", name }, check = true }) end
local function there(name) return files.stat(name) ~= nil end
local function die_once()
  if there "died" then return end
  assert(files.write("died", ""))
  process.run { argv = { "kill", "-9", tostring(process.self().pid) } }
end
return playbook { name = "p", args = { n = { type = "integer", default = 1 } }, run = function(run)
]]

-- A venture that nothing is deployed to.
local VENTURE = [[
return {
  name = "acme", id = env "VENTURE_ID", owner = env("OWNER", "nobody"), mode = "auto", guardian = { action = "off" },
  database = { url = "sqlite:db" }, backup = { to = "backups" }, traffic = { driver = "command", set = { "true" }, get = { "true" } },
  environment = { driver = "command", provision = { "true" }, destroy = { "true" }, alive = { "true" }, addresses = { blue = "127.0.0.1:1", green = "127.0.0.1:2" } },
}
]]

t.case("an engine that is killed at any boundary: resume ends the run, and what happened happened once", function()
  with_place(function(p)
    -- Two effects and what takes them back; the file of an effect is the world that its probe looks at.
    p:write("p.lua", HEAD .. [[
      local function effect_step(name)
        step { name, effect = "probed",
          run = function() effect.change(name, function() did(name) assert(files.write(name, "")) end) end,
          probe = function() return there(name) and "done" or "absent" end,
          undo = function() effect.change("undo " .. name, function() if there(name) then did("undo " .. name) assert(files.remove(name)) end end) end }
      end
      effect_step "a"
      local ok = require("run").attempt(function() effect_step "b" step("fails", function() fail("check", "no good") end) end)
      if not ok then assert(run:unwind()) end
      step("end", function() end)
    end }]])
    local list = p.folder .. "/boundaries"
    t.eq(p:engine({ "p.lua" }, { ENGINE_BOUNDARIES = list }).code, 0)
    local whole = p:did()
    t.eq(whole, { "a", "b", "undo b", "undo a" })
    local names = {}
    for number, name in t.ok(files.read(list)):gmatch "(%d+) ([^\n]+)\n" do
      t.eq(tonumber(number), #names + 1)
      names[#names + 1] = name
    end
    t.has(table.concat(names, ";"), "a: before;a: after")
    t.ok(#names > 30, "boundaries: " .. #names)
    for number, name in ipairs(names) do
      files.remove_tree(p.folder .. "/state")
      local killed = p:engine({ "p.lua" }, { ENGINE_KILL_AT = tostring(number) })
      t.eq(killed.signal, 9, name)
      local before = p:journal(function(j) return j:runs() end)
      if before[1] and not before[1].ended_at then
        local resumed = p:engine { "resume" }
        t.eq(resumed.code, 0, ("killed at %d (%s): %s"):format(number, name, resumed.text))
      elseif not before[1] then
        t.eq(p:engine({ "p.lua" }).code, 0, "nothing was recorded: it begins anew")
      end
      t.eq(p:did(), whole, ("killed at %d (%s)"):format(number, name))
      t.eq(p:row().outcome, "done")
      t.ok(p:journal(function(j) return j:verify() end))
    end
  end)
end, 280)

t.case("the stored source goes on, whatever the file is now; --rebase shows what differs and takes it", function()
  with_place(function(p)
    local function text(word) return HEAD .. ([[
      step("first", function() did "first" end)
      step("second", function() did "second, %s" die_once() end)
      step("third", function() did("third, " .. require("part")) end)
      end }]]):format(word) end
    p:write("p.lua", text "as it was")
    p:write("part.lua", "return 'part as it was'")
    -- A module is stored when it was loaded; this one is needed only after the engine's death, so it is loaded at the file's head.
    p:write("p.lua", "require 'part'\n" .. text "as it was")
    t.eq(p:engine({ "p.lua" }).signal, 9)
    t.eq(p:did(), { "first", "second, as it was" })
    p:write("p.lua", "this is no Lua")
    t.ok(files.remove(p.folder .. "/part.lua"))
    local died = p.folder .. "/died"
    t.ok(files.remove(died))
    t.eq(p:engine({ "resume" }).signal, 9, "it dies once more at the same place")
    t.eq(p:did(), { "second, as it was" })

    local missing = p:engine { "resume", "--rebase" }
    t.eq(missing.code, 2)
    t.has(missing.text, "part.lua, which the run is made of, is not there any more")
    p:write("part.lua", "return 'part of now'")
    local broken = p:engine { "resume", "--rebase" }
    t.eq(broken.code, 2, broken.text)
    t.eq(p:row().ended_at, nil)
    p:write("p.lua", "require 'part'\n" .. text("as it is now"):gsub('"first"', '"renamed"'))
    local other = p:engine { "resume", "--rebase" }
    t.eq(other.code, 130)
    t.has(other.text, "at place 1 the journal has step 'first', but the playbook now does step 'renamed'; nothing was done")
    t.eq(p:did(), {})
    p:journal(function(j) for _, source in ipairs(j:sources(j:run().id)) do t.ok(not source.text:find "renamed", "what does not fit the record does not become the run's") end end)
    p:write("p.lua", "require 'part'\n" .. text "as it is now")
    local rebased = p:engine { "resume", "--rebase", "--reason", "the second step was wrong" }
    t.eq(rebased.code, 0, rebased.text)
    t.has(rebased.text, "-return 'part as it was'")
    t.has(rebased.text, "+return 'part of now'")
    t.has(rebased.text, "2 of the run's files are not as the run has them; it goes on with what is there now")
    t.eq(p:did(), { "second, as it is now", "third, part of now" })
    p:journal(function(j)
      local row = j:run()
      local names = {}
      for _, source in ipairs(j:sources(row.id)) do names[source.name] = source.text end
      t.has(names.main, "as it is now")
      local resumes, rebases = {}, 0
      for _, event in ipairs(j:events(row.id)) do
        if event.kind == "resume" then resumes[#resumes + 1] = event.data end
        if event.kind == "rebase" then rebases = rebases + 1 end
      end
      t.eq(rebases, 1)
      t.eq(resumes[#resumes].reason, "the second step was wrong")
    end)
    local ended = p:engine { "resume" }
    t.eq(ended.code, 2)
    t.has(ended.text, "has ended: done")
  end)
end)

t.case("a venture's settings and modules are those that the run began with", function()
  with_place(function(p)
    t.ok(files.mkdir(p.folder .. "/venture"))
    p:write("venture/venture.lua", VENTURE)
    p:write("venture/part.lua", "return 'part of acme'")
    p:write("p.lua", HEAD .. [[
      local part = require "part"
      local v = run.venture
      step("settings", function() did(("%s %s %s"):format(v.id, v.owner, part)) end)
      step("dies", die_once)
      step("settings again", function() did(("%s %s %s"):format(v.id, v.owner, part)) end)
    end }]])
    local begun = p:engine({ "p.lua", "--venture", "venture" }, { VENTURE_ID = "v1" })
    t.eq(begun.signal, 9, begun.text)
    t.ok(files.remove(p.folder .. "/venture/part.lua"))
    p:write("venture/venture.lua", "return {}")
    local resumed = p:engine({ "resume" }, { VENTURE_ID = "v2", OWNER = "somebody" })
    t.eq(resumed.code, 0, resumed.text)
    t.eq(p:did(), { "v1 nobody part of acme", "v1 nobody part of acme" })
  end)
end)

t.case("what cannot be taken back is refused, with the reason", function()
  with_place(function(p)
    t.ok(files.mkdir(p.folder .. "/venture"))
    p:write("venture/venture.lua", VENTURE)
    p:write("p.lua", HEAD .. [[
      step { "30.2.1 run migrations", effect = "idempotent", run = function() run:event("note", { label = "database-safe" }) end }
      return { outcome = "promoted", exit = 0 }
    end }]])
    local function run() t.eq(p:engine({ "p.lua", "--venture", "venture" }, { VENTURE_ID = "1" }).code, 0) return p:row().id end
    local first = run()
    local function refused(part, ...)
      local back = p:engine { "rollback", ... }
      t.eq(back.code, 2)
      t.has(back.text, part)
    end
    refused("the old release with a schema that it does not work with (database-safe)", "--type", "traffic")
    refused("has no proven backup to go back to", "--type", "database")
    t.has(p:engine({ "rollback", "--dry-run" }).text, "the schema was migrated (database-safe)")
    local second = run()
    refused(("run %s is not acme's latest: %s came after it"):format(first, second), first)
    refused("there is no run zz", "zz")
    t.eq(#p:journal(function(j) return j:signals(second) end), 0, "nothing was asked of it")
  end)
end)

t.case("a rollback that failed is tried again by the same command, as often as it takes", function()
  with_place(function(p)
    p:write("p.lua", HEAD .. [[
      step { "forward", effect = "idempotent", run = function() did "forward" end }
      run.is_rolling_back = true
      local ok, err = run:again(function()
        step { "traffic", effect = "idempotent", run = function() did "traffic" end }
        step { "restore", effect = "idempotent", run = function() did "restore" if not there "disk" then fail("io", "the disk is full") end end }
        return step { "retire", effect = "idempotent", run = function() did "retire" end }
      end)
      step { "papers", effect = "idempotent", run = function() did("papers " .. tostring(ok)) end }
      if not ok then return { outcome = "failed", exit = 5, summary = "rollback failed: " .. err.message } end
      return { outcome = "rolled_back", exit = 4 }
    end }]])
    local first = p:engine { "p.lua" }
    t.eq(first.code, 5)
    local id = p:row().id
    t.has(first.text, "next   engine rollback " .. id)
    t.has(p:engine({ "resume" }).text, ("engine rollback %s --state %s/state tries again"):format(id, p.folder))
    t.has(p:engine({ "rollback", "--type", "traffic" }).text, "goes on as it was chosen")
    local again = p:engine { "rollback" }
    t.eq(again.code, 5)
    t.has(again.text, "its rollback failed (rollback failed: the disk is full): what was done of it stays done")
    p:write("disk", "")
    t.eq(p:engine({ "rollback" }).code, 4)
    t.eq(p:did(), { "forward", "traffic", "restore", "papers false", "restore", "papers false", "restore", "retire", "papers true" })
    t.eq(p:row().outcome, "rolled_back")
    t.has(p:engine({ "rollback" }).text, "there is nothing to take back")
    t.eq(p:engine({ "log", "--verify" }).code, 0)
  end)
end)

t.case("an engine that is killed while it waits for an answer asks the same question, and takes the answer that came meanwhile", function()
  with_place(function(p)
    p:write("p.lua", HEAD .. [[
      step { "go", effect = "idempotent", run = function() did "go" end }
    end }]])
    for _, way in ipairs { { nil, 0, { "go" } }, { "--no", 1, {} } } do
      files.remove_tree(p.folder .. "/state")
      local log = p.folder .. "/log"
      files.remove(log)
      local handle = t.ok(process.spawn { argv = { ENGINE, "p.lua", "--mode", "manual", "--state", p.folder .. "/state" }, cwd = p.folder, log = log })
      while not (files.read(log) or ""):find("waiting; answer with", 1, true) do sleep(0.02) end
      t.ok(process.run { argv = { "kill", "-KILL", tostring(handle.pid) }, check = true })
      t.ok(process.wait(handle, 10))
      local approved = p:engine { "approve", p:row().id, way[1] }
      t.has(approved.text, "go: " .. (way[1] and "no" or "yes"))
      local resumed = p:engine { "resume" }
      t.eq(resumed.code, way[2], resumed.text)
      t.eq(p:did(), way[3])
      t.eq(#p:journal(function(j) return j:approvals(j:run().id) end), 1)
    end
  end)
end)

t.case("a step that nothing can say of: resume asks, and `engine approve` decides", function()
  for answer, did in pairs { yes = { "go", "after" }, ["--no"] = { "go", "go", "after" } } do
    with_place(function(p)
      p:write("p.lua", HEAD .. [[
        step { "go", effect = "manual", run = function() did "go" die_once() end }
        step("after", function() did "after" end)
      end }]])
      t.eq(p:engine({ "p.lua" }).signal, 9)
      local run = p:row().id
      local handle = t.ok(process.spawn { argv = { ENGINE, "resume", "--state", p.folder .. "/state" }, cwd = p.folder, log = p.folder .. "/log" })
      while not p:journal(function(j) return j:open_question(run) end) do sleep(0.02) end
      local status = p:engine { "status", run }
      t.has(status.text, ("waiting for an answer: did 'go' happen before the engine died\n  next   engine approve %s --state %s/state\n"):format(run, p.folder))
      t.eq(p:engine({ "approve", run, answer == "--no" and answer or nil }).code, 0)
      process.wait(handle)
      t.eq(p:did(), did)
      t.eq(p:row().outcome, "done")
    end)
  end
end)

t.case("Ctrl-C in mid-step ends the run as interrupted; resume says that it has ended", function()
  with_place(function(p)
    p:write("p.lua", HEAD .. [[ step("long", function() did "long" sleep(60) end) end }]])
    local handle = t.ok(process.spawn { argv = { ENGINE, "p.lua", "--state", p.folder .. "/state" }, cwd = p.folder, log = p.folder .. "/log" })
    while not files.stat(p.folder .. "/did") do sleep(0.02) end
    t.ok(process.run { argv = { "kill", "-INT", tostring(handle.pid) }, check = true })
    process.wait(handle)
    local row = p:row()
    t.eq({ row.outcome, row.exit_code }, { "interrupted", 130 })
    t.eq(p:journal(function(j) return j:steps(row.id)[1].state end), "canceled")
    local resumed = p:engine { "resume" }
    t.eq(resumed.code, 2)
    t.has(resumed.text, ("run %s has ended: interrupted"):format(row.id))
    local back = p:engine { "rollback" }
    t.eq(back.code, 2)
    t.has(back.text, "there is nothing to take back")
  end)
end)

t.case("one engine a run: resume of a run whose engine lives exits 6; a lock that is taken away stops the engine", function()
  with_place(function(p)
    p:write("p.lua", HEAD .. [[
      step("wait", function() did "wait" while not there "go" do sleep(0.02) end end)
      step { "effect", effect = "idempotent", run = function() did "effect" end }
    end }]])
    local handle = t.ok(process.spawn { argv = { ENGINE, "p.lua", "--state", p.folder .. "/state" }, cwd = p.folder, log = p.folder .. "/log" })
    while not files.stat(p.folder .. "/did") do sleep(0.02) end
    local run = p:row().id
    local resumed = p:engine { "resume" }
    t.eq(resumed.code, 6)
    t.has(resumed.text, ("run %s holds run %s since"):format(run, run))
    t.has(resumed.text, "process " .. handle.pid)
    local shown = p:engine { "unlock" }
    t.eq(shown.code, 0)
    t.has(shown.text, "which lives; epoch 1")
    t.has(shown.text, ("engine unlock %s --yes --state %s/state takes it away"):format(run, p.folder))
    t.eq(p:journal(function(j) return j:holder("run " .. run).run end), run)
    local taken = p:engine { "unlock", "--yes", "--reason", "it hangs" }
    t.eq(taken.code, 0)
    t.has(taken.text, "taken away")
    t.has(p:engine({ "unlock" }).text, "nobody holds run " .. run)
    p:write("go", "")
    t.eq(process.wait(handle).code, 6)
    t.has(t.ok(files.read(p.folder .. "/log")), "was taken over")
    t.eq(p:did(), { "wait" }, "the effect was not begun")
    t.eq(p:engine({ "resume" }).code, 0)
    t.eq(p:did(), { "wait", "effect" })
    t.eq(p:engine({ "log", "--verify" }).code, 0)
  end)
end)

t.case("recorded sources are what require finds, whatever the folders hold", function()
  local function use(...) core_search.use_recorded { ... } end
  local closer <close> = setmetatable({}, { __close = function() use() end })
  t.eq(core_search.find "recorded_usage.part", false)
  use({ name = "recorded_usage.part", path = "somewhere/part.lua", text = "return { from = ..., path = select(2, ...) }" }, { name = "recorded_usage.bad", path = "somewhere/bad.lua", text = "return os.exit()" })
  t.eq(core_search.find "recorded_usage.part", true)
  t.eq(require "recorded_usage.part", { from = "recorded_usage.part", path = "somewhere/part.lua" })
  t.raises(function() require "recorded_usage.bad" end, "somewhere/bad.lua")
  local sources = core_search.sources()
  local last = sources[#sources]
  t.eq({ last.name, last.path }, { "recorded_usage.part", "somewhere/part.lua" })
  local none, err = core_search.load_recorded()
  t.err(none, err, "not_found")
  use { name = "main", path = "somewhere/p.lua", text = "return playbook {" }
  none, err = core_search.load_recorded()
  t.has(t.err(none, err, "playbook").message, "somewhere/p.lua:1:")
  use()
  t.eq(core_search.find "recorded_usage.part", false)
  t.ok(require "recorded_usage.part", "what is loaded stays")
  t.raises(function() require "recorded_usage.bad" end, "was not found")
  t.ok(require "health", "what is built in is there without a record")
  return closer and nil
end)
