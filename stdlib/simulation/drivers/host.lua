--- simulation.drivers.host: stands in for module host: the machine is at ease, unless a fault says otherwise.

local world = require("simulation.current").world

local M = {}

function M.sample()
  local here = world()
  here:check_alive()
  local fault = here:fault "machine"
  return { cpu_percent = fault and fault.cpu or 20, memory_percent = fault and fault.memory or 40 }
end

function M.disk() return { used = world():fault "disk" and 1 or 0.5 } end
function M.name() return "simulated" end

return M
