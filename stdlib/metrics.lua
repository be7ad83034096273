--- metrics: what happened to every request, by colour, from the proxy's own log lines.

local core = require "core.metrics"

local M = {}

--- Opens the engine's unix datagram socket for HAProxy's `option httplog` lines.
-- HAProxy needs `log PATH len 4096 local0` in its global section and `option httplog`.
-- The feed has these methods:
--   feed:mark()        a new stage begins: counts start anew
--   feed:since_mark()  { blue =, green =, unreadable =, unattributed =, newest_age_s = }; a colour has requests, errors,
--                      slow, aborted, client_errors, retried and, only if there were requests, error_rate, slow_rate,
--                      p50_ms, p95_ms, p99_ms; first_bad_at is the wall time at which the first failed request began
--   feed:next_slot()   waits until the next 250 ms slot closes (500 ms after its end) and gives its counts
--   feed:line(text)    a line from elsewhere
--   feed:close()
---@param options { path?: string, servers: { blue: string[], green: string[] }, slow_ms: number }
---@return table? feed, table? err
---@usage local feed = metrics.haproxy_log { servers = { blue = { "b1" }, green = { "g1" } }, slow_ms = 500 }  assert(feed:since_mark().blue.requests == 0)
function M.haproxy_log(options)
  return core.open(options.path, options.servers, options.slow_ms)
end

return M
