-- lost_writes/everything.lua on a disk that loses unsynced writes, its engine killed at boundaries, at writes and syncs of the journal, and
-- again while it resumes. Each time: no effect without a durable intent, nothing twice that must not be, and after `engine resume` the
-- same world, the same steps and a whole chain. Run by lost_writes.sh, which builds the disk.

local t = require "test"
local core_secret = require "core.secret"
local journal = require "journal"
local task = require "task"

local ENGINE = process.self().exe
local DISK = assert(core_secret.environment "FAULT_DISK")
local POINTS = core_secret.environment "POINTS" or "24"
local PLAYBOOK = "tests/faults/lost_writes/everything.lua"
local SIDE_BY_SIDE = 3
local CASE_S = 3600
-- What may be delivered again, to a receiver that knows its key, or be written again with the same content.
local REPEATED = { deliver = true, put = true, drop = true }

local root = assert(files.mkdtemp "/tmp/engine-lost-writes-")
local runs = 0

local function engine(env, ...)
  local all = { LD_PRELOAD = DISK }
  for key, value in pairs(env) do all[key] = tostring(value) end
  runs = runs + 1
  return assert(process.run { argv = { ENGINE, ... }, env = all, timeout = 300 })
end

local function new_place(name)
  local place = { name = name, state = ("%s/%s/state"):format(root, name), world = ("%s/%s/world"):format(root, name) }
  place.journal = place.state .. "/journal.db"
  assert(files.mkdir(place.world))
  return place
end

local function begin(place, env) return engine(env, PLAYBOOK, "--state", place.state, "--world", place.world, "--mode", "assisted") end
local function resume(place, env) return engine(env, "resume", "--state", place.state) end

local function lines_of(path)
  local lines = {}
  for line in (files.read(path) or ""):gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

-- The journal as it survived: the run's row, nil if there is none, and its steps.
local function survived(place)
  if not files.exists(place.journal) then return nil, {} end
  local j = assert(journal.open(place.journal))
  local row = j:runs({ limit = 1 })[1]
  local steps = row and assert(j:steps(row.id)) or {}
  j:close()
  return row, steps
end

-- Each trace of an effect has its intent in what survived.
local function check_intents(place, steps)
  local intents = {}
  for _, step in ipairs(steps) do if step.effect ~= "pure" then intents[step.key] = true end end
  for _, line in ipairs(lines_of(place.world .. "/traces")) do
    if not intents[line:match "%x+$"] then t.ok(false, ("%s: '%s' happened without an intent in the journal"):format(place.name, line)) end
  end
end

local function check_once(place)
  local seen = {}
  for _, line in ipairs(lines_of(place.world .. "/traces")) do
    if seen[line] and not REPEATED[line:match "^%a+"] then t.ok(false, ("%s: '%s' happened twice"):format(place.name, line)) end
    seen[line] = true
  end
  local keys = {}
  for _, line in ipairs(lines_of(place.world .. "/ledger")) do
    if keys[line] then t.ok(false, ("%s: the receiver has '%s' twice"):format(place.name, line)) end
    keys[line] = true
  end
end

-- What a run leaves, without what differs from run to run: keys, and the order of what goes side by side.
local function outcome(place)
  local row, steps = survived(place)
  local out = { outcome = row.outcome, exit = row.exit_code, summary = row.summary, files = {}, effects = {}, steps = {} }
  for _, name in ipairs(assert(files.list(place.world))) do
    -- A file that was being written when the engine died stays under its temporary name.
    if name ~= "traces" and not name:find "%.tmp$" then out.files[name] = assert(files.read(place.world .. "/" .. name)):gsub(" %x+\n", "\n") end
  end
  if out.files.ledger then
    local entries = lines_of(place.world .. "/ledger")
    for i, entry in ipairs(entries) do entries[i] = entry:match "^%a+" end
    table.sort(entries)
    out.files.ledger = table.concat(entries, " ")
  end
  for _, line in ipairs(lines_of(place.world .. "/traces")) do out.effects[line:match "^(.*) %x+$"] = true end
  for _, step in ipairs(steps) do out.steps[step.place] = { step.name, step.effect, step.state, step.result or false } end
  return out
end

