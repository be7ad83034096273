--- simulation.drivers.boundary: stands in for core.boundary: at each the simulated engine can die.

local current = require "simulation.current"

return { pass = function(name)
  if current.present then current.present:boundary(name) end
end }
