--- clock: the time. In a simulation it is virtual, and passes only while the run waits.

local core = require "core.clock"

local M = {}

--- Monotonic seconds: only differences mean something.
---@return number
---@usage local began = clock.now()  sleep(0.001)  assert(clock.now() > began)
function M.now() return core.now() end

--- Seconds since 1970-01-01T00:00:00Z.
---@return number
---@usage assert(clock.wall() > 1700000000)
function M.wall() return core.wall() end

--- A moment as text, in UTC.
---@param wall? number seconds since 1970; default: now
---@return string
---@usage assert(clock.utc(0) == "1970-01-01T00:00:00.000Z")
function M.utc(wall) return core.utc(wall) end

return M
