--- metrics: what happened to every request, by colour, from the proxy's own log lines.
--
-- A feed has these methods:
--   feed:mark()          a new stage begins: its counts start anew; gives a mark
--   feed:since(mark?)    counts since the last mark, or since an older one within the last 20 minutes (then in whole slots)
--   feed:last(seconds)   counts of the last seconds, at most 20 minutes; quantiles reach up to 5 s further back
--     both: { blue =, green =, unreadable =, unattributed =, seconds =, newest_age_s = }; a colour has requests, errors,
--     slow, aborted, client_errors, retried, hidden (errors that the proxy made good by asking the other colour: a request that
--     was redispatched counts for both) and, only if there were requests, error_rate, slow_rate, rps, p50_ms, p75_ms, p90_ms,
--     p95_ms, p99_ms; over counts what was slower than each of the thresholds; first_bad_at (last mark only) is the wall time at which the first failed request began. unreadable and
--     unattributed (servers of no colour) are of the feed's whole life; newest_age_s is nil until a line was readable
--   feed:next_slot()     waits until a 250 ms slot closes (500 ms after its end): { blue =, green =, slots = } of what
--                        closed since the last call, normally one slot; nothing is missed by who comes late
--   feed:thresholds(ms)  a list of five: from now on `over` counts the requests that took longer
--   feed:received()      { blue =, green = }: lines since the feed was opened, as they come
--   feed:first_bad(colour)   wall time of the first failed request since the mark, or nil
--   feed:port()          the UDP port, or nil
--   feed:queue_lines()   how many lines its unix socket holds while nobody reads, or nil
--   feed:line(text)      a line from elsewhere
--   feed:close()
-- A request belongs to where it started: when its line came, less its duration. Clients that went away count as
-- `aborted` and nowhere else.

local core = require "core.metrics"

local M = {}

--- Opens the engine's own datagram socket for HAProxy's `option httplog` lines.
-- HAProxy needs `option httplog` and, in its global section, `log PATH len 4096 local0` or `log 127.0.0.1:PORT len 4096 local0`.
-- A unix socket holds only net.unix.max_dgram_qlen + 1 lines (11 on most systems) and HAProxy does not wait: from some
-- hundred requests a second on lines are lost (`show info` counts them as DroppedLogs). With udp none were at 15,000.
---@param options { path?: string, udp?: integer, servers: { blue: string[], green: string[] }, slow_ms: number } udp: a port on loopback, 0: a free one
---@return table? feed, table? err exists, permission, io
---@usage local feed = metrics.haproxy_log { servers = { blue = { "b1" }, green = { "g1" } }, slow_ms = 500 }  assert(feed:since().blue.requests == 0)
function M.haproxy_log(options) return core.open("haproxy", options) end

--- The same for nginx: `access_log syslog:server=unix:PATH` (or `server=127.0.0.1:PORT`) in the format `combined` followed by
-- ` $upstream_addr $request_time $upstream_response_time`. Servers are upstream addresses ("127.0.0.1:8080").
---@param options { path?: string, udp?: integer, servers: { blue: string[], green: string[] }, slow_ms: number }
---@return table? feed, table? err
---@usage local feed = metrics.nginx_log { servers = { blue = { "127.0.0.1:8081" }, green = { "127.0.0.1:8082" } }, slow_ms = 500 }  feed:close()
function M.nginx_log(options) return core.open("nginx", options) end

return M
