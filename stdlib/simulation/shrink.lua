--- simulation.shrink: the smallest world that still shows what is wrong: fewer faults, plainer ones, and everything else as in a world in which all is well.

local scenarios = require "simulation.scenario"

local M = {}

local MOST_TRIES = 400

local function copied(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for key, item in pairs(value) do out[key] = copied(item) end
  return out
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, item in pairs(a) do if not same(item, b[key]) then return false end end
  for key in pairs(b) do if a[key] == nil then return false end end
  return true
end

-- What the plainest fault has: a list, as of two that are as plain the first that is tried is taken.
local PLAIN = {
  { name = "after", value = 0 }, { name = "back_s", value = 1 }, { name = "how", value = "fails" }, { name = "lasts" }, { name = "nth", value = 1 }, { name = "of" }, { name = "rate", value = 1 },
  { name = "share", value = 1 }, { name = "then", value = "resume" }, { name = "times", value = 1 },
}

-- Everything that is a little plainer than a scenario, the largest steps first.
local function plainer(scenario)
  local out = {}
  local function add(change)
    local one = copied(scenario)
    change(one)
    if not same(one, scenario) then out[#out + 1] = one end
  end
  for i = #scenario.faults, 1, -1 do add(function(one) table.remove(one.faults, i) end) end
  local names = {}
  for name in pairs(scenarios.DEFAULTS) do if name ~= "faults" and name ~= "seed" then names[#names + 1] = name end end
  table.sort(names)
  for _, name in ipairs(names) do add(function(one) one[name] = copied(scenarios.DEFAULTS[name]) end) end
  if #scenario.migrations > 1 then add(function(one) table.remove(one.migrations) end) end
  for i, fault in ipairs(scenario.faults) do
    for _, plain in ipairs(PLAIN) do
      if fault[plain.name] ~= nil then add(function(one) one.faults[i][plain.name] = plain.value end) end
    end
    if fault.boundary and fault.boundary > 1 then
      add(function(one) one.faults[i].boundary = fault.boundary // 2 end)
      add(function(one) one.faults[i].boundary = fault.boundary - 1 end)
    end
    if fault.after and fault.after > 1 then add(function(one) one.faults[i].after = fault.after // 2 end) end
  end
  return out
end

--- Makes a scenario smaller as long as shows(scenario) stays true.
---@param scenario table
---@param shows fun(scenario: table): boolean
---@return table smallest, integer tries
function M.shrink(scenario, shows)
  local tries, found = 0, true
  while found and tries < MOST_TRIES do
    found = false
    for _, one in ipairs(plainer(scenario)) do
      tries = tries + 1
      if shows(one) then
        scenario, found = one, true
        break
      end
      if tries >= MOST_TRIES then break end
    end
  end
  return scenario, tries
end

--- What of a scenario is not as in a world in which all is well: what has to be said to have it again.
---@param scenario table
---@return table
function M.said(scenario)
  local out = {}
  for name, value in pairs(scenario) do
    if scenarios.DEFAULTS[name] ~= nil and not same(value, scenarios.DEFAULTS[name]) then out[name] = value end
  end
  return out
end

return M
