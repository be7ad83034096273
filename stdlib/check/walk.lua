--- check.walk: visits the nodes of a tree in the order of the text.

local M = {}

-- The fields of each kind that hold nodes or lists of nodes. What a rule adds to a node is not followed.
local CHILDREN = {
  Block = { "statements" }, Local = { "names", "values" }, Assign = { "targets", "values" }, CallStatement = { "call" }, Do = { "body" },
  While = { "condition", "body" }, Repeat = { "body", "condition" }, If = { "branches", "otherwise" }, Branch = { "condition", "body" },
  Numeric = { "variable", "from", "limit", "step", "body" }, Generic = { "names", "values", "body" }, FunctionStatement = { "target", "fn" },
  LocalFunction = { "name", "fn" }, Return = { "values" }, Function = { "params", "body" }, Table = { "fields" }, Field = { "key", "value" },
  Binary = { "left", "right" }, Unary = { "operand" }, Index = { "object", "key" }, Call = { "fn", "args" }, Method = { "object", "args" }, Paren = { "inner" },
}

--- Calls enter(node, parent) for node and everything below it, parents first. A node for which it returns false is not entered.
---@param node table
---@param enter fun(node: table, parent?: table): boolean?
---@usage local n = 0  require("check.walk").each(require("check.parser").parse "f(1, 2)", function() n = n + 1 end)  assert(n == 6)
function M.each(node, enter, parent)
  if enter(node, parent) == false then return end
  for _, name in ipairs(CHILDREN[node.kind] or {}) do
    local child = node[name]
    if child and child.kind then
      M.each(child, enter, node)
    elseif child then
      for _, item in ipairs(child) do M.each(item, enter, node) end
    end
  end
end

return M
