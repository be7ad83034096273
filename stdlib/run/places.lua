--- run.places: where in a run something stands. A place is the same each time that the run is gone through: "7" is the seventh thing
-- that the playbook does, "7.2" the second within it, "4[2].1" the first in the second branch of the parallel work at "4".

local M = {}

local function new_scope(place) return { place = place, count = 0 } end

--- The place number `n` within another; "" is the run itself.
---@param within string
---@param n integer
---@return string
---@usage assert(require("run.places").of("", 7) == "7" and require("run.places").of("7", 2) == "7.2")
function M.of(within, n) return within == "" and tostring(n) or ("%s.%d"):format(within, n) end

-- The context of branch number `index` of parallel work.
local function branch(context, place)
  return function(index)
    return { run = context.run, step = context.step, scope = new_scope(("%s[%d]"):format(place, index)), fork = context.fork }
  end
end

-- Work that begins side by side takes one place for all of it, in the order in which it begins; task asks for it.
local function fork(context)
  local place = M.next(context)
  context.run:begin_branches(place)
  return branch(context, place)
end

--- The context of a run's function.
---@param run table
---@return table
---@usage assert(require("run.places").next(require("run.places").context {}) == "1")
function M.context(run) return { run = run, scope = new_scope "", fork = fork } end

--- The context within a step.
---@param context table the one around it
---@param step { place: string }
---@return table
function M.within(context, step) return { run = context.run, step = step, scope = new_scope(step.place), fork = fork } end

--- The context of work of which nothing is recorded, so that it takes no place of those that are.
---@param context table the one around it
---@param place string
---@return table
function M.aside(context, place) return { run = context.run, step = context.step, scope = new_scope(place) } end

--- The context of work that has a place of its own and is no step.
---@param context table the one around it
---@param place string
---@return table
function M.inside(context, place) return { run = context.run, step = context.step, scope = new_scope(place), fork = fork } end

--- From here on a context's places are within another one.
---@param context table
---@param place string
---@return { place: string, count: integer } scope
function M.turn(context, place)
  context.scope = new_scope(place)
  return context.scope
end

--- The next place of a context.
---@param context table
---@return string
function M.next(context)
  local scope = context.scope
  scope.count = scope.count + 1
  return M.of(scope.place, scope.count)
end

return M
