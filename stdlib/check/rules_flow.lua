--- check.rules_flow: what can never be reached: statements after one that always leaves, and branches that are never taken.

local walk = require "check.walk"

local M = {}

local LOOPS = { While = true, Repeat = true, Numeric = true, Generic = true }

local function is_call_of(subject, node, name)
  local fn = node.kind == "CallStatement" and node.call.kind == "Call" and node.call.fn
  return fn and fn.kind == "Name" and fn.name == name and not fn.declaration and subject.registry:global(name) ~= nil
end

-- Can this loop be left by a break of its own, or by a goto somewhere inside?
local function can_be_left(body)
  local found = false
  local function visit(node, inside_another)
    walk.each(node, function(each)
      if each.kind == "Function" then return false end
      if each.kind == "Goto" or each.kind == "Break" and not inside_another then found = true end
      local inner = each ~= node and LOOPS[each.kind] and each.body
      if inner and not inside_another then
        visit(inner, true)
        return false
      end
    end)
  end
  visit(body, false)
  return found
end

local leaves

local function block_leaves(subject, body)
  for _, statement in ipairs(body.statements) do
    local how = leaves(subject, statement)
    if how then return how end
  end
end

-- In words, what makes the text after this statement unreachable; nil when it can be reached.
function leaves(subject, statement)
  local kind = statement.kind
  if kind == "Return" then return "`return`" end
  if kind == "Break" then return "`break`" end
  if kind == "Goto" then return "`goto`" end
  if kind == "Do" then return block_leaves(subject, statement.body) end
  if kind == "While" and statement.condition.kind == "True" and not can_be_left(statement.body) then return "a loop without end" end
  if is_call_of(subject, statement, "error") then return "`error`" end
  if is_call_of(subject, statement, "fail") then return "`fail`" end
  if kind == "If" and statement.otherwise then
    for _, branch in ipairs(statement.branches) do
      if not block_leaves(subject, branch.body) then return nil end
    end
    return block_leaves(subject, statement.otherwise) and "an `if` whose every branch leaves"
  end
end

local function check_block(subject, body)
  local how, line
  for _, statement in ipairs(body.statements) do
    if statement.kind == "Label" then
      how = nil
    elseif how then
      subject:report("error", statement, ("this is never reached: %s in line %d always comes first"):format(how, line), "Remove it, or move it before that line.")
      return
    else
      how = leaves(subject, statement)
      line = subject.source:position(statement.at)
    end
  end
end

local function is_false(node)
  while node.kind == "Paren" do node = node.inner end
  return node.kind == "False" or node.kind == "Nil"
end

--- Adds to the subject what can never be reached in it.
---@param subject table of check.subject, parsed
function M.check(subject)
  walk.each(subject.tree, function(node)
    if node.kind == "Block" then check_block(subject, node) end
    if (node.kind == "Branch" or node.kind == "While") and is_false(node.condition) then
      subject:report("error", node.condition, "what this guards never runs: the condition is always false", "Give the condition that is meant, or remove the block.")
    end
  end)
end

return M
