--- random: ids and numbers that nobody can guess.

local core = require "core.random"

local M = {}

--- Random bytes as hexadecimal digits.
---@param bytes integer from 1 to 128; the text has twice as many digits
---@return string
---@usage assert(#random.hex(8) == 16)
function M.hex(bytes) return core.hex(bytes) end

--- A random integer from low to high, both included.
---@param low integer
---@param high integer
---@return integer
---@usage local n = random.integer(1, 6)  assert(n >= 1 and n <= 6)
function M.integer(low, high) return core.integer(low, high) end

return M
