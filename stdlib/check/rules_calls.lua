--- check.rules_calls: arguments against what the library's comments say of its functions. Only literals are judged: what
-- a variable holds is not known here.

local types = require "check.types"
local walk = require "check.walk"

local M = {}

local function gives_many(node) return node.kind == "Call" or node.kind == "Method" or node.kind == "Vararg" end

local function signature(name, export)
  local names = {}
  for i, parameter in ipairs(export.fn.params) do
    local described = export.parameters[parameter.name]
    names[i] = parameter.name .. (described and described.optional and "?" or "")
  end
  if export.fn.is_vararg then names[#names + 1] = "..." end
  return ("%s(%s)"):format(name, table.concat(names, ", "))
end

local function check_count(subject, node, name, export)
  local given, params = #node.args, export.fn.params
  local last = node.args[given]
  if given > #params and not export.fn.is_vararg then
    subject:report("error", node.args[#params + 1], ("%s takes %d argument%s, but gets %d"):format(name, #params, #params == 1 and "" or "s", given),
      ("It is %s."):format(signature(name, export)))
    return
  end
  if last and gives_many(last) then return end
  for i = given + 1, #params do
    local described = export.parameters[params[i].name]
    if described and not described.optional and not types.accepts_nil(described.type) then
      subject:report("error", node.fn.key or node.fn, ("%s needs '%s'"):format(name, params[i].name), ("It is %s."):format(signature(name, export)))
      return
    end
  end
end

local function check_types(subject, node, name, export)
  for i, arg in ipairs(node.args) do
    local parameter = export.fn.params[i]
    local described = parameter and export.parameters[parameter.name]
    if described and not (described.optional and arg.kind == "Nil") then
      for _, problem in ipairs(types.check(arg, described.type)) do
        local place = problem.at_start and { at = problem.node.at, to = problem.node.at } or problem.node
        local about = problem.message:find "^must be" and ("%s: '%s' "):format(name, parameter.name) or name .. ": "
        subject:report("error", place, about .. problem.message, problem.fix)
      end
    end
  end
end

--- Adds to the subject what is wrong with the arguments of its calls.
---@param subject table of check.subject, parsed
function M.check(subject)
  walk.each(subject.tree, function(node)
    if node.kind ~= "Call" then return end
    local found = subject.registry:resolve(node.fn)
    local export = found and found.export
    if not export or not export.fn or export.fn.is_method or not export.parameters then return end
    check_count(subject, node, found.fn, export)
    check_types(subject, node, found.fn, export)
  end)
end

return M
