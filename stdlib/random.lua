--- random: unpredictable values from the kernel, good enough for tokens and idempotency keys.
--
-- Inside a run, outside of its steps, they are recorded, as the time is (see clock).

local clock = require "clock"
local core = require "core.random"

local M = {}

--- Random bytes as hexadecimal digits.
---@param bytes integer 1 to 1024; the text has twice as many digits
---@return string
---@usage assert(#random.hex(8) == 16)
function M.hex(bytes)
  return clock.recorded("random.hex", function() return core.hex(bytes) end)
end

--- An integer from a to b, each equally likely.
---@param a integer
---@param b integer
---@return integer
---@usage local die = random.integer(1, 6)  assert(die >= 1 and die <= 6)
function M.integer(a, b)
  return clock.recorded("random.integer", function() return core.integer(a, b) end)
end

return M
