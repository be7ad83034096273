--- arguments: a command line against a description; the same for commands and for playbooks.

local core_err = require "core.err"

local M = {}

local function usage(message, next_step)
  return nil, core_err.new { code = "usage", op = "command line", message = message, next = next_step or "engine help" }
end

-- Words that a user could have meant, for one that is none of them.
local function did_you_mean(word, candidates, shown)
  local near = require("schema").nearest(word, candidates)
  return near and ("; did you mean %s?"):format(shown(near)) or ""
end

--- An option's name as it is written; one of one letter has one dash.
---@param key string
---@return string
---@usage assert(arguments.dashed "dry_run" == "--dry-run" and arguments.dashed "e" == "-e")
function M.dashed(key) return (#key == 1 and "-" or "--") .. key:gsub("_", "-") end

-- The folder of a path that ends with the file of a venture.
local function folder_of_venture(path) return path == "venture.lua" and "." or path:match "^(.+)/venture%.lua$" end

-- The command line with the folder that an option needs, when one of the words is one.
local function with_folder(option, description, words, next_step)
  local command = next_step and next_step:match "^(.+) %-%-help$"
  for _, word in ipairs(command and description.value == "DIR" and words or {}) do
    local folder = folder_of_venture(word) or word
    local stat = require("files").stat(folder, { follow = true })
    if stat and stat.type == "directory" then return ("%s %s %s"):format(command, option, folder) end
  end
end

local function convert(name, text, description, next_step)
  local kind = description.type or "string"
  local folder = description.value == "DIR" and folder_of_venture(text)
  if folder then return usage(("--%s takes a folder, and %s is a file in one"):format(name, text), ("Give its folder: --%s %s"):format(name, folder)) end
  if kind == "string" then return text end
  local number = tonumber(text)
  if kind == "number" and number then return number end
  if kind == "integer" and math.tointeger(number) then return math.tointeger(number) end
  return usage(("--%s takes %s, not '%s'"):format(name, kind == "integer" and "a whole number" or "a number", text), next_step)
end

--- Splits argv into options and words. Options are `--name value`, `--name=value`, and `--name` for booleans.
---@param argv string[]
---@param descriptions table<string, { type?: string, required?: boolean, default?: any, about?: string, one_of?: string[] }>
---@param next_step? string what a mistake says to do next: by default engine help
---@return { words: string[], [string]: any }?, table? err code usage
---@usage local a = arguments.parse({ "x", "--n", "3" }, { n = { type = "integer" } })  assert(a.n == 3 and a.words[1] == "x")
function M.parse(argv, descriptions, next_step)
  local parsed = { words = {} }
  local i = 1
  while i <= #argv do
    local word = argv[i]
    local name, value = word:match "^%-%-([%w_-]+)=(.*)$"
    name = name or word:match "^%-%-([%w_-]+)$"
    local letter = word:match "^%-(%a)$"
    if letter and descriptions[letter] then name = letter end
    if not name then
      if word:sub(1, 1) == "-" and #word > 1 then return usage(("unknown option %s"):format(word), next_step) end
      parsed.words[#parsed.words + 1] = word
    else
      local key = name:gsub("-", "_")
      local description = descriptions[key]
      if not description then
        return usage(("unknown option --%s%s"):format(name, did_you_mean(key, descriptions, M.dashed)), next_step)
      end
      if parsed[key] ~= nil then return usage(("%s is given twice"):format(M.dashed(key)), next_step) end
      if description.type == "boolean" then
        if value and value ~= "true" and value ~= "false" then return usage(("--%s takes no value"):format(name), next_step) end
        parsed[key] = value ~= "false"
      else
        if value == nil then
          i = i + 1
          value = argv[i]
          local next_name = value and value:match "^%-%-([%w_-]+)"
          if next_name and descriptions[next_name:gsub("-", "_")] then value = nil end -- the next option is no value of this one
          if value == nil then return usage(("%s needs a value%s"):format(M.dashed(key), description.about and ": " .. description.about or ""), next_step) end
        end
        local converted, err = convert(name, value, description, next_step)
        if err then return nil, err end
        parsed[key] = converted
      end
    end
    i = i + 1
  end
  for key, description in pairs(descriptions) do
    local option = M.dashed(key)
    if parsed[key] == nil then parsed[key] = description.default end
    if parsed[key] == nil and description.required then
      return usage(("%s is missing%s"):format(option, description.about and ": " .. description.about or ""), with_folder(option, description, parsed.words, next_step) or next_step)
    end
    if description.one_of and parsed[key] ~= nil then
      local known = {}
      for _, option_value in ipairs(description.one_of) do known[option_value] = true end
      if not known[parsed[key]] then
        return usage(("%s must be one of %s, not '%s'%s"):format(option, table.concat(description.one_of, ", "), tostring(parsed[key]),
          did_you_mean(tostring(parsed[key]), known, function(value) return "'" .. value .. "'" end)), next_step)
      end
    end
  end
  return parsed
end

--- An option as it is written: its name, and what its value is called.
---@param key string
---@param description table
---@return string
---@usage assert(arguments.option_text("dry_run", { type = "boolean" }) == "--dry-run" and arguments.option_text("to", { value = "DIR" }) == "--to DIR")
function M.option_text(key, description)
  if description.type == "boolean" then return M.dashed(key) end
  return M.dashed(key) .. " " .. (description.value or description.one_of and table.concat(description.one_of, "|") or (description.type or "string"):upper())
end

--- What is said of an option: its meaning, its default, and that it must be given.
---@param description table
---@return string
---@usage assert(arguments.about { about = "how many", default = 3 } == "how many (default: 3)")
function M.about(description)
  local default = description.default ~= nil and not (description.about or ""):find("default", 1, true) and (" (default: %s)"):format(tostring(description.default)) or ""
  return (description.about or "") .. default .. (description.required and " (required)" or "")
end

--- The names of options in the order in which they are listed.
---@param descriptions table
---@return string[]
---@usage assert(arguments.names({ b = {}, a = {} })[1] == "a")
function M.names(descriptions)
  local names = {}
  for key in pairs(descriptions) do names[#names + 1] = key end
  table.sort(names)
  return names
end

--- The options as lines of help.
---@param descriptions table
---@return string
---@usage assert(arguments.help { n = { type = "integer", about = "how many" } } == ("  -n INTEGER" .. (" "):rep(18) .. "how many"))
function M.help(descriptions)
  local lines = {}
  for _, key in ipairs(M.names(descriptions)) do
    lines[#lines + 1] = ("%-29s %s"):format("  " .. M.option_text(key, descriptions[key]), M.about(descriptions[key]))
  end
  return table.concat(lines, "\n")
end

return M
