--- coverage.instrument: the text of a Lua program with counters in it, on the same lines.
--
-- No hook is involved: a counter is a place in a table that the text itself increments, so that a block costs five instructions of the
-- virtual machine. The program becomes the body of a function; its chunk, called with the table of counters, returns
-- that function. So a script sees no name that it would not see otherwise.
--
-- Lines do not need a counter each. Statements that follow each other share one (a *segment*) until one of them can leave
-- the block or is joined by a jump. What is exact, and what is not, stands in the module coverage.

local core_err = require "core.err"
local parser = require "check.parser"
local scope = require "check.scope"
local source = require "check.source"
local walk = require "check.walk"

local M = {}

local LONGEST_TEXT = 60

local ENDS_BLOCK = { Return = true, Break = true, Goto = true }

-- Where a statement can leave its block, or raise. A global is read through a function of the sandbox, which refuses unknown names.
local leaves = {}
local function always() return true end
for kind in ("Return Break Goto While Repeat Numeric Generic Call Method Index"):gmatch "%a+" do leaves[kind] = always end
function leaves.Name(node) return not node.declaration or node.attribute and node.attribute.name == "close" end
function leaves.Unary(node) return node.operator ~= "not" end
function leaves.Binary(node) return node.operator ~= "and" and node.operator ~= "or" end
function leaves.Field(node) return node.key and node.key.kind ~= "String" and node.key.kind ~= "Number" end

-- Is it possible that what follows the statement in its block is not reached?
local function can_leave(statement)
  local found = false
  walk.each(statement, function(node)
    if found or node.kind == "Function" then return false end
    found = leaves[node.kind] and leaves[node.kind](node) or false
  end)
  return found
end

local Writer = {}
Writer.__index = Writer

function Writer:line(at) return (self.source:position(at)) end

-- What stands from at to `to`, as one short line.
function Writer:text(at, to)
  local text = self.source.text:sub(at, to):gsub("%s+", " ")
  if utf8.len(text) and utf8.len(text) > LONGEST_TEXT then text = text:sub(1, utf8.offset(text, LONGEST_TEXT - 2) - 1) .. "..." end
  return text
end

