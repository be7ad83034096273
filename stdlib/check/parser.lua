--- check.parser: a Lua 5.4 source as a tree.
--
-- A node is { kind =, at =, to = } with what its kind holds; at and to are offsets of bytes (check.source turns them into
-- lines and columns). The whole grammar is here, in the order of the manual's section 9; what follows from the
-- visibility of names (goto, const, break) is in check.scope.
--
--   block        { kind = "Block", statements }
--   statements   Local names values | Assign targets values | CallStatement call | Do body | While condition body |
--                Repeat body condition | If branches otherwise | Numeric variable from limit step body |
--                Generic names values body | FunctionStatement target fn | LocalFunction name fn | Return values |
--                Break | Goto label | Label label
--   expressions  Nil | True | False | Vararg | Number value | String value | Function params is_vararg body |
--                Table fields | Binary operator left right | Unary operator operand | Name name | Index object key dotted |
--                Call fn args | Method object name args | Paren inner

local core_err = require "core.err"
local lexer = require "check.lexer"

local M = {}

local MAX_DEPTH = 190 -- Lua itself stops a little later

local Parser = {}
Parser.__index = Parser

local function refuse(at, to, message, fix) error({ at = at, to = to, message = message, fix = fix }, 0) end

function Parser:peek() return self.tokens[self.index].kind end
function Parser:token() return self.tokens[self.index] end

function Parser:advance()
  local taken = self.tokens[self.index]
  self.index = self.index + 1
  self.last = taken.to
  -- The lexer's own error is met where the text before it ends.
  if not self.tokens[self.index] then error(self.lexical, 0) end
  return taken
end

function Parser:accept(kind)
  if self:peek() == kind then return self:advance() end
end

function Parser:text_of(token) return token.kind == "eof" and "the end of the file" or "'" .. self.text:sub(token.at, token.to):match "^[^\n]*" .. "'" end

-- A guess at what was meant, for the mistakes that people bring from other languages.
local function fix_for(self, wanted)
  local token = self:token()
  local after = self.tokens[self.index + 1]
  local touching = after and after.at == token.to + 1 and after.kind
  if token.kind == "=" and (wanted == "then" or wanted == "do") then return "Compare with `==`." end
  if token.kind == "=" and touching == "=" then return "Compare with `==`; a `=` alone assigns." end
  local previous = self.tokens[self.index - 1]
  if token.kind == "=" and previous and previous.to == token.at - 1 and previous.kind:find "^[-+*/%%^]$" then return "Write it out: x = x + 1." end
  if touching == "=" and token.kind:find "^[-+*/%%^]$" or touching == "+" and token.kind == "+" then return "Write it out: x = x + 1." end
  if token.kind == "&" and touching == "&" then return "Write `and`." end
  if token.kind == "|" and touching == "|" then return "Write `or`." end
  if wanted == "}" and token.kind ~= "eof" then return ("Put a comma before %s, or close the table with }."):format(self:text_of(token)) end
  if wanted == "end" then
    return self.else_if and "Write `elseif` in one word, or add the `end` that `else if` needs." or "Add the `end` that is missing."
  end
  if wanted then return ("Write '%s' before %s."):format(wanted, self:text_of(token)) end
  return ("Remove %s, or write what is missing before it."):format(self:text_of(token))
end

function Parser:unexpected(message, wanted)
  local token = self:token()
  refuse(token.at, token.to, ("%s near %s"):format(message, self:text_of(token)), fix_for(self, wanted))
end

function Parser:expect(kind, opener)
  local found = self:accept(kind)
  if found then return found end
  local wanted = kind == "name" and "a name" or kind == "eof" and "the end of the file" or "'" .. kind .. "'"
  if opener and opener.kind then
    local _, newlines = self.text:sub(1, opener.at):gsub("\n", "")
    self:unexpected(("%s expected, which ends '%s' of line %d,"):format(wanted, opener.kind, newlines + 1), kind)
  end
  self:unexpected(wanted .. " expected", kind ~= "name" and kind or nil)
end

