-- Simulated drivers refuse, fail and wait where the real ones do. Time is virtual in this whole process, also that of the cases' deadlines.

local clock = require "core.clock"
local t = require "test"

require("simulation.drivers").enter()

local backup = require "backup"
local current = require "simulation.current"
local environment = require "environment"
local files = require "files"
local health = require "health"
local process = require "process"
local scenarios = require "simulation.scenario"
local sql = require "sql"
local traffic = require "traffic"
local worlds = require "simulation.world"

local VENTURE = {
  environment = { driver = "process", command = { "app" }, addresses = { blue = "b.test:80", green = "b.test:8080" } }, traffic = { public = "http://public.test" }, monitoring = {},
  canary = { error_rate = 0.05, stages = { 100 } },
}

-- A world with these faults, in which the drivers are from now on.
local function enter(fields)
  local world = worlds.new(scenarios.of(fields), VENTURE, "1.1")
  world.is_invariant = {}
  current.enter(world)
  return world
end

local function proxy() return assert(traffic.open { driver = "haproxy", socket = "/s", backend = "app", servers = { blue = { "b" }, green = { "g" } } }) end

t.case("the proxy gives no share to a colour that is out", function()
  local world, lb = enter(), proxy()
  t.err(select(1, lb:set { blue = 50, green = 50 }), select(2, lb:set { blue = 50, green = 50 }), "traffic")
  t.err(select(1, lb:plan { blue = 0, green = 100 }), select(2, lb:plan { blue = 0, green = 100 }), "traffic")
  t.eq(world.weights, { blue = 100, green = 0 })
  world.colours.green = { release = "1.1", made_at = 0 }
  t.ok(lb:ready "green")
  t.eq(assert(lb:set { blue = 50, green = 50 }).green, 50)
end)

t.case("the proxy keeps the last colour that serves", function()
  enter()
  local lb = proxy()
  for _, method in ipairs { "drain", "maintenance" } do
    local ok, err = lb[method](lb, "blue")
    t.err(ok, err, "traffic")
    t.has(err.message, "nobody to answer")
  end
  t.err(nil, select(2, lb:drain "red"), "usage")
end)

t.case("clients go to the other colour when one is drained", function()
  local world, lb = enter(), proxy()
  world.colours.green = { release = "1.1", made_at = 0 }
  assert(lb:ready "green")
  assert(lb:set { blue = 50, green = 50 })
  t.ok(lb:drain "green")
  local now = assert(lb:get())
  t.eq({ now.blue, now.green, now.exact }, { 100, 0, true })
  t.ok(lb:ready "green")
  t.eq(assert(lb:get()).green, 50, "its weight is what it was")
end)

t.case("a colour that hangs keeps its requests until the proxy gives up", function()
  local world, lb = enter { faults = { { kind = "hung", colour = "green", anchor = "traffic" } } }, proxy()
  world.colours.green = { release = "1.1", made_at = 0 }
  assert(lb:ready "green")
  assert(lb:set { blue = 90, green = 10 })
  assert(lb:set { blue = 100, green = 0 })
  t.err(nil, select(2, lb:drain("green", 15)), "drain")
  t.ok(lb:drain("green", 30))
end)

t.case("a colour that is not there does not become ready", function()
  enter()
  local lb, began = proxy(), clock.now()
  t.err(nil, select(2, lb:ready("green", 7)), "traffic")
  t.ok(clock.now() - began >= 7)
end)

local AN_HOUR = 3600

local function colours() return environment.open(VENTURE, "state") end

t.case("a process is not provisioned twice", function()
  enter()
  local env, release = colours(), { version = "1.1" }
  t.ok(env:provision("green", release))
  t.err(nil, select(2, env:provision("green", release)), "exists")
  t.ok(env:destroy "green")
  t.ok(env:destroy "green", "what is not there is gone")
  t.ok(env:provision("green", release))
end)

t.case("a process that does not come up was started", function()
  enter { faults = { { kind = "start", release = "1.1" } } }
  local env = colours()
  t.ok(env:provision("green", { version = "1.1" }))
  t.eq({ env:alive "green" }, { false, "its process ended" })
  t.eq({ env:release "green", env:memory "green" }, { "1.1" })
  t.ok(env:provision("blue2", { version = "1.0" }))
  t.ok(env:alive "blue2")
end)

t.case("an address is not one that begins like it", function()
  local world = enter()
  world.colours.green = { release = "1.1", made_at = 0 }
  local http = require "http"
  t.eq(assert(http.get "http://b.test:8080/health"):json().version, "1.1")
  t.eq(assert(http.get "http://b.test:80/health"):json().version, "1.0")
end)

t.case("a full disk and a database that is away fail a backup", function()
  for kind, code in pairs { disk = "io", database = "connect" } do
    enter { faults = { { kind = kind } } }
    t.err(nil, select(2, backup.take { database = "x", to = "/b" }), code)
  end
  local world = enter { backup_s = 50 }
  t.err(nil, select(2, backup.take { database = "x", to = "/b", timeout = 20 }), "deadline")
  local taken = assert(backup.take { database = "x", to = "/b" })
  local copy = assert(backup.drill { backup = taken.path, database = "x", keep = true }).copy
  world:arm { kind = "database" }
  t.err(nil, select(2, backup.drill { backup = taken.path, database = "x" }), "connect")
  t.err(nil, select(2, backup.scratch(copy, "x")), "connect")
  t.err(nil, select(2, backup.restore { backup = taken.path, database = "x", copy = copy }), "connect")
  t.err(nil, select(2, backup.drop_copy(copy, "x")), "connect")
end, AN_HOUR)

