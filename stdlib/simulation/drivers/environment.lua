--- simulation.drivers.environment: stands in for the drivers of module environment.
--
-- Not simulated: what a colour writes to its log, and commands of a team's own that do something else than they should.

local core_boundary = require "core.boundary"
local core_clock = require "core.clock"
local core_err = require "core.err"
local world = require("simulation.current").world

local M = {}

local PROVISION_S, DESTROY_S = 4, 1
local BASE_BYTES = 200e6

local Driver = {}
Driver.__index = Driver

function M.open(config) return setmetatable({ config = config, remembered = {} }, Driver) end

-- The database that an address means: the live one, or a scratch copy.
local function database_of(here, address)
  local copy = type(address) == "string" and here.copies[address]
  return copy or nil
end

function Driver:provision(colour, release, database)
  local here = world()
  local is_process = here.venture.environment.driver == "process"
  if is_process and here:alive(colour) then
    return nil, core_err.new { code = "exists", op = "provision " .. colour, message = ("%s already runs (%s)"):format(colour, here.colours[colour].release),
      next = "Destroy it first, or finish the deployment that made it." }
  end
  return here:operation("environment.provision", PROVISION_S, function()
    local ends = here:fault("start", function(fault) return fault.release == nil or fault.release == release.version end) ~= nil
    if ends and not is_process then return nil, core_err.new { code = "process", message = ("simulated: release %s does not start"):format(release.version) } end
    here:touch "environment"
    if colour == "green" then here.green_was_well = nil end
    local former = here.colours[colour]
    -- A process is started, and ends soon after.
    here.colours[colour] = { release = release.version, made_at = core_clock.now(), database = database_of(here, database), ended = ends }
    here:note("provisioned", { colour = colour, release = release.version, over = former and former.release })
    if is_process then core_boundary.pass "colour: between its start and its record" end
    return { address = self.config.addresses[colour] or "127.0.0.1:1" }
  end)
end

function Driver:destroy(colour)
  local here = world()
  return here:operation("environment.destroy", here.colours[colour] and DESTROY_S or 0, function()
    here:clients_write()
    if here.colours[colour] then
      here:touch "environment"
      here:note("destroyed", { colour = colour, release = here.colours[colour].release, share = here.weights[colour] })
    end
    here.colours[colour] = nil
    return true
  end)
end

function Driver:alive(colour)
  local here = world()
  here:check_alive()
  local alive, detail = here:alive(colour)
  return alive, detail or "it runs"
end

function Driver:release(colour)
  local one = world().colours[colour]
  return one and one.release
end

function Driver:memory(colour)
  local here = world()
  local one = here.colours[colour]
  if not one or not here:alive(colour) then return nil end
  local age, leak = core_clock.now() - one.made_at, here:fault_of("leak", colour)
  return { age = age, bytes = math.floor(BASE_BYTES + (leak and leak.bytes_per_s * age or 0)) }
end

return M
