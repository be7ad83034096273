--- simulation.current: the world that the simulated drivers are in. One at a time: worlds follow one another.

local M = {}

local present

--- From now on the drivers are in this world; nil: in none.
---@param world? table
function M.enter(world) present = world end

--- The present world, or nil.
---@return table?
---@usage assert(require("simulation.current").maybe() == nil)
function M.maybe() return present end

--- The present world.
---@return table
function M.world() return present or error("this works in a simulated world only", 2) end

return M
