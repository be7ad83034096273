--- check.registry: everything that a playbook can name: the words, the modules and their functions.
--
-- The library is read, not listed: its sources give the names, and the same doc comments that make the reference pages give
-- the types. A module is looked for as `require` does: in the folders in their order, then among what is built in.

local core_search = require "core.search"
local files = require "files"
local module = require "check.module"
local parser = require "check.parser"
local prelude = require "prelude"
local scope = require "check.scope"
local walk = require "check.walk"

local M = {}

local Registry = {}
Registry.__index = Registry

local ROOTS = { "stdlib", "playbooks" }
local BASE = { string = string, table = table, math = math, utf8 = utf8 }

-- The objects that the parts of a procedure are given, by the names that their parameters have everywhere: whose methods they have, and what of their
-- fields parts read.
local OBJECTS = {
  run = { class = "Run", modules = { "run" }, fields = { "id string", "args table<string, any> what was given on the command line", "venture Venture", "mode string", "folder string its own, for papers", "reason? string", "result table" } },
  d = { class = "Deployment", modules = { "deployment", "deployment.watch", "deployment.rehearsal" },
    fields = { "run Run", "venture Venture", "release { version: string, folder: string, digest: string }", "old string the colour that serves", "new string the colour that gets the release",
      "old_version string", "traffic table", "environment table", "share integer percent that the new colour has" } },
}

--- The same, for what is made of them.
M.objects = OBJECTS

--- A registry in which the modules of these folders come first.
---@param folders string[]
---@return table registry
---@usage assert(require("check.registry").new({}):module("traffic").exports.open)
function M.new(folders) return setmetatable({ folders = folders, known = {}, methods_of = {} }, Registry) end

local function exists(path)
  local stat = files.stat(path, { follow = true })
  return stat and stat.type == "file"
end

local function is_playbook(path)
  local text = files.read(path)
  return text and text:find "%f[%w_]return%s+playbook%f[^%w_]" ~= nil
end

--- Where `require` would find a module: its path, and whether it is the one that is built in.
---@param name string
---@return string? path, boolean? built_in
function Registry:find(name)
  local file = name:gsub("%.", "/") .. ".lua"
  for _, folder in ipairs(self.folders) do
    local path = (folder == "." and "" or folder .. "/") .. file
    -- A playbook that is called as a module of the library does not hide it.
    if exists(path) and not (core_search.baked("stdlib/" .. file) and is_playbook(path)) then return path, false end
  end
  for _, root in ipairs(ROOTS) do
    local path = root .. "/" .. file
    if core_search.baked(path) then return path, true end
  end
end

local function core_module(name)
  local ok, value = pcall(require, name)
  if not ok or type(value) ~= "table" then return nil end
  local exports = {}
  for key in pairs(value) do exports[key] = {} end
  return { name = name, returns = "table", exports = exports, open = false }
end

-- What is built in never changes, so it is read once for all registries.
local built_in_modules = {}

function Registry:read(name)
  if name:find "^core%." then return core_module(name) end
  if not name:find "^[%w_-]+[%w_.-]*$" then return nil end
  local path, built_in = self:find(name)
  if not path then return nil end
  if built_in and built_in_modules[name] then return built_in_modules[name] end
  local text = built_in and core_search.baked(path) or files.read(path)
  local tree = text and parser.parse(text)
  -- One that cannot be read is found wrong when it is checked itself.
  if not tree or not scope.resolve(tree) then return { name = name, path = path, returns = "other", exports = {}, open = true } end
  local found = module.describe(tree, text)
  found.name, found.path, found.built_in, found.tree = name, path, built_in, tree
  if built_in then built_in_modules[name] = found end
  return found
end

--- What `require(name)` gives, or nil when there is no such module. See check.module for its fields.
---@param name string
---@return { name: string, path?: string, built_in?: boolean, returns: string, exports: table, open: boolean }?
function Registry:module(name)
  local found = self.known[name]
  if found == nil then
    found = self:read(name) or false
    self.known[name] = found
  end
  return found or nil