function Parser:deeper()
  self.depth = self.depth + 1
  if self.depth > MAX_DEPTH then
    local token = self:token()
    refuse(token.at, token.to, "this is nested too deeply", "Move a part of it into a function of its own.")
  end
end

-- Closes a node that began at `at`.
function Parser:node(kind, at, fields)
  fields.kind, fields.at, fields.to = kind, at, self.last
  return fields
end

function Parser:name()
  local token = self:expect "name"
  return { kind = "Name", name = token.value, at = token.at, to = token.to }
end

-- Expressions

local OPERATORS = { -- left and right binding power, as Lua's own table
  ["or"] = { 1, 1 }, ["and"] = { 2, 2 }, ["<"] = { 3, 3 }, [">"] = { 3, 3 }, ["<="] = { 3, 3 }, [">="] = { 3, 3 }, ["~="] = { 3, 3 }, ["=="] = { 3, 3 },
  ["|"] = { 4, 4 }, ["~"] = { 5, 5 }, ["&"] = { 6, 6 }, ["<<"] = { 7, 7 }, [">>"] = { 7, 7 }, [".."] = { 9, 8 }, ["+"] = { 10, 10 }, ["-"] = { 10, 10 },
  ["*"] = { 11, 11 }, ["/"] = { 11, 11 }, ["//"] = { 11, 11 }, ["%"] = { 11, 11 }, ["^"] = { 14, 13 },
}
local UNARY = { ["not"] = true, ["-"] = true, ["#"] = true, ["~"] = true }
local UNARY_POWER = 12

