--- simulation.settings: keys of venture.lua that are other ones in a world, so that a world can be tried in which, say, nothing is rehearsed.

local configuration_schema = require "configuration_schema"
local core_err = require "core.err"
local schema = require "schema"

local M = {}

local function is_map(value) return type(value) == "table" and #value == 0 and next(value) ~= nil end

-- What is said, without the keys that take one away, for the schema to look at; and what takes one away.
local function said(settings, description)
  local out = {}
  for key, value in pairs(settings) do
    local inner = description and (description.keys and description.keys[key] or description.items)
    if value == false and (not inner or inner.type ~= "boolean") then
      if not inner and description and description.keys then out[key] = value end -- an unknown key is told as one
    elseif is_map(value) and inner and inner.type == "record" then
      out[key] = said(value, inner)
    elseif type(value) == "table" then
      out[key] = said(value, inner)
    else
      out[key] = value
    end
  end
  return out
end

--- Raises what is wrong with settings: an error of code usage.
---@param settings table
---@usage local ok, err = pcall(require("simulation.settings").check, { backup = { dril = false } })  assert(err.message:find "did you mean 'drill'")
function M.check(settings)
  for _, problem in ipairs(schema.check(said(settings, configuration_schema.venture), configuration_schema.venture)) do
    if not problem.missing then
      error(core_err.new { code = "usage", op = "describe world", path = { "settings", table.unpack(problem.path) }, message = ("settings: %s: %s"):format(schema.path_text(problem.path), problem.text) }, 0)
    end
  end
end

--- Puts the settings over a venture's configuration: tables with keys are merged, lists and values replaced, and false takes a key away.
---@param config table is changed
---@param settings table
---@return table config
---@usage local c = require("simulation.settings").apply({ a = { x = 1, y = 2 } }, { a = { x = false } })  assert(c.a.x == false and c.a.y == 2)
function M.apply(config, settings)
  for key, value in pairs(settings) do
    if is_map(value) and type(config[key]) == "table" then M.apply(config[key], value) else config[key] = value end
  end
  return config
end

return M
