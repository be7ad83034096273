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

--- The seconds since 1970 that such a text means.
---@param text string "2026-11-23T18:07:20.123Z"; the fraction may be missing
---@return number? seconds nil when it is no such text
---@usage assert(clock.of_utc "1970-01-02T00:00:00.500Z" == 86400.5 and clock.of_utc "yesterday" == nil)
function M.of_utc(text)
  local year, month, day, hour, minute, second = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d%.?%d*)"
  if not year then return nil end
  year, month, day = math.tointeger(tonumber(year)), math.tointeger(tonumber(month)), math.tointeger(tonumber(day))
  -- Days from the civil calendar: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
  if month <= 2 then year = year - 1 end
  local era = year // 400
  local of_era = year - era * 400
  local of_year = (153 * (month + (month > 2 and -3 or 9)) + 2) // 5 + day - 1
  local days = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
  return days * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second)
end

return M
