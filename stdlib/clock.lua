--- clock: the time. In simulation and tests it is virtual.
--
-- Inside a run, outside of its steps, wall and utc are recorded: when the run is gone through again they give what they gave then.

local core = require "core.clock"
local core_task = require "core.task"

local M = {}

-- fn(), or what the run recorded of it. A step's result is recorded as a whole, so inside it nothing else needs to be.
local function recorded(name, fn)
  local context = core_task.context()
  if context and context.scope and not context.step then return context.run:record(name, fn) end
  return fn()
end

M.recorded = recorded

--- Seconds since an unspecified start; never goes back. For measuring within a step: it means nothing in another process.
---@return number
---@usage local began = clock.now()  assert(clock.now() >= began)
function M.now() return core.now() end

--- Seconds since 1970 (UTC).
---@return number
---@usage assert(clock.wall() > 0)
function M.wall() return recorded("clock.wall", core.wall) end

--- The time as text, "2026-11-23T18:07:20.123Z".
---@param wall? number seconds since 1970 (default: now)
---@return string
---@usage assert(clock.utc(0) == "1970-01-01T00:00:00.000Z")
function M.utc(wall)
  if wall then return core.utc(wall) end
  return recorded("clock.utc", core.utc)
end

return M
