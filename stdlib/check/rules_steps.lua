--- check.rules_steps: the declarations of steps: where they stand, and whether what they change can be taken back.

local effect = require "effect"
local step = require "check.step"
local suggest = require "check.suggest"
local walk = require "check.walk"

local M = {}

-- The name, where it is known, to show the step and not all of it.
local function place_of(node, options)
  local first = options and options.fields[1]
  if first and not first.key then return first end
  return node.args[1] or node.fn
end

local function check_options(subject, node, options)
  local fields = step.fields(options)
  local place = place_of(node, options)
  local undo = fields.undo and fields.undo.value.kind
  local class = fields.effect and fields.effect.value
  if class and class.kind == "String" and not effect.CLASSES[class.value] then
    local near = suggest.near(class.value, effect.CLASSES)
    subject:report("error", class, ("there is no class of effects '%s'"):format(class.value), near and ("Write %q."):format(near) or "It is pure, idempotent, keyed, probed or manual.")
  elseif class and class.kind == "String" and class.value == "probed" and not fields.probe then
    subject:report("error", class, "this step is to be probed after a crash, and has no probe", "Add probe = function() return \"done\" end, which answers done, absent, partial or unknown.")
  elseif not class and not fields.probe and undo and undo ~= "Nil" and undo ~= "False" then
    subject:report("error", place, "this step can be taken back, so it changes something, and does not say what may be done when the engine died in its middle",
      "Say effect = \"probed\" (with probe), \"idempotent\", \"keyed\" or \"manual\".")
  end
  if fields.probe and class and class.value ~= "probed" and (not undo or undo == "Nil" or undo == "False") then
    subject:report("error", fields.probe.key, ("this probe is never asked: the step is %s, and has no undo"):format(class.value or "of another class"), "Say effect = \"probed\", or remove the probe.")
  elseif undo and undo ~= "Nil" and undo ~= "False" and not fields.probe then
    subject:report("warning", place, "this step can be taken back, but nobody can ask whether it happened: it has no probe",
      "Add probe = function() return \"done\" end, which answers done, absent, partial or unknown.")
  elseif not undo and (fields.probe or (fields.approve and fields.approve.value.kind == "True")) then
    subject:report("warning", place, "this step waits for a yes because it changes something, and does not say how that is taken back: it has no undo",
      "Add undo = function() ... end (and probe), or undo = false when nothing can take it back.")
  end
end

local function check_function(subject, node)
  if node.args[1] and node.args[1].kind == "String" and not node.args[2] then
    subject:report("error", node.args[1], "this step has a name and nothing to do", "Give it a function: step(\"name\", function() ... end).")
  end
end

local function visit(subject, node, depth)
  walk.each(node, function(each)
    if each ~= node and each.kind == "Function" then
      visit(subject, each, depth + 1)
      return false
    end
    if not step.is(subject.registry, each) then return end
    if depth == 0 then
      subject:report("error", each.fn, "this step would run when the file is loaded; steps belong into a run", "Put it into the function of the part, or into run = function(run) ... end.")
    end
    local first = each.args[1]
    if first and first.kind == "Table" then check_options(subject, each, first) else check_function(subject, each) end
  end)
end

--- Adds to the subject what is wrong with its steps.
---@param subject table of check.subject, parsed
function M.check(subject) visit(subject, subject.tree, 0) end

return M
