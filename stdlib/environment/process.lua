--- environment.process: each colour is one process on this machine; the embedded default.
--
-- What is known about a colour's process (pid and kernel start time, which together identify it for
-- ever) is written to the state folder before anything relies on it.

local clock = require "clock"
local core_err = require "core.err"
local environment = require "environment"
local files = require "files"
local host = require "host"
local json = require "json"
local process = require "process"

local M = {}

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

function Process:record(colour)
  local text, err = files.read(self:record_path(colour))
  if not text then
    if err.code == "not_found" then return nil end
    error(err, 0)
  end
  return assert(json.decode(text))
end

function Process:provision(colour, release, database)
  local alive = self:alive(colour)
  if alive then
    return nil, core_err.new { code = "exists", op = "provision " .. colour, message = ("%s already runs (%s)"):format(colour, self:release(colour) or "unknown release"),
      next = "Destroy it first, or finish the deployment that made it." }
  end
  local host, port = self.addresses[colour]:match "^(.*):(%d+)$"
  local argv = environment.fill(self.config.command, { release = release.version, folder = release.folder, host = host, port = port, colour = colour,
    database = database or self.config.database })
  local ok, err = files.mkdir(self.context.state)
  if not ok then return nil, err end
  local log = ("%s/%s-%s.log"):format(self.context.state, colour, release.version)
  local handle
  handle, err = process.spawn { argv = argv, cwd = release.folder, env = self.config.env or {}, log = log }
  if not handle then return nil, err end
  ok, err = files.write(self:record_path(colour), json.encode { pid = handle.pid, started = handle.started, release = release.version, digest = release.digest, log = log, at = clock.wall() })
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
  if not record then return true end
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
