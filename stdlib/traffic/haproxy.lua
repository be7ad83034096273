--- traffic.haproxy: HAProxy's weights and server states, through its Runtime API.
--
-- The socket needs `level admin`. A change raises weights before it lowers any, so that at no instant
-- all of them are 0; afterwards every server is read back, and only exact equality counts.
-- A change that would leave HAProxy without a working server, or with servers that it would not use,
-- is refused before anything is sent.

local clock = require "clock"
local core = require "core.traffic"
local net = require "net"
local planning = require "traffic.haproxy_plan"
local task = require "task"
local traffic = require "traffic"

local M = {}

local TIMEOUT_S = 5
local ATTEMPTS = 3
local POLL_S = 0.1
local BATCH = 64 -- commands a line: well within HAProxy's buffer of 16 KiB
local READY_S = 30
local DRAIN_S = 30

local Haproxy = {}
Haproxy.__index = Haproxy

-- The colour of every server; nil, err for a configuration that cannot be meant.
local function owners(config)
  local owner, count = {}, 0
  for _, colour in ipairs(traffic.sorted_keys(config.servers)) do
    if #config.servers[colour] == 0 then return traffic.fail("config", ("traffic.servers.%s names no server"):format(colour)) end
    for _, server in ipairs(config.servers[colour]) do
      local _, err = core.weight(config.backend, server, 0) -- are these names?
      if err then return traffic.fail("config", err.message) end
      if owner[server] then return traffic.fail("config", ("traffic.servers names %s twice"):format(server)) end
      owner[server], count = colour, count + 1
    end
  end
  if count == 0 then return traffic.fail("config", "traffic.servers names no server") end
  return owner
end

--- See traffic.lua for the interface.
---@param config { socket: string, backend: string, servers: table<string, string[]>, timeout?: number } socket: "/path" or "host:port"
---@return table|nil lb, table? err config
function M.open(config)
  for _, name in ipairs { "socket", "backend", "servers" } do
    if not config[name] then return traffic.fail("config", ("traffic.%s is missing: the haproxy driver needs socket, backend and servers"):format(name)) end
  end
  local address = net.address(config.socket)
  if not address then return traffic.fail("config", ("traffic.socket is a path or host:port, not %q"):format(config.socket)) end
  local owner, err = owners(config)
  if not owner then return nil, err end
  return setmetatable({
    backend = config.backend, servers = config.servers, timeout = config.timeout or TIMEOUT_S, socket = config.socket,
    where = address, owner = owner, colours = traffic.sorted_keys(config.servers),
    can = { ready = true, drain = true, maintenance = true, address = true, servers = true },
  }, Haproxy)
end

function Haproxy:run(commands)
  local reply, err = core.run(commands, self.timeout, self.where.path, self.where.host, self.where.port)
  if reply then return reply end
  return traffic.fail(err.code, ("HAProxy at %s did not take a command: %s"):format(self.socket, err.message), { op = err.op, cause = err.cause })
end

-- HAProxy answers a command that it took with an empty line, and one that it refused with a sentence.
local function refusal(reply) return reply:match "%S[^\n]*" end

