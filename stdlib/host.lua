--- host: how busy this machine is, from /proc.

local clock = require "clock"
local files = require "files"
local process = require "process"

local M = {}

local before -- the last reading of the CPU's counters: a share needs two

local function cpu_counters()
  local text, err = files.read "/proc/stat"
  if not text then return nil, err end
  local total, idle, position = 0, 0, 0
  for value in text:match "^cpu%s+([^\n]+)":gmatch "%d+" do
    position = position + 1
    -- guest time (9, 10) is inside user time already
    if position <= 8 then total = total + tonumber(value) end
    if position == 4 or position == 5 then idle = idle + tonumber(value) end
  end
  return { at = clock.now(), total = total, idle = idle }
end

--- The machine's load as shares from 0 to 1. cpu needs a former call; without one it is nil.
---@return { cpu?: number, memory?: number }? sample, table? err
---@usage local s = assert(host.sample())  assert(s.memory > 0 and s.memory < 1)
function M.sample()
  local now, err = cpu_counters()
  if not now then return nil, err end
  local sample = {}
  if before and now.total > before.total then sample.cpu = 1 - (now.idle - before.idle) / (now.total - before.total) end
  before = now
  local memory = files.read "/proc/meminfo"
  local total, available = memory:match "MemTotal:%s+(%d+)", memory:match "MemAvailable:%s+(%d+)"
  if total and available then sample.memory = 1 - tonumber(available) / tonumber(total) end
  return sample
end

--- The share of a file system that is used, and the bytes that are free.
---@param path string anything on it
---@return { used: number, free_bytes: integer }?, table? err
---@usage assert(host.disk("/").used <= 1)
function M.disk(path)
  local result, err = process.run { argv = { "df", "-Pk", path }, check = true, env = { LC_ALL = "C" } }
  if not result then return nil, err end
  local _, _, free, used = result.stdout:match "\n%S+%s+(%d+)%s+(%d+)%s+(%d+)%s+(%d+)%%"
  return { used = tonumber(used) / 100, free_bytes = math.tointeger(tonumber(free)) * 1024 }
end

return M
