--- simulation.truth: what a world truly was at any time of its run, found out afterwards from its history and its faults. Invariants judge by it.
--
-- A run's time is cut where something changed or a fault began or ended; within such a stretch nothing changed.

local core_clock = require "core.clock"

local M = {}

-- The kinds of notes that change what is between them; the rest are told apart by time alone.
local CHANGES = {
  weights = function(at, note) at.weights = { blue = note.blue, green = note.green } end,
  provisioned = function(at, note) at.colours[note.colour] = { release = note.release } end,
  destroyed = function(at, note) at.colours[note.colour] = nil end,
  ready = function(at, note) at.modes[note.colour] = "ready" end,
  drain = function(at, note) at.modes[note.colour] = "drain" end,
  maintenance = function(at, note) at.modes[note.colour] = "maintenance" end,
  migrated = function(at, note) at.database.applied[note.version] = true end,
  restored = function(at, note)
    at.database = { applied = {} }
    for version in pairs(note.applied) do at.database.applied[version] = true end
  end,
  fault = function(at, note) at.alive = at.alive and note.fault.kind ~= "kill" and note.fault.kind ~= "lease" end,
  ended = function(at) at.alive = false end,
  revived = function(at) at.alive = true end,
}

local function edges(world, ends)
  local times = { [ends] = true }
  for _, note in ipairs(world.history) do times[note.at] = true end
  for _, one in ipairs(world.armed or {}) do
    if one.from and one.from < ends then times[one.from] = true end
    if one["until"] and one["until"] < ends then times[one["until"]] = true end
  end
  local sorted = {}
  for time in pairs(times) do sorted[#sorted + 1] = time end
  table.sort(sorted)
  return sorted
end

-- The world as it was at a time: answers what World answers, without being met by anything.
local function past(world)
  local at = setmetatable({ weights = { blue = 100, green = 0 }, modes = { blue = "ready", green = "maintenance" }, colours = { blue = { release = world.old_version } },
    database = { applied = {} }, alive = true }, { __index = world })
  for _, version in ipairs(world.scenario.applied) do at.database.applied[version] = true end
  function at:alive_of(colour) return at.colours[colour] ~= nil and not at:fault("down", function(fault) return fault.colour == colour or fault.colour == "both" end) end
  function at:fault(kind, fits)
    for _, one in ipairs(world.armed or {}) do
      if one.fault.kind == kind and one.from and self.time >= one.from and self.time < one["until"] and (not fits or fits(one.fault)) then return one.fault end
    end
  end
  return at
end

--- Calls fn(world, seconds) for each stretch of a run, in order, with the world as it was in it: weights, colours, modes, database, alive (an engine was there), time (when
-- the stretch began), and all that World answers.
---@param world table
---@param fn fun(at: table, seconds: number)
function M.each(world, fn)
  local ends = core_clock.now()
  local times, at, next_note = edges(world, ends), past(world), 1
  for i = 1, #times - 1 do
    at.time = times[i]
    while world.history[next_note] and world.history[next_note].at <= at.time do
      local note = world.history[next_note]
      if CHANGES[note.kind] then CHANGES[note.kind](at, note) end
      next_note = next_note + 1
    end
    fn(at, times[i + 1] - at.time)
  end
end

-- For how long something was so without a break, within [from, to]; time without an engine does not count.
local function longest(world, from, to, is_so)
  local best, present = 0, 0
  M.each(world, function(at, seconds)
    local within = math.min(at.time + seconds, to) - math.max(at.time, from)
    if within <= 0 or not at.alive then return end
    present = is_so(at) and present + within or 0
    best = math.max(best, present)
  end)
  return best
end

M.longest = longest

return M
