--- check.changes: which calls change the world, as far as their text tells.
--
-- What the library changes, it changes by effect.change, or by a method of a driver that effect names. So a
-- function changes something when one of these stands in it, or in what it calls; what it does in a step of its own is that step's.

local effect = require "effect"
local step = require "check.step"
local walk = require "check.walk"

local M = {}

local QUERIES = { query = true, one = true, value = true, execute = true }
local WRITES = { INSERT = true, UPDATE = true, DELETE = true, MERGE = true, TRUNCATE = true, CREATE = true, ALTER = true, DROP = true, REPLACE = true }
local UNWRAPPED = { assert = true, expect = true }

local Changes = {}
Changes.__index = Changes

--- For the files of one registry.
---@param registry table
---@return table
function M.new(registry) return setmetatable({ registry = registry, known = {} }, Changes) end

-- The interface that an object certainly has: `d.traffic`, or a local that traffic.open gave.
local function interface_of(registry, object)
  if object.kind == "Index" and object.key.kind == "String" then return effect.METHODS[object.key.value] and object.key.value end
  local value = object.kind == "Name" and object.declaration and object.declaration.writes == 0 and object.declaration.value
  while value and value.kind == "Call" and value.fn.kind == "Name" and UNWRAPPED[value.fn.name] do value = value.args[1] end
  local opened = value and value.kind == "Call" and registry:resolve(value.fn)
  local module = opened and opened.fn and opened.fn:match "^(%w+)%.open$"
  return module and effect.METHODS[module] and module
end

local function changes_by_interface(registry, node)
  local module = interface_of(registry, node.object)
  for _, method in ipairs(module and effect.METHODS[module] or {}) do
    if method == node.name.name then return ("%s:%s"):format(module, method) end
  end
end

-- A statement whose text stands there.
local function writes_sql(node)
  local text = QUERIES[node.name.name] and node.args[1]
  local word = text and text.kind == "String" and text.value:match "^%s*(%a+)"
  return word and WRITES[word:upper()] and ("%s by SQL"):format(word:upper())
end

-- A function that it puts into a table is called by somebody else, and perhaps never.
function Changes:look_into(fn, owner)
  local found = false
  walk.each(fn, function(node, parent)
    if found or (node.kind == "Function" and parent and parent.kind == "Field") or step.is(self.registry, node) then return false end
    found = self:name_of(node, owner) ~= nil
  end)
  return found
end

-- Does a function change something? owner: whose method it is, so that self is known.
function Changes:is_change(fn, owner)
  if self.known[fn] == nil then
    self.known[fn] = false -- as long as it is looked into: it may call itself
    self.known[fn] = self:look_into(fn, owner)
  end
  return self.known[fn]
end

-- What a call in the library or in a step certainly changes, by name.
function Changes:name_of(node, owner)
  if node.kind == "Method" then
    local changed = changes_by_interface(self.registry, node)
    if changed or node.object.kind ~= "Name" then return changed end
    local object = node.object.name == "self" and owner or node.object.name
    local fn = self.registry:method(object, node.name.name)
    return fn and self:is_change(fn, object) and ("%s:%s"):format(object, node.name.name) or nil
  elseif node.kind == "Call" then
    local found = self.registry:resolve(node.fn)
    if found and found.fn == "effect.change" then return found.fn end
    local fn = found and found.export and found.export.fn
    local name = found and found.fn
    if not fn and node.fn.kind == "Name" and node.fn.declaration and node.fn.declaration.writes == 0 then fn, name = node.fn.declaration.fn, node.fn.name end
    return fn and self:is_change(fn, owner) and name or nil
  end
end

--- What a node in a step's text changes, as a person calls it; nil when it changes nothing, or when that cannot be told.
---@param node table
---@return string? name, table? place
function Changes:of(node)
  local name = self:name_of(node) or node.kind == "Method" and writes_sql(node) or nil
  if not name then return nil end
  return name, node.kind == "Method" and node.name or node.fn.key or node.fn
end

return M