-- Insertions at one place stay in the order in which they were asked for.
function Writer:insert(at, text) self.insertions[#self.insertions + 1] = { at = at, order = #self.insertions, text = text } end

function Writer:counter()
  self.counters = self.counters + 1
  return self.counters, (" %s[%d]=%s[%d]+1;"):format(self.hit, self.counters, self.hit, self.counters)
end

function Writer:count_at(at, more)
  local counter, text = self:counter()
  self:insert(at, text .. (more or ""))
  return counter
end

-- The line was reached as often as the sum of the counters says.
function Writer:reached(line, counters) self.lines[#self.lines + 1] = { line = line, counters = counters } end

function Writer:branch(kind, at, text, counter)
  self.branches[#self.branches + 1] = { kind = kind, line = self:line(at), text = text, counter = counter, inside = self.inside }
  return #self.branches
end

-- Blocks and expressions

-- Within what branch `visit` looks at a block.
function Writer:within(branch, visit, ...)
  local outer = self.inside
  self.inside = branch
  visit(self, ...)
  self.inside = outer
end

-- A block of a branch, with a counter of its own.
function Writer:body(kind, at, text, body, more)
  local counter = self:count_at(body.at, more)
  self:within(self:branch(kind, at, text, counter), self.block, body, { counter = counter })
  return counter
end

-- What a function is called: by a name, by its field, or as the argument of a call.
function Writer:name_of(fn, parent, name)
  if name then return name end
  if parent and parent.kind == "Field" and parent.key and parent.key.kind == "String" then return parent.key.value end
  if parent and (parent.kind == "Call" or parent.kind == "Method") then
    local callee = parent.kind == "Call" and self:text(parent.fn.at, parent.fn.to) or self:text(parent.object.at, parent.object.to) .. ":" .. parent.name.name
    local first = parent.args[1]
    return "function given to " .. callee .. (first.kind == "String" and " " .. self:text(first.at, first.to) or "")
  end
  return self:text(fn.at, fn.body.at - 1):match "^function *%b()" or "function"
end

-- Is this the field of a step that says how it is taken back?
local function is_undo(node) return node and node.kind == "Field" and node.key and node.key.kind == "String" and node.key.value == "undo" end

-- The functions in an expression are blocks of their own; `name` is what it is assigned to.
function Writer:expression(expression, name)
  walk.each(expression, function(node, parent)
    if node.kind ~= "Function" then
      if is_undo(node) then self.undo_names[self:text(node.value.at, node.value.to)] = true end
      return true
    end
    local index = #self.branches + 1
    self:body("function", node.at, self:name_of(node, parent, node == expression and name), node.body)
    self.branches[index].undo = is_undo(parent) or nil
    return false
  end)
end

-- Functions that a step names as its undo: `undo = take_back`.
function Writer:mark_undos()
  for _, branch in ipairs(self.branches) do
    if branch.kind == "function" and self.undo_names[branch.text] then branch.undo = true end
  end
end

function Writer:expressions(list, names)
  for index, each in ipairs(list) do
    local name = names and names[index]
    self:expression(each, name and self:text(name.at, name.to))
  end
end

-- Statements. One may return the counter that also counts how often what follows it is reached.

local statements = {}

function statements.Local(self, node) self:expressions(node.values, node.names) end

function statements.Assign(self, node)
  self:expressions(node.targets)
  self:expressions(node.values, node.targets)
end

function statements.CallStatement(self, node) self:expression(node.call) end
function statements.Return(self, node) self:expressions(node.values) end
function statements.FunctionStatement(self, node) self:expression(node.fn, self:text(node.target.at, node.target.to)) end
function statements.LocalFunction(self, node) self:expression(node.fn, node.name.name) end
function statements.Break() end
function statements.Goto() end

function statements.If(self, node)
  local taken, all_leave = {}, true
  local first
  for index, branch in ipairs(node.branches) do
    local condition = branch.condition
    local text = (index == 1 and "if " or "elseif ") .. self:text(condition.at, condition.to)
    first = first or text
    self:expression(condition)
    taken[index] = self:body("then", branch.at, text, branch.body)
    local last = branch.body.statements[#branch.body.statements]
    all_leave = all_leave and last and ENDS_BLOCK[last.kind]
  end
  if node.otherwise then
    taken[#taken + 1] = self:body("else", node.at, first, node.otherwise)
  else
    local counter, text = self:counter()
    self:insert(node.to - #"end" + 1, " else" .. text)
    self:branch("else", node.at, first, counter)
    taken[#taken + 1] = counter
  end
  for index = 2, #node.branches do self:reached(self:line(node.branches[index].at), { table.unpack(taken, index) }) end
  if all_leave and not node.otherwise then return taken[#taken] end
end

-- A loop that may not be entered notes in a local of its own that it was, so that one that calls itself is counted right.
function Writer:loop(node, text, is_entered)
  if is_entered then
    self:body("loop", node.at, text, node.body)
    return
  end
  self:insert(node.at, (" do local %s=false;"):format(self.turn))
  self:body("loop", node.at, text, node.body, (" %s=true;"):format(self.turn))
  local counter, increment = self:counter()
  self:insert(node.to + 1, (" if not %s then%s end end "):format(self.turn, increment))
  self:branch("loop skipped", node.at, text, counter)
end

function statements.While(self, node)
  self:expression(node.condition)
  self:loop(node, "while " .. self:text(node.condition.at, node.condition.to), node.condition.kind == "True")
end

function statements.Numeric(self, node)
  local from, limit, step = node.from, node.limit, node.step
  for _, value in ipairs { from, limit, step } do self:expression(value) end
  local is_entered = from.kind == "Number" and limit.kind == "Number" and not step and from.value <= limit.value
  self:loop(node, "for " .. self:text(node.variable.at, (step or limit).to), is_entered)
end

function statements.Generic(self, node)
  self:expressions(node.values)
  self:loop(node, "for " .. self:text(node.names[1].at, node.values[#node.values].to), false)
end

-- The body of a repeat is always entered, so it is no branch; its condition is reached when the body came to its end.
function statements.Repeat(self, node)
  local body = node.body
  local segment = { counter = self:count_at(body.at) }
  self:block(body, segment)
  self:expression(node.condition)
  local last = body.statements[#body.statements]
  if last and ENDS_BLOCK[last.kind] then return end
  local line = self:line(node.condition.at)
  if last and segment.is_over and line ~= segment.line then segment.counter = self:count_at(last.to + 1) end
  self:reached(line, { segment.counter })
end

-- The segment { counter, line, is_over } is the one that the block begins with: the line that it came to, and whether its counter
-- speaks for what follows. A counter is never put behind a label with nothing but labels after it: there a goto may jump
-- over a local, and nowhere else.
function Writer:block(body, segment)
  for _, statement in ipairs(body.statements) do
    if statement.kind == "Label" then
      segment.line, segment.is_over = nil, true
    elseif statement.kind == "Do" then
      self:block(statement.body, segment)
    else
      local line = self:line(statement.at)
      if segment.is_over and line ~= segment.line then segment.counter, segment.is_over = self:count_at(statement.at), false end
      segment.line = line
      self:reached(line, { segment.counter })
      local follows = statements[statement.kind](self, statement)
      if follows then
        segment.counter, segment.is_over = follows, false
      else
        segment.is_over = segment.is_over or can_leave(statement)
      end
    end
  end
end

function Writer:assembled()
  table.sort(self.insertions, function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.order < b.order
  end)
  local parts, here = {}, 1
  for _, insertion in ipairs(self.insertions) do
    parts[#parts + 1] = self.source.text:sub(here, insertion.at - 1)
    parts[#parts + 1] = insertion.text
    here = insertion.at
  end
  parts[#parts + 1] = self.source.text:sub(here)
  return table.concat(parts)
end

-- A name that the text does not have.
local function unused_name(text, name)
  while text:find(name, 1, true) do name = name .. "_" end
  return name
end

--- The program with counters. Its chunk takes the table of counters (an array of `counters` zeros) and returns the program as a function.
-- A program near one of Lua's own limits (200 locals or 255 upvalues in a function, the depth of nesting) may not stand the addition.
---@param text string
---@param path string
---@return string? text, table map { path, text, counters, lines = { line, counters }[], branches = { kind, line, text, counter, inside, undo }[] }, or err: playbook (no Lua), limit
---@usage local text, map = require("coverage.instrument").instrument("return ...", "x.lua")  local hits = { 0 }  assert(load(text)(hits)(7) == 7 and hits[1] == 1)
function M.instrument(text, path)
  local tree, err = parser.parse(text)
  if tree then err = select(2, scope.resolve(tree)) end
  if err then return nil, err end
  local hit = unused_name(text, "__hit")
  local self = setmetatable({ source = source.new(path, text), hit = hit, turn = unused_name(text, "__turn"), insertions = {}, counters = 0, lines = {}, branches = {}, undo_names = {} }, Writer)
  self:insert(1, ("local %s=... return function(...)"):format(hit))
  if tree.statements[1] then
    self:block(tree, { counter = self:count_at(tree.at) })
    self:insert(tree.to + 1, " end")
  else
    self:insert(#text + 1, "\nend") -- below what may be a comment
  end
  self:mark_undos()
  local result = self:assembled()
  local chunk, message = load(result, "=instrumented")
  if not chunk then return nil, core_err.new { code = "limit", op = "measure coverage", message = ("%s cannot be measured: with counters it is %s"):format(path, message) } end
  return result, { path = path, text = text, counters = self.counters, lines = self.lines, branches = self.branches }
end

return M
