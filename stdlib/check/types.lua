--- check.types: the types of LuaCATS annotations, and whether a literal of a playbook can be of one.
--
-- A type is { kind = }: "any", "nil", "string", "number", "integer", "boolean", "table", "function", "userdata", or "literal" value |
-- "union" of | "list" item | "map" value | "record" keys (name -> { type, optional }), open. What is not certain is
-- no finding: an expression that is no literal fits every type.

local suggest = require "check.suggest"

local M = {}

local ANY = { kind = "any" }
local PLAIN = { any = true, ["nil"] = true, string = true, number = true, integer = true, boolean = true, table = true, userdata = true,
  ["function"] = true }

local Reader = {}
Reader.__index = Reader

function Reader:take(pattern)
  local first, last, capture = self.text:find("^%s*" .. pattern, self.at)
  if not first then return nil end
  self.at = last + 1
  return capture or true
end

function Reader:sees(pattern) return self.text:find("^%s*" .. pattern, self.at) ~= nil end

-- After a comma: does a field of a record begin, and not another result of a function?
function Reader:sees_field() return self:sees "[%a_][%w_]*%??%s*:" or self:sees "%[" or self:sees "}" end

function Reader:record()
  local record = { kind = "record", keys = {} }
  while not self:take "}" do
    if self:take "%[%s*string%s*%]%s*:" or self:take "%[%s*integer%s*%]%s*:" then
      record.open = true
      self:union()
    else
      local index = self:take "%[%s*(%d+)%s*%]"
      local name = index and math.tointeger(tonumber(index)) or self:take "([%a_][%w_]*)"
      if not name then return ANY end
      local optional = self:take "%?" ~= nil
      if not self:take ":" then return ANY end
      record.keys[name] = { type = self:union(), optional = optional }
    end
    if not self:take "," and not self:sees "}" then return ANY end
  end
  return record
end

function Reader:fun()
  if not self:take "%(" then return { kind = "function" } end
  local depth = 1
  while depth > 0 do
    local sign = self.text:match("[()]", self.at)
    if not sign then return ANY end
    self.at = self.text:find("[()]", self.at) + 1
    depth = depth + (sign == "(" and 1 or -1)
  end
  if self:take ":" then
    repeat
      local before = self.at
      self:union()
      if self.at == before then break end
      local comma = self.at
      local more = self:take "," and not self:sees_field()
      if not more then self.at = comma end
    until not more
  end
  return { kind = "function" }
end

function Reader:simple()
  if self:take "{" then return self:record() end
  if self:take "%(" then
    local inner = self:union()
    -- The results of a function in parentheses may go on after a comma.
    while self:take "," do self:union() end
    self:take "%)"
    return inner
  end
  local text = self:take "\"([^\"]*)\""
  if text then return { kind = "literal", value = text } end
  local word = self:take "([%a_][%w_.]*)"
  if word == "fun" then return self:fun() end
  if word == "true" or word == "false" then return { kind = "literal", value = word == "true" } end
  if word == "table" and self:take "<" then
    self:union()
    self:take ","
    local value = self:union()
    self:take ">"
    return { kind = "map", value = value }
  end
  return PLAIN[word] and { kind = word } or ANY
end

function Reader:suffixed()
  local found = self:simple()
  while true do
    if self:take "%[%]" then found = { kind = "list", item = found }
    elseif self:take "%?" then found = { kind = "union", of = { found, { kind = "nil" } } }
    else return found end
  end
end

