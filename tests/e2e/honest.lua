-- Is the simulator honest? What the demo recorded in its real worlds is compared with what the same playbook records in a simulated world in which the
-- same is said to go wrong: every event, in its order.
--
--   engine tests/e2e/honest.lua --worlds DIR     DIR holds world-NAME/{venture,state} for the names below, and success.boundaries
--
-- What cannot be equal is left out by kind and by field, and nothing else:
--   - how many slots a watch had, and that a guardian was started: no guardian watches over a simulated engine;
--   - times, amounts of data and requests, addresses, and names that are made by chance;
--   - the words of evidence, as a simulated check cannot know what an answer would have said; numbers within sentences;
--   - a hold, or a retreat, that ended where it began: it comes from how busy the machine was, and decides nothing.
-- There is chance in a world (whether requests or probes tell first that a colour is gone), so the real one has to be one that the scenario gives with some seed.

local files = require "files"
local journal = require "journal"
local json = require "json"
local process = require "process"

-- What is said of the demo's faults in the simulator's words. Its clients never fail when all is well, and its venture is at stage 30.
local SEEDS = 20
local WORLD = { rps = 200, errors = 0, slow = 0, backup_s = 1, migration_s = 0.1, stage = 30, migrations = { "002_plans" } }
local SAID = {
  none = {},
  errors = { faults = { { kind = "errors", colour = "green", rate = 0.45, of = "clients", anchor = "traffic" } } },
  slow = { faults = { { kind = "slow", colour = "green", share = 0.8, anchor = "traffic" } } },
  -- Clients wait while the proxy tries again to reach a server that is gone: fewer requests fail in a second.
  crash = { rps = 50, faults = { { kind = "down", colour = "green", anchor = "traffic", after = 1 } } },
  smoke = { faults = { { kind = "check", name = "create, read, update, delete", colour = "green" } } },
  backup = { faults = { { kind = "operation", name = "backup.take", how = "fails", code = "backup_corrupt" } } },
  pg_backup = { faults = { { kind = "operation", name = "backup.take", how = "fails", code = "backup" } } },
  migration = { migration = "damaging", damage = "budgets agree with the ledger" },
  incompatible = { migration = "breaking" },
  dependency = { faults = { { kind = "check", name = "Stripe test transaction" } } },
}

-- The worlds, each with what was wrong in it.
local WORLDS = {
  { "success", "none" }, { "errors", "errors" }, { "slow", "slow" }, { "crash", "crash" }, { "smoke", "smoke" }, { "backup", "backup" }, { "migration", "migration" },
  { "incompatible", "incompatible" }, { "dependency", "dependency" }, { "override", "none" }, { "command", "none" }, { "pg_success", "none" }, { "pg_migration", "migration" },
  { "pg_cold", "migration" }, { "pg_incompatible", "incompatible" }, { "pg_backup", "pg_backup" },
}

local KINDS_LEFT_OUT = { slots = true, guardian = true }

local TIMES = { "seconds", "drill_seconds", "downtime_s", "decided_at", "first_bad_at" }
local AMOUNTS = { "requests", "rps", "thresholds_ms", "n", "size_bytes", "bytes", "files", "rows", "tables", "samples" }
local BY_CHANCE = { "id", "key", "checksum", "digest", "hash", "sha256", "path", "address", "url", "copy", "old", "row", "epoch", "actor" }
local WORDS = { "detail", "message", "cause", "problem", "next", "op", "traceback" }
local FIELDS_LEFT_OUT = {}
for _, list in ipairs { TIMES, AMOUNTS, BY_CHANCE, WORDS } do
  for _, name in ipairs(list) do FIELDS_LEFT_OUT[name] = true end
end
local OF_KIND = {
  check = { evidence = true }, gate = { evidence = true }, machine = { cpu = true, memory = true, disk = true }, output = { value = true }, loss = { inserted = true, updated = true, deleted = true, loss = true },
  metrics = { blue = true, green = true, evidence = true, readings = true, limit = true }, step_end = { loss = true },
}

