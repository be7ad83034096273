--- health.by_name: a venture's declared checks, asked one by one or by their list: in the console, and in a playbook that a console wrote.

local core_err = require "core.err"
local environment = require "environment"
local health = require "health"

local M = {}

--- The lists of a configuration whose checks need nothing but a colour.
M.LISTS = { "health", "invariants", "smoke", "flows" }

--- The checks of a name: of a list, or the one that is called so. Raises not_found.
---@param venture table
---@param name string
---@return table[]
---@usage assert(#require("health.by_name").named({ health = { { name = "up", tcp = "a:1" } } }, "up") == 1)
function M.named(venture, name)
  for _, list in ipairs(M.LISTS) do
    if name == list then return venture[list] or {} end
    for _, check in ipairs(venture[list] or {}) do if check.name == name then return { check } end end
  end
  error(core_err.new { code = "not_found", message = ("no check of %s is called '%s'"):format(tostring(venture.name), name), next = "health.names() of the console has them all" }, 0)
end

-- The colour that has the most traffic.
local function serving(proxy)
  local weights, err = proxy:get()
  if not weights then error(err, 0) end
  return weights.green > weights.blue and "green" or "blue"
end

--- Asks checks of a colour.
---@param venture table
---@param name string a list, or a check's name
---@param where { proxy: table, state_folder: string, colour?: string } proxy of traffic.open; colour: as without, the one with the most traffic
---@return table[] results of health.run
function M.ask(venture, name, where)
  local checks, colour = M.named(venture, name), where.colour or serving(where.proxy)
  local colours = environment.open(venture, where.state_folder)
  local version = colours:release(colour) or "unknown"
  return health.all(checks, { base = colours:base(colour), database = venture.database.url, folder = venture.folder,
    values = { version = version, release = version, venture = venture.name, venture_id = venture.id, colour = colour } })
end

return M