end

--- The names of the built-in modules, as keys.
---@return table<string, boolean>
function M.built_in_modules()
  local names = {}
  for _, path in ipairs(core_search.baked_paths()) do
    local name = path:gsub("^%a+/", ""):gsub("%.lua$", ""):gsub("/", ".")
    names[name] = true
  end
  return names
end

local function base_library(name)
  local exports = {}
  for key in pairs(BASE[name]) do exports[key] = {} end
  return { name = name, returns = "table", exports = exports, open = false }
end

--- What a global name means: { module = }, { fn = name, export = }, {} for a plain one of Lua, or nil for none.
---@param name string
---@return table?
function Registry:global(name)
  if BASE[name] then return { module = base_library(name) } end
  local word = prelude.words[name]
  if word then return { fn = name, export = self:module(word[1]).exports[word[2]] } end
  local found = not name:find("%.") and self:module(name)
  if found then return { module = found } end
  -- What Lua itself has. Modules that this engine has loaded are globals too, and were found above.
  if rawget(_G, name) ~= nil then return {} end
end

--- Every global name, as keys: for suggestions.
---@return table<string, boolean>
function Registry:global_names()
  local names = { _G = true }
  for name in next, _G do names[name] = true end
  for name in pairs(prelude.words) do names[name] = true end
  for name in pairs(M.built_in_modules()) do
    if not name:find(".", 1, true) then names[name] = true end
  end
  return names
end

local function required(node)
  local fn = node.kind == "Call" and node.fn
  if fn and fn.kind == "Name" and fn.name == "require" and not fn.declaration and #node.args == 1 and node.args[1].kind == "String" then
    return node.args[1].value
  end
end

--- The module that a call of require names, or nil for any other expression.
---@param node table
---@return string?
function M.required(node) return required(node) end

--- What an expression certainly means: { module = } or { fn = "traffic.open", export = }; nil when that cannot be told.
---@param node table
---@return table?
function Registry:resolve(node)
  if node.kind == "Paren" then return self:resolve(node.inner) end
  local name = required(node)
  if name then
    local found = self:module(name)
    return found and { module = found }
  end
  if node.kind == "Name" then
    local declaration = node.declaration
    if not declaration then return self:global(node.name) end
    if declaration.writes == 0 and declaration.value then return self:resolve(declaration.value) end
  elseif node.kind == "Index" and node.key.kind == "String" then
    local owner = self:resolve(node.object)
    local export = owner and owner.module and owner.module.exports[node.key.value]
    return export and { fn = owner.module.name .. "." .. node.key.value, export = export }
  end
end

-- The methods that a module gives to the objects of its classes, with their functions, and the fields that it sets on them.
local function add_methods(methods, found)
  walk.each(found.tree, function(node)
    if node.kind == "FunctionStatement" and node.fn.is_method then methods[node.target.key.value] = node.fn end
    for _, target in ipairs(node.kind == "Assign" and node.targets or {}) do
      if target.kind == "Index" and target.object.kind == "Name" and target.object.name == "self" and target.key.kind == "String" then methods[target.key.value] = methods[target.key.value] or true end
    end
  end)
end

--- The methods of the object that parts of the procedure are given under this name (`run`, `d`), as keys; nil for other names.
---@param name string
---@return table<string, true|table>? methods, string? class
function Registry:methods(name)
  local object = OBJECTS[name]
  if not object then return nil end
  if not self.methods_of[name] then
    local methods = {}
    for _, each in ipairs(object.modules) do
      local found = self:module(each)
      if not found or not found.tree then return nil end
      add_methods(methods, found)
    end
    self.methods_of[name] = methods
  end
  return self.methods_of[name], object.class
end

--- The function of a method of the object that parts of the procedure are given under this name; nil when that is not known.
---@param name string
---@param method string
---@return table? fn
function Registry:method(name, method)
  local methods = self:methods(name)
  local fn = methods and methods[method]
  return type(fn) == "table" and fn or nil
end

return M
