--- simulation.drivers.health: stands in for module health: the same, with kinds of checks that look at the simulated world. Such a check cannot know what the
-- real one would find in an answer; it passes when what it asks is well.

local core_err = require "core.err"
local core_search = require "core.search"
local effect = require "effect"
local world = require("simulation.current").world

local M = core_search.genuine "health"

local genuine_kinds = {}
for kind, fn in pairs(M.kinds) do genuine_kinds[kind] = fn end

local function failed(message) return nil, core_err.new { code = "check", message = message } end

-- The colour that a target means; a rehearsal has one of its own.
local function colour_of(here, target)
  for colour in pairs(here.colours) do
    if target.base == here:base(colour) then return colour end
  end
  return target.values and target.values.colour or "blue"
end

-- What is asked of the application.
local function ask_colour(here, check, target)
  local colour = colour_of(here, target)
  local one, errors = here.colours[colour], here:answers(colour)
  -- What does not fit the schema fails each time that it is asked for, and not by chance.
  if one and not here:lives_with_schema(one.release, one.database or here.database) then return failed(("%s does not know the schema"):format(one.release)) end
  if errors == nil then
    require("task").sleep(check.timeout or 10)
    return failed(("%s did not answer within %g s"):format(colour, check.timeout or 10))
  end
  if errors >= 1 or (errors > 0 and here:stream("checks"):chance(errors)) then return failed(("%s answered 500"):format(colour)) end
  if colour == "green" then here.green_was_well = true end
  return "200 in 3 ms"
end

local function ask_database(here, check, target)
  if here:fault "database" then return failed "the database cannot be reached" end
  local database = here.copies[target.database] or here.database
  if here.is_invariant[check] and database.damaged then return failed(check.sql .. " found damaged rows") end
  return "value as expected"
end

-- What is known by its key and made once, whoever asks how often.
local function make_once(here, what, check)
  local key = what .. " " .. effect.key() .. " " .. check.name
  return effect.change(what, function()
    local made, err = here:operation(what, 0, function()
      here.ledger[key] = (here.ledger[key] or 0) + 1
      if here.ledger[key] == 1 then here:note("made", { what = what }) end
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
  flow = ask_colour,
  sql = ask_database,
  stripe = function(here, check) return make_once(here, "test payment", check) end,
  smtp = function(here, check) return make_once(here, "test mail", check) end,
  log = function(here, _, target)
    local one = here.colours[colour_of(here, target)]
    return one and "no critical line" or failed "the log cannot be read"
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
    return ask(here, check, target)
  end
end

function M.log_sizes() return {} end

return M
