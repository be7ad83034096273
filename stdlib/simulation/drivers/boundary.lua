--- simulation.drivers.boundary: stands in for core.boundary: at each the simulated engine can die.

local current = require "simulation.current"

return { pass = function(name)
  local here = current.maybe()
  if here then here:boundary(name) end
end }
