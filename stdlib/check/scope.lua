--- check.scope: which declaration each name of a tree means, and what Lua refuses because of it.
--
-- A declaration is { name, at, to, kind, attribute, value, fn, reads, writes }: kind is "local", "function", "parameter" or
-- "loop"; owner is a parameter's function; value is the expression that it begins with, when it stands in its own place of the list. Every Name node
-- that means one gets it as `declaration`; a Name without is global.

local core_err = require "core.err"

local M = {}

local Scope = {}
Scope.__index = Scope

local function refuse(node, message, fix) error({ at = node.at, to = node.to, message = message, fix = fix }, 0) end

-- Blocks: the names, the labels and where in it we are. `fn` is the function that it belongs to.

function Scope:open_block(body, is_loop)
  local block = { names = {}, parent = self.block, fn = self.fn, is_loop = is_loop, statements = body.statements, labels = {}, seen = {} }
  for index, statement in ipairs(body.statements) do
    if statement.kind == "Label" then block.labels[statement.label] = block.labels[statement.label] or index end
  end
  self.block = block
  return block
end

function Scope:close_block() self.block = self.block.parent end

function Scope:declare(name, kind, value)
  local declaration = { name = name.name, at = name.at, to = name.to, kind = kind, attribute = name.attribute and name.attribute.name, value = value,
    reads = 0, writes = 0 }
  self.block.names[name.name] = declaration
  self.declarations[#self.declarations + 1] = declaration
  name.declaration = declaration
  return declaration
end

function Scope:find(name)
  local block = self.block
  while block do
    if block.names[name] then return block.names[name] end
    block = block.parent
  end
end

function Scope:use(name, is_write)
  local declaration = self:find(name.name)
  name.declaration = declaration
  if not declaration then
    self.globals[#self.globals + 1] = { node = name, is_write = is_write or false }
  elseif is_write then
    declaration.writes = declaration.writes + 1
  else
    declaration.reads = declaration.reads + 1
  end
end

-- Expressions

local expressions = {}

function Scope:expression(node)
  local visit = expressions[node.kind]
  if visit then visit(self, node) end
end

function Scope:list(nodes)
  for _, node in ipairs(nodes) do self:expression(node) end
end

function expressions.Name(self, node) self:use(node) end
function expressions.Paren(self, node) self:expression(node.inner) end
function expressions.Unary(self, node) self:expression(node.operand) end
function expressions.Vararg(self, node)
  if not self.fn.is_vararg then refuse(node, "'...' stands outside a function that takes it", "Add ... to the function's parameters.") end
end
function expressions.Binary(self, node)
  self:expression(node.left)
  self:expression(node.right)
end
function expressions.Index(self, node)
  self:expression(node.object)
  self:expression(node.key)
end
function expressions.Call(self, node)
  self:expression(node.fn)
  self:list(node.args)
end
function expressions.Method(self, node)
  self:expression(node.object)
  self:list(node.args)
end
function expressions.Table(self, node)
  for _, field in ipairs(node.fields) do
    if field.key then self:expression(field.key) end
    self:expression(field.value)
  end
end
function expressions.Function(self, node)
  local outer = self.fn
  self.fn = node
  self:open_block(node.body)
  for _, parameter in ipairs(node.params) do self:declare(parameter, "parameter").owner = node end
  self:statements(node.body)
  self:close_block()
  self.fn = outer
end

-- Statements

local statements = {}

function Scope:statements(body)
  for index, statement in ipairs(body.statements) do
    self.block.index = index
    statements[statement.kind](self, statement)
  end
end

function Scope:body(body, is_loop)
  self:open_block(body, is_loop)
  self:statements(body)
  self:close_block()
end

function statements.CallStatement(self, node) self:expression(node.call) end
function statements.Return(self, node) self:list(node.values) end
function statements.Do(self, node) self:body(node.body) end

local ATTRIBUTES = { const = true, close = true }

function statements.Local(self, node)
  self:list(node.values)
  local closes = 0
  for index, name in ipairs(node.names) do
    if name.attribute then
      local attribute = name.attribute.name
      if not ATTRIBUTES[attribute] then refuse(name.attribute, ("there is no attribute <%s>"):format(attribute), "A local is <const>, <close> or neither.") end
      if attribute == "close" then closes = closes + 1 end
      if closes > 1 then refuse(name, "one `local` declares two <close> variables", "Write a `local` for each of them.") end
    end
    self:declare(name, "local", node.values[index])
  end
end

function statements.LocalFunction(self, node)
  self:declare(node.name, "function", node.fn).fn = node.fn
  self:expression(node.fn)
end

function Scope:target(node)
  if node.kind ~= "Name" then return self:expression(node) end
  self:use(node, true)
  local declaration = node.declaration
  if declaration and declaration.attribute then
    refuse(node, ("'%s' is <%s> and cannot be assigned to"):format(node.name, declaration.attribute), "Declare another local, or remove the attribute.")
  end
end

function statements.Assign(self, node)
  for _, target in ipairs(node.targets) do self:target(target) end
  self:list(node.values)
end

function statements.FunctionStatement(self, node)
  self:target(node.target)
  self:expression(node.fn)
end

function statements.While(self, node)
  self:expression(node.condition)
  self:body(node.body, true)
end

function statements.Repeat(self, node)
  self:open_block(node.body, true).is_repeat = true
  self:statements(node.body)
  self:expression(node.condition) -- it sees the names of the body
  self:close_block()
end

function statements.If(self, node)
  for _, branch in ipairs(node.branches) do
    self:expression(branch.condition)
    self:body(branch.body)
  end
  if node.otherwise then self:body(node.otherwise) end
end

function Scope:loop(names, body)
  self:open_block(body, true)
  for _, name in ipairs(names) do self:declare(name, "loop") end
  self:statements(body)
  self:close_block()
end

function statements.Numeric(self, node)
  self:expression(node.from)
  self:expression(node.limit)
  if node.step then self:expression(node.step) end
  self:loop({ node.variable }, node.body)
end

function statements.Generic(self, node)
  self:list(node.values)
  self:loop(node.names, node.body)
end

function statements.Break(self, node)
  local block = self.block
  while block and block.fn == self.fn do
    if block.is_loop then return end
    block = block.parent
  end
  refuse(node, "`break` stands outside a loop", "Leave a function with `return`.")
end

function statements.Label(self, node)
  local block = self.block
  while block and block.fn == self.fn do
    if block.seen[node.label] then refuse(node, ("the label '%s' is there already"):format(node.label), "Give it another name.") end
    block = block.parent
  end
  self.block.seen[node.label] = true
end

-- The name that comes into view between the goto and the label, if one does. At the end of a block nothing can use it any more.
local function jumped_over(block, label_index)
  local is_last = true
  for index = label_index, #block.statements do is_last = is_last and block.statements[index].kind == "Label" end
  if is_last and not block.is_repeat then return nil end
  for index = block.index + 1, label_index - 1 do
    local statement = block.statements[index]
    if statement.kind == "Local" then return statement.names[1].name end
    if statement.kind == "LocalFunction" then return statement.name.name end
  end
end

function statements.Goto(self, node)
  local block = self.block
  while block and block.fn == self.fn do
    local at = block.labels[node.label]
    if at then
      local name = at > block.index and jumped_over(block, at)
      if name then refuse(node, ("this goto jumps into the scope of the local '%s'"):format(name), "Declare the local before the goto, or put it into do ... end.") end
      return
    end
    block = block.parent
  end
  refuse(node, ("there is no label '%s' that this goto can see"):format(node.label), ("Write ::%s:: in this block or one around it."):format(node.label))
end

--- Resolves the names of a tree.
---@param tree table of check.parser
---@return { declarations: table[], globals: { node: table, is_write: boolean }[] }? scope, table? err code playbook, with at, to, message and fix
---@usage local s = require("check.scope").resolve(require("check.parser").parse "local a = b  return a")  assert(s.globals[1].node.name == "b" and s.declarations[1].reads == 1)
function M.resolve(tree)
  local self = setmetatable({ declarations = {}, globals = {}, fn = { is_vararg = true } }, Scope)
  local ok, problem = pcall(self.body, self, tree)
  if ok then return { declarations = self.declarations, globals = self.globals } end
  if type(problem) ~= "table" or not problem.at then error(problem, 0) end
  problem.code, problem.op = "playbook", "read Lua"
  return nil, core_err.new(problem)
end

return M
