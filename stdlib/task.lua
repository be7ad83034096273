--- task: things that happen side by side, with an owner, an end and a deadline.
--
-- A task belongs to the one that started it and never outlives it. A failure in `parallel` or
-- `background` cancels the siblings; cancellation is raised at every wait.

local core = require "core.task"

local M = {}

local function run_scoped(flag, seconds, name, fn, ...)
  local child = core.spawn(flag, fn, ...)
  if seconds then core.deadline(child, seconds, name) end
  return core.join(child)
end

-- What the context has for work that begins side by side: a context for each branch of it. Nil when it has nothing.
local function branches()
  local context = core.context()
  return type(context) == "table" and context.fork and context:fork()
end

local function raise_or_return(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

--- Runs the functions side by side and waits for all of them.
-- The first failure cancels the others and is raised.
---@param functions (fun(): any)[]
---@return any[] results the first result of each, in the order of the functions (nil where it gave none)
---@usage local both = parallel { function() return 1 end, function() return 2 end }  assert(both[2] == 2)
function M.parallel(functions)
  return M.map(functions, function(fn) return fn() end)
end

--- Calls fn(item, index) for every item, at most `limit` at the same time.
---@param items any[]
---@param fn fun(item: any, index: integer): any
---@param options? { limit?: integer } default: all at once
---@return any[] results in the order of the items
---@usage local squares = task.map({ 1, 2, 3 }, function(n) return n * n end)  assert(squares[3] == 9)
function M.map(items, fn, options)
  if type(items) ~= "table" then error("parallel takes a table of functions", 2) end
  local limit = options and options.limit or #items
  if #items == 0 then return {} end
  if limit < 1 then error("limit must be at least 1", 2) end
  local results, next_index, branch = {}, 1, branches()
  return raise_or_return(run_scoped("", nil, nil, function()
    local function worker()
      while next_index <= #items do
        local index = next_index
        next_index = index + 1
        if branch then core.set_context(branch(index)) end
        results[index] = fn(items[index], index)
      end
    end
    -- Workers are background tasks of this scope: the first that fails cancels the scope, and so
    -- its siblings, and the scope ends only when all of them have.
    local workers = {}
    for i = 1, math.min(limit, #items) do workers[i] = core.spawn("background", worker) end
    for _, w in ipairs(workers) do raise_or_return(core.join(w)) end
    return results
  end))
end

--- Starts fn beside the present work. It ends with it at the latest; its failure cancels it.
---@param fn fun(...): any
---@return table task with task:cancel(reason) and task:join()
---@usage local t = background(function() return "done" end)  assert(t:join() == "done")
function M.background(fn, ...)
  if type(fn) ~= "function" then error("background takes a function", 2) end
  local branch = branches()
  local function run(...)
    if branch then core.set_context(branch(1)) end
    return fn(...)
  end
  local handle = { task = core.spawn("background", run, ...) }
  function handle:cancel(reason)
    core.cancel(self.task, require("core.err").new { code = "canceled", message = reason or "no longer needed" })
  end
  function handle:join() return raise_or_return(core.join(self.task)) end
  return handle
end

--- Runs fn; when it has not ended after `seconds`, it is canceled and an error "deadline" is raised.
---@param seconds number
---@param fn fun(...): any
---@usage assert(deadline(5, function() return "in time" end) == "in time")
function M.deadline(seconds, fn, ...)
  return raise_or_return(run_scoped("", seconds, "deadline", fn, ...))
end

--- Runs fn as a unit of its own: what it starts in the background has ended when it returns.
---@param name string for the message of its deadline
---@param seconds? number deadline
---@param fn fun(...): any
---@return boolean ok, any result_or_err
function M.scope(name, seconds, fn, ...)
  return run_scoped("", seconds, name, fn, ...)
end

--- As scope, and what Ctrl-C cancels: the caller goes on afterwards and can say how it ended.
---@param fn fun(...): any
---@return boolean ok, any result_or_err
function M.interruptible(fn, ...)
  local child = core.spawn("", fn, ...)
  core.interruptible(child)
  return core.join(child)
end

--- Runs fn so that a cancellation from outside does not reach it: for clean-up and rollback.
-- A canceled task continues to be canceled after it.
---@param fn fun(...): any
---@param seconds? number its own deadline
---@usage assert(shield(function() return 7 end) == 7)
function M.shield(fn, seconds)
  return raise_or_return(run_scoped("shield", seconds, "shielded work", fn))
end

--- Waits.
---@param seconds number from 0 on
---@usage sleep(0.001)
function M.sleep(seconds) return core.sleep(seconds) end

--- Is the running task being canceled?
---@return boolean
function M.canceled() return core.canceled() end

return M
