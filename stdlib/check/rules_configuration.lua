--- check.rules_configuration: a venture's venture.lua against the description of its keys.
--
-- The file is data and is run in the same sandbox as for a deployment, but nothing outside has to be there: a variable that is
-- not set and a secret stand for a value that is right. What is said has the place of the key in the text.

local configuration = require "configuration"
local core_search = require "core.search"
local health = require "health"
local schema = require "schema"
local secret = require "secret"
local suggest = require "check.suggest"

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
  local function read(name) return require("core.secret").environment(name) or MARK .. name .. MARK end
  local chunk, err = core_search.load_text(subject.source.text, subject.path, configuration.sandbox({}, read))
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
  subject:report("error", { at = at, to = at }, rest or message, ok and "End with return { name = ..., ... }." or "A configuration only describes: it can use secret, env, minutes and hours, nothing else.")
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

local function value_at(value, path)
  for _, key in ipairs(path) do
    if type(value) ~= "table" or secret.is(value) then return nil end
    value = value[key]
  end
  return value
end

local function start_of(node) return { at = node.at, to = node.at } end

local function report(subject, problem)
  local field = M.locate(subject, problem.path)
  local where = schema.path_text(problem.path)
  local place, fix
  if problem.key ~= nil then
    place = field and (field.key or start_of(field))
    fix = problem.near and ("Write %s."):format(problem.near) or "The reference of venture.lua lists the keys; remove this one."
  elseif problem.missing then
    place = field and start_of(field.value)
    fix = ("Add %s = ..."):format(problem.missing)
  else
    place = field and field.value
    fix = "Correct the value; the reference of venture.lua says what it may be."
  end
  subject:report("error", place or start_of(subject.module.value or subject.tree), (where ~= "" and where .. ": " or "") .. problem.text, fix)
end

local CHECK_LISTS = { { "gates" }, { "health" }, { "smoke" }, { "flows" }, { "invariants" }, { "dependencies", "external" }, { "dependencies", "internal" },
  { "monitoring", "checks" }, { "monitoring", "business" } }

-- Every check must have exactly one kind.
local function check_kinds(subject, config)
  for _, path in ipairs(CHECK_LISTS) do
    local list = value_at(config, path)
    for index, each in ipairs(type(list) == "table" and list or {}) do
      local ok, problem = pcall(health.kind_of, each)
      if not ok then
        local here = table.move(path, 1, #path, 1, {})
        here[#here + 1] = index
        local field = M.locate(subject, here)
        subject:report("error", start_of(field or subject.tree), (tostring(problem):gsub("^[^ ]+:%d+: ", "")), ("Give it exactly one of: %s."):format(suggest.list(health.kinds)))
      end
    end
  end
end

--- Adds to the subject what is wrong with the configuration that it is.
---@param subject table of check.subject, parsed, with venture.lua
---@param folder string the venture's folder
---@return table? config filled with its defaults, when it can be used
function M.check(subject, folder)
  local config = evaluate(subject)
  if not config then return nil end
  local problems = schema.check(config, require("configuration_schema").venture)
  local count = 0
  for _, problem in ipairs(problems) do
    if not M.is_unknown(value_at(config, problem.path)) then
      report(subject, problem)
      count = count + 1
    end
  end
  check_kinds(subject, config)
  config.folder = folder
  return count == 0 and config or nil
end

return M