-- From a killed engine to the right end. again: an environment for a first resume that is killed too.
local function recover(place, expected, again)
  local row, steps = survived(place)
  check_intents(place, steps)
  local ended
  if not row then
    ended = begin(place, {})
  elseif not row.ended_at then
    if again then
      resume(place, again)
      row, steps = survived(place)
      check_intents(place, steps)
    end
    if not row.ended_at then ended = resume(place, {}) end
  end
  if ended and ended.code ~= 0 then return t.ok(false, ("%s: the resume ended with %s:\n%s%s"):format(place.name, tostring(ended.code or ended.signal), ended.stdout, ended.stderr)) end
  check_once(place)
  t.eq(outcome(place), expected, place.name)
  local log = engine({}, "log", "--verify", "--state", place.state)
  if log.code ~= 0 or not log.stdout:find("chain whole", 1, true) then t.ok(false, ("%s: %s%s"):format(place.name, log.stdout, log.stderr)) end
end

-- Kills an engine with env and recovers; false when it ended before it could be killed.
local function killed(name, env, expected, again)
  local place = new_place(name)
  local ended = begin(place, env)
  if ended.signal ~= 9 then
    t.eq(ended.code, 0, name)
  else
    recover(place, expected, again)
  end
  assert(files.remove_tree(root .. "/" .. name))
  return ended.signal == 9
end

-- A run that nobody kills, and what it counted.
local function whole()
  local place = new_place "whole"
  local counts = { DISK_COUNT = root .. "/operations", ENGINE_BOUNDARIES = root .. "/boundaries" }
  files.remove(counts.ENGINE_BOUNDARIES)
  t.eq(begin(place, counts).code, 0)
  local result = { outcome = outcome(place), boundaries = #lines_of(counts.ENGINE_BOUNDARIES), operations = tonumber(files.read(counts.DISK_COUNT)) }
  assert(files.remove_tree(root .. "/whole"))
  return result
end

-- Numbers from 1 to last: POINTS of them, evenly spread, or all.
local function points(last)
  local list, count = {}, POINTS == "all" and last or math.min(last, math.tointeger(tonumber(POINTS)))
  for i = 1, count do list[i] = count == 1 and 1 or 1 + (i - 1) * (last - 1) // (count - 1) end
  return list
end

local function sweep(what, list, fn)
  local before, kills = runs, 0
  task.map(list, function(n) if fn(n) then kills = kills + 1 end end, { limit = SIDE_BY_SIDE })
  t.ok(kills > 0, "nobody was killed")
  print(("  %s: %d points, %d kills, %d runs of the engine"):format(what, #list, kills, runs - before))
end

t.case("the disk loses what is not synced, and keeps what is", function()
  local script = [[
    local db = assert(sql.open "sqlite:%s")
    assert(db:query "PRAGMA journal_mode = WAL")
    assert(db:query "PRAGMA synchronous = FULL")
    assert(db:execute "CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (1)")
    assert(db:query "PRAGMA synchronous = OFF")
    assert(db:execute "INSERT INTO t VALUES (2)")
    assert(db:value "SELECT count(*) FROM t" == 2)
    require("core.boundary").pass "here"]]
  for _, seed in ipairs { 0, 1, 2, 3, 4, 5 } do
    local path = ("%s/journal.db-%d"):format(root, seed)
    t.eq(engine({ ENGINE_KILL_AT = 1, DISK_TORN = seed }, "-e", script:format(path)).signal, 9)
    local db <close> = assert(sql.open("sqlite:" .. path))
    t.eq(db:query "SELECT x FROM t"[1], { x = 1 })
    t.eq(#db:query "SELECT x FROM t", 1, "an unsynced row")
    t.eq(db:value "PRAGMA integrity_check", "ok")
  end
end)

t.case("killed at boundaries", function()
  local reference = whole()
  t.ok(reference.boundaries > 100)
  sweep(("boundaries (%d)"):format(reference.boundaries), points(reference.boundaries), function(n)
    return killed("boundary-" .. n, { ENGINE_KILL_AT = n }, reference.outcome)
  end)
end, CASE_S)

t.case("killed at boundaries, on a disk that tears, and killed again while it resumes", function()
  local reference = whole()
  sweep(("boundaries (%d), torn, twice"):format(reference.boundaries), points(reference.boundaries), function(n)
    return killed("torn-" .. n, { ENGINE_KILL_AT = n, DISK_TORN = n }, reference.outcome, { ENGINE_KILL_AT = 1 + n * 7 % 23, DISK_TORN = n + 1 })
  end)
end, CASE_S)

t.case("killed at writes and syncs of the journal, in the middle of commits", function()
  local reference = whole()
  sweep(("writes and syncs (%d)"):format(reference.operations), points(reference.operations), function(n)
    return killed("io-" .. n, { DISK_KILL_AT = n, DISK_TORN = n }, reference.outcome, { DISK_KILL_AT = 1 + n * 13 % 97, DISK_TORN = n + 1 })
  end)
end, CASE_S)

t.case("nothing is left", function() t.ok(files.remove_tree(root)) end)
