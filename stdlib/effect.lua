--- effect: what changes the world, and what the step around it must have said.
--
-- A step says by `effect` what may be done with it when the engine died in its middle:
--   pure         it changes nothing; it is done again (what a step is that says nothing)
--   idempotent   twice is the same as once; it is done again
--   keyed        whoever is asked knows the step's key and does nothing twice; it is done again with the same key
--   probed       its probe says whether it happened: done, absent, partial or unknown
--   manual       nobody can say; a person is asked

local core_boundary = require "core.boundary"
local core_task = require "core.task"

local M = {}

M.CLASSES = { pure = true, idempotent = true, keyed = true, probed = true, manual = true }

--- The methods of drivers that change the world, by interface.
M.METHODS = { traffic = { "set", "ready", "drain", "maintenance", "address" }, environment = { "provision", "destroy" } }

-- Is there a step around the running code that says that it changes the world?
local function is_declared(step)
  while step do
    if step.effect ~= "pure" then return true end
    step = step.parent
  end
  return false
end

--- Where the running code is, when it belongs to a run and no step around it says that it changes the world; nil when one does.
---@return string? in words
---@usage assert(effect.undeclared() == nil)
function M.undeclared()
  local context = core_task.context()
  if not (context and context.scope and context.run.venture) or is_declared(context.step) then return nil end
  return context.step and ("the step '%s'"):format(context.step.name) or "the code outside of any step"
end

--- What a person is told of an effect before it is done, and what an exported session says of it.
---@class effect.about
---@field plan string what will be different: "green 10 -> 0, blue 90 -> 100"
---@field undo? string what takes it back, as it is typed in the console; nil: nothing does
---@field class? string of CLASSES (manual)
---@field args? table plain data that identify what is done
---@field verified? string how its outcome was looked at: "read back from the proxy"
---@field code? { run: string, probe?: string, undo?: string, needs?: string } the same as Lua of a playbook

--- Does what changes the world. Drivers do it by this, so that nothing is changed in a step that does not say so, so that the console asks
-- before, and so that tests can end the engine just before and just after.
---@param name string such as "traffic.set"
---@param fn fun(): any
---@param about? fun(): effect.about?, table? looks at the world for the console; nil and an error when it cannot be done
---@return any what fn returns
---@usage assert(effect.change("example", function() return 7 end) == 7)
function M.change(name, fn, about)
  local context = core_task.context()
  if context and context.console and not context.confirmed then return context.console:change(name, fn, about) end
  local where = M.undeclared()
  if where then
    error(("%s changes the world, and %s does not say so: give the step effect = \"probed\" (with probe and undo), \"keyed\", \"idempotent\" or \"manual\""):format(name, where), 3)
  end
  core_boundary.pass(name .. ": before")
  local results = table.pack(fn())
  core_boundary.pass(name .. ": after")
  return table.unpack(results, 1, results.n)
end

--- Makes those methods of a driver's object which change the world ones that do it by change.
---@param object table
---@param interface string of METHODS
---@param about? table<string, fun(...): effect.about?, table?> by method, for change; each gets what its method gets
---@usage local o = { provision = function() return 1 end, destroy = function() return 2 end }  effect.wrap(o, "environment")  assert(o:provision() == 1)
function M.wrap(object, interface, about)
  for _, method in ipairs(M.METHODS[interface]) do
    local plain, describe = object[method], about and about[method]
    object[method] = function(...)
      local arguments = table.pack(...)
      return M.change(interface .. "." .. method, function() return plain(table.unpack(arguments, 1, arguments.n)) end,
        describe and function() return describe(table.unpack(arguments, 1, arguments.n)) end)
    end
  end
end

local look_again = setmetatable({}, { __close = function() core_task.only_look(true) end })

--- Runs what only looks, by means that could also change something: a command of the team's own, a check that sends a body. In a console
-- that is not armed nothing else may use them.
---@param fn fun(): any
---@return any what fn returns
---@usage assert(effect.look(function() return 7 end) == 7)
function M.look(fn)
  if not core_task.only_look(false) then return fn() end
  local again <close> = look_again
  return fn()
end

--- The key of the step around the running code; a random one outside of runs.
---@return string 32 hexadecimal digits
---@usage assert(#effect.key() == 32)
function M.key()
  local context = core_task.context()
  local step = context and context.step
  return step and step.key or require("core.random").hex(16)
end

return M
