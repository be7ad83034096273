--- host: how busy this machine and some of its processes are.

local core = require "core.host"
local files = require "files"

local M = {}

local function percent(share) return share and share * 100 end

local function process_view(process, reading)
  return { alive = process.alive, cpu_percent = percent(process.cpu), cores = process.cpu and process.cpu * reading.processors,
    rss_bytes = process.rss_bytes, memory_percent = process.rss_bytes and percent(process.rss_bytes / reading.memory_bytes) }
end

--- The machine's name.
---@return string
---@usage assert(select("#", require("host").name()) == 1)
function M.name() return (((files.read "/proc/sys/kernel/hostname") or "unknown"):gsub("%s+$", "")) end

--- The machine now. A CPU share needs two samples: in the first, and for a process that was not in a former one, it is
-- nil, which means "not known". Percentages are of the whole machine; `cores` is 1.0 for one busy processor.
-- limits is what the cgroup allows (nil fields: no limit).
---@param options? { pids?: integer[], disk?: string } disk: a path on the file system that is asked for
---@return { cpu_percent?: number, memory_percent: number, disk_percent?: number, disk_free_bytes?: integer, load1: number, processors: integer, limits: { memory_bytes?: integer, used_bytes?: integer, processors?: number }, per_pid: table<integer, { alive: boolean, cpu_percent?: number, cores?: number, memory_percent?: number, rss_bytes?: integer }> }? sample, table? err
---@usage local s = assert(host.sample { disk = "/" })  assert(s.memory_percent > 0 and s.memory_percent < 100 and s.disk_percent <= 100)
function M.sample(options)
  options = options or {}
  local reading, err = core.read(options.pids or {}, options.disk)
  if not reading then return nil, err end
  local per_pid = {}
  for _, process in ipairs(reading.processes) do per_pid[process.pid] = process_view(process, reading) end
  return {
    cpu_percent = percent(reading.cpu), memory_percent = percent(1 - reading.available_bytes / reading.memory_bytes),
    disk_percent = percent(reading.disk), disk_free_bytes = reading.disk_free_bytes,
    load1 = reading.load1, processors = reading.processors, per_pid = per_pid,
    limits = { memory_bytes = reading.cgroup_memory_bytes, used_bytes = reading.cgroup_used_bytes, processors = reading.cgroup_processors },
  }
end

--- The share of a file system that is used, and the bytes that are free.
---@param path string anything on it
---@return { used: number, free_bytes: integer }?, table? err
---@usage assert(host.disk("/").used <= 1)
function M.disk(path)
  local reading, err = core.read({}, path)
  if not reading then return nil, err end
  return { used = reading.disk, free_bytes = reading.disk_free_bytes }
end

return M
