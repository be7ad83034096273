--- arguments: a command line against a description; the same for commands and for playbooks.

local core_err = require "core.err"

local M = {}

local function usage(message, next_step)
  return nil, core_err.new { code = "usage", op = "command line", message = message, next = next_step or "See `engine help`." }
end

local function convert(name, text, description)
  local kind = description.type or "string"
  if kind == "string" then return text end
  local number = tonumber(text)
  if kind == "number" and number then return number end
  if kind == "integer" and math.tointeger(number) then return math.tointeger(number) end
  return usage(("--%s takes %s, not '%s'"):format(name, kind == "integer" and "a whole number" or "a number", text))
end

--- Splits argv into options and words. Options are `--name value`, `--name=value`, and `--name` for booleans.
---@param argv string[]
---@param descriptions table<string, { type?: string, required?: boolean, default?: any, about?: string, one_of?: string[] }>
---@return { words: string[], [string]: any }?, table? err code usage
---@usage local a = arguments.parse({ "x", "--n", "3" }, { n = { type = "integer" } })  assert(a.n == 3 and a.words[1] == "x")
function M.parse(argv, descriptions)
  local parsed = { words = {} }
  local i = 1
  while i <= #argv do
    local word = argv[i]
    local name, value = word:match "^%-%-([%w_-]+)=(.*)$"
    name = name or word:match "^%-%-([%w_-]+)$"
    if not name then
      if word:sub(1, 1) == "-" and #word > 1 then return usage(("unknown option %s"):format(word)) end
      parsed.words[#parsed.words + 1] = word
    else
      local key = name:gsub("-", "_")
      local description = descriptions[key]
      if not description then
        local near = require("schema").nearest(key, descriptions)
        return usage(("unknown option --%s%s"):format(name, near and ("; did you mean --%s?"):format(near:gsub("_", "-")) or ""))
      end
      if parsed[key] ~= nil then return usage(("--%s is given twice"):format(name)) end
      if description.type == "boolean" then
        if value and value ~= "true" and value ~= "false" then return usage(("--%s takes no value"):format(name)) end
        parsed[key] = value ~= "false"
      else
        if value == nil then
          i = i + 1
          value = argv[i]
          if value == nil then return usage(("--%s needs a value"):format(name)) end
        end
        local converted, err = convert(name, value, description)
        if err then return nil, err end
        parsed[key] = converted
      end
    end
    i = i + 1
  end
  for key, description in pairs(descriptions) do
    local option = "--" .. key:gsub("_", "-")
    if parsed[key] == nil then parsed[key] = description.default end
    if parsed[key] == nil and description.required then
      return usage(("%s is missing%s"):format(option, description.about and ": " .. description.about or ""))
    end
    if description.one_of and parsed[key] ~= nil then
      local known = {}
      for _, option_value in ipairs(description.one_of) do known[option_value] = true end
      if not known[parsed[key]] then
        return usage(("%s must be one of %s, not '%s'"):format(option, table.concat(description.one_of, ", "), tostring(parsed[key])))
      end
    end
  end
  return parsed
end

--- The options as lines of help.
---@param descriptions table
---@return string
function M.help(descriptions)
  local names, lines = {}, {}
  for key in pairs(descriptions) do names[#names + 1] = key end
  table.sort(names)
  for _, key in ipairs(names) do
    local description = descriptions[key]
    local left = "  --" .. key:gsub("_", "-") .. (description.type == "boolean" and "" or " " .. (description.type or "string"):upper())
    lines[#lines + 1] = ("%-28s %s%s"):format(left, description.about or "", description.required and " (required)" or "")
  end
  return table.concat(lines, "\n")
end

--- What a command prints for --help: how it is called, what it does, its options.
---@param line string such as "engine test [FILES...]"
---@param about string
---@param descriptions table
---@usage arguments.print_help("engine test", "runs tests", { json = { type = "boolean", about = "for machines" } })
function M.print_help(line, about, descriptions) print(("usage: %s\n%s\n\n%s"):format(line, about, M.help(descriptions))) end

return M
