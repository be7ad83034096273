--- simulation.hindrance: what truly stood in a rollback's way. A rollback may fail only when something that it needs was broken, near its end, for longer than
-- it is to insist; one failed operation is no reason.

local core_clock = require "core.clock"
local truth = require "simulation.truth"

local M = {}

local NEAR_END_S = 150     -- what broke a rollback was broken in the last so many seconds of its engine's life
local INSISTS_S = 55       -- an operation that fails for so long, again and again
local SETTLES_S = 25       -- a colour, a database or a check that is not well for so long
local WATCHED_S = 1        -- a colour that fails for so long while its error rates are watched

-- Since when, so that the engine lived for NEAR_END_S of it.
local function near_end(world, from, to)
  local since, lived = from, 0
  local spans = {}
  truth.each(world, function(at, seconds) if at.alive and at.time + seconds > from then spans[#spans + 1] = { math.max(at.time, from), at.time + seconds } end end)
  for i = #spans, 1, -1 do
    local long = spans[i][2] - spans[i][1]
    if lived + long >= NEAR_END_S then
      since = spans[i][2] - (NEAR_END_S - lived)
      break
    end
    lived = lived + long
  end
  return math.min(since, to)
end

local function criticals(world)
  local names = {}
  for _, list in ipairs { world.venture.health, world.venture.invariants } do
    for _, check in ipairs(list) do names[check.name] = check.critical end
  end
  return names
end

-- The same operation failed each time for long enough.
local function operation_failed(world, from)
  local first = {}
  for _, note in ipairs(world:notes "failed") do
    if note.at >= from and note.how ~= "slow" then
      first[note.what] = first[note.what] or note.at
      if note.at + note.seconds - first[note.what] >= INSISTS_S - 10 then return true end
    end
  end
  return false
end

--- Was something that a rollback needs broken for long enough?
---@param world table of a run that has ended
---@return boolean
function M.of(world)
  local reason, to = world:events("reason")[1], core_clock.now()
  if not reason then return false end
  local from = near_end(world, reason.now, to)
  local function lasted(seconds, is_so) return truth.longest(world, from, to, is_so) >= seconds end
  local limit, names = world.venture.canary.error_rate, criticals(world)
  local function fits_check(fault) return names[fault.name] and (fault.colour == nil or fault.colour == "blue") end
  return lasted(SETTLES_S, function(at) return not at:alive_of "blue" or at:fault "database" ~= nil or at:fault "disk" ~= nil or at:fault("check", fits_check) ~= nil end)
    or lasted(WATCHED_S, function(at)
      local errors, slow = at:answers "blue"
      return at.weights.blue > 0 and (errors == nil or errors >= limit or slow >= limit)
    end)
    or operation_failed(world, from)
end

return M