t.case("a restore that had happened is found though its copy is gone", function()
  local world = enter()
  local taken = assert(backup.take { database = "x", to = "/b" })
  local copy = assert(backup.drill { backup = taken.path, database = "x", keep = true }).copy
  t.eq(assert(backup.restore { backup = taken.path, database = "x", copy = copy, key = "k" }).warm, true)
  t.eq(assert(backup.restore { backup = taken.path, database = "x", copy = copy, key = "k" }).had_happened, true)
  t.err(nil, select(2, backup.restore { backup = taken.path, database = "x", copy = copy, key = "other" }), "not_found")
  world:arm { kind = "disk" }
  t.has(assert(backup.restore { backup = taken.path, database = "x", copy = copy, key = "k" }).loss.problem, "no space left")
end, AN_HOUR)

t.case("files that are kept in the world are listed, renamed and hashed", function()
  enter()
  assert(files.write("/nowhere/a/one", "1"))
  assert(files.write("/nowhere/a/b/two", "2"))
  t.eq(files.list "/nowhere/a", { "b", "one" })
  t.err(nil, select(2, files.list "/nowhere/c"), "not_found")
  t.eq(files.sha256 "/nowhere/a/one", files.sha256_text "1")
  t.err(nil, select(2, files.rename("/nowhere/a/one", "/nowhere/a/b/two")), "exists")
  t.err(nil, select(2, files.rename("/nowhere/none", "/nowhere/other")), "not_found")
  assert(files.rename("/nowhere/a/one", "/nowhere/a/three"))
  t.eq(files.list "/nowhere/a", { "b", "three" })
  assert(files.write("/nowhere/log", "first\nsecond\nthird\n"))
  t.eq(files.read_tail("/nowhere/log", 9), "third\n")
end)

t.case("a command is checked when that is asked for", function()
  local world = enter()
  world.scenario.answers = { commands = { ["stock"] = { code = 3, stdout = "a\nb\n" }, ["stock count"] = { stdout = "7" } } }
  t.eq(assert(process.run { argv = { "stock", "count" } }).stdout, "7", "the longest pattern says most")
  local lines = {}
  local _, err = process.run { argv = { "stock" }, check = true, on_line = function(line) lines[#lines + 1] = line end }
  t.err(nil, err, "process")
  t.eq({ err.exit, lines }, { 3, { "a", "b" } })
end)

t.case("a value is one column", function()
  local world = enter()
  world.scenario.answers = { sql = { ["FROM stock"] = { { a = 1, b = 2 } }, ["a FROM stock"] = { { a = 1 } } } }
  local db <close> = setmetatable({ db = assert(sql.open "x") }, { __close = function(self) self.db:close() end })
  t.eq(db.db:value "SELECT a FROM stock", 1)
  t.err(nil, select(2, db.db:value "SELECT * FROM stock"), "sql")
end)

t.case("clients' requests can fail while the health address answers", function()
  local world = enter { faults = { { kind = "errors", colour = "green", rate = 1, of = "clients" } } }
  world.colours.green = { release = "1.1", made_at = 0 }
  local target = { base = "http://b.test:8080", values = {} }
  t.ok(health.run({ name = "h", http = "/health" }, target).ok)
  t.ok(not health.run({ name = "f", flow = { { http = "/" } } }, target).ok)
  t.eq({ world:answers "green" }, { 1, 0.01 })
end)

t.case("one invariant sees the damage", function()
  local seen, other = { name = "seen", sql = "SELECT 1" }, { name = "other", sql = "SELECT 1" }
  local world = enter { migration = "damaging", damage = "seen" }
  world.is_invariant, world.database.damaged = { [seen] = true, [other] = true }, true
  t.ok(not health.run(seen, { values = {} }).ok)
  t.ok(health.run(other, { values = {} }).ok)
end)

local function question(fields, timeout)
  local world = enter(fields)
  local journal = require("journal").open()
  local run = { id = assert(journal:run_begin { venture = "v", playbook = "p", args = {}, mode = "manual" }), journal = journal, venture = { approvals = { timeout = timeout } } }
  local began = clock.now()
  local ok, err = pcall(require("approval").ask, run, "go on", nil, "1?")
  local kinds = {}
  for _, event in ipairs(journal:events()) do kinds[#kinds + 1] = event.kind end
  return { ok = ok, err = err, seconds = clock.now() - began, kinds = table.concat(kinds, " "), world = world }
end

t.case("a person answers in time or not", function()
  local yes = question({ answer_s = 20 }, 60)
  t.eq({ yes.ok, yes.seconds, yes.kinds }, { true, 20.0, "run_begin ask answer approval" })
  local no = question({ answer = "no" }, 60)
  t.eq({ no.ok, no.err.code, no.err.unanswered, no.kinds }, { false, "approval", nil, "run_begin ask answer approval" })
  for _, late in ipairs { question({ answer_s = 90 }, 60), question({ answer = "none" }, 60) } do
    t.eq({ late.ok, late.err.code, late.err.unanswered, late.kinds }, { false, "approval", true, "run_begin ask" })
    t.eq(late.seconds, 60.0)
  end
end, AN_HOUR)

t.case("an event that two tasks write is there once", function()
  enter()
  local journal = require("journal").open()
  local run = assert(journal:run_begin { venture = "v", playbook = "p", args = {}, mode = "auto" })
  local event = { kind = "canary", data = { state = "S10" }, n = 5, since = 0 }
  for _ = 1, 2 do t.ok(journal:numbered_event(run, event)) end
  t.eq(#journal:events(run, "canary"), 1)
end)
