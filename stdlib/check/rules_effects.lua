--- check.rules_effects: steps that change the world and do not say so. At run time a driver refuses that, in the middle of a deployment; and what no
-- driver sees would be done twice by a run whose engine died.

local changes = require "check.changes"
local step = require "check.step"
local walk = require "check.walk"

local M = {}

local function report(subject, step_node, name, place)
  local is_short = step_node.args[1].kind == "String"
  subject:report("error", place, ("%s changes the world, and the step around it does not say so"):format(name),
    (is_short and "Write step { \"name\", effect = ..., run = function() ... end }: " or "Say effect = ")
      .. "\"probed\" (with probe and undo), \"keyed\", \"idempotent\" or \"manual\", by what may be done when the engine died in its middle.")
end

-- is_declared: a step around it says that it changes something.
local function visit_step(subject, known, node, is_declared)
  local body = step.body(node)
  if not body then return end
  is_declared = is_declared or not step.is_pure(node)
  walk.each(body, function(each)
    if step.is(subject.registry, each) then
      visit_step(subject, known, each, is_declared)
      return false
    end
    if is_declared then return end
    local name, place = known:of(each)
    if name then report(subject, node, name, place) end
  end)
end

--- Adds to the subject what its steps change without saying so.
---@param subject table of check.subject, parsed
function M.check(subject)
  local known = changes.new(subject.registry)
  walk.each(subject.tree, function(node)
    if not step.is(subject.registry, node) then return end
    visit_step(subject, known, node, false)
    return false
  end)
end

return M
