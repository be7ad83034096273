-- The deployment of the demo, killed at every boundary that the engine itself counts (core/boundary.h), then resumed: the world must end as it
-- does without the kill. One world for all kills of a scenario; it is put back to its beginning between them.
--
--   engine tests/faults/kill_matrix.lua --folder DIR --scenario NAME [--postgres] [--journal postgres://...] [--kills N | --only N] [--twice]

local files = require "files"
local http = require "http"
local journal = require "journal"
local process = require "process"
local sql = require "sql"
local traffic = require "traffic"
local worlds = require "demo.world"

local AGAIN_STEP, AGAIN_SPAN = 17, 60 -- a resume has at least so many boundaries, nearly always; these go through all of them

local SCENARIOS = { "none", "errors", "slow", "crash", "smoke", "backup", "migration", "incompatible", "dependency" }

-- What a person would wait for is short here; the evidence is the same.
local FAST = [[canary = { stages = { 50, 100 }, advance = "evidence", minimum = 0.5, bake = 0.5, warm = 0.5, max_watch = 60, max_bake = 60, min_requests = 20, cpu = 1, memory = 1,
    rules = { L2 = false } },
  guardian = { action = "off" },
  rollback = { watch = 0.5, docs = "rollback.md" },]]

local function lay_venture(source, folder)
  local venture = folder .. "/venture"
  expect(process.run { argv = { "cp", "-r", source .. "/venture", venture }, check = true })
  local text = expect(files.read(venture .. "/venture.lua"))
  local changed, count = text:gsub("canary = {.-\n  rollback = {[^\n]*\n", function() return FAST .. "\n" end)
  assert(count == 1, "the demo's venture has another shape")
  expect(files.write(venture .. "/venture.lua", changed))
  return venture
end

local Matrix = {}
Matrix.__index = Matrix

-- The database as it was when the world was new.
function Matrix:keep_database()
  local world = self.world
  if world.postgres then
    world.colours:destroy "blue"
    local admin <close> = expect(sql.open((world.database:gsub("/demo$", "/postgres")), { timeout = 60 }))
    expect(admin:query "CREATE DATABASE pristine TEMPLATE demo OWNER shop")
  else
    world.colours:destroy "blue"
    local path = world.database:match "^sqlite:(.*)$"
    expect(files.copy(path, world.folder .. "/pristine.db"))
    if files.exists(path .. "-wal") then expect(files.copy(path .. "-wal", world.folder .. "/pristine.db-wal")) end
  end
end

function Matrix:put_database_back()
  local world = self.world
  if world.postgres then
    local admin <close> = expect(sql.open((world.database:gsub("/demo$", "/postgres")), { timeout = 60 }))
    for _, row in ipairs(expect(admin:query "SELECT datname FROM pg_database WHERE datname LIKE 'demo%'")) do
      expect(admin:query(('DROP DATABASE "%s" WITH (FORCE)'):format(row.datname)))
    end
    expect(admin:query "CREATE DATABASE demo TEMPLATE pristine OWNER shop")
    return
  end
  local path = world.database:match "^sqlite:(.*)$"
  for _, name in ipairs(expect(files.list(world.folder))) do
    if name:match "^demo%.db" then expect(files.remove(world.folder .. "/" .. name)) end
  end
  expect(files.copy(world.folder .. "/pristine.db", path))
  if files.exists(world.folder .. "/pristine.db-wal") then expect(files.copy(world.folder .. "/pristine.db-wal", path .. "-wal")) end
end

-- Everything as at the beginning: one colour at 1.0 with all traffic, no journal, no backup.
function Matrix:reset()
  local world = self.world
  world:stop_clients()
  for _, colour in ipairs { "green", "blue", "rehearsal" } do world.colours:destroy(colour) end
  local lb = self:proxy()
  expect(files.remove_tree(world.state))
  expect(files.remove_tree(world.folder .. "/backups"))
  self:put_database_back()
  expect(world.colours:provision("blue", self.first_release))
  expect(lb:ready("blue", 20))
  expect(lb:set { blue = 100, green = 0 })
  expect(lb:maintenance "green")
  deadline(20, function() while world:served_version() ~= "1.0" do sleep(0.02) end end)
  if self.journal_url then
    local db <close> = expect(sql.open(self.journal_url, { timeout = 30 }))
    expect(db:execute "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
  end
  self.made_before = self:made()
  world.sent, world.failed, world.failures = 0, 0, {}
  world:start_clients()
  if self.scenario == "crash" then world:kill_green_under_traffic() end
end

function Matrix:proxy()
  return expect(traffic.open { driver = "haproxy", socket = self.world.admin_socket, backend = "app", servers = { blue = { "blue1" }, green = { "green1" } } })
end

function Matrix:made() return expect(http.get(self.world.environment_variables.DEMO_STAND_INS .. "/made")):json() end

function Matrix:engine(words, environment)
  local env = { ENGINE_JOURNAL = self.journal_url }
  for key, value in pairs(self.world.environment_variables) do env[key] = value end
  for key, value in pairs(environment or {}) do env[key] = value end
  local argv = { self.world.engine }
  for _, word in ipairs(words) do argv[#argv + 1] = word end
  return expect(process.run { argv = argv, env = env, timeout = 240 })
end

function Matrix:deploy(environment)
  return self:engine({ self.stage30, "--venture", self.venture, "--release", "1.1", "--state", self.world.state, "--mode", "auto" }, environment)
end

function Matrix:open_journal() return expect(journal.open(self.journal_url or self.world.state .. "/journal.db")) end

-- What the world says, and what the journal says of itself.
function Matrix:look(code)
  local world = self.world
  local weights = expect(self:proxy():get())
  local db <close> = expect(sql.open(world.database, { timeout = 30 }))
  local seen = { exit = code, blue = weights.blue, green = weights.green, version = world:served_version(),
    stage = expect(db:value "SELECT current_workflow_stage FROM ventures WHERE id = 'demo'"),
    migrations = expect(db:value "SELECT count(*) FROM schema_migrations"),
    seeded = expect(db:value "SELECT count(*) FROM ventures WHERE id LIKE 'seed%' AND budget_cents = CAST(substr(id, 5) AS INTEGER) * 101"),
    blue_lives = (world.colours:alive "blue"), green_lives = (world.colours:alive "green"), rehearsal_lives = (world.colours:alive "rehearsal") }
  local made = self:made()
  for what, count in pairs(made) do seen[what] = count - self.made_before[what] end
  local partial = 0
  for _, name in ipairs(files.list(world.folder .. "/backups") or {}) do if name:match "%.partial$" then partial = partial + 1 end end
  for _, name in ipairs(files.list(world.folder) or {}) do if name:match "%.restore%-" or name:match "%.try$" then partial = partial + 1 end end
  seen.leftovers = partial
  local j = self:open_journal()
  local row = j:runs { limit = 1 }[1]
  seen.outcome = row and row.outcome
  local open = 0
  for _, step in ipairs(row and expect(j:steps(row.id)) or {}) do if not step.ended_at then open = open + 1 end end
  seen.open_steps = open
  local proof, err = j:verify()
  seen.chain = proof and "whole" or err.message
  seen.held = row and select(2, j:holder(j:lease_of(row))) or false
  j:close()
  return seen
end

local function differences(wanted, seen)
  local out = {}
  for key, value in pairs(wanted) do
    if seen[key] ~= value then out[#out + 1] = ("%s is %s, without the kill %s"):format(key, tostring(seen[key]), tostring(value)) end
  end
  table.sort(out)
  return out
end

-- One kill, and what a person does then: resume; or the same command again when nothing had begun; or nothing when all had ended.
-- again: the boundary at which the resume is killed too.
function Matrix:kill_at(number, again_at)
  self:reset()
  local killed = self:deploy { ENGINE_KILL_AT = tostring(number) }
  local code, output, said = killed.code, killed.stdout, ""
  if killed.signal == 9 then
    if again_at then
      local second = self:engine({ "resume", "--state", self.world.state }, { ENGINE_KILL_AT = tostring(again_at) })
      output = ("%s--- resume, killed at %d: %s\n%s"):format(output, again_at, tostring(second.signal or second.code), second.stdout)
    end
    local again = self:engine { "resume", "--state", self.world.state }
    said = again.stdout .. again.stderr
    code, output = again.code, output .. "--- resume\n" .. said
    if code == 2 and (said:find "there is no run yet" or said:find "there is no journal") then
      again = self:deploy()
      code, output = again.code, output .. "--- the same command again\n" .. again.stdout .. again.stderr
    elseif code == 2 and said:find "has ended" then
      local j = self:open_journal()
      code = j:runs { limit = 1 }[1].exit_code
      j:close()
    end
  end
  self.world:stop_clients()
  return code, output, killed.signal == 9
end

function Matrix:failures_of_clients()
  local world = self.world
  if self.scenario == "errors" or self.scenario == "crash" or self.scenario == "migration" then return 0 end -- the release, or the machine, fails requests there
  return world.failed
end

local function read_names(path)
  local names = {}
  for line in (files.read(path) or ""):gmatch "[^\n]+" do
    local number, name = line:match "^(%d+) (.*)$"
    names[math.tointeger(tonumber(number))] = name
  end
  return names
end

function Matrix:reference()
  self:reset()
  local list = self.world.folder .. "/boundaries"
  files.remove(list)
  local result = self:deploy { ENGINE_BOUNDARIES = list }
  self.world:stop_clients()
  local names = read_names(list)
  local seen = self:look(result.code)
  assert(self:failures_of_clients() == 0, "requests fail even without a kill")
  return seen, names, result
end

-- Which boundaries are tried.
local function numbers_of(args, count)
  if args.only then return { args.only } end
  local kills, numbers = math.min(args.kills or count, count), {}
  for i = 1, kills do numbers[i] = math.ceil((i - 0.5) * count / kills) end
  return numbers
end

return playbook {
  name = "kill-matrix",
  about = "The demo's deployment, killed at every boundary and resumed",
  args = {
    folder = { type = "string", required = true, about = "of the world; made anew" },
    scenario = { type = "string", one_of = SCENARIOS, default = "none" },
    postgres = { type = "boolean", default = false, about = "the venture's database is PostgreSQL" },
    journal = { type = "string", about = "postgres://...: the journal is there; it is emptied" },
    kills = { type = "integer", about = "so many boundaries, evenly; all of them without it" },
    only = { type = "integer", about = "only this boundary, with everything that was said" },
    twice = { type = "boolean", default = false, about = "the resume is killed too, each time at another boundary of its own" },
  },
  run = function(run)
    local source = expect(files.realpath "playbooks/demo")
    expect(files.mkdir(run.args.folder))
    local folder = expect(files.realpath(run.args.folder))
    local world = worlds.build(folder, { fault = run.args.scenario, postgres = run.args.postgres, source = source, pause = 0.004 })
    local closer <close> = setmetatable({}, { __close = function() shield(function() world:stop() end) end })
    local self = setmetatable({ world = world, scenario = run.args.scenario, journal_url = run.args.journal, stage30 = expect(files.realpath "playbooks/stage30.lua"),
      venture = lay_venture(source, folder), first_release = expect(require("release").open({ folder = folder, releases = { folder = world.releases }, migrations = { folder = "migrations" } }, "1.0")) }, Matrix)
    self:keep_database()
    local wanted, names, result = self:reference()
    print(("%s: %d boundaries; without a kill: %s, exit %s"):format(run.args.scenario, #names, tostring(wanted.outcome), tostring(result.code)))
    if wanted.outcome == "failed" or wanted.open_steps ~= 0 then
      print(result.stdout)
      fail("check", "the deployment does not even work without a kill")
    end
    local wrong, kills = 0, 0
    for _, number in ipairs(numbers_of(run.args, #names)) do
      local again_at = run.args.twice and kills * AGAIN_STEP % AGAIN_SPAN + 1 or nil
      local code, output, was_killed = self:kill_at(number, again_at)
      if was_killed then kills = kills + 1 end
      local seen = self:look(code)
      local problems = differences(wanted, seen)
      if self:failures_of_clients() > 0 then
        local failure = world.failures[1]
        problems[#problems + 1] = ("%d client requests failed, the first: %s %s: %s"):format(world.failed, failure.at, failure.what, failure.why)
      end
      if problems[1] then
        wrong = wrong + 1
        print(("WRONG after a kill at %d (%s)%s: %s"):format(number, names[number] or "?", again_at and (" and of the resume at %d"):format(again_at) or "", table.concat(problems, "; ")))
        expect(files.write(("%s/wrong-%d.out"):format(folder, number), output))
      end
      if run.args.only then print(output) end
    end
    print(("%s: killed %d times, %d wrong"):format(run.args.scenario, kills, wrong))
    return { exit = wrong == 0 and kills > 0 and 0 or 1 }, closer and nil
  end,
}
