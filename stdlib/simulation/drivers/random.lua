--- simulation.drivers.random: stands in for core.random: the same numbers in the same world.

local current = require "simulation.current"
local random = require "simulation.random"

local M = {}

local outside = random.stream(0, "outside")

local function draw()
  local here = current.maybe()
  return here and here:stream "ids" or outside
end

function M.integer(a, b) return draw():integer(a, b) end

function M.hex(bytes)
  local digits, stream = {}, draw()
  for i = 1, bytes do digits[i] = ("%02x"):format(stream:integer(0, 255)) end
  return table.concat(digits)
end

return M
