--- simulation.drivers.traffic: stands in for the drivers of module traffic.

local core_err = require "core.err"
local traffic = require "traffic"
local world = require("simulation.current").world

local M = {}

local COLOURS = { "blue", "green" }
local SET_S, READY_S, DRAIN_S = 0.02, 0.5, 2

local Driver = {}
Driver.__index = Driver

--- Opens the simulated proxy, whatever the configuration says about the real one.
function M.open()
  return setmetatable({ can = { ready = true, drain = true, maintenance = true, address = true, servers = true } }, Driver)
end

local function state(here)
  return { blue = here.weights.blue, green = here.weights.green, exact = here.weights, servers = {} }
end

function Driver:get()
  local here = world()
  return here:operation("traffic.get", 0, function() return state(here) end)
end

function Driver:set(shares)
  local wanted, err = traffic.check(shares, COLOURS)
  if not wanted then return nil, err end
  local here = world()
  return here:operation("traffic.set", SET_S, function()
    here:set_weights(wanted)
    return state(here)
  end)
end

function Driver:plan(shares) return traffic.check(shares, COLOURS) end

function Driver:ready(colour)
  local here = world()
  return here:operation("traffic.ready", READY_S, function()
    if not here:alive(colour) then return nil, core_err.new { code = "traffic", message = ("simulated: the proxy's check of %s fails"):format(colour) } end
    here.modes[colour] = "ready"
    return true
  end)
end

function Driver:drain(colour)
  local here = world()
  return here:operation("traffic.drain", here.modes[colour] == "ready" and DRAIN_S or 0, function()
    if here.modes[colour] == "ready" then here.modes[colour] = "drain" end
    return true
  end)
end

function Driver:maintenance(colour)
  local here = world()
  return here:operation("traffic.maintenance", SET_S, function()
    here:clients_write()
    here.modes[colour] = "maintenance"
    return true
  end)
end

function Driver:address() return true end

return M
