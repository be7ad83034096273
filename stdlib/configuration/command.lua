--- configuration.command: `engine config`: a venture's configuration as it is in force, each value with where it comes from.

local arguments = require "arguments"
local configuration_schema = require "configuration_schema"
local core_err = require "core.err"
local core_secret = require "core.secret"
local display = require "display"
local inspect = require "inspect"
local origin = require "configuration.origin"
local rules_configuration = require "check.rules_configuration"
local schema = require "schema"

local M = {}

--- Its options.
M.options = {
  venture = { value = "DIR", required = true, about = "the venture's folder (with venture.lua)" },
  origin = { type = "boolean", about = "where each value comes from: file and line, variables of the environment, or the schema's default" },
}

local function failure(err)
  display.failure(err)
  print("  next   " .. err.next)
  return 2
end

-- A value as it would be written; addresses without a password that stands in them.
local function text_of(value) return (core_secret.redact(inspect.text(value, "", {}, math.huge)):gsub("(://[^:/@%s\"]*):[^@/%s\"]*@", "%1:***@")) end

local function is_below(key, wanted) return key == wanted or key:sub(1, #wanted) == wanted and key:find("^[.%[]", #wanted + 1) ~= nil end

local function matching(values, wanted)
  local found = {}
  for _, one in ipairs(values) do if not wanted or is_below(one.key, wanted) then found[#found + 1] = one end end
  return found
end

-- A key that the configuration has no value for: known, or misspelt.
local function without_value(values, wanted)
  local known, description = {}, configuration_schema.venture
  for _, one in ipairs(values) do known[one.key] = true end
  for key in wanted:gmatch "[^.%[%]]+" do
    description = description and description.keys and description.keys[key]
  end
  if description then
    return core_err.new { code = "not_found", op = "config", message = ("%s has no value%s"):format(wanted, description.about and ": " .. description.about or ""), next = "Set it in venture.lua; without it the engine does without." }
  end
  for key in pairs(configuration_schema.venture.keys) do known[key] = true end
  local near = schema.nearest(wanted, known)
  return core_err.new { code = "usage", op = "config", message = ("there is no key %s%s"):format(wanted, near and ("; did you mean %s?"):format(near) or ""), next = "engine config --venture DIR, without a key, shows all" }
end

local function problem_text(read)
  local lines = {}
  for name in pairs(read.missing) do lines[#lines + 1] = ("%s: the environment variable %s is not set"):format(read.path, name) end
  for _, problem in ipairs(read.problems) do
    local where = schema.path_text(problem.path)
    lines[#lines + 1] = ("%s:%d: %s%s"):format(read.path, rules_configuration.line_of(read.source, problem.path), where ~= "" and where .. ": " or "", problem.text)
  end
  table.sort(lines)
  return lines[1] and table.concat(lines, "\n")
end

--- `engine config --venture DIR [--origin] [KEY]`
---@param argv string[]
---@return integer exit 0, 2 when the configuration is not valid or there is no such key
function M.main(argv)
  local options, err = arguments.parse(argv, M.options, "engine config --help")
  if not options then return failure(err) end
  local read
  read, err = origin.open(options.venture)
  if not read then return failure(err) end
  local values = read:values()
  local shown = matching(values, options.words[1])
  if not shown[1] then return failure(without_value(values, options.words[1])) end
  for _, one in ipairs(shown) do
    print(("%s = %s%s"):format(one.key, text_of(one.value), options.origin and "  -- " .. one.origin or ""))
  end
  local problems = problem_text(read)
  if problems then return failure(core_err.new { code = "config", op = "read configuration", message = problems }) end
  return 0
end

return M