function Parser:expressions()
  local list = {}
  repeat list[#list + 1] = self:expression(0) until not self:accept ","
  return list
end

function Parser:table()
  local open = self:expect "{"
  local fields = {}
  while self:peek() ~= "}" do
    local at = self:token().at
    local field = {}
    if self:peek() == "name" and self.tokens[self.index + 1] and self.tokens[self.index + 1].kind == "=" then
      local key = self:advance()
      self:advance()
      field.key = { kind = "String", value = key.value, at = key.at, to = key.to }
    elseif self:peek() == "[" then
      local bracket = self:advance()
      field.key = self:expression(0)
      self:expect("]", bracket)
      self:expect "="
    end
    field.value = self:expression(0)
    fields[#fields + 1] = self:node("Field", at, field)
    if not self:accept "," and not self:accept ";" then break end
  end
  self:expect("}", open)
  return self:node("Table", open.at, { fields = fields })
end

function Parser:call_arguments()
  local kind = self:peek()
  if kind == "string" then
    local token = self:advance()
    return { { kind = "String", value = token.value, at = token.at, to = token.to } }
  end
  if kind == "{" then return { self:table() } end
  local open = self:expect "("
  local args = self:peek() == ")" and {} or self:expressions()
  self:expect(")", open)
  return args
end

function Parser:prefix()
  local token = self:token()
  if token.kind == "name" then return self:name() end
  if token.kind ~= "(" then self:unexpected "a value or a statement expected" end
  self:advance()
  local inner = self:expression(0)
  self:expect(")", token)
  return self:node("Paren", token.at, { inner = inner })
end

-- A prefix with everything that follows it: fields, indices, calls.
function Parser:suffixed()
  local value = self:prefix()
  local at = value.at
  while true do
    local kind = self:peek()
    if kind == "." then
      self:advance()
      local key = self:name()
      key.kind, key.value = "String", key.name
      value = self:node("Index", at, { object = value, key = key, dotted = true })
    elseif kind == "[" then
      local bracket = self:advance()
      local key = self:expression(0)
      self:expect("]", bracket)
      value = self:node("Index", at, { object = value, key = key })
    elseif kind == ":" then
      self:advance()
      local name = self:name()
      value = self:node("Method", at, { object = value, name = name, args = self:call_arguments() })
    elseif kind == "(" or kind == "string" or kind == "{" then
      value = self:node("Call", at, { fn = value, args = self:call_arguments() })
    else
      return value
    end
  end
end

local CONSTANTS = { ["nil"] = "Nil", ["true"] = "True", ["false"] = "False", ["..."] = "Vararg" }
local LITERALS = { number = "Number", string = "String" }

function Parser:simple()
  local token = self:token()
  if LITERALS[token.kind] then
    self:advance()
    return self:node(LITERALS[token.kind], token.at, { value = token.value })
  elseif CONSTANTS[token.kind] then
    self:advance()
    return self:node(CONSTANTS[token.kind], token.at, {})
  elseif token.kind == "{" then
    return self:table()
  elseif token.kind == "function" then
    self:advance()
    return self:function_body(token)
  end
  return self:suffixed()
end

function Parser:expression(power)
  self:deeper()
  local at = self:token().at
  local left
  if UNARY[self:peek()] then
    local operator = self:advance().kind
    local operand = self:expression(UNARY_POWER)
    left = self:node("Unary", at, { operator = operator, operand = operand })
  else
    left = self:simple()
  end
  while true do
    local operator = self:peek()
    local powers = OPERATORS[operator]
    if not powers or powers[1] <= power then break end
    self:advance()
    local right = self:expression(powers[2])
    left = self:node("Binary", at, { operator = operator, left = left, right = right })
  end
  self.depth = self.depth - 1
  return left
end

function Parser:function_body(opener, is_method)
  local open = self:expect "("
  local params, is_vararg = {}, false
  if is_method then params[1] = { kind = "Name", name = "self", at = open.at, to = open.at } end
  if self:peek() ~= ")" then
    repeat
      if self:accept "..." then is_vararg = true else params[#params + 1] = self:name() end
    until is_vararg or not self:accept ","
  end
  self:expect(")", open)
  local body = self:block()
  self:expect("end", opener)
  return self:node("Function", opener.at, { params = params, is_vararg = is_vararg, body = body, is_method = is_method or false })
end

-- Statements

local statements = {}

statements[";"] = function(self) self:advance() end

statements["::"] = function(self)
  local at = self:advance().at
  local label = self:name()
  self:expect "::"
  return self:node("Label", at, { label = label.name })
end

statements["break"] = function(self)
  local token = self:advance()
  return self:node("Break", token.at, {})
end

statements["goto"] = function(self)
  local at = self:advance().at
  local label = self:name()
  return self:node("Goto", at, { label = label.name })
end

statements["do"] = function(self)
  local open = self:advance()
  local body = self:block()
  self:expect("end", open)
  return self:node("Do", open.at, { body = body })
end

statements["while"] = function(self)
  local open = self:advance()
  local condition = self:expression(0)
  self:expect "do"
  local body = self:block()
  self:expect("end", open)
  return self:node("While", open.at, { condition = condition, body = body })
end

statements["repeat"] = function(self)
  local open = self:advance()
  local body = self:block()
  self:expect("until", open)
  return self:node("Repeat", open.at, { body = body, condition = self:expression(0) })
end

statements["if"] = function(self)
  local open = self:token()
  local branches, otherwise = {}, nil
  repeat
    local at = self:advance().at
    local condition = self:expression(0)
    self:expect "then"
    branches[#branches + 1] = self:node("Branch", at, { condition = condition, body = self:block() })
  until self:peek() ~= "elseif"
  local alternative = self:accept "else"
  if alternative then
    local after = self:token()
    if after.kind == "if" and not self.text:sub(alternative.to, after.at):find "\n" then self.else_if = true end
    otherwise = self:block()
  end
  self:expect("end", open)
  return self:node("If", open.at, { branches = branches, otherwise = otherwise })
end

statements["for"] = function(self)
  local open = self:advance()
  local first = self:name()
  local fields, kind
  if self:accept "=" then
    kind, fields = "Numeric", { variable = first, from = self:expression(0) }
    self:expect ","
    fields.limit = self:expression(0)
    if self:accept "," then fields.step = self:expression(0) end
  else
    kind, fields = "Generic", { names = { first } }
    while self:accept "," do fields.names[#fields.names + 1] = self:name() end
    if self:peek() ~= "in" then self:unexpected("'=' or 'in' expected", "in") end
    self:advance()
    fields.values = self:expressions()
  end
  self:expect "do"
  fields.body = self:block()
  self:expect("end", open)
  return self:node(kind, open.at, fields)
end

statements["function"] = function(self)
  local open = self:advance()
  local target = self:name()
  local is_method = false
  while self:peek() == "." or self:peek() == ":" do
    is_method = self:advance().kind == ":"
    local key = self:name()
    key.kind, key.value = "String", key.name
    target = self:node("Index", target.at, { object = target, key = key, dotted = true })
    if is_method then break end
  end
  local fn = self:function_body(open, is_method)
  return self:node("FunctionStatement", open.at, { target = target, fn = fn })
end

statements["local"] = function(self)
  local at = self:advance().at
  local opener = self:accept "function"
  if opener then
    local name = self:name()
    return self:node("LocalFunction", at, { name = name, fn = self:function_body(opener) })
  end
  local names, values = {}, {}
  repeat
    local name = self:name()
    if self:accept "<" then
      name.attribute = self:name()
      self:expect ">"
    end
    names[#names + 1] = name
  until not self:accept ","
  if self:accept "=" then values = self:expressions() end
  return self:node("Local", at, { names = names, values = values })
end

local BLOCK_ENDS = { eof = true, ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true }

statements["return"] = function(self)
  local at = self:advance().at
  local values = {}
  if not BLOCK_ENDS[self:peek()] and self:peek() ~= ";" then values = self:expressions() end
  self:accept ";"
  local node = self:node("Return", at, { values = values })
  if not BLOCK_ENDS[self:peek()] then
    local token = self:token()
    refuse(token.at, token.to, ("%s comes after `return`, which must be the last statement of its block"):format(self:text_of(token)),
      "Remove what follows, or put the return into `if ... then return end`.")
  end
  return node
end

-- An assignment or a call.
local function expression_statement(self)
  local value = self:suffixed()
  local at = value.at
  if self:peek() ~= "=" and self:peek() ~= "," then
    if value.kind == "Call" or value.kind == "Method" then return self:node("CallStatement", at, { call = value }) end
    self:unexpected("a statement is a call or an assignment: '=' expected", "=")
  end
  local targets = { value }
  while self:accept "," do targets[#targets + 1] = self:suffixed() end
  for _, target in ipairs(targets) do
    if target.kind ~= "Name" and target.kind ~= "Index" then
      refuse(target.at, target.to, "this cannot be assigned to", "Only a name or a field can stand to the left of '='.")
    end
  end
  self:expect "="
  return self:node("Assign", at, { targets = targets, values = self:expressions() })
end

function Parser:block()
  self:deeper()
  local list, at = {}, self:token().at
  while not BLOCK_ENDS[self:peek()] do
    local is_last = self:peek() == "return"
    local statement = (statements[self:peek()] or expression_statement)(self)
    list[#list + 1] = statement
    if is_last then break end
  end
  self.depth = self.depth - 1
  local node = self:node("Block", at, { statements = list })
  node.to = list[1] and node.to or at
  return node
end

--- The tree of a source.
---@param text string
---@return table? tree a block, table? err code playbook, with at, to, message and fix
---@usage local tree = require("check.parser").parse "return 1 + 2"  assert(tree.statements[1].values[1].operator == "+")
function M.parse(text)
  local tokens, lexical = lexer.tokens(text)
  if not tokens[1] then return nil, lexical end
  local self = setmetatable({ text = text, tokens = tokens, index = 1, lexical = lexical, depth = 0, last = 0 }, Parser)
  local ok, result = pcall(function()
    local block = self:block()
    if self:peek() ~= "eof" then self:unexpected("the file should end here", nil) end
    return block
  end)
  if ok then return result end
  if type(result) ~= "table" or not result.at then error(result, 0) end
  if core_err.is(result) then return nil, result end
  result.code, result.op = "playbook", "read Lua"
  return nil, core_err.new(result)
end

return M
