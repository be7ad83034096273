--- simulation.drivers.boundary: stands in for core.boundary: at each the simulated engine can die. With ENGINE_BOUNDARIES they are listed as the real engine's are.

local core_search = require "core.search"
local current = require "simulation.current"

local genuine = core_search.genuine "core.boundary"

return { pass = function(name)
  local here = current.maybe()
  if not here then return end
  genuine.pass(name)
  here:boundary(name)
end }
