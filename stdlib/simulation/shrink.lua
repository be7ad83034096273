--- simulation.shrink: the smallest world that still shows what is wrong: fewer faults, plainer ones, and everything else as in a world in which all is well.

local plain = require "plain"
local scenarios = require "simulation.scenario"

local M = {}

local MOST_COST = 400     -- in worlds that are run
local ENDLESS_COST = 40   -- of a world whose run does not end by itself
local MOST_PASSES = 8
local LATER = { 2, 3, 4, 6, 8 } -- at which time that it passes there the engine dies

-- Where the engine died by the scenario's i-th fault, as the world noted it.
local function place_of(scenario, world, i)
  for _, note in ipairs(world and world.history or {}) do
    if note.kind == "fault" and note.fault == scenario.faults[i] and note.boundary then return { at = note.boundary, during = note.during } end
  end
end

-- A number, plainer: 0, or as many minutes, tens or ones.
local function rounded(seconds)
  local out = { 0 }
  for _, unit in ipairs { 60, 10, 1 } do out[#out + 1] = math.floor(seconds / unit + 0.5) * unit end
  return out
end

local PLAINER = { times = 1, nth = 1, ["then"] = "resume", how = "fails", rate = 1, share = 1, back_s = 1 }

-- Changes that make a fault plainer: each a function(fault), called with a copy.
local function plainer_fault(fault, place)
  local out = {}
  local function set(name, value) out[#out + 1] = function(one) one[name] = value end end
  if fault.boundary and place then
    out[#out + 1] = function(one) one.boundary, one.at, one.during = nil, place.at, place.during end
    for _, nth in ipairs(LATER) do out[#out + 1] = function(one) one.boundary, one.at, one.during, one.nth = nil, place.at, place.during, nth end end
  end
  if fault.lasts then set("lasts", nil) end
  for _, value in ipairs(fault.after and rounded(fault.after) or {}) do set("after", value) end
  for _, value in ipairs(fault.lasts and rounded(fault.lasts) or {}) do if value > 0 then set("lasts", value) end end
  local names = {}
  for name in pairs(PLAINER) do if fault[name] ~= nil then names[#names + 1] = name end end
  table.sort(names)
  for _, name in ipairs(names) do set(name, PLAINER[name]) end
  return out
end

local function plain_with(faults, seed) return scenarios.of { seed = seed, faults = faults } end

--- Makes a scenario smaller as long as shows(scenario) stays true.
---@param scenario table
---@param shows fun(scenario: table): boolean, table?, boolean? whether it shows it, the world, whether its run was endless
---@return table smallest, integer tries
function M.shrink(scenario, shows)
  local tries, cost, world = 0, 0, nil
  -- Takes a candidate if it shows it too.
  local function try(candidate)
    if cost >= MOST_COST or plain.same(candidate, scenario) then return false end
    local is_shown, its_world, is_endless = shows(candidate)
    tries, cost = tries + 1, cost + (is_endless and ENDLESS_COST or 1)
    if is_shown then scenario, world = candidate, its_world end
    return is_shown
  end
  local function change(fn)
    local one = plain.copy(scenario)
    fn(one)
    return try(one)
  end

  -- The largest steps first: nothing at all, one fault, everything but the faults.
  local found = try(plain_with({})) or try(plain_with({}, scenario.seed))
  for _, seed in ipairs(found and {} or { scenarios.DEFAULTS.seed, scenario.seed }) do
    for _, fault in ipairs(scenario.faults) do found = found or try(plain_with({ plain.copy(fault) }, seed)) end
    found = found or try(plain_with(plain.copy(scenario.faults), seed))
  end

  local names = {}
  for name in pairs(scenarios.DEFAULTS) do if name ~= "faults" then names[#names + 1] = name end end
  table.sort(names)
  if not world then
    local _, its_world = shows(scenario)
    tries, cost, world = tries + 1, cost + 1, its_world
  end
  local smaller, passes = true, 0
  while smaller and passes < MOST_PASSES do
    smaller, passes = false, passes + 1
    for i = #scenario.faults, 1, -1 do smaller = change(function(one) table.remove(one.faults, i) end) or smaller end
    for _, name in ipairs(names) do smaller = change(function(one) one[name] = plain.copy(scenarios.DEFAULTS[name]) end) or smaller end
    if #scenario.migrations > 1 then smaller = change(function(one) table.remove(one.migrations) end) or smaller end
    for i = 1, #scenario.faults do
      local before = scenario.faults[i]
      for _, alter in ipairs(plainer_fault(before, place_of(scenario, world, i))) do
        -- What was made plainer in one way is looked at anew in the next pass.
        if change(function(one) alter(one.faults[i]) end) then
          smaller = true
          break
        end
      end
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
    if scenarios.DEFAULTS[name] ~= nil and not plain.same(value, scenarios.DEFAULTS[name]) then out[name] = value end
  end
  return out
end

return M
