--- traffic.command: the shares are set and told by a team's own commands.
--
--     traffic = { driver = "command", set = { "npm", "run", "traffic", "--", "--green={green}" }, get = { "./traffic", "get" } }
--
-- `get` prints {"blue":90,"green":10} or blue=90 green=10. `set` is believed only after `get` has
-- confirmed it. {blue} and {green} are filled in, in ready, drain and maintenance {colour}; in drain
-- {seconds} too. A proxy without those three is served by weights alone: with 0 % a colour is out.

local effect = require "effect"
local json = require "json"
local process = require "process"
local task = require "task"
local traffic = require "traffic"

local M = {}

local TIMEOUT_S = 60
local ATTEMPTS = 3
local PAUSE_S = 0.2
local COLOURS = { "blue", "green" }

local Command = {}
Command.__index = Command

--- See traffic.lua for the interface.
---@param config { set: string[], get: string[], ready?: string[], drain?: string[], maintenance?: string[], timeout?: number, folder?: string }
---@return table|nil lb, table? err config
function M.open(config)
  for _, name in ipairs { "set", "get" } do
    if type(config[name]) ~= "table" or #config[name] == 0 then
      return traffic.fail("config", ("traffic.%s is missing: the command driver needs set and get"):format(name))
    end
  end
  return setmetatable({
    config = config, timeout = config.timeout or TIMEOUT_S, colours = COLOURS,
    can = { ready = config.ready ~= nil, drain = config.drain ~= nil, maintenance = config.maintenance ~= nil, address = false, servers = false },
  }, Command)
end

-- Fills {names}; nil, err for one that is not known.
local function fill(argv, values)
  local out, unknown = {}, nil
  for i, argument in ipairs(argv) do
    out[i] = argument:gsub("{([%w_]+)}", function(name)
      if values[name] == nil then unknown = unknown or name end
      return tostring(values[name])
    end)
  end
  if unknown then return traffic.fail("config", ("there is no {%s} to fill into `%s`"):format(unknown, table.concat(argv, " "))) end
  return out
end

function Command:run(argv, values, seconds)
  local filled, err = fill(argv, values)
  if not filled then return nil, err end
  local result
  result, err = process.run { argv = filled, timeout = seconds or self.timeout, cwd = self.config.folder }
  if not result then return nil, err end
  if result.code ~= 0 then
    return traffic.fail("traffic", ("`%s` ended with %s: %s"):format(table.concat(filled, " "), tostring(result.code or result.signal), result.stderr:sub(1, 300)))
  end
  return result.stdout
end

--- The shares in a command's output; nil when it tells none.
---@param text string
---@return { blue: integer, green: integer }|nil
---@usage assert(require("traffic.command").parse("blue=90 green=10").green == 10)
function M.parse(text)
  local from = text:find("{", 1, true)
  local decoded = from and json.decode(text:sub(from, (text:match "^.*()}")))
  local out = {}
  for _, colour in ipairs(COLOURS) do
    local share = type(decoded) == "table" and decoded[colour] or not decoded and text:match("%f[%w_]" .. colour .. "%s*=%s*(%d+)%f[^%d]")
    out[colour] = math.tointeger(tonumber(share or nil))
    if not out[colour] or out[colour] < 0 or out[colour] > 100 then return nil end
  end
  return out
end

--- The shares that `get` tells.
---@return table|nil shares { blue =, green =, exact = true, servers = {} }, table? err
function Command:get()
  local text, err = effect.look(function() return self:run(self.config.get, {}) end)
  if not text then return nil, err end
  local shares = M.parse(text)
  if not shares then
    return traffic.fail("protocol", ("`%s` should print {\"blue\":90,\"green\":10} or blue=90 green=10, but printed %q"):format(table.concat(self.config.get, " "), text:sub(1, 200)))
  end
  shares.exact, shares.servers = true, {}
  return shares
end

--- The command that set would run. Nothing is done.
---@param shares table<string, integer>
---@return { commands: string[] }|nil plan, table? err
function Command:plan(shares)
  local wanted, err = traffic.check(shares, COLOURS)
  if not wanted then return nil, err end
  local argv
  argv, err = fill(self.config.set, wanted)
  if not argv then return nil, err end
  return { commands = { table.concat(argv, " ") } }
end

--- Sets the shares and reads them back.
---@param shares table<string, integer> whole percentages, 100 together
---@return table|nil shares as `get` tells them, table? err
function Command:set(shares)
  local wanted, err = traffic.check(shares, COLOURS)
  if not wanted then return nil, err end
  local ok, now
  ok, err = self:run(self.config.set, wanted)
  if not ok then return nil, err end
  for attempt = 1, ATTEMPTS do
    if attempt > 1 then task.sleep(PAUSE_S * attempt) end
    now, err = self:get()
    if now and now.blue == wanted.blue and now.green == wanted.green then return now end
  end
  if not now then return nil, err end
  return traffic.fail("traffic", ("%s was set, but `%s` tells %s"):format(traffic.text(wanted, COLOURS), table.concat(self.config.get, " "), traffic.text(now, COLOURS)))
end

local function check_colour(colour)
  if colour == "blue" or colour == "green" then return true end
  return traffic.fail("usage", ("there is no colour %s"):format(tostring(colour)))
end

-- Without a command of its own, a colour is out when its share is 0.
function Command:is_out(colour, what)
  local now, err = self:get()
  if not now then return nil, err end
  if now[colour] == 0 then return true end
  return traffic.fail(what == "drain" and "drain" or "traffic",
    ("%s has %d %%, and traffic.%s is not configured"):format(colour, now[colour], what), { next = "Set its share to 0 first." })
end

--- Lets a colour take requests. Without traffic.ready: nothing to do.
---@param colour string
---@param seconds? number
---@return boolean|nil ok, table? err
function Command:ready(colour, seconds)
  local ok, err = check_colour(colour)
  if ok and self.config.ready then ok, err = self:run(self.config.ready, { colour = colour }, seconds) end
  if not ok then return nil, err end
  return true
end

--- Waits until a colour has no requests. Without traffic.drain: its share must be 0.
---@param colour string
---@param seconds? number
---@return boolean|nil ok, table? err
function Command:drain(colour, seconds)
  local ok, err = check_colour(colour)
  if not ok then return nil, err end
  if not self.config.drain then return self:is_out(colour, "drain") end
  ok, err = self:run(self.config.drain, { colour = colour, seconds = seconds or self.timeout }, seconds and seconds + self.timeout)
  if not ok then return nil, err end
  return true
end

--- Takes a colour out. Without traffic.maintenance: its share must be 0.
---@param colour string
---@return boolean|nil ok, table? err
function Command:maintenance(colour)
  local ok, err = check_colour(colour)
  if not ok then return nil, err end
  if not self.config.maintenance then return self:is_out(colour, "maintenance") end
  ok, err = self:run(self.config.maintenance, { colour = colour })
  if not ok then return nil, err end
  return true
end

--- This driver cannot move a server.
---@return nil, table err
function Command:address()
  return traffic.fail("usage", "the command driver cannot tell a proxy where a server is; lb.can.address is false")
end

return M
