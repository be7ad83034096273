--- scaffold.stubs: what an editor completes in playbooks: the words, the modules, `run`, `d` and the keys of a venture, as LuaCATS definitions. They are made
-- of the same comments and tables that the reference pages and `engine check` read.

local annotations = require "check.annotations"
local configuration = require "configuration"
local configuration_schema = require "configuration_schema"
local core_search = require "core.search"
local prelude = require "prelude"
local registry = require "check.registry"

local M = {}

-- Comments that are the project's own are words for an editor.
local function comment(line)
  local kind, rest = line:match "^@(%a+)%s*(.*)$"
  if kind == "param" or kind == "return" then return "---" .. line end
  return "--- " .. (kind and ("%s: %s"):format(kind, rest) or line)
end

local function function_lines(out, lines, name, arguments)
  out[#out + 1] = ""
  for _, line in ipairs(lines) do out[#out + 1] = comment(line) end
  out[#out + 1] = ("function %s%s end"):format(name, arguments)
end

local function source_of(module) return core_search.baked(("stdlib/%s.lua"):format(module:gsub("%.", "/"))) end

-- The functions of a module as its source defines them on M.
local function module_text(name)
  local opening, functions = annotations.read(source_of(name))
  local out = { "---@meta", "" }
  for _, line in ipairs(opening) do out[#out + 1] = comment(line) end
  out[#out + 1] = ("---@class engine.%s"):format(name)
  out[#out + 1] = name .. " = {}"
  local count = 0
  for _, fn in ipairs(functions) do
    local own = fn.name:match "^M%.([%w_]+)$"
    if own then
      function_lines(out, fn.lines, name .. "." .. own, fn.arguments)
      count = count + 1
    end
  end
  out[#out + 1] = "\nreturn " .. name
  return count > 0 and table.concat(out, "\n") .. "\n" or nil
end

-- The methods of an object that parts are given, those without a comment too.
local function methods(out, object)
  for _, module in ipairs(object.modules) do
    local text = source_of(module)
    local _, functions = annotations.read(text)
    local documented = {}
    for _, fn in ipairs(functions) do documented[fn.name] = fn end
    for name, arguments in text:gmatch("\nfunction (" .. object.class .. ":[%w_]+)(%b())") do
      function_lines(out, documented[name] and documented[name].lines or {}, name, arguments)
    end
  end
end

local TYPES = { port = "integer|string", text = "string", list = "any[]", map = "table<string, any>" }

-- The classes of a venture's sections, by what the schema says of their keys.
local function venture_classes(out, class, keys)
  local names, own = {}, { ("---@class %s"):format(class) }
  for name in pairs(keys) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local key = keys[name]
    local kind = TYPES[key.type] or key.type
    if key.type == "record" then
      kind = class .. "." .. name
      venture_classes(out, kind, key.keys)
    elseif key.one_of then
      kind = '"' .. table.concat(key.one_of, '"|"') .. '"'
    end
    own[#own + 1] = ("---@field %s%s %s %s"):format(name, (key.required or key.default ~= nil or key.fill) and "" or "?", kind, key.about or "")
  end
  out[#out + 1] = table.concat(own, "\n") .. "\n"
end

local function objects_text()
  local out = { "---@meta", "" }
  venture_classes(out, "Venture", configuration_schema.venture.keys)
  for _, name in ipairs { "d", "run" } do
    local object = registry.objects[name]
    out[#out + 1] = ("--- What the parts of a procedure are given as `%s`."):format(name)
    out[#out + 1] = "---@class " .. object.class
    for _, field in ipairs(object.fields) do out[#out + 1] = "---@field " .. field end
    out[#out + 1] = ("local %s = {}"):format(object.class)
    methods(out, object)
    out[#out + 1] = ""
  end
  return table.concat(out, "\n")
end

local function sorted(keys)
  local names = {}
  for name in pairs(keys) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- The words of playbooks and tests, and those of venture.lua.
local function words_text()
  local out = { "---@meta" }
  for _, list in ipairs { prelude.words, prelude.test_words } do
    for _, word in ipairs(sorted(list)) do
      local _, functions = annotations.read(source_of(list[word][1]))
      for _, fn in ipairs(functions) do
        if fn.name == "M." .. list[word][2] then function_lines(out, fn.lines, word, fn.arguments) end
      end
    end
  end
  out[#out + 1] = "\n-- In venture.lua alone:\n"
  for _, word in ipairs(sorted(configuration.sandbox {})) do out[#out + 1] = ("---@type fun(value: any, default?: any): any\n%s = nil\n"):format(word) end
  return table.concat(out, "\n")
end

--- The definitions: file name -> text.
---@return table<string, string>
---@usage assert(require("scaffold.stubs").texts()["objects.lua"]:find "function Deployment:check")
function M.texts()
  local found = { ["objects.lua"] = objects_text(), ["words.lua"] = words_text() }
  for _, path in ipairs(core_search.baked_paths()) do
    local name = path:match "^stdlib/([%w_]+)%.lua$"
    if name then found["library/" .. name .. ".lua"] = module_text(name) end
  end
  return found
end

--- The editor's settings: the language, and where the definitions are.
---@return string
---@usage assert(json.decode(require("scaffold.stubs").settings())["runtime.version"] == "Lua 5.4")
function M.settings()
  return [[
{
  "runtime.version": "Lua 5.4",
  "runtime.builtin": { "os": "disable", "io": "disable", "debug": "disable", "package": "disable" },
  "workspace.library": [".stubs", ".stubs/library"]
}
]]
end

return M
