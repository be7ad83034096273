--- environment.process: each colour is one process on this machine; the embedded default.
--
-- What is known about a colour's process (pid and kernel start time, which together identify it for
-- ever) is written to the state folder before anything relies on it. Before it is started, a token is: whoever dies between the start and
-- the record leaves a process that is found again by the token in its environment.

local clock = require "clock"
local core_boundary = require "core.boundary"
local core_err = require "core.err"
local effect = require "effect"
local environment = require "environment"
local files = require "files"
local host = require "host"
local json = require "json"
local net = require "net"
local process = require "process"
local random = require "core.random"

local M = {}

local TOKEN = "ENGINE_COLOUR_TOKEN"

local Process = {}
Process.__index = Process

--- See environment.lua for the interface.
function M.open(config, context)
  if not config.command then
    error(core_err.new { code = "config", message = "environment.command is missing: the argv that starts one colour" }, 0)
  end
  return setmetatable({ config = config, context = context }, Process)
end

function Process:record_path(colour) return self.context.state .. "/" .. colour .. ".json" end

-- The first process with the token: those that it started have it too.
local function find(token)
  local wanted, first = ("%s=%s\0"):format(TOKEN, token), nil
  for _, name in ipairs(assert(files.list "/proc")) do
    local environ = name:match "^%d+$" and files.read(("/proc/%s/environ"):format(name))
    local who = environ and (environ .. "\0"):find(wanted, 1, true) and process.identify(math.tointeger(tonumber(name)))
    if who and (not first or who.started < first.started) then first = who end
  end
  return first
end

-- What is known of a colour; nil when it was never made, or its start never came about.
function Process:record(colour)
  local text, err = files.read(self:record_path(colour))
  if not text then
    if err.code == "not_found" then return nil end
    error(err, 0)
  end
  local record = assert(json.decode(text))
  if record.pid then return record end
  local found = find(record.token)
  if not found then return nil end
  record.pid, record.started = found.pid, found.started
  effect.look(function() assert(files.write(self:record_path(colour), json.encode(record))) end) -- what is so already
  return record
end

-- Whoever answers there before a colour is started would be taken for it.
local function taken_by_another(host, port)
  local conn = net.connect { host = host, port = math.tointeger(tonumber(port)), timeout = 1 }
  if not conn then return nil end
  conn:close()
  return ("%s:%s, where %%s would listen, is in use"):format(host, port), ("End what uses it (ss -ltnp 'sport = :%s' shows it), or choose another port in environment.addresses."):format(port)
end

function Process:provision(colour, release, database)
  local alive = self:alive(colour)
  if alive then
    return nil, core_err.new { code = "exists", op = "provision " .. colour, message = ("%s already runs (%s)"):format(colour, self:release(colour) or "unknown release"),
      next = "Destroy it first, or finish the deployment that made it." }
  end
  local host, port = self.addresses[colour]:match "^(.*):(%d+)$"
  local taken, free = taken_by_another(host, port)
  if taken then return nil, core_err.new { code = "exists", op = "provision " .. colour, message = taken:format(colour), next = free } end
  local argv = environment.fill(self.config.command, { release = release.version, folder = release.folder, host = host, port = port, colour = colour,
    database = database or self.config.database })
  local ok, err = files.mkdir(self.context.state)
  if not ok then return nil, err end
  local log = ("%s/%s-%s.log"):format(self.context.state, colour, release.version)
  local record = { token = random.hex(16), release = release.version, digest = release.digest, log = log, at = clock.wall() }
  ok, err = files.write(self:record_path(colour), json.encode(record))
  if not ok then return nil, err end
  local env = { [TOKEN] = record.token }
  for key, value in pairs(self.config.env or {}) do env[key] = value end
  local handle
  handle, err = process.spawn { argv = argv, cwd = release.folder, env = env, log = log }
  if not handle then
    files.remove(self:record_path(colour))
    return nil, core_err.new { code = err.code, op = err.op, message = err.message, cause = err.cause, next = "Correct environment.command in venture.lua: {folder} is the release's folder, and a name without a slash is looked for in the PATH." }
  end
  core_boundary.pass "colour: between its start and its record"
  record.pid, record.started = handle.pid, handle.started
  ok, err = files.write(self:record_path(colour), json.encode(record))
  if not ok then
    process.stop(handle, { grace = 1 })
    return nil, err
  end
  return { address = self.addresses[colour], pid = handle.pid, log = log }
end

function Process:alive(colour)
  local record = self:record(colour)
  if not record then return false, "never provisioned" end
  if process.alive { pid = record.pid, started = record.started } then return true, ("pid %d"):format(record.pid) end
  return false, ("pid %d has ended; its output is in %s"):format(record.pid, record.log)
end

function Process:release(colour)
  local record = self:record(colour)
  return record and record.release
end

function Process:memory(colour)
  local record = self:record(colour)
  if not record or not record.at then return nil end
  local sample = host.sample { pids = { record.pid } }
  local seen = sample and sample.per_pid[record.pid]
  return seen and seen.rss_bytes and { age = clock.wall() - record.at, bytes = seen.rss_bytes } or nil
end

function Process:destroy(colour)
  local record = self:record(colour)
  if not record then return files.remove(self:record_path(colour)) end
  local handle = { pid = record.pid, started = record.started }
  if process.alive(handle) then
    local ok, err = process.stop(handle, { grace = self.config.stop_grace or 10 })
    if not ok then return nil, err end
  end
  if process.alive(handle) then
    return nil, core_err.new { code = "process", op = "destroy " .. colour, message = ("pid %d is still there"):format(record.pid) }
  end
  return files.remove(self:record_path(colour))
end

return M
