--- configuration.origin: where each value of a venture's configuration comes from: a line of venture.lua, a variable of the environment that this line
-- reads, or the schema's default. The text is read as `engine check` reads it; no secret is resolved.

local configuration = require "configuration"
local configuration_schema = require "configuration_schema"
local core_err = require "core.err"
local core_search = require "core.search"
local core_secret = require "core.secret"
local files = require "files"
local registry = require "check.registry"
local rules_configuration = require "check.rules_configuration"
local schema = require "schema"
local sense = require "configuration.sense"
local subject_module = require "check.subject"
local walk = require "check.walk"

local M = {}

local function copied(value, replace)
  if configuration.is_reference(value) then return replace(value) end
  if type(value) ~= "table" then return value end
  local out = {}
  for key, item in pairs(value) do out[key] = copied(item, replace) end
  return out
end

-- A reference as it is written; what a secret is, is nobody's to see here.
local function written(reference)
  local text = ('secret "%s"'):format(reference.reference)
  return setmetatable({}, { __tostring = function() return text end })
end

local function stand_in(reference) return core_secret.wrap("\1secret\1", reference.reference) end

-- The variables that an expression reads, also through locals and functions of the file.
local function variables(node, found, seen)
  walk.each(node, function(each)
    local argument = each.kind == "Call" and each.fn.kind == "Name" and each.fn.name == "env" and not each.fn.declaration and each.args[1]
    if argument and argument.kind == "String" then found[#found + 1] = argument.value end
    local declaration = each.kind == "Name" and each.declaration
    local behind = declaration and (declaration.fn or declaration.value)
    if behind and not seen[behind] then
      seen[behind] = true
      variables(behind, found, seen)
    end
  end)
  return found
end

local Configuration = {}
Configuration.__index = Configuration

-- What stands behind a value of the file: its line, and the variables with what they gave.
function Configuration:place(path)
  local field = rules_configuration.locate(self.subject, path)
  local parts = { ("%s:%d"):format(self.path, field and (self.subject.source:position(field.value.at)) or 1) }
  for _, name in ipairs(field and variables(field.value, {}, {}) or {}) do
    parts[#parts + 1] = self.read[name] and name or self.missing[name] and name .. " IS NOT SET" or name .. " is not set: the default there"
  end
  return table.concat(parts, ", ")
end

-- Does what stands there read a variable that is not set?
function Configuration:is_missing(path)
  local field = rules_configuration.locate(self.subject, path)
  for _, name in ipairs(field and variables(field.value, {}, {}) or {}) do if self.missing[name] then return true end end
  return false
end

local function is_list_of_records(description) return description and description.type == "list" and description.items and description.items.type == "record" end

local function children(value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end

-- Goes down to the values that are shown on a line of their own.
function Configuration:collect(path, description, out)
  local filled = schema.value_at(self.filled, path)
  local inner = description and description.keys
  if type(filled) == "table" and not core_secret.is(filled) and next(filled) ~= nil and (inner or is_list_of_records(description)) then
    for _, key in ipairs(children(filled)) do
      local here = table.move(path, 1, #path, 1, {})
      here[#here + 1] = key
      self:collect(here, inner and inner[key] or not inner and { type = "any" } or nil, out)
    end
    return
  end
  local own = schema.value_at(self.own, path)
  if type(filled) == "table" and next(filled) == nil and own == nil then return end -- a section that only might be there
  local is_default = own == nil
  if is_default then own = filled end
  out[#out + 1] = { key = schema.path_text(path), value = own, origin = is_default and "default" or self:place(path) }
end

--- Every value that is in force, by the names of their keys.
---@return { key: string, value: any, origin: string }[]
function Configuration:values()
  local out = {}
  self:collect({}, configuration_schema.venture, out)
  return out
end

--- Reads a venture's configuration without its secrets.
---@param folder string
---@return table? configuration values(), problems (as module schema tells them), missing (variables that are not set), path, source, table? err
function M.open(folder)
  local path = folder .. "/venture.lua"
  local subject, err = subject_module.open(path, registry.new { folder })
  if not subject then
    if not files.exists(path) then err = core_err.new { code = "not_found", op = "read configuration", message = path .. " does not exist", next = "Give the venture's folder with --venture DIR; it holds venture.lua." } end
    return nil, err
  end
  if not subject:parse() then
    local first = subject.findings[1]
    return nil, core_err.new { code = "config", op = "read configuration", message = ("%s:%d: %s"):format(path, first.line, first.message), next = first.fix }
  end
  local missing, read = {}, {}
  local names = configuration.sandbox(missing, function(name)
    read[name] = core_secret.environment(name)
    return read[name]
  end)
  local chunk
  chunk, err = core_search.load_text(subject.source.text, path, names)
  if not chunk then return nil, err end
  local ok, value = pcall(chunk)
  if not ok or type(value) ~= "table" then
    return nil, core_err.new { code = "config", op = "read configuration", message = ok and ("%s must return a table, but returns a %s"):format(path, type(value)) or tostring(value),
      next = ok and "End it with return { name = ..., ... }." or configuration.advice(tostring(value)) }
  end
  local self = setmetatable({ path = path, subject = subject, source = subject.source.text, read = read, missing = {} }, Configuration)
  for _, name in ipairs(missing) do self.missing[name] = true end
  self.own, self.filled = copied(value, written), copied(value, stand_in)
  self.problems = schema.check(self.filled, configuration_schema.venture)
  for _, problem in ipairs(sense.problems(self.filled)) do
    if not self:is_missing(problem.path) then self.problems[#self.problems + 1] = problem end
  end
  return self
end

return M
