--- run.places: where in a run something stands. A place is the same each time that the run is gone through: "7" is the seventh thing
-- that the playbook does, "7.2" the second within it, "4[2].1" the first in the second branch of the parallel work at "4".

local M = {}

local function new_scope(place) return { place = place, count = 0 } end

-- The context of branch number `index` of parallel work.
local function branch(context, place)
  return function(index)
    return { run = context.run, step = context.step, scope = new_scope(("%s[%d]"):format(place, index)), fork = context.fork }
  end
end

-- Work that begins side by side takes one place for all of it, in the order in which it begins; task asks for it.
local function fork(context) return branch(context, M.next(context)) end

--- The context of a run's function.
---@param run table
---@return table
---@usage assert(require("run.places").next(require("run.places").context({})) == "1")
function M.context(run) return { run = run, scope = new_scope "", fork = fork } end

--- The context within a step.
---@param context table the one around it
---@param step { place: string }
---@return table
function M.within(context, step) return { run = context.run, step = step, scope = new_scope(step.place), fork = fork } end

--- The next place of a context.
---@param context table
---@return string
function M.next(context)
  local scope = context.scope
  scope.count = scope.count + 1
  return scope.place == "" and tostring(scope.count) or ("%s.%d"):format(scope.place, scope.count)
end

return M