-- Sends commands that change something, as many as fit at once. `allowed`: a pattern of answers that are no refusal.
function Haproxy:send(commands, allowed)
  for first = 1, #commands, BATCH do
    local batch = { table.unpack(commands, first, math.min(first + BATCH - 1, #commands)) }
    local reply, err = self:run(table.concat(batch, ";"))
    if not reply then return nil, err end
    local said = refusal(reply)
    if said and not (allowed and said:find(allowed)) then
      return traffic.fail("traffic", ("HAProxy at %s refused `%s`: %s"):format(self.socket, table.concat(batch, "; "):sub(1, 200), said))
    end
  end
  return true
end

--- Every server of the backend as HAProxy shows it.
---@return table|nil rows by server name and in order, table? err
function Haproxy:rows()
  local show, err = core.show(self.backend)
  if not show then return nil, err end
  local reply
  reply, err = self:run(show .. ";" .. core.show_states(self.backend))
  if not reply then return nil, err end
  return planning.rows(self, reply)
end

--- The shares, as HAProxy's weights give them. Servers in maintenance or draining count nothing.
---@return table|nil shares { blue =, green =, exact = boolean, servers = rows }, table? err
function Haproxy:get()
  local rows, err = self:rows()
  if not rows then return nil, err end
  return planning.shares(self, rows)
end

--- What set would do. Nothing is changed.
---@param shares table<string, integer>
---@return { commands: string[], weights: table<string, integer> }|nil plan, table? err
function Haproxy:plan(shares)
  local wanted, err = traffic.check(shares, self.colours)
  if not wanted then return nil, err end
  local weights, rows, ok
  weights, err = traffic.weights(wanted, self.servers)
  if not weights then return nil, err end
  rows, err = self:rows()
  if not rows then return nil, err end
  ok, err = planning.refuse(self, rows, wanted, weights)
  if not ok then return nil, err end
  return { commands = planning.commands(self, rows, weights), weights = weights }
end

function Haproxy:try(shares)
  local plan, err = self:plan(shares)
  if not plan then return nil, err end
  local ok, rows
  ok, err = self:send(plan.commands)
  if not ok then return nil, err end
  rows, err = self:rows()
  if not rows then return nil, err end
  local wrong = planning.differences(rows, plan.weights)
  if #wrong > 0 then
    return traffic.fail("traffic", ("HAProxy at %s has other weights in %s than those recorded: %s"):format(self.socket, self.backend, table.concat(wrong, ", ")))
  end
  return planning.shares(self, rows)
end

local AGAIN = { timeout = true, connect = true, closed = true, io = true, protocol = true, traffic = true }

--- Sets the shares and reads them back.
---@param shares table<string, integer> whole percentages, 100 together
---@return table|nil shares as HAProxy has them now, table? err traffic, usage, limit, connect, timeout
function Haproxy:set(shares)
  local result, err
  for attempt = 1, ATTEMPTS do
    if attempt > 1 then task.sleep(POLL_S * attempt) end
    result, err = self:try(shares)
    if result or not AGAIN[err.code] then break end
  end
  return result, err
end

-- Sets the state of all servers of a colour.
function Haproxy:state(colour, state)
  if not self.servers[colour] then return traffic.fail("usage", ("there is no colour %s"):format(tostring(colour))) end
  local commands = {}
  for i, server in ipairs(self.servers[colour]) do commands[i] = core.state(self.backend, server, state) end
  return self:send(commands)
end

-- Asks until is_done(row) holds for every server of the colour, or the time has passed. Returns true,
-- or false and the last rows, or nil, err.
function Haproxy:poll(colour, seconds, is_done)
  local until_s = clock.now() + seconds
  while true do
    local rows, err = self:rows()
    if not rows then return nil, err end
    local all = true
    for _, server in ipairs(self.servers[colour]) do all = is_done(rows[server], server) and all end
    if all then return true end
    if clock.now() >= until_s then return false, rows end
    task.sleep(POLL_S)
  end
end

-- Refuses to take the last colour out.
function Haproxy:keep_serving(colour)
  if not self.servers[colour] then return traffic.fail("usage", ("there is no colour %s"):format(tostring(colour))) end
  local now, err = self:get()
  if not now then return nil, err end
  if now[colour] == 100 then
    return traffic.fail("traffic", ("%s has all the traffic; taking it out would leave nobody to answer"):format(colour),
      { next = "Give another colour its share first." })
  end
  return true
end

local function describe(rows, servers, what)
  local parts = {}
  for i, server in ipairs(servers) do parts[i] = ("%s %s"):format(server, what(rows[server])) end
  return table.concat(parts, ", ")
end

-- A server that is checked counts as ready when a check has passed since.
local function is_ready(row)
  return row.works and (row.check_state & 2 == 0 or (row.check_status or ""):find("OK", 1, true) ~= nil)
end

--- Lets a colour take requests again (with the weights that it has), and waits until HAProxy sees it work.
---@param colour string
---@param seconds? number how long to wait (default 30)
---@return boolean|nil ok, table? err traffic: HAProxy's health check does not pass
function Haproxy:ready(colour, seconds)
  local ok, err = self:state(colour, "ready")
  if not ok then return nil, err end
  local done, rows = self:poll(colour, seconds or READY_S, is_ready)
  if done then return true end
  if done == nil then return nil, rows end
  return traffic.fail("traffic", ("HAProxy does not see %s work after %g s: %s"):format(colour, seconds or READY_S,
    describe(rows, self.servers[colour], function(row) return ("%s (%s)"):format(row.status, row.check_status or "no check") end)))
end

--- Gives a colour no new requests and waits until the last one has ended.
---@param colour string
---@param seconds? number how long to wait (default 30)
---@param progress? fun(open: integer) how many requests are still open
---@return boolean|nil ok, table? err drain: how many were still open
function Haproxy:drain(colour, seconds, progress)
  local ok, err = self:keep_serving(colour)
  if not ok then return nil, err end
  ok, err = self:state(colour, "drain")
  if not ok then return nil, err end
  local open = {}
  local done, rows = self:poll(colour, seconds or DRAIN_S, function(row, server)
    if progress then
      local sum = 0
      open[server] = (row.scur or 0) + (row.qcur or 0)
      for _, count in pairs(open) do sum = sum + count end
      progress(sum)
    end
    return not row.takes_requests and (row.scur or 0) == 0 and (row.qcur or 0) == 0
  end)
  if done then return true end
  if done == nil then return nil, rows end
  return traffic.fail("drain", ("%s has requests under way after %g s: %s"):format(colour, seconds or DRAIN_S,
    describe(rows, self.servers[colour], function(row) return ("%d open, %d queued"):format(row.scur or 0, row.qcur or 0) end)))
end

--- Takes a colour out: no requests and no health checks, whatever its weights say.
---@param colour string
---@return boolean|nil ok, table? err
function Haproxy:maintenance(colour)
  local ok, err = self:keep_serving(colour)
  if not ok then return nil, err end
  ok, err = self:state(colour, "maint")
  if not ok then return nil, err end
  local rows
  rows, err = self:rows()
  if not rows then return nil, err end
  for _, server in ipairs(self.servers[colour]) do
    if rows[server].admin_state & 1 == 0 then
      return traffic.fail("traffic", ("%s/%s should be in maintenance but is %s"):format(self.backend, server, rows[server].status))
    end
  end
  return true
end

--- Tells HAProxy where a server of a colour is.
---@param colour string
---@param index integer which of its servers, from 1
---@param host string IP address
---@param port integer
---@return boolean|nil ok, table? err
function Haproxy:address(colour, index, host, port)
  local server = self.servers[colour] and self.servers[colour][index]
  if not server then return traffic.fail("usage", ("%s has no server %s"):format(tostring(colour), tostring(index))) end
  local command, err = core.address(self.backend, server, host, port)
  if not command then return nil, err end
  local ok, states, reply
  ok, err = self:send({ command }, "by 'stats socket command'$")
  if not ok then return nil, err end
  reply, err = self:run(core.show_states(self.backend))
  if not reply then return nil, err end
  states, err = core.states(reply)
  if not states then return nil, err end
  for _, state in ipairs(states) do
    if state.server == server then
      if state.address == host and state.port == port then return true end
      return traffic.fail("traffic", ("%s/%s is at %s:%s instead of %s:%d"):format(self.backend, server, tostring(state.address), tostring(state.port), host, port))
    end
  end
  return traffic.fail("traffic", ("HAProxy does not show %s/%s"):format(self.backend, server))
end

return M
