--- check.rules_configuration: a venture's venture.lua against the description of its keys.
--
-- The file is data and is run in the same sandbox as for a deployment, but nothing outside has to be there: a variable that is
-- not set and has no default, and a secret, stand for a value that is right. What is said has the place of the key in the text.

local configuration = require "configuration"
local core_search = require "core.search"
local health = require "health"
local schema = require "schema"
local secret = require "secret"
local sense = require "configuration.sense"
local suggest = require "check.suggest"
local walk = require "check.walk"

local M = {}

-- A value that is not known here; no setting of a venture contains this byte.
local MARK = "\1"

--- Is this text, or a part of it, only known when the playbook runs?
---@param value any
---@return boolean
---@usage assert(require("check.rules_configuration").is_unknown "\1PORT\1")
function M.is_unknown(value) return secret.is(value) or type(value) == "string" and value:find(MARK, 1, true) ~= nil end

--- The names that a configuration can use, as keys.
---@return table<string, function>
function M.names() return configuration.sandbox {} end

local function without_references(value)
  for key, item in pairs(value) do
    if configuration.is_reference(item) then
      value[key] = secret.wrap(MARK .. "secret" .. MARK, item.reference)
    elseif type(item) == "table" then
      without_references(item)
    end
  end
end

local function evaluate(subject)
  local names = configuration.sandbox {}
  local given = names.env
  -- A default is what is in force where nothing is set, and stands in the file.
  function names.env(name, default) return given(name, default == nil and MARK .. name .. MARK or default) end
  local chunk, err = core_search.load_text(subject.source.text, subject.path, names)
  local ok, value
  if chunk then ok, value = pcall(chunk) end
  if ok and type(value) == "table" then
    without_references(value)
    return value
  end
  local message = chunk and (ok and "the file must return a table, but returns a " .. type(value) or tostring(value)) or err.message
  local prefix = subject.path .. ":"
  local line, rest = 1, message
  if message:sub(1, #prefix) == prefix then line, rest = message:match("^(%d+): (.*)$", #prefix + 1) end
  local at = subject.source:offset(math.tointeger(tonumber(line or 1)) or 1)
  at = subject.source.text:find("%S", at) or at
  subject:report("error", { at = at, to = at }, rest or message, ok and "End with return { name = ..., ... }." or configuration.advice(message))
end

-- The field of a constructor that has this key.
local function field_of(node, key)
  local position = 0
  for _, field in ipairs(node.fields) do
    if not field.key then
      position = position + 1
      if position == key then return field end
    elseif field.key.value == key then
      return field
    end
  end
end

local function constructor(node)
  while node and node.kind == "Paren" do node = node.inner end
  if node and node.kind == "Name" and node.declaration then node = node.declaration.value end
  return node and node.kind == "Table" and node or nil
end

--- The field of the configuration's text at a path, or the nearest one around it; nil when the text does not show it.
---@param subject table
---@param path any[]
---@return table? field
function M.locate(subject, path)
  local node, field = constructor(subject.module.value), nil
  for _, key in ipairs(path) do
    local inner = node and field_of(node, key)
    if not inner then break end
    field, node = inner, constructor(inner.value)
  end
  return field
end

local ADVISED = { add = true, give = true, lower = true, raise = true, remove = true, write = true }

--- The line of a configuration's text in which what stands at a path begins; as well as module schema can tell when the text does not show it.
---@param text string
---@param path any[]
---@return integer
---@usage assert(require("check.rules_configuration").line_of("return { a = {\n{ b = 1 },\n{ b = 2 } } }", { "a", 2, "b" }) == 3)
function M.line_of(text, path)
  local subject = require("check.subject").of_text("venture.lua", text, require("check.registry").new {})
  local field = subject:parse() and M.locate(subject, path)
  return field and (subject.source:position((field.key or field.value).at)) or schema.line_of(text, path)
end

local function start_of(node) return { at = node.at, to = node.at } end

-- What a problem's text says is to be done, as a sentence of its own.
local function advice(text)
  local said, todo = text:match "^(.*); (%l+ [^;]*)$"
  local verb = todo and todo:match "^%l+"
  if not ADVISED[verb or ""] then return text end
  return said, todo:gsub("^%l", string.upper) .. "."
end

local function report(subject, problem)
  local field = M.locate(subject, problem.path)
  local where = schema.path_text(problem.path)
  local text, todo = advice(problem.text)
  local place, fix
  if problem.key ~= nil then
    place = field and (field.key or start_of(field))
    fix = problem.near and ("Write %s."):format(problem.near) or "The reference of venture.lua lists the keys; remove this one."
  elseif problem.missing then
    place = field and start_of(field.value)
    fix = ("Add %s = ..."):format(problem.missing)
  else
    place = field and field.value
    fix = todo or "Correct the value; the reference of venture.lua says what it may be."
  end
  subject:report("error", place or start_of(subject.module.value or subject.tree), (where ~= "" and where .. ": " or "") .. text, fix)
end

-- Every check must have exactly one kind.
local function check_kinds(subject, config, problems)
  local misspelt = {} -- told already, with what is meant
  for _, problem in ipairs(problems) do
    if problem.near and health.kinds[problem.near] then misspelt[schema.path_text { table.unpack(problem.path, 1, #problem.path - 1) }] = true end
  end
  for _, path in ipairs(sense.CHECK_LISTS) do
    local list = schema.value_at(config, path)
    for index, each in ipairs(type(list) == "table" and list or {}) do
      local ok, problem = pcall(health.kind_of, each)
      local here = table.move(path, 1, #path, 1, {})
      here[#here + 1] = index
      if not ok and not misspelt[schema.path_text(here)] then
        local field = M.locate(subject, here)
        subject:report("error", start_of(field or subject.tree), (tostring(problem):gsub("^[^ ]+:%d+: ", "")), ("Give it exactly one of: %s."):format(suggest.list(health.kinds)))
      end
    end
  end
end

-- Lua keeps the last of two values, and says nothing.
local function check_twice(subject)
  walk.each(subject.tree, function(node)
    if node.kind ~= "Table" then return end
    local seen = {}
    for _, field in ipairs(node.fields) do
      local key = field.key and field.key.kind == "String" and field.key.value
      if key and seen[key] then
        subject:report("warning", field.key, ("'%s' is given twice in this table, in line %d too; only this one, the last, has an effect"):format(key, (subject.source:position(seen[key].at))),
          "Remove one of them.")
      elseif key then
        seen[key] = field.key
      end
    end
  end)
end

-- A password that stands in an address is in the file's history, and in every copy of it.
local function check_passwords(subject, value, path)
  for key, item in pairs(value) do
    local here = table.move(path, 1, #path, 1, {})
    here[#here + 1] = key
    if type(item) == "table" and not secret.is(item) then
      check_passwords(subject, item, here)
    elseif type(item) == "string" then
      local scheme, password = item:match "^(%a[%w+.-]*)://[^:/@%s]*:([^@/%s]+)@"
      if password and not M.is_unknown(password) then
        local field = M.locate(subject, here)
        subject:report("warning", start_of(field and field.value or subject.tree), ("%s: a password stands in this %s address in clear"):format(schema.path_text(here), scheme),
          "Write secret \"env:NAME\" in its place and set that variable, or leave the password out of the address.")
      end
    end
  end
end

--- Adds to the subject what is wrong with the configuration that it is.
---@param subject table of check.subject, parsed, with venture.lua
---@param folder string the venture's folder
---@return table? config filled with its defaults, when it can be used
function M.check(subject, folder)
  check_twice(subject)
  local config = evaluate(subject)
  if not config then return nil end
  check_passwords(subject, config, {})
  local problems = schema.check(config, require("configuration_schema").venture)
  local senseless = sense.problems(config)
  table.move(senseless, 1, #senseless, #problems + 1, problems)
  local count = 0
  for _, problem in ipairs(problems) do
    if not M.is_unknown(schema.value_at(config, problem.path)) then
      report(subject, problem)
      count = count + 1
    end
  end
  check_kinds(subject, config, problems)
  config.folder = folder
  return count == 0 and config or nil
end

return M
