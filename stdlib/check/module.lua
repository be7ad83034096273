--- check.module: what a file gives to those who require it, as far as its tree tells.

local annotations = require "check.annotations"
local walk = require "check.walk"

local M = {}

-- Functions that only read a table that is given to them.
local READERS = { pairs = true, ipairs = true, next = true, type = true, tostring = true, rawget = true, rawlen = true, rawequal = true, select = true }

local function add_fields(exports, node)
  local open = false
  for _, field in ipairs(node.fields) do
    if field.key and field.key.kind == "String" then
      exports[field.key.value] = { fn = field.value.kind == "Function" and field.value or nil }
    else
      open = true
    end
  end
  return open
end

-- Looks at every use of the local that the file returns. A use that could add fields elsewhere makes the list open.
local function fields_of(tree, declaration)
  local exports, targets, open = {}, {}, false
  walk.each(tree, function(node)
    if node.kind == "Assign" then
      for index, target in ipairs(node.targets) do targets[target] = { value = node.values[index] } end
    elseif node.kind == "FunctionStatement" then
      targets[node.target] = { value = node.fn }
    end
  end)
  walk.each(tree, function(node, parent)
    if node.kind ~= "Name" or node.declaration ~= declaration or node.at == declaration.at or not parent then return end
    if parent.kind == "Index" and parent.object == node then
      if parent.key.kind == "String" then
        local target = targets[parent]
        if target then exports[parent.key.value] = { fn = target.value and target.value.kind == "Function" and target.value or nil } end
      elseif targets[parent] then
        open = true
      end
    elseif parent.kind == "Call" then
      if parent.fn ~= node and not (parent.fn.kind == "Name" and READERS[parent.fn.name]) then open = true end
    elseif parent.kind ~= "Return" and parent.kind ~= "Binary" and parent.kind ~= "Method" then
      open = true
    end
  end)
  return exports, open
end

local function document(exports, text, prefix)
  local _, documented = annotations.read(text)
  for _, each in ipairs(documented) do
    local name = each.name:match("^" .. prefix .. "%.([%w_]+)$")
    if name and exports[name] and exports[name].fn then exports[name].parameters = annotations.parameters(each.lines) end
  end
end

local function last_value(tree)
  local last = tree.statements[#tree.statements]
  if last and last.kind == "Return" and #last.values == 1 then
    local value = last.values[1]
    while value.kind == "Paren" do value = value.inner end
    return value
  end
end

--- What the chunk returns: a playbook, a table with exports, a function, or something else.
-- `open` says that there may be more exports than those that are seen.
---@param tree table with its names resolved
---@param text string
---@return { returns: "playbook"|"table"|"function"|"nothing"|"other", exports: table<string, { fn?: table, parameters?: table }>, open: boolean, value?: table }
---@usage local parser, scope = require "check.parser", require "check.scope"  local text = "local M = {} function M.a() end return M"  local tree = parser.parse(text)  scope.resolve(tree)  assert(require("check.module").describe(tree, text).exports.a)
function M.describe(tree, text)
  local value = last_value(tree)
  if not value then return { returns = "nothing", exports = {}, open = true } end
  if value.kind == "Function" then return { returns = "function", exports = {}, open = true, value = value } end
  if value.kind == "Call" and value.fn.kind == "Name" and value.fn.name == "playbook" and not value.fn.declaration then
    return { returns = "playbook", exports = {}, open = true, value = value }
  end
  if value.kind == "Table" then
    local exports = {}
    local open = add_fields(exports, value)
    return { returns = "table", exports = exports, open = open, value = value }
  end
  local declaration = value.kind == "Name" and value.declaration
  if declaration and declaration.fn and declaration.writes == 0 then return { returns = "function", exports = {}, open = true, value = declaration.fn } end
  if not declaration or declaration.writes > 0 or not declaration.value or declaration.value.kind ~= "Table" then
    return { returns = "other", exports = {}, open = true, value = value }
  end
  local exports, open = fields_of(tree, declaration)
  local more_open = add_fields(exports, declaration.value)
  document(exports, text, declaration.name)
  return { returns = "table", exports = exports, open = open or more_open, value = declaration.value }
end

return M
