--- counters: what cumulative counters say happened between two looks, and whether a feed of lines agrees with them.
--
-- Totals by colour: { blue = { requests =, errors =, slow =, open = }, green = ... }; open are requests that have begun and not
-- ended. A source is a function that gives such totals, or nil and an error.

local clock = require "core.clock"
local core_err = require "core.err"

local M = {}

local COLOURS = { "blue", "green" }
local ALLOWED = 10         -- requests that may be on their way between the two looks
local TOLERANCE = 0.01
local WINDOW_S = 30        -- lines that were lost count against the feed for at most so long: what comes after them may be whole again

--- What happened between two looks. A counter that fell is a reset: that interval says nothing. Failures are at most the requests.
---@param before table totals
---@param now table totals
---@return table<string, { requests: integer, errors: integer, slow: integer }> delta, string? reset the colour whose counters fell
---@usage local d = counters.delta({ blue = { requests = 10, errors = 0 } }, { blue = { requests = 15, errors = 7 } })  assert(d.blue.requests == 5 and d.blue.errors == 5)
function M.delta(before, now)
  local out, reset = {}, nil
  for _, colour in ipairs(COLOURS) do
    local old, new = before[colour] or {}, now[colour] or {}
    local requests = (new.requests or 0) - (old.requests or 0)
    local errors = (new.errors or 0) - (old.errors or 0)
    local slow = (new.slow or 0) - (old.slow or 0)
    if requests < 0 or errors < 0 or slow < 0 then
      reset = colour
      requests, errors, slow = 0, 0, 0
    end
    out[colour] = { requests = requests, errors = math.min(errors, requests), slow = math.min(slow, requests), client_errors = 0, aborted = 0 }
  end
  return out, reset
end

--- Totals of HAProxy's servers. A server's failures are the responses with 5xx, the connections that failed and the responses
-- that broke off; srv_abrt is part of the last and not added again (HAProxy 2.6, management guide 9.1).
---@param rows table[] as lb:get().servers has them: server, stot, scur, hrsp_5xx, econ, eresp
---@param servers table<string, string[]> by colour
---@return table totals
---@usage assert(counters.of_haproxy({ { server = "b1", stot = 9, hrsp_5xx = 2 } }, { blue = { "b1" }, green = {} }).blue.errors == 2)
function M.of_haproxy(rows, servers)
  local by_name, out = {}, {}
  for _, row in ipairs(rows) do by_name[row.server] = row end
  for _, colour in ipairs(COLOURS) do
    local total = { requests = 0, errors = 0, slow = 0, open = 0 }
    for _, name in ipairs(servers[colour] or {}) do
      local row = by_name[name] or {}
      total.requests = total.requests + (row.stot or 0)
      total.errors = total.errors + (row.hrsp_5xx or 0) + (row.econ or 0) + (row.eresp or 0)
      total.open = total.open + (row.scur or 0)
    end
    out[colour] = total
  end
  return out
end

--- A source from HAProxy's `show stat`.
---@param lb table of traffic.open, driver haproxy
---@return fun(): table?, table?
---@usage assert(not counters.haproxy({ get = function() return nil, { message = "gone" } end })())
function M.haproxy(lb)
  return function()
    local shares, err = lb:get()
    if not shares then return nil, err end
    return M.of_haproxy(shares.servers, lb.servers)
  end
end

--- A source from what the colours expose for Prometheus themselves. `errors` and `requests` are names of counters, or { name =, labels = };
-- slow requests are those above the bucket whose bound is slow_ms (or the next greater one) of the histogram `duration`.
---@param options { urls: table<string, string>, requests: string|table, errors: string|table, duration?: string, slow_ms?: number, timeout?: number }
---@return fun(): table?, table?
---@usage assert(not counters.prometheus({ urls = { blue = "http://127.0.0.1:1/metrics" }, requests = "r", errors = "e", timeout = 1 })())
function M.prometheus(options)
  local prometheus = require "prometheus"
  local function selector(given) return type(given) == "table" and given or { name = given } end
  local requests, errors = selector(options.requests), selector(options.errors)
  local bucket = options.duration and options.duration .. "_bucket"
  local names = { [requests.name] = true, [errors.name] = true }
  if bucket then names[bucket] = true end

  local function slow_of(samples, all)
    local bound, fast = math.huge, nil
    for _, sample in ipairs(samples) do
      local le = sample.name == bucket and tonumber(sample.labels.le)
      if le and le >= options.slow_ms / 1000 and le < bound then bound = le end
    end
    for _, sample in ipairs(samples) do
      if sample.name == bucket and tonumber(sample.labels.le) == bound then fast = (fast or 0) + sample.value end
    end
    return fast and math.max(0, all - fast) or 0
  end

  return function()
    local out = {}
    for _, colour in ipairs(COLOURS) do
      if options.urls[colour] then
        local samples, err = prometheus.scrape { url = options.urls[colour], names = names, timeout = options.timeout }
        if not samples then return nil, err end
        local all = prometheus.sum(samples, requests.name, requests.labels)
        if not all then return nil, core_err.new { code = "no_data", message = ("%s shows no %s"):format(options.urls[colour], requests.name) } end
        out[colour] = { requests = math.floor(all), errors = math.floor(prometheus.sum(samples, errors.name, errors.labels) or 0),
          slow = bucket and math.floor(slow_of(samples, all)) or 0, open = 0 }
      end
    end
    return out
  end
end

--- Compares a feed of lines with a source, again and again: a log that loses lines, or gets some from elsewhere, is no fair sample.
-- Compared is what came within the same 30 s.
---@param feed table of metrics, with received()
---@param source fun(): table?, table?
---@param time? fun(): number seconds (default: the clock's)
---@return fun(): string? look gives a reason, or nil while both agree or nobody can say
---@usage local look = counters.cross_check({ received = function() return { blue = 0, green = 0 } end }, function() return nil end)  assert(not look())
function M.cross_check(feed, source, time)
  local base
  time = time or clock.now
  return function()
    local totals = source()
    if not totals then return nil end
    local lines = feed:received()
    local now = {}
    for _, colour in ipairs(COLOURS) do
      local total = totals[colour] or { requests = 0, open = 0 }
      now[colour] = { counted = total.requests, ahead = total.requests - (total.open or 0) - lines[colour], lines = lines[colour] }
      if base and now[colour].counted < base[colour].counted then base = nil end
    end
    now.at = time()
    if not base or now.at - base.at > WINDOW_S then
      base = now
      return nil
    end
    for _, colour in ipairs(COLOURS) do
      local missing = now[colour].ahead - base[colour].ahead
      local counted = now[colour].counted - base[colour].counted
      if math.abs(missing) > math.max(ALLOWED, TOLERANCE * counted) then
        return ("the proxy counts %d requests of %s, its log has %d"):format(counted, colour, now[colour].lines - base[colour].lines)
      end
    end
    return nil
  end
end

return M