local SENTENCES = {
  reason = function(text) return (text:gsub("%f[%w]%d[%d.]*", "#")) end,
  text = function(text) return (text:gsub(", because .*", ""):gsub("[%w.-]*%d[%w.-]*", "#")) end,
  where = function(text) return text:match "[^/]*$" end,
}
SENTENCES.summary = SENTENCES.text

local function comparable(value, more, kind)
  if type(value) ~= "table" then return value end
  local out = {}
  for name, item in pairs(value) do
    if not FIELDS_LEFT_OUT[name] and not (more and more[name]) then out[name] = SENTENCES[name] and type(item) == "string" and SENTENCES[name](item) or comparable(item, more, kind) end
  end
  if kind == "reason" then out.text = nil end -- the message of the error
  if kind == "value" and value.name and value.name:find "^clock%." then out.result = nil end
  return out
end

-- The events that are compared, without holds and retreats that ended where they began.
local function that_count(events)
  local out, stage = {}, nil
  for _, event in ipairs(events) do
    local canary = event.kind == "canary" and event.data or {}
    if canary.state == "HOLD" then
      stage = canary.from
    elseif canary.from == "HOLD" then
      canary.from = stage
      if canary.state ~= stage then out[#out + 1] = event end
    elseif canary.from == "RETREAT" and canary.state ~= "ROLLBACK" then
      for _ = 1, 3 do table.remove(out) end -- traffic was taken away, the retreat began, and traffic was given back
    elseif not KINDS_LEFT_OUT[event.kind] then
      out[#out + 1] = event
    end
  end
  return out
end

-- The events as text, one line each.
local function lines_of(events)
  local lines = {}
  for i, event in ipairs(that_count(events)) do
    lines[i] = { kind = event.kind, text = ("%s %s at %s"):format(event.kind, json.encode(comparable(event.data, OF_KIND[event.kind], event.kind)), type(event.place) == "string" and event.place or "no place") }
  end
  return lines
end

local function recorded(path)
  local kept = expect(journal.open(path))
  local events = expect(kept:events(expect(kept:run()).id))
  kept:close()
  return lines_of(events)
end

local function simulated(engine, venture, said, seed, boundaries)
  local world = { seed = seed }
  for _, fields in ipairs { WORLD, said } do
    for name, value in pairs(fields) do world[name] = value end
  end
  local result = expect(process.run { argv = { engine, "simulate", "playbooks/stage30.lua", "--venture", venture, "--release", "1.1", "--world", json.encode(world), "--log" },
    env = { ENGINE_BOUNDARIES = boundaries }, timeout = 60 })
  local events = {}
  for line in result.stdout:gmatch "[^\n]+" do events[#events + 1] = expect(json.decode(line)) end
  if #events == 0 then fail("check", "the simulation recorded nothing: " .. result.stdout .. result.stderr) end
  return lines_of(events)
end

local function first_difference(real, other)
  for i = 1, math.max(#real, #other) do
    local a, b = real[i] and real[i].text or "nothing more", other[i] and other[i].text or "nothing more"
    if a ~= b then return ("%d: real %s\n%26ssimulated %s"):format(i, a, "", b) end
  end
end

local function count(lines, is_step)
  local n = 0
  for _, line in ipairs(lines) do
    if (line.kind == "step_begin") == is_step and line.kind ~= "step_end" then n = n + 1 end
  end
  return n
end

-- The names in a list of boundaries, of the deployment alone: of several processes that wrote to it each counts from 1.
local function listed(path)
  local lists, last = {}, nil
  for number, name in expect(files.read(path)):gmatch "(%d+) ([^\n]+)\n" do
    number = math.tointeger(tonumber(number))
    if number == 1 then
      last = { [0] = 0 }
      lists[#lists + 1] = last
    end
    if last and number == #last + 1 then last[number] = name end
  end
  table.sort(lists, function(a, b) return #a > #b end)
  return lists[1]
end

-- Boundaries as lines: those of effects by their names, those of the journal between two of them by how many there are. What ends side by side ends as the
-- world answers: such ends are sorted. A gap with slots is as long as its watch was; the guardian's event, which came when it had started, is not counted.
local function gaps_of(names, guardian)
  local lines, ends, gap, writes = {}, {}, { n = 0 }, 0
  local function close_ends()
    table.sort(ends)
    table.move(ends, 1, #ends, #lines + 1, lines)
    ends = {}
  end
  for _, name in ipairs(names) do
    if name:find "^journal" then
      if name:find "before" then writes = writes + 1 end
      gap.n = gap.n + (writes == guardian and 0 or 1)
      gap.has_slots = gap.has_slots or name:find "event slots" ~= nil
    else
      if gap.n > 0 then
        close_ends()
        lines[#lines + 1], gap = gap, { n = 0 }
      end
      if name:find ": after$" then ends[#ends + 1] = name else
        close_ends()
        lines[#lines + 1] = name
      end
    end
  end
  close_ends()
  lines[#lines + 1] = gap
  return lines
end

local function line_text(line) return type(line) == "table" and ("%d boundaries of the journal"):format(line.n) or line or "nothing more" end

local function boundaries_differ(real, other)
  for i = 1, math.max(#real, #other) do
    local a, b = line_text(real[i]), line_text(other[i])
    local is_watch = type(real[i]) == "table" and type(other[i]) == "table" and other[i].has_slots
    if a ~= b and not is_watch then return ("%d: real %s, simulated %s"):format(i, a, b) end
  end
end

-- Which of the journal's writes was the guardian's event. The values that a run has found before it begins are written with its beginning.
local function guardians_write(path)
  local kept = expect(journal.open(path))
  local write = 0
  for _, event in ipairs(expect(kept:events(expect(kept:run()).id))) do
    local is_early = event.kind == "value" and event.step <= 2
    if not is_early then write = write + 1 end
    if event.kind == "guardian" then break end
  end
  kept:close()
  return write
end

return playbook {
  name = "honest",
  about = "Compares what the demo recorded with what is recorded in simulated worlds",
  args = { worlds = { type = "string", required = true, about = "the folder with the demo's worlds" } },
  run = function(run)
    local engine, worlds, failed = process.self().exe, run.args.worlds, 0
    local function path_of(name) return ("%s/world-%s/state/journal.db"):format(worlds, name) end
    local listing = worlds .. "/simulated.boundaries"
    local seen, last = {}, nil
    print "world            steps  others"
    for _, one in ipairs(WORLDS) do
      local name, said = one[1], one[2]
      local real, other, difference = recorded(path_of(name)), nil, nil
      for seed = 1, SEEDS do
        other = simulated(engine, ("%s/world-%s/venture"):format(worlds, name), SAID[said], seed, name == "success" and seed == 1 and listing or nil)
        local found = first_difference(real, other)
        difference = difference or found -- of the first seed
        if not found then
          difference = nil
          break
        end
      end
      -- A comparison that lets everything be equal would prove nothing.
      if not difference and seen[said] == nil and last and not first_difference(real, last) then difference = "nothing tells it from the world before" end
      seen[said], last = true, other
      print(("%-15s  %5d  %6d  %s"):format(name, count(real, true), count(real, false), difference or "equal"))
      if difference then failed = failed + 1 end
    end
    local real, other = gaps_of(listed(worlds .. "/success.boundaries"), guardians_write(path_of "success")), gaps_of(listed(listing))
    local difference = boundaries_differ(real, other)
    print(("boundaries of success: %s"):format(difference or ("%d lines, equal"):format(#real)))
    if difference then failed = failed + 1 end
    print(("%d passed, %d failed"):format(#WORLDS + 1 - failed, failed))
    return { exit = failed == 0 and 0 or 1 }
  end,
}
