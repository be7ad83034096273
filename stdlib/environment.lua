--- environment: where the two colours live. One interface, several drivers.
--
-- A driver is a module environment.<name> with open(config, context) that returns an object:
--   provision(colour, release, database?) -> { address } | nil, err   makes the colour with that release; database: another than
--                                                            the configured one, for a rehearsal
--   destroy(colour) -> true | nil, err                       and proves that it is gone
--   alive(colour) -> boolean, detail                         does it exist and run?
--   release(colour) -> version | nil                         what was provisioned there last
--   memory(colour) -> { age =, bytes = } | nil               seconds since it was made, and its resident memory; optional
-- Drivers know nothing of traffic, health or runs.

local effect = require "effect"

local M = {}

--- Opens the environment of a venture.
---@param venture table
---@param state_folder string where a driver may keep what it must remember between runs
---@return table environment
function M.open(venture, state_folder)
  local driver = require("environment." .. venture.environment.driver)
  local environment = driver.open(venture.environment, { folder = venture.folder, state = state_folder .. "/environment" })
  environment.addresses = venture.environment.addresses
  effect.wrap(environment, "environment")
  --- The base address of a colour: "http://127.0.0.1:9001".
  function environment:base(colour) return "http://" .. self.addresses[colour] end
  return environment
end

--- Fills {names} in an argument vector.
---@param argv string[]
---@param values table<string, string>
---@return string[]
---@usage assert(environment.fill({ "--port", "{port}" }, { port = "80" })[2] == "80")
function M.fill(argv, values)
  local out = {}
  for i, argument in ipairs(argv) do
    out[i] = argument:gsub("{([%w_]+)}", function(name)
      if values[name] == nil then error(("there is no {%s} to fill in; known: release, folder, host, port, colour, database"):format(name), 0) end
      return values[name]
    end)
  end
  return out
end

return M
