--- check.step: the calls that make steps, and what they declare.

local M = {}

--- Is this node a call of `step`?
---@param registry table
---@param node table
---@return boolean
function M.is(registry, node)
  local found = node.kind == "Call" and registry:resolve(node.fn)
  return found and (found.fn == "step" or found.fn == "run.step") or false
end

--- The fields of a table that have names, by their names.
---@param node table
---@return table<string, table>
function M.fields(node)
  local fields = {}
  for _, field in ipairs(node.fields) do
    if field.key and field.key.kind == "String" then fields[field.key.value] = field end
  end
  return fields
end

--- Does a step say that it changes nothing? False also when that cannot be told.
---@param node table a call of step
---@return boolean
function M.is_pure(node)
  local options = node.args[1]
  if not options or options.kind ~= "Table" then return options ~= nil and options.kind == "String" end
  local fields = M.fields(options)
  local class = fields.effect and fields.effect.value
  if class then return class.kind == "String" and class.value == "pure" end
  return not fields.probe
end

--- What a step does: its function, where it stands in the text or in a local of the file.
---@param node table a call of step
---@return table? fn
function M.body(node)
  local options = node.args[1]
  local value = node.args[2]
  if options and options.kind == "Table" then
    local field = M.fields(options).run
    value = field and field.value
  end
  if value and value.kind == "Name" and value.declaration and value.declaration.writes == 0 then value = value.declaration.fn or value.declaration.value end
  return value and value.kind == "Function" and value or nil
end

return M
