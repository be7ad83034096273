--- papers.axes: where a value of a chart stands (see papers.chart for its spec), and which values are named beside it. Pure.

local M = {}

local TIME_STEPS = { 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400 }

local function power_of_ten(value, round) return 10.0 ^ round(math.log(value, 10) + (round == math.ceil and -1e-9 or 1e-9)) end

-- A step of 1, 2 or 5 times a power of ten, so that there are about `count` of them.
local function nice_step(span, count)
  local raw = span / count
  local unit = power_of_ten(raw, math.floor)
  for _, factor in ipairs { 1, 2, 5 } do if raw <= factor * unit * 1.0001 then return factor * unit end end
  return 10 * unit
end

local function largest(spec, smallest)
  local found = smallest
  for _, one in ipairs(spec.lines or {}) do
    for _, point in ipairs(one.points) do found = math.max(found, point.value or found) end
  end
  for _, limit in ipairs(spec.limits or {}) do found = math.max(found, limit.value * 1.1) end
  return found
end

--- The axis of shares, from 0.
---@param spec table
---@return fun(value: number): number place 0 at the foot, 1 at the top
---@return { value: number, label: string }[] ticks
---@usage local place, ticks = require("papers.axes").percent { shares = {} }  assert(place(50) == 0.5 and ticks[#ticks].label == "100 %")
function M.percent(spec)
  local step = nice_step(spec.shares and 100 or largest(spec, 0.5), 4)
  local top = spec.shares and 100 or step * math.ceil(largest(spec, 0.5) / step - 1e-9)
  local ticks = {}
  for i = 0, math.floor(top / step + 0.5) do ticks[#ticks + 1] = { value = i * step, label = ("%g %%"):format(i * step) } end
  return function(value) return value / top end, ticks
end

--- The axis of latencies, which is logarithmic: from the power of ten below the least to the one above the greatest.
---@param spec table
---@return fun(value: number): number place
---@return { value: number, label: string }[] ticks
---@usage local place, ticks = require("papers.axes").ms { lines = { { points = { { at = 0, value = 3 }, { at = 1, value = 700 } } } } }  assert(place(1) == 0 and ticks[#ticks].label == "1 s")
function M.ms(spec)
  local low, high = math.huge, largest(spec, 0)
  for _, one in ipairs(spec.lines) do
    for _, point in ipairs(one.points) do
      if point.value and point.value > 0 then low = math.min(low, point.value) end
    end
  end
  low = power_of_ten(math.min(low, high > 0 and high or 1), math.floor)
  high = math.max(power_of_ten(math.max(high, 1), math.ceil), 10 * low)
  local ticks, unit = {}, low
  while unit <= high * 1.001 do
    for _, factor in ipairs(high / low > 11 and { 1 } or { 1, 2, 5 }) do
      local value = factor * unit
      if value <= high * 1.001 then ticks[#ticks + 1] = { value = value, label = value >= 1000 and ("%g s"):format(value / 1000) or ("%g ms"):format(value) } end
    end
    unit = unit * 10
  end
  local span = math.log(high / low)
  return function(at) return math.log(math.max(at, low) / low) / span end, ticks
end

--- The least of the usual steps of time that gives at most so many ticks.
---@param seconds number the range
---@param most integer
---@return integer seconds
---@usage assert(require("papers.axes").time_step(60, 6) == 10)
function M.time_step(seconds, most)
  for _, step in ipairs(TIME_STEPS) do if seconds / step <= most then return step end end
  return TIME_STEPS[#TIME_STEPS]
end

return M
