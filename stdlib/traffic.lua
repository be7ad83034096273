--- traffic: which colour gets how much of the requests. One interface, several drivers.
--
-- A driver is a module traffic.<name> with open(config) that returns an object with the methods
-- below and a table `can`. Whatever a driver sets it reads back; success means that the proxy was
-- asked and says so. Drivers know nothing of environments, health or runs.
--
--   lb:get() -> { blue =, green =, exact =, servers = rows } | nil, err    whole percentages
--   lb:set{ blue = 90, green = 10 } -> the same, read back | nil, err
--   lb:plan{ blue = 90, green = 10 } -> what set would do, nothing is done | nil, err
--   lb:ready(colour, seconds?) -> true | nil, err          it may get requests
--   lb:drain(colour, seconds?) -> true | nil, err          no new ones; waits for the last to end
--   lb:maintenance(colour) -> true | nil, err              out of the proxy
--   lb:address(colour, index, host, port) -> true | nil, err    where its server is
--   lb.can = { ready =, drain =, maintenance =, address =, servers = }   what the driver really does

local core = require "core.traffic"
local core_err = require "core.err"
local effect = require "effect"

local M = {}

local DRIVERS = { haproxy = true, command = true }

--- An error of this module, for drivers.
---@param code string "traffic", "drain", "config", ...
---@param message string one sentence
---@param more? table cause, next, op
---@return nil, table err
function M.fail(code, message, more)
  local err = { code = code, op = "traffic", message = message }
  for key, value in pairs(more or {}) do err[key] = value end
  return nil, core_err.new(err)
end

--- Checks shares: each a whole percentage, 100 together, for known colours only.
-- A colour that is not named gets 0.
---@param shares table<string, integer>
---@param colours string[] the known ones
---@return table<string, integer>|nil shares with every colour, table? err
---@usage assert(traffic.check({ blue = 100 }, { "blue", "green" }).green == 0)
function M.check(shares, colours)
  if type(shares) ~= "table" then error("shares are a table such as { blue = 90, green = 10 }", 2) end
  local out, sum = {}, 0
  for _, colour in ipairs(colours) do
    local share = math.tointeger(shares[colour] == nil and 0 or shares[colour])
    if not share or share < 0 or share > 100 then
      return M.fail("usage", ("%s cannot get %s %%: a share is a whole number from 0 to 100"):format(colour, tostring(shares[colour])))
    end
    out[colour], sum = share, sum + share
  end
  for colour in pairs(shares) do
    if out[colour] == nil then return M.fail("usage", ("there is no colour %s; known: %s"):format(tostring(colour), table.concat(colours, ", "))) end
  end
  if sum ~= 100 then return M.fail("usage", ("the shares add up to %d %%, not to 100 %%"):format(sum)) end
  return out
end

--- The keys of a table, sorted: the order of colours and servers wherever order shows.
---@param map table<string, any>
---@return string[]
---@usage assert(traffic.sorted_keys({ green = 1, blue = 2 })[1] == "blue")
function M.sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- Shares as text, in the order of the colours: "blue 90 %, green 10 %".
---@param shares table<string, integer>
---@param colours string[]
---@return string
---@usage assert(traffic.text({ blue = 90, green = 10 }, { "blue", "green" }) == "blue 90 %, green 10 %")
function M.text(shares, colours)
  local parts = {}
  for i, colour in ipairs(colours) do parts[i] = ("%s %s %%"):format(colour, tostring(shares[colour])) end
  return table.concat(parts, ", ")
end

--- Whole weights for every server, so that each colour's are exactly its share of all.
---@param shares table<string, integer> percent, 100 together
---@param servers table<string, string[]> the servers of each colour
---@return table<string, integer>|nil weights by server, table? err limit: whole weights cannot express it
---@usage local w = traffic.weights({ blue = 90, green = 10 }, { blue = { "b1" }, green = { "g1" } })  assert(w.b1 == 90 and w.g1 == 10)
function M.weights(shares, servers)
  local colours, names = {}, M.sorted_keys(servers)
  for i, colour in ipairs(names) do colours[i] = { name = colour, share = shares[colour] or 0, servers = #servers[colour] } end
  local split, err = core.split(colours)
  if not split then return nil, err end
  local weights = {}
  for i, colour in ipairs(names) do
    for k, server in ipairs(servers[colour]) do weights[server] = split[i][k] end
  end
  return weights
end

--- Opens the proxy of a venture.
---@param config { driver?: string, socket?: string, backend?: string, servers?: table, timeout?: number, folder?: string, get?: string[], set?: string[], ready?: string[], drain?: string[], maintenance?: string[] } see the drivers
---@return table|nil lb, table? err config
---@usage local lb, err = traffic.open { driver = "nonsense" }  assert(lb == nil and err.code == "config")
function M.open(config)
  local name = config.driver or "haproxy"
  if not DRIVERS[name] then return M.fail("config", ("traffic.driver is haproxy or command, not %s"):format(tostring(name))) end
  local lb, err = require("traffic." .. name).open(config)
  if not lb then return nil, err end
  effect.wrap(lb, "traffic", require "traffic.about")
  return lb
end

return M
