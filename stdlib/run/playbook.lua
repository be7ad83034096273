--- run.playbook: what a playbook file returns: a declaration, which does nothing until it is run.

local core_err = require "core.err"

local M = {}

local Playbook = { __name = "playbook" }

--- Declares a playbook; the value that a playbook file returns.
---@param fields { name: string, about?: string, args?: table, needs_venture?: boolean, prepare?: fun(run: table), run: fun(run: table): table? }
---@return table
---@usage local p = playbook { name = "empty", about = "does nothing", run = function() end }  assert(p.name == "empty")
function M.playbook(fields)
  -- `return playbook { ... }` is a tail call, so there is no caller whose line an error could name: the field
  -- is given, and whoever loads the file finds its line.
  local function misuse(message, field) error(core_err.new { code = "playbook", op = "load playbook", message = message, field = field }, 0) end
  if type(fields) ~= "table" then misuse "playbook takes a table" end
  local known = { name = "string", about = "string", args = "table", prepare = "function", run = "function", needs_venture = "boolean" }
  for key, value in pairs(fields) do
    if not known[key] then misuse(("a playbook has no field '%s'"):format(tostring(key)), key) end
    if type(value) ~= known[key] then misuse(("the playbook's field '%s' must be a %s"):format(key, known[key]), key) end
  end
  if not fields.name then misuse "a playbook needs a name" end
  if not fields.run then misuse "a playbook needs a function run" end
  fields.args = fields.args or {}
  return setmetatable(fields, Playbook)
end

--- Is this value one that `playbook` made?
---@param value any
---@return boolean
---@usage assert(not require("run.playbook").is {})
function M.is(value) return getmetatable(value) == Playbook end

return M
