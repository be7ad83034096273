--- simulation.drivers.net: stands in for module net: whatever is connected to accepts.

local M = {}

function M.connect() return { close = function() end } end

return M
