--- simulation.drivers.health: stands in for module health: the same, with kinds of checks that look at the simulated world. Such a check cannot know what the
-- real one would find in an answer; it passes when what it asks is well.
--
-- Not simulated: what an answer contains, what colours write to their logs, commands and what they print, and addresses of others, which are always well.

local core_err = require "core.err"
local core_search = require "core.search"
local effect = require "effect"
local task = require "task"
local world = require("simulation.current").world

local M = core_search.genuine "health"

local genuine_kinds = {}
for kind, fn in pairs(M.kinds) do genuine_kinds[kind] = fn end

local function failed(message) return nil, core_err.new { code = "check", message = message } end

-- The colour that a target means; a rehearsal has one of its own.
local function colour_of(here, target)
  for _, colour in ipairs { "rehearsal", "blue", "green" } do
    if here.colours[colour] and target.base == here:base(colour) then return colour end
  end
  return target.values and target.values.colour or "blue"
end

-- What is asked of the application.
local function ask_colour(here, check, target)
  local colour = colour_of(here, target)
  local one, errors = here.colours[colour], here:answers(colour, check.http ~= nil)
  -- What does not fit the schema fails each time that it is asked for, and not by chance.
  if one and not here:lives_with_schema(one.release, one.database or here.database) then return failed(("%s does not know the schema"):format(one.release)) end
  if errors == nil then
    task.sleep(check.timeout or 10)
    return failed(("%s did not answer within %g s"):format(colour, check.timeout or 10))
  end
  if errors >= 1 or (errors > 0 and here:stream("checks"):chance(errors)) then return failed(("%s answered 500"):format(colour)) end
  if colour == "green" then here.green_was_well = true end
  return "200 in 3 ms"
end

local function ask_database(here, check, target)
  if here:fault "database" then return failed "the database cannot be reached" end
  local database = here.copies[target.database] or here.database
  local damage = here.scenario.damage
  if here.is_invariant[check] and database.damaged and (damage == "all" or damage == check.name) then return failed(check.sql .. " found damaged rows") end
  return "value as expected"
end

local MAKE_S, FLOW_STEP_S = 0.2, 0.02

local function flow(here, check, target)
  if not M.changes_something(check) then return ask_colour(here, check, target) end
  return effect.change("flow " .. check.name, function()
    task.sleep(FLOW_STEP_S * #check.flow)
    here:check_alive()
    return ask_colour(here, check, target)
  end)
end

-- What is known by its key and made once, whoever asks how often. change: what the real check calls it.
local function make_once(here, what, change, check)
  return effect.change(change, function()
    local made, err = here:operation(what, MAKE_S, function()
      here:make(what, check.name, effect.key())
      return true
    end)
    if not made then return failed(err.message) end
    return what .. " made"
  end)
end

local KINDS = {
  http = function(here, check, target)
    if type(check.http) == "string" and check.http:sub(1, 1) == "/" then return ask_colour(here, check, target) end
    return "200"
  end,
  flow = flow,
  sql = ask_database,
  stripe = function(here, check) return make_once(here, "test payment", "stripe test payment", check) end,
  smtp = function(here, check) return make_once(here, "test mail", "mail", check) end,
  log = function(here, _, target)
    local one = here.colours[colour_of(here, target)]
    if not one then return failed "the log cannot be read" end
    return "no critical line"
  end,
}

for kind in pairs(M.kinds) do
  local ask = KINDS[kind] or function() return kind .. " as expected" end
  M.kinds[kind] = function(check, target)
    local here = world()
    here:check_alive()
    local fault = here.armed and here:fault("check", function(one) return one.name == check.name and (one.colour == nil or one.colour == colour_of(here, target)) end)
    if fault then return failed(fault.message or ("simulated: '%s' fails"):format(check.name)) end
    if kind == "migrations" then return genuine_kinds.migrations(check, target) end
    local passed, err = ask(here, check, target)
    if passed and colour_of(here, target) == "green" then here.tested[check.name] = true end
    return passed, err
  end
end

function M.log_sizes() return {} end

return M
