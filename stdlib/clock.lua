--- clock: the time, from the run's one clock (which a simulation replaces).

local core = require "core.clock"

local M = {}

--- Monotonic time; only differences mean something.
---@return number seconds
---@usage assert(clock.now() <= clock.now())
function M.now() return core.now() end

--- The time of day.
---@return number seconds since 1970-01-01T00:00:00Z
---@usage assert(clock.wall() > 1700000000)
function M.wall() return core.wall() end

--- A moment as text in UTC with milliseconds; now, if none is given.
---@param wall? number seconds since 1970
---@return string
---@usage assert(clock.utc(0) == "1970-01-01T00:00:00.000Z")
function M.utc(wall) return core.utc(wall) end

return M
