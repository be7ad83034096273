--- simulation.invariants.ending: what must be true of how a run ended.

local hindrance = require "simulation.hindrance"

local M = {}

local DAY_S = 86400
local ENOUGH = 200 -- times the requests that a stage needs: so many, in the time that one may last, that the colours can be told apart

local function met(world, kind)
  for _, one in ipairs(world.armed or {}) do if one.met > 0 and one.fault.kind == kind then return one.fault end end
end

local function old_serves(world)
  return world.weights.blue == 100 and world.colours.blue and world.colours.blue.release == world.old_version
end

-- What was asked for by hand may be what cannot work: the old release does not live with the schema.
local function asked_for_the_impossible(world)
  local asked = met(world, "asked")
  return asked and asked.type == "traffic" and world.scenario.migration ~= "safe"
end

local function exit_is_true(world, result)
  local code = result.exit
  if code == 0 then
    if world.weights.green ~= 100 then return ("exit 0, but green has %d %%"):format(world.weights.green) end
    if not world.colours.green or world.colours.green.release ~= world.release then return "exit 0, but green does not have the release" end
  elseif code == 1 or code == 3 or code == 4 then
    if not old_serves(world) then return ("exit %d, but blue has %d %%, with release %s"):format(code, world.weights.blue, tostring(world.colours.blue and world.colours.blue.release)) end
    if code == 3 and world.scenario.answer ~= "none" and (world.answered or 0) <= world.scenario.answered then return "exit 3, but every question was answered" end
  elseif code == 5 then
    if not hindrance.of(world) and not asked_for_the_impossible(world) then return "exit 5, and nothing stood in the rollback's way for long enough" end
  elseif code == 130 then
    local asked = met(world, "asked")
    if not (asked and asked.what == "interrupt") and not met(world, "kill") and not met(world, "lease") then return "exit 130, and nobody interrupted it" end
    if result.outcome ~= "left" and not old_serves(world) then return ("exit 130, but blue has %d %%"):format(world.weights.blue) end
  else
    return ("exit %s is none that a run can have"):format(tostring(code))
  end
end

-- A world without any fault, with enough requests to judge by, in which everybody says yes. Other settings may be what is to be refused.
local function good_is_promoted(world, result)
  local scenario, canary = world.scenario, world.venture.canary
  if next(scenario.settings) then return end
  if #scenario.faults > 0 or result.exit == 0 or (scenario.mode ~= "auto" and (scenario.answer ~= "yes" or (world.answered or 0) > scenario.answered)) then return end
  if #scenario.migrations > 0 and scenario.migration ~= "safe" then return end
  if scenario.rps * canary.max_watch < ENOUGH * canary.min_requests then return end
  return ("nothing was wrong, and it ended with exit %s"):format(tostring(result.exit))
end

local function has_reason(world, result)
  if result.exit == 0 then return end
  for _, event in ipairs(world:events "reason") do if event.data.text and #event.data.text > 0 then return end end
  if result.err and #result.err.message > 0 then return end
  return result.id and "the run failed and the journal has no reason" or "it ended before it began, without a reason"
end

-- The engine's own words for a script that went on whatever it was told.
local function never_ends(err) return err and err.code == "script" and (err.message:find("without waiting", 1, true) or err.message:find("simulated time is over", 1, true)) end

local function ends(world, result)
  for _, row in ipairs(world.journal and world.journal:steps() or {}) do
    if never_ends(row.error) then return ("step '%s' never ends, also when it is canceled"):format(row.name) end
  end
  if never_ends(result.err) then return "it never ends, also when it is canceled" end
  if result.seconds > DAY_S then return "it did not end within a day" end
end

--- Did a run not end by itself? Such a world takes seconds, and not milliseconds.
---@param world table
---@param result table
---@return boolean
function M.is_endless(world, result) return ends(world, result) ~= nil end

local function no_mistake(world, result)
  for _, row in ipairs(world.journal and world.journal:steps() or {}) do
    if row.error and row.error.code == "script" and not never_ends(row.error) then return ("step '%s': %s"):format(row.name, row.error.message) end
  end
  for _, err in pairs { result.err, result.reason, result.result and result.result.err } do
    if err.code == "script" and not never_ends(err) then return err.message end
  end
end

M.all = {
  { "the exit code is true", exit_is_true },
  { "a good release is promoted", good_is_promoted },
  { "every failure ends with a reason", has_reason },
  { "no mistake of the script itself", no_mistake },
  { "the run ends", ends },
}

return M
