-- The demo: builds a small world of real parts, takes release 1.1 through Stage 30 while clients keep
-- asking, and reads the result back from the world. `--fault X` plants one honest fault, in the release or in
-- the world; the deployment is not told.

local files = require "files"
local process = require "process"
local sql = require "sql"
local traffic = require "traffic"

-- What each fault calls for.
local EXPECTED = {
  none = { "promoted", 0 }, errors = { "rolled_back", 4 }, slow = { "rolled_back", 4 }, crash = { "rolled_back", 4 }, smoke = { "rolled_back", 4 },
  migration = { "rolled_back", 4 }, backup = { "aborted", 1 }, dependency = { "aborted", 1 }, incompatible = { "aborted", 1 },
}

local FAULTS = { "none", "errors", "slow", "crash", "smoke", "backup", "migration", "incompatible", "dependency" }

local MARK = "/this-is-a-demo-world"

-- A folder for the world. One that is there is removed only if a demo made it.
local function clear_world(path)
  if files.stat(path) then
    local names = expect(files.list(path))
    if names[1] and not files.stat(path .. MARK) then
      fail("usage", ("%s is there and no demo made it: it is not removed"):format(path), { next = "Name another folder with --world." })
    end
    expect(files.remove_tree(path))
  end
  expect(files.mkdir(path))
  expect(files.write(path .. MARK, ""))
  return expect(files.realpath(path))
end

-- What the world says after the deployment; nothing here comes from the deployment's own words.
local function look(world)
  local lb = expect(traffic.open { driver = "haproxy", socket = world.admin_socket, backend = "app", servers = { blue = { "blue1" }, green = { "green1" } } })
  local weights = expect(lb:get())
  local db = expect(sql.open(world.database, { timeout = 10 }))
  local stage = expect(db:value "SELECT current_workflow_stage FROM ventures WHERE id = 'demo'")
  db:close()
  return { blue = weights.blue, green = weights.green, version = world:served_version() or "none", stage = stage }
end

-- A venture is a folder: the demo's own, with the overlay's files over it.
local function lay_venture(source, overlay, to)
  expect(process.run { argv = { "cp", "-r", source .. "/venture", to }, check = true })
  if overlay then expect(process.run { argv = { "cp", "-r", overlay .. "/.", to }, check = true }) end
  return to
end

-- After a database rollback: is the schema that of before, and is every row that was there as it was?
local function database_is_of_before(world)
  local db = expect(sql.open(world.database, { timeout = 10 }))
  local plan = db:value "SELECT count(plan) FROM ventures"
  local seeded = expect(db:value "SELECT count(*) FROM ventures WHERE id LIKE 'seed%' AND budget_cents = CAST(substr(id, 5) AS INTEGER) * 101")
  db:close()
  print(("demo: schema of 1.0: %s; rows of before: %d of 200 as they were"):format(plan == nil and "yes" or "no", seeded))
  return plan == nil and seeded == 200
end

local function outcome_of(code, seen)
  if code == 0 and seen.green == 100 and seen.version == "1.1" then return "promoted" end
  if code == 4 and seen.blue == 100 and seen.version == "1.0" then return "rolled_back" end
  if code == 1 and seen.blue == 100 and seen.version == "1.0" then return "aborted" end
  return "failed"
end

-- The world as a place to try things in: its settings as a file for the shell, until somebody interrupts.
local function keep(world, venture)
  local lines = {}
  for name, value in pairs(world.environment_variables) do lines[#lines + 1] = ("export %s='%s'"):format(name, value) end
  table.sort(lines)
  expect(files.write(world.folder .. "/world.env", table.concat(lines, "\n") .. "\n"))
  print(("demo: the world is up; in another terminal: . %s/world.env; %s playbooks/stage30.lua --venture %s --state %s --release 1.1"):format(world.folder, world.engine, venture, world.state))
  while true do
    sleep(1)
    expect(files.write(world.folder .. "/clients", ("sent=%d failed=%d\n"):format(world.sent, world.failed)))
  end
end

return playbook {
  name = "demo",
  about = "Stage 30 for real on this machine, with HAProxy and clients that keep asking",
  args = {
    fault = { type = "string", one_of = FAULTS, default = "none", about = "plants one fault: " .. table.concat(FAULTS, ", ") },
    postgres = { type = "boolean", default = false, about = "PostgreSQL instead of the embedded SQLite" },
    world = { type = "string", default = "build/demo", about = "the folder of the demo's world; made anew" },
    overlay = { type = "string", about = "a folder whose files lie over the demo's venture: a part of one's own, another configuration" },
    serve = { type = "boolean", default = false, about = "only builds the world and keeps it until it is interrupted, to try things in" },
    release = { type = "string", default = "1.1", about = "the release candidate" },
  },
  run = function(run)
    local source = run.path:match "^(.*)%.lua$" or "playbooks/demo"
    if not files.stat(source .. "/application.lua") then fail("not_found", source .. "/application.lua is not there; run the demo from a checkout") end
    source = expect(files.realpath(source))
    local folder = clear_world(run.args.world)
    local fault = run.args.fault

    local world
    local function finish() if world then shield(function() world:stop() end) end end
    local closer <close> = setmetatable({}, { __close = finish })
    print(("demo: building the world in %s (%s, fault: %s)"):format(folder, run.args.postgres and "PostgreSQL" or "SQLite", fault))
    world = require("demo.world").build(folder, { fault = fault, postgres = run.args.postgres, source = source })
    world:start_clients()
    print(("demo: release 1.0 serves at %s, 8 clients are asking"):format(world.public))
    local venture = lay_venture(source, run.args.overlay, folder .. "/venture")
    if run.args.serve then return keep(world, venture) end
    if fault == "crash" then world:kill_green_under_traffic() end

    local result = expect(process.run {
      argv = { world.engine, source:match "^(.*)/[^/]*$" .. "/stage30.lua", "--venture", venture, "--release", run.args.release, "--state", world.state, "--mode", "auto" },
      env = world.environment_variables, timeout = 900, grace = 120, on_line = function(line) print(line) end,
    })
    local sent, failed = world.sent, world.failed
    world:stop_clients()
    sent, failed = world.sent, world.failed
    local seen = look(world)
    local outcome = outcome_of(result.code, seen)
    local latest = expect(require("journal").open(world.state .. "/journal.db"))
    local row = latest:runs { limit = 1 }[1]
    latest:close()
    local restored = fault ~= "migration" or database_is_of_before(world)
    for i = 1, math.min(#world.failures, 5) do
      local failure = world.failures[i]
      print(("demo: failed request %d: %s %s: %s"):format(i, failure.at, failure.what, failure.why))
    end
    print(("demo: outcome=%s exit=%s sent=%d failed=%d blue=%d green=%d version=%s stage=%s run=%s report=%s"):format(outcome, tostring(result.code), sent, failed,
      seen.blue, seen.green, seen.version, tostring(seen.stage), row and row.id or "none", row and ("%s/runs/%s/report-%s.html"):format(world.state, row.id, row.id) or "none"))
    local wanted = EXPECTED[fault]
    local right = outcome == wanted[1] and result.code == wanted[2] and (fault ~= "none" or failed == 0) and restored
    return { exit = right and 0 or 1, outcome = outcome }
  end,
}
