--- repl.words.metrics: what clients get now, from counters that anybody may read: HAProxy's, and those that the colours expose. The stream of
-- requests that a canary goes by belongs to the run's engine alone: a second reader would take it away.

local clock = require "core.clock"
local figures = require "repl.figures"
local prometheus = require "prometheus"
local sessions = require "repl.session"
local task = require "task"

local metrics = {}

local WINDOW_S = 10   -- what "now" is
local LEAST_S = 1     -- between two looks that can be compared
local SCRAPE_S = 3
local COLOURS = { "blue", "green" }

-- What the proxy has counted of each server.
local function servers_of(session)
  local weights, err = session:proxy():get()
  if not weights then error(err, 0) end
  local out = {}
  for _, row in ipairs(weights.servers or {}) do
    if row.colour then
      out[#out + 1] = { name = row.server, colour = row.colour, requests = row.stot or 0, errors = (row.hrsp_5xx or 0) + (row.econ or 0) + (row.eresp or 0), mean_ms = row.mean_ms }
    end
  end
  return out
end

-- What a colour itself has counted: requests, errors, and how many took at most so long. Nil when it exposes nothing.
local function exposed_by(session, colour)
  local config = session.venture.metrics
  local bucket = config.duration .. "_bucket"
  local samples = prometheus.scrape { url = session:colours():base(colour) .. config.endpoint, timeout = SCRAPE_S, names = { [config.requests] = true, [config.errors] = true, [bucket] = true } }
  if not samples then return nil end
  local buckets = {}
  for _, sample in ipairs(samples) do
    if sample.name == bucket then
      local bound = sample.labels.le == "+Inf" and math.huge or tonumber(sample.labels.le)
      if bound then buckets[bound] = (buckets[bound] or 0) + sample.value end
    end
  end
  return { requests = prometheus.sum(samples, config.requests), errors = prometheus.sum(samples, config.errors) or 0, buckets = buckets }
end

local function look(session)
  local seen = { at = clock.now(), servers = servers_of(session), colours = {} }
  for _, colour in ipairs(COLOURS) do seen.colours[colour] = exposed_by(session, colour) end
  return seen
end

-- Two looks that can be compared: now, and one of at most WINDOW_S before. The first time that takes LEAST_S.
local function window(session)
  local seen = session.metrics_seen or {}
  session.metrics_seen = seen
  while seen[1] and clock.now() - seen[1].at > WINDOW_S do table.remove(seen, 1) end
  if not seen[1] then seen[1] = look(session) end
  local wait = LEAST_S - (clock.now() - seen[1].at)
  if wait > 0 then task.sleep(wait) end
  local now = look(session)
  seen[#seen + 1] = now
  return seen[1], now
end

local grown = figures.grown

local function p95_of(before, now, colour)
  local first, last = before.colours[colour], now.colours[colour]
  if not first or not last or not next(last.buckets) then return nil end
  local seconds, bound = figures.quantile(first.buckets, last.buckets, 0.95)
  return seconds and seconds * 1000, bound
end

-- A server by its name in another list.
local function find(list, name)
  for _, one in ipairs(list) do if one.name == name then return one end end
end

local function by_colour(fn, unit)
  local before, now = window(sessions.here())
  local list = {}
  for _, colour in ipairs(COLOURS) do
    local value, bound = fn(before, now, colour)
    list[#list + 1] = { name = colour, value = value, unit = unit, bound = bound }
  end
  return figures.new(list)
end

local function by_server(fn, unit)
  local before, now = window(sessions.here())
  local list = {}
  for _, server in ipairs(now.servers) do
    local former = find(before.servers, server.name)
    list[#list + 1] = { name = server.name, value = former and fn(former, server, now.at - before.at), unit = unit }
  end
  return figures.new(list, not list[1] and "this proxy does not tell of servers" or nil)
end

-- Requests and errors of a colour: of its servers at the proxy, or as it exposes them where the proxy tells none.
local function counted(seen, colour)
  if seen.servers[1] then
    local requests, errors = 0, 0
    for _, server in ipairs(seen.servers) do
      if server.colour == colour then requests, errors = requests + server.requests, errors + server.errors end
    end
    return requests, errors
  end
  local exposed = seen.colours[colour]
  if exposed then return exposed.requests, exposed.errors end
end

local function error_share(requests, errors) return requests and errors and requests > 0 and 100 * math.min(errors, requests) / requests or nil end

local function callable(fields, fn)
  return setmetatable(fields, { __call = function() return fn() end })
end

local errors, p95, rps = {}, {}, {}

--- The share of requests that failed in the last seconds, by colour.
---@return table figures in percent; no data where there were no requests
---@example metrics.errors()
function metrics.errors()
  return by_colour(function(before, now, colour)
    local first_requests, first_errors = counted(before, colour)
    local last_requests, last_errors = counted(now, colour)
    return error_share(grown(first_requests, last_requests), grown(first_errors, last_errors))
  end, "%")
end

--- The same by server of the proxy.
---@example watch(metrics.errors.by_server, "2s")
function errors.by_server()
  return by_server(function(former, server) return error_share(grown(former.requests, server.requests), grown(former.errors, server.errors)) end, "%")
end

--- The response time that 95 of 100 requests of the last seconds kept, by colour, from the histogram that it exposes (metrics.duration).
---@return table figures in milliseconds; no data where none is exposed, or there were no requests
---@example watch(metrics.p95, "2s")
function metrics.p95() return by_colour(p95_of, "ms") end

--- The same by server, where a colour is one server. Of several the proxy tells only the mean of the last 1024 requests, which the note says.
---@example watch(metrics.p95.by_server, "2s")
function p95.by_server()
  local session = sessions.here()
  local before, now = window(session)
  local list, count, is_mean = {}, {}, false
  for _, server in ipairs(now.servers) do count[server.colour] = (count[server.colour] or 0) + 1 end
  for _, server in ipairs(now.servers) do
    local value, bound
    if count[server.colour] == 1 then value, bound = p95_of(before, now, server.colour) end
    local is_busy = (grown((find(before.servers, server.name) or {}).requests, server.requests) or 0) > 0
    if not value and is_busy and not (count[server.colour] == 1 and now.colours[server.colour]) then value, is_mean = server.mean_ms, true end
    list[#list + 1] = { name = server.name, value = value, unit = "ms", bound = bound }
  end
  return figures.new(list, is_mean and "means of the last 1024 requests: no histogram says more" or nil)
end

--- Requests a second, by colour.
---@example watch(metrics.rps, "2s")
function metrics.rps()
  return by_colour(function(before, now, colour)
    local requests = grown((counted(before, colour)), (counted(now, colour)))
    return requests and requests / (now.at - before.at)
  end, "/s")
end

--- The same by server of the proxy.
---@example metrics.rps.by_server()
function rps.by_server()
  return by_server(function(former, server, seconds)
    local requests = grown(former.requests, server.requests)
    return requests and requests / seconds
  end, "/s")
end

-- metrics.p95() and metrics.p95.by_server() are both asked for, so each is a table that can be called.
metrics.errors, metrics.p95, metrics.rps = callable(errors, metrics.errors), callable(p95, metrics.p95), callable(rps, metrics.rps)

return { metrics = metrics, errors = errors, p95 = p95, rps = rps }
