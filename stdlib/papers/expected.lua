--- papers.expected: how long each step of a run should take, by what it took in the venture's past runs.

local steps_and_values = require("journal.steps").and_values

local M = {}

local RUNS = 50 -- the latest ones are looked through

local WAY_BACK = { "^RB%d", "^rollback", "^abort", "^undo" }

--- Is this a step that takes a release back?
---@param name string
---@return boolean
---@usage assert(require("papers.expected").is_way_back "RB1 all traffic to blue" and not require("papers.expected").is_way_back "30.1.3 backup")
function M.is_way_back(name)
  for _, pattern in ipairs(WAY_BACK) do if name:find(pattern) then return true end end
  return false
end

local function word(text) return "%f[%w.]" .. text:gsub("%p", "%%%0") .. "%f[^%w.]" end

--- A step's name with its colours and versions as what they are in the run: the next deployment goes onto the other colour.
---@param name string
---@param values table<string, any> what the run recorded as values: colours { old, new, version }
---@param release? string
---@return string
---@usage assert(require("papers.expected").same_name("30.2.2 traffic: 10 % to blue", { colours = { old = "green", new = "blue", version = "1.0" } }) == "30.2.2 traffic: 10 % to {new}")
function M.same_name(name, values, release)
  local colours = values.colours or {}
  for _, pair in ipairs { { colours.old, "{old}" }, { colours.new, "{new}" }, { release, "{release}" }, { colours.version, "{version before}" } } do
    if pair[1] then name = name:gsub(word(pair[1]), (pair[2]:gsub("%%", "%%%%"))) end
  end
  return name
end

--- The middle of some numbers.
---@param numbers number[] at least one; sorted by this
---@return number
---@usage assert(require("papers.expected").median { 3, 1, 2 } == 2 and require("papers.expected").median { 1, 2 } == 1.5)
function M.median(numbers)
  table.sort(numbers)
  local half = #numbers // 2
  return #numbers % 2 == 1 and numbers[half + 1] or (numbers[half] + numbers[half + 1]) / 2
end

--- The earlier runs that say something about a run: those of the same playbook, the latest first. A console is like no other.
---@param journal table
---@param row table of the run
---@return table[]
function M.past(journal, row)
  local past = {}
  if not row.venture or row.playbook == "console" then return past end
  for _, one in ipairs(assert(journal:runs { venture = row.venture, playbook = row.playbook, limit = RUNS })) do
    if one.seq < row.seq then past[#past + 1] = one end
  end
  return past
end

--- What a run's steps took in the past: the median over the earlier runs of its playbook that were promoted; for steps of the way back over
-- those that were rolled back and verified.
---@param journal table
---@param row table of the run
---@return { runs: integer, of: fun(name: string, values: table): number?, integer? } runs: how many promoted ones there are; of: seconds and the number of runs behind them
function M.read(journal, row)
  local took, promoted = {}, 0
  for _, past in ipairs(M.past(journal, row)) do
    if past.exit_code == 0 or past.exit_code == 4 then
      if past.exit_code == 0 then promoted = promoted + 1 end
      local steps, values = steps_and_values(assert(journal:events(past.id)))
      for _, step in ipairs(steps) do
        if step.state == "done" and step.seconds and M.is_way_back(step.name) == (past.exit_code == 4) then
          local name = M.same_name(step.name, values, past.release)
          took[name] = took[name] or {}
          table.insert(took[name], step.seconds)
        end
      end
    end
  end
  return {
    runs = promoted,
    of = function(name, values)
      local all = took[M.same_name(name, values, row.release)]
      if all then return M.median(all), #all end
    end,
  }
end

return M
