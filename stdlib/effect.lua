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

--- Does what changes the world. Drivers do it by this, so that nothing is changed in a step that does not say so, and so that tests
-- can end the engine just before and just after.
---@param name string such as "traffic.set"
---@param fn fun(): any
---@return any what fn returns
---@usage assert(effect.change("example", function() return 7 end) == 7)
function M.change(name, fn)
  local context = core_task.context()
  if context and context.scope and context.run.venture and not is_declared(context.step) then
    local where = context.step and ("the step '%s'"):format(context.step.name) or "the code outside of any step"
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
---@usage local o = { provision = function() return 1 end, destroy = function() return 2 end }  effect.wrap(o, "environment")  assert(o:provision() == 1)
function M.wrap(object, interface)
  for _, method in ipairs(M.METHODS[interface]) do
    local plain = object[method]
    object[method] = function(...)
      local arguments = table.pack(...)
      return M.change(interface .. "." .. method, function() return plain(table.unpack(arguments, 1, arguments.n)) end)
    end
  end
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
