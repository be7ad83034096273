--- simulation.current: the world that the simulated drivers are in. One at a time: worlds follow one another.

local M = {}

--- The present world.
---@return table
function M.world() return M.present or error("this works in a simulated world only", 2) end

return M
