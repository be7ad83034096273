--- simulation.scenario: how a world is and what goes wrong in it: plain data, from a seed or written by hand. The same scenario is the same world.
--
-- Its fields, and those of faults, are in simulation.description. A fault has a kind; most have a time: `after` seconds from an anchor, and `lasts`.

local description = require "simulation.description"
local random = require "simulation.random"

local M = {}

--- A world in which all is well.
M.DEFAULTS = {}
for name, field in pairs(description.world) do M.DEFAULTS[name] = field.default end

--- A scenario from what is said about it; the rest is as in a world in which all is well. Raises what is wrong with it, by the code usage.
---@param fields table
---@param checks? string[] the names of the venture's checks, for faults that name one
---@return table scenario
---@usage assert(require("simulation.scenario").of({ rps = 10 }).errors == 0.001)
function M.of(fields, checks)
  local scenario = {}
  for name, value in pairs(M.DEFAULTS) do scenario[name] = value end
  if fields then description.check(fields, checks) end
  for name, value in pairs(fields or {}) do scenario[name] = value end
  return scenario
end

local ANCHORS = { "start", "traffic", "traffic", "traffic", "stage:50", "stage:100", "rollback" }

-- What only a team's own playbook asks for is not drawn.
local DRAWN_OPERATIONS = {}
for _, name in ipairs(description.operations) do
  if name ~= "sql" and name ~= "command" and name ~= "mail" then DRAWN_OPERATIONS[#DRAWN_OPERATIONS + 1] = name end
end

-- Where an engine dies: half the time where the world changes, as most places are those around a line of the log.
local function place(draw, subject)
  local effects = subject.effects
  if effects and effects[1] and draw:chance(0.5) then return draw:pick(effects) end
  return draw:integer(1, subject.boundaries)
end

-- When a fault begins and for how long it lasts.
local function timed(draw, fault, longest)
  fault.anchor = draw:pick(ANCHORS)
  fault.after = draw:chance(0.3) and 0 or math.floor(draw:scale(0.5, 900) * 4) / 4
  if longest then fault.lasts = math.floor(draw:scale(2, longest) * 4) / 4 end
  return fault
end

local function colour(draw, both)
  local roll = draw:unit()
  return roll < 0.7 and "green" or roll < 1 - (both or 0) and "blue" or "both"
end

-- Each kind of fault with its weight. subject: { checks, boundaries, effects }.
local KINDS = {
  { 6, function(draw)
    local whose, thousandths = colour(draw, 0.1), math.floor(draw:scale(0.01, 1) * 1000)
    return timed(draw, { kind = "errors", colour = whose, rate = thousandths / 1000, of = thousandths % 2 == 1 and "clients" or nil }, draw:chance(0.6) and 3600 or nil)
  end },
  { 3, function(draw) return timed(draw, { kind = "slow", colour = colour(draw, 0.1), share = math.floor(draw:scale(0.03, 1) * 1000) / 1000 }, draw:chance(0.5) and 3600 or nil) end },
  { 3, function(draw) return timed(draw, { kind = "down", colour = colour(draw, 0.1) }, draw:chance(0.4) and 600 or nil) end },
  { 2, function(draw) return timed(draw, { kind = "hung", colour = colour(draw, 0.1) }, draw:chance(0.5) and 600 or nil) end },
  { 2, function(draw) return timed(draw, { kind = "silent" }, draw:chance(0.7) and 3600 or nil) end },
  { 1, function(draw) return timed(draw, { kind = "mismatch_lines" }, 1800) end },
  { 1, function(draw) return timed(draw, { kind = "pool", share = 0.95 }, 1800) end },
  { 1, function(draw) return timed(draw, { kind = "machine", cpu = draw:pick { 20, 99 }, memory = 95 }, 1800) end },
  { 1, function(draw) return { kind = "leak", colour = "green", anchor = "start", bytes_per_s = draw:scale(1e4, 1e6) // 1 } end },
  { 2, function(draw) return timed(draw, { kind = "database" }, 120) end },
  { 1, function(draw) return timed(draw, { kind = "disk" }, draw:chance(0.5) and 600 or nil) end },
  { 1, function() return { kind = "corrupt", anchor = "start" } end },
  { 1, function() return { kind = "mismatch", anchor = "start" } end },
  { 1, function(draw) return { kind = "start", anchor = "start", release = draw:pick { "new", "new", "old" } } end },
  { 3, function(draw, subject)
    local fault = { kind = "check", name = draw:pick(subject.checks), colour = draw:chance(0.5) and "green" or nil }
    if draw:chance(0.5) then return timed(draw, fault, draw:chance(0.5) and 600 or nil) end
    fault.anchor = "start"
    return fault
  end },
  { 1, function() return { kind = "alert", anchor = "start" } end },
  { 8, function(draw)
    return { kind = "operation", anchor = draw:pick { "start", "start", "traffic", "rollback" }, name = draw:pick(DRAWN_OPERATIONS), nth = draw:chance(0.6) and 1 or draw:integer(1, 6), times = draw:chance(0.8) and 1 or draw:integer(2, 50),
      how = draw:pick { "fails", "lost", "slow" } }
  end },
  { 8, function(draw, subject) return { kind = "kill", boundary = place(draw, subject), ["then"] = draw:pick { "resume", "rollback" }, back_s = draw:scale(1, 600) // 1 } end },
  { 2, function(draw, subject) return { kind = "lease", boundary = place(draw, subject), ["then"] = "resume", back_s = draw:scale(1, 60) // 1 } end },
  { 1, function(draw) return { kind = "asked", what = "rollback", anchor = "end", after = draw:scale(1, 86400) // 1, type = draw:pick { "traffic", "database", "full", false, false } or nil } end },
  { 2, function(draw) return timed(draw, { kind = "asked", what = draw:pick { "rollback", "rollback", "interrupt" }, type = draw:pick { "traffic", "database", "full", false, false } or nil }) end },
}

local total_weight = 0
for _, kind in ipairs(KINDS) do total_weight = total_weight + kind[1] end

local function draw_fault(draw, subject)
  local roll = draw:integer(1, total_weight)
  for _, kind in ipairs(KINDS) do
    roll = roll - kind[1]
    if roll <= 0 then return kind[2](draw, subject) end
  end
end

local function rounded(x) return math.floor(x * 1e4 + 0.5) / 1e4 end

--- The scenario of a seed.
---@param seed integer
---@param subject { release: string, checks: string[], boundaries: integer, effects?: integer[] } what can be drawn from; effects: those boundaries at which the world changes
---@return table scenario
function M.draw(seed, subject)
  local draw = random.stream(seed, "scenario")
  local scenario = M.of { seed = seed, rps = rounded(draw:scale(1, 300)), errors = draw:chance(0.3) and 0 or rounded(draw:scale(0.0001, 0.003)), slow = rounded(draw:scale(0.001, 0.02)),
    writes = rounded(draw:between(0, 0.5)), backup_s = draw:scale(1, 300) // 1, migration_s = rounded(draw:scale(0.05, 30)), faults = {} }
  local count = draw:pick { 0, 0, 1, 1, 2 }
  scenario.migrations = count == 0 and {} or count == 1 and { "002_new" } or { "002_new", "003_more" }
  local roll = draw:unit()
  scenario.migration = roll < 0.7 and "safe" or roll < 0.85 and "breaking" or "damaging"
  scenario.mode = draw:pick { "auto", "auto", "auto", "auto", "assisted", "manual" }
  scenario.answer = draw:pick { "yes", "yes", "yes", "yes", "yes", "yes", "no", "none" }
  scenario.answer_s = draw:scale(1, 600) // 1
  if draw:chance(0.15) then scenario.answered = draw:integer(1, 12) end
  local faults = draw:pick { 0, 1, 1, 1, 1, 2, 2, 2, 3, 4 }
  for i = 1, faults do
    local fault = draw_fault(draw, subject)
    if fault.kind == "start" then fault.release = fault.release == "new" and subject.release or scenario.old_version end
    scenario.faults[i] = fault
  end
  local pauses = random.stream(seed, "pause")
  if pauses:chance(0.05) then scenario.faults[#scenario.faults + 1] = timed(pauses, { kind = "asked", what = "pause" }, 2000) end
  if draw:chance(0.1) then scenario.writes = 0 end
  scenario.former = draw:chance(0.2) and "0.9"
  scenario.loss = draw:pick { "exact", "exact", "exact", "approximate", "unknown" }
  return scenario
end

local function value_text(value) return type(value) == "number" and ("%g"):format(value) or tostring(value) end

--- A fault in one line.
---@param fault table
---@return string
---@usage assert(require("simulation.scenario").fault_text { kind = "errors", colour = "green", rate = 0.2, anchor = "traffic", after = 3 } == "errors colour=green rate=0.2, 3 s after traffic")
function M.fault_text(fault)
  local names, parts = {}, { fault.kind }
  for name in pairs(fault) do
    if name ~= "kind" and name ~= "anchor" and name ~= "after" and name ~= "lasts" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do parts[#parts + 1] = ("%s=%s"):format(name, value_text(fault[name])) end
  local text = table.concat(parts, " ")
  if fault.anchor and fault.anchor ~= "start" or fault.after then text = text .. (", %g s after %s"):format(fault.after or 0, fault.anchor or "start") end
  if fault.lasts then text = text .. (", for %g s"):format(fault.lasts) end
  return text
end

return M
