--- display.expected: what can be expected of a run by the past ones of its playbook: how long each step takes, what comes next, how long a
-- rollback takes.

local papers = require "papers.expected"
local steps_and_values = require("journal.steps").and_values

local M = {}

-- The outermost steps of the way there, or of the way back, with how long each took.
local function way(steps, is_back)
  local names, seconds = {}, 0
  for _, step in ipairs(steps) do
    if not step.parent and papers.is_way_back(step.name) == is_back then
      names[#names + 1] = step.name
      seconds = seconds + (step.seconds or 0)
    end
  end
  return names, seconds
end

--- Reads the past of a run.
---@param journal table
---@param row table of the run
---@return { of: (fun(name: string, values: table): number?), rollback_s?: number, next: (fun(model: table): string[]), total: fun(values: table): number? }
function M.read(journal, row)
  local took = papers.read(journal, row)
  local names, names_values, release, back = nil, nil, nil, {}
  for _, past in ipairs(papers.past(journal, row)) do
    local is_back = past.exit_code == 4
    if is_back or (past.exit_code == 0 and not names) then
      local steps, values = steps_and_values(assert(journal:events(past.id)))
      local found, seconds = way(steps, is_back)
      if is_back then back[#back + 1] = seconds
      else names, names_values, release = found, values, past.release end
    end
  end
  local self = { of = took.of, rollback_s = back[1] and papers.median(back) or nil }

  -- The steps of the last promoted run that this one has not begun. A step that was new then may never come: only what follows the last one
  -- that both have.
  function self.next(model)
    local begun = {}
    for _, step in ipairs(model.steps) do
      if step.depth == 0 then begun[papers.same_name(step.name, model.values, row.release)] = true end
    end
    local left = {}
    for i = #(names or {}), 1, -1 do
      local name = papers.same_name(names[i], names_values, release)
      if begun[name] then break end
      local shown = name:gsub("{(%w[%w ]*)}", function(what)
        local colours = model.values.colours or {}
        return ({ old = colours.old, new = colours.new, release = row.release, ["version before"] = colours.version })[what]
      end)
      table.insert(left, 1, shown)
    end
    return left
  end

  function self.total(values)
    local sum
    for _, name in ipairs(names or {}) do
      -- by the names of that run, which medians know by what they stand for
      local seconds = took.of(papers.same_name(name, names_values, release), values)
      if seconds then sum = (sum or 0) + seconds end
    end
    return sum
  end

  return self
end

return M
