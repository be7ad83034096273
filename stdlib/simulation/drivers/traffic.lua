--- simulation.drivers.traffic: stands in for the drivers of module traffic: a proxy with one server a colour, which refuses what HAProxy refuses.
--
-- Not simulated: that the proxy checks servers by itself (it believes one to work until it is told otherwise, as HAProxy does without `check`), a server
-- of nobody's, weights that are not exact, and what a team's own commands print. A venture with the command driver gets this proxy too.

local core_clock = require "core.clock"
local task = require "task"
local traffic = require "traffic"
local world = require("simulation.current").world

local M = {}

local COLOURS = { "blue", "green" }
local SET_S, READY_S, DRAIN_S, POLL_S = 0.02, 0.5, 2, 0.5
local LIMIT_S = 30  -- for a server to become ready, and for its requests to end
local ANSWER_S = 30 -- so long the proxy waits for an answer that never comes

local Driver = {}
Driver.__index = Driver

--- Opens the simulated proxy, whatever the configuration says about the real one.
function M.open()
  return setmetatable({ can = { ready = true, drain = true, maintenance = true, address = true, servers = true } }, Driver)
end

-- What the weights give: a colour that is out gets nothing, and the other has it all.
local function shares_of(here)
  local given = here.proxy_weights or here.weights
  local blue = here.modes.blue == "ready" and given.blue or 0
  local green = here.modes.green == "ready" and given.green or 0
  if blue + green == 0 then return { blue = 0, green = 0 } end
  return { blue = blue * 100 // (blue + green), green = green * 100 // (blue + green) }
end

-- A colour is in another state: clients go where the weights now lead.
local function enter(here, colour, mode)
  here.modes[colour] = mode
  local shares = shares_of(here)
  if shares.blue ~= here.weights.blue or shares.green ~= here.weights.green then here:set_weights(shares) end
end

local function state(here)
  return { blue = here.weights.blue, green = here.weights.green, exact = true, servers = {} }
end

function Driver:get()
  local here = world()
  return here:operation("traffic.get", 0, function() return state(here) end)
end

-- A share for a colour that is out would not be true.
local function refuse(here, shares)
  for _, colour in ipairs(COLOURS) do
    if shares[colour] > 0 and here.modes[colour] ~= "ready" then
      return traffic.fail("traffic", ("simulated: %s is in %s and cannot get its %d %%; nothing was changed"):format(colour, here.modes[colour], shares[colour]),
        { next = ("Make it ready first: traffic.ready %q in a console, lb:ready(%q) in a playbook."):format(colour, colour) })
    end
  end
  return true
end

function Driver:plan(shares)
  world().was_planned = true
  local wanted, err = traffic.check(shares, COLOURS)
  if not wanted then return nil, err end
  local ok
  ok, err = refuse(world(), wanted)
  if not ok then return nil, err end
  return { commands = {}, weights = { blue1 = wanted.blue, green1 = wanted.green } }
end

function Driver:set(shares)
  local wanted, err = traffic.check(shares, COLOURS)
  if not wanted then return nil, err end
  local here = world()
  return here:operation("traffic.set", SET_S, function()
    local ok, refused = refuse(here, wanted)
    if not ok then return nil, refused end
    here.proxy_weights = wanted
    here:set_weights(wanted)
    return state(here)
  end)
end

local function known(colour)
  if colour == "blue" or colour == "green" then return true end
  return traffic.fail("usage", ("there is no colour %s"):format(tostring(colour)))
end

-- Refuses to take the last colour out.
local function keep_serving(here, colour)
  local ok, err = known(colour)
  if not ok then return nil, err end
  if here.weights[colour] < 100 then return true end
  return traffic.fail("traffic", ("%s has all the traffic; taking it out would leave nobody to answer"):format(colour), { next = "Give another colour its share first." })
end

function Driver:ready(colour, seconds)
  local ok, err = known(colour)
  if not ok then return nil, err end
  local here = world()
  return here:operation("traffic.ready", READY_S, function()
    enter(here, colour, "ready")
    here:note("ready", { colour = colour })
    local limit = core_clock.now() + (seconds or LIMIT_S)
    while not here:alive(colour) do
      if core_clock.now() >= limit then return traffic.fail("traffic", ("simulated: HAProxy does not see %s work after %g s"):format(colour, seconds or LIMIT_S)) end
      task.sleep(POLL_S)
      here:check_alive()
    end
    return true
  end)
end

-- How long it takes until a colour's last request has ended: one that hangs keeps its requests until the proxy gives up.
local function draining(here, colour, was_ready)
  local hanging = here.colours[colour] and here:answers(colour) == nil and here.quiet_since and here.quiet_since[colour]
  local left = hanging and hanging + ANSWER_S - core_clock.now() or 0
  return math.max(left, was_ready and DRAIN_S or 0)
end

function Driver:drain(colour, seconds)
  local here = world()
  local ok, err = keep_serving(here, colour)
  if not ok then return nil, err end
  return here:operation("traffic.drain", 0, function()
    local was_ready, limit = here.modes[colour] == "ready", seconds or LIMIT_S
    here:note("drain", { colour = colour, share = here.weights[colour] })
    enter(here, colour, "drain")
    local takes = draining(here, colour, was_ready)
    task.sleep(math.min(takes, limit))
    here:check_alive()
    if takes > limit then return traffic.fail("drain", ("simulated: %s has requests under way after %g s"):format(colour, limit)) end
    return true
  end)
end

function Driver:maintenance(colour)
  local here = world()
  local ok, err = keep_serving(here, colour)
  if not ok then return nil, err end
  return here:operation("traffic.maintenance", SET_S, function()
    here:touch "traffic"
    here:clients_write()
    enter(here, colour, "maintenance")
    here:note("maintenance", { colour = colour, share = here.weights[colour] })
    return true
  end)
end

function Driver:address() return true end

return M