function Reader:union()
  local first = self:suffixed()
  if not self:sees "|" then return first end
  local of = { first }
  while self:take "|" do of[#of + 1] = self:suffixed() end
  return { kind = "union", of = of }
end

--- Reads the type at the beginning of a text; what follows it is description.
---@param text string
---@return table type
---@usage assert(require("check.types").parse("{ to: string, id?: integer }").keys.id.optional)
function M.parse(text) return setmetatable({ text = text, at = 1 }, Reader):union() end

--- A type in words.
---@param kind table
---@return string
---@usage assert(require("check.types").text(require("check.types").parse "string[]") == "a list")
function M.text(kind)
  if kind.kind == "literal" then return type(kind.value) == "string" and ("\"%s\""):format(kind.value) or tostring(kind.value) end
  if kind.kind == "union" then
    local parts = {}
    for i, each in ipairs(kind.of) do parts[i] = M.text(each) end
    return table.concat(parts, " or ")
  end
  local words = { list = "a list", map = "a table", record = "a table of options", integer = "a whole number", ["nil"] = "nil", any = "anything" }
  return words[kind.kind] or "a " .. kind.kind
end

local LITERALS = { Nil = "nil", True = "boolean", False = "boolean", String = "string", Number = "number", Table = "table", Function = "function" }

-- What kind of value a node certainly is, and for plain literals the value; nil when that is not certain.
local function certain(node)
  if node.kind == "Paren" then return certain(node.inner) end
  if node.kind == "Unary" and node.operator == "-" and node.operand.kind == "Number" then return "number", -node.operand.value end
  if node.kind == "Unary" and node.operator == "not" then return "boolean" end
  if node.kind == "True" or node.kind == "False" then return "boolean", node.kind == "True" end
  return LITERALS[node.kind], node.value
end

local function shown(node)
  local kind, value = certain(node)
  if kind == "string" then return ("the string \"%s\""):format(value) end
  if value ~= nil then return tostring(value) end
  return kind == "nil" and "nil" or "a " .. kind
end

local check

local function wrong(node, expected)
  return { { node = node, message = ("must be %s, but is %s"):format(M.text(expected), shown(node)), fix = ("Give %s."):format(M.text(expected)) } }
end

-- Fields of a constructor whose names are known; the second result says whether others may be there too.
local function named_fields(node)
  local named, position, unknown = {}, 0, false
  for index, field in ipairs(node.fields) do
    if not field.key then
      position = position + 1
      named[#named + 1] = { name = position, field = field }
      local last = field.value.kind
      if index == #node.fields and (last == "Call" or last == "Method" or last == "Vararg") then unknown = true end
    elseif field.key.kind == "String" or field.key.kind == "Number" then
      named[#named + 1] = { name = field.key.value, field = field }
    else
      unknown = true
    end
  end
  return named, unknown
end

local function add_all(problems, more, prefix)
  for _, problem in ipairs(more) do
    problem.message = prefix .. problem.message
    problems[#problems + 1] = problem
  end
end

local function check_record(node, record)
  local problems, given = {}, {}
  local named, unknown = named_fields(node)
  for _, each in ipairs(named) do
    local key = record.keys[each.name]
    given[each.name] = true
    if key then
      if not (key.optional and each.field.value.kind == "Nil") then
        add_all(problems, check(each.field.value, key.type), math.type(each.name) and "" or ("'%s' "):format(each.name))
      end
    elseif not record.open then
      local near = type(each.name) == "string" and suggest.near(each.name, record.keys)
      problems[#problems + 1] = {
        node = each.field.key or each.field,
        message = type(each.name) == "string" and ("there is no option '%s'%s"):format(each.name, suggest.did_you_mean(near)) or "this value has no name, and none is expected here",
        fix = near and ("Write %s."):format(near) or ("Known: %s."):format(suggest.list(record.keys)),
      }
    end
  end
  for name, key in suggest.sorted(record.keys) do
    if not given[name] and not key.optional and not unknown and not M.accepts_nil(key.type) then
      problems[#problems + 1] = { node = node, at_start = true, message = math.type(name) and "the text in front is missing" or ("'%s' is missing"):format(name),
        fix = math.type(name) and "Begin the table with it: { \"...\", ... }." or ("Add %s = %s."):format(name, M.text(key.type)) }
    end
  end
  return problems
end

local function check_items(node, item, is_list)
  local problems = {}
  for _, field in ipairs(node.fields) do
    if is_list and field.key and field.key.kind == "String" then
      problems[#problems + 1] = { node = field.key, message = ("this is a list; the key '%s' does not belong there"):format(field.key.value), fix = "Write the values without names." }
    else
      add_all(problems, check(field.value, item), "")
    end
  end
  return problems
end

local function check_union(node, union)
  local kind = certain(node)
  local table_like
  for _, each in ipairs(union.of) do
    local problems = check(node, each)
    if not problems[1] then return {} end
    if each.kind == "record" or each.kind == "list" or each.kind == "map" then table_like = problems end
  end
  return kind == "table" and table_like or wrong(node, union)
end

function check(node, expected)
  local kind, value = certain(node)
  if not kind or expected.kind == "any" then return {} end
  if node.kind == "Paren" then return check(node.inner, expected) end
  if expected.kind == "union" then return check_union(node, expected) end
  if expected.kind == "literal" then
    if value == nil and kind == type(expected.value) or value == expected.value then return {} end
    return wrong(node, expected)
  end
  if expected.kind == "integer" then
    if kind == "number" and math.tointeger(value) then return {} end
    return wrong(node, expected)
  end
  if kind ~= "table" then return kind == expected.kind and {} or wrong(node, expected) end
  if expected.kind == "table" then return {} end
  if expected.kind == "record" then return check_record(node, expected) end
  if expected.kind == "list" then return check_items(node, expected.item, true) end
  if expected.kind == "map" then return check_items(node, expected.value, false) end
  return wrong(node, expected)
end

--- May a value of this type be left out?
---@param kind table
---@return boolean
---@usage assert(require("check.types").accepts_nil(require("check.types").parse "string?"))
function M.accepts_nil(kind)
  if kind.kind == "any" or kind.kind == "nil" then return true end
  for _, each in ipairs(kind.of or {}) do
    if M.accepts_nil(each) then return true end
  end
  return false
end

--- What is certainly wrong with an expression where this type is expected.
---@param node table
---@param expected table
---@return { node: table, message: string, fix: string, at_start?: boolean }[] problems
---@usage local types = require "check.types"  assert(#types.check({ kind = "String", value = "x" }, types.parse "integer") == 1)
function M.check(node, expected) return check(node, expected) end

return M
