--- canary: watches a colour for a stage and says promote, rollback or hold, with its figures.
--
-- Thresholds on every request since the stage began, looked at whenever a slot of 250 ms closes. No data is never good
-- news, and never a reason to roll back: it holds. When the baseline is as bad as the canary, nobody is blamed and
-- promotion waits. All policy is in the pure functions judge, held_by and distrust; watch only waits and asks them.

local clock = require "clock"

local M = {}

local NO_DATA_S = 10
local P95_MIN_REQUESTS = 50     -- with fewer, one slow request decides where the 95th percentile is
local MISSING_LIMIT = 0.01      -- more lines than this share unreadable or lost: the rest is no fair sample

local function rate_text(rate) return ("%.2f %%"):format(rate * 100) end

local function is_over(counts, limits)
  return counts.requests >= limits.min_requests and counts.error_rate > limits.error_rate
end

local function is_slow(counts, limits)
  return counts.requests >= (limits.p95_min_requests or P95_MIN_REQUESTS) and counts.p95_ms > limits.p95_ms
end

--- What the counts say now. Pure: no waiting, no clock.
-- "rollback": a limit is crossed and the baseline is not as bad. "hold": promotion must wait, and why; blameless: it waits
-- for reasons that the judged colour shares with the baseline. "ok": nothing stands against promotion.
---@param green table counts of the judged colour since the stage began: requests, errors, error_rate, p95_ms
---@param blue table the same of the baseline
---@param limits { error_rate: number, target_error_rate: number, p95_ms: number, min_requests: integer, p95_min_requests?: integer } p95_min_requests: default 50
---@return "rollback"|"hold"|"ok" verdict, string reason, number? limit, boolean? blameless
---@usage assert(canary.judge({ requests = 100, errors = 20, error_rate = 0.2, p95_ms = 5 }, { requests = 900, errors = 0, error_rate = 0, p95_ms = 5 }, { error_rate = 0.05, target_error_rate = 0.01, p95_ms = 500, min_requests = 20 }) == "rollback")
function M.judge(green, blue, limits)
  if is_over(green, limits) then
    if is_over(blue, limits) then
      return "hold", ("errors on both colours: %s and %s; nobody is blamed"):format(rate_text(green.error_rate), rate_text(blue.error_rate)), limits.error_rate, true
    end
    return "rollback", ("error rate %s is above %s after %d requests"):format(rate_text(green.error_rate), rate_text(limits.error_rate), green.requests), limits.error_rate
  end
  if is_slow(green, limits) then
    if is_slow(blue, limits) then
      return "hold", ("both colours are slow: p95 %.0f ms and %.0f ms; nobody is blamed"):format(green.p95_ms, blue.p95_ms), limits.p95_ms, true
    end
    return "rollback", ("p95 %.0f ms is above %.0f ms after %d requests"):format(green.p95_ms, limits.p95_ms, green.requests), limits.p95_ms
  end
  if green.requests < limits.min_requests then
    return "hold", ("only %d requests, at least %d are needed"):format(green.requests, limits.min_requests)
  end
  if green.error_rate >= limits.target_error_rate then
    return "hold", ("error rate %s is not below %s"):format(rate_text(green.error_rate), rate_text(limits.target_error_rate)), limits.target_error_rate
  end
  if green.p95_ms >= limits.p95_ms then
    return "hold", ("p95 %.0f ms is not below %.0f ms"):format(green.p95_ms, limits.p95_ms), limits.p95_ms
  end
  return "ok", ("error rate %s, p95 %.0f ms, %d requests"):format(rate_text(green.error_rate), green.p95_ms, green.requests)
end

--- Why the feed itself cannot be relied on, or nil. Pure.
-- no_data: nothing is known at all, so that no verdict about a release may follow from it.
---@param view table of feed:since(): newest_age_s, blue, green
---@param lines { readable: integer, unreadable: integer, dropped?: integer } since the stage began; dropped: by the proxy
---@param limits { no_data_seconds?: number } default 10
---@return string? reason, boolean? no_data
---@usage assert(select(2, canary.distrust({ blue = { requests = 0, aborted = 0 }, green = { requests = 0, aborted = 0 } }, { readable = 0, unreadable = 0 }, {})) == true)
function M.distrust(view, lines, limits)
  local silence = limits.no_data_seconds or NO_DATA_S
  if not view.newest_age_s then return "no data: the feed is silent", true end
  if view.newest_age_s > silence then return ("no data: the feed is silent for %.0f s"):format(view.newest_age_s), true end
  if lines.readable == 0 then return "no data: not one request of either colour", true end
  local all = lines.readable + lines.unreadable + (lines.dropped or 0)
  if lines.unreadable > MISSING_LIMIT * all then return ("%d of %d log lines are unreadable"):format(lines.unreadable, all), true end
  if (lines.dropped or 0) > MISSING_LIMIT * all then
    return ("the proxy dropped %d of %d log lines (a unix socket holds few; see metrics.haproxy_log)"):format(lines.dropped, all), true
  end
end

--- Reasons outside the requests why promotion waits: pool, CPU, memory. nil values are no data and do not hold (see readings_text).
---@param readings { pool?: number, cpu?: number, memory?: number } shares from 0 to 1
---@param limits { pool?: number, cpu?: number, memory?: number }
---@return string? reason
---@usage assert(canary.held_by({ pool = 0.9 }, { pool = 0.8 }):find "pool")
function M.held_by(readings, limits)
  for _, name in ipairs { "pool", "cpu", "memory" } do
    if readings[name] and limits[name] and readings[name] > limits[name] then
      return ("%s at %.0f %%, limit %.0f %%"):format(name == "pool" and "connection pool" or name, readings[name] * 100, limits[name] * 100)
    end
  end
end

--- The readings as text for people. What nobody could read is NO DATA, never a good figure.
---@param readings { pool?: number, cpu?: number, memory?: number }
---@param limits { pool?: number, cpu?: number, memory?: number } what has a limit is shown
---@return string
---@usage assert(canary.readings_text({ cpu = 0.25 }, { cpu = 0.7, pool = 0.8 }) == "pool NO DATA, cpu 25 %")
function M.readings_text(readings, limits)
  local parts = {}
  for _, name in ipairs { "pool", "cpu", "memory" } do
    if limits[name] then parts[#parts + 1] = name .. " " .. (readings[name] and ("%.0f %%"):format(readings[name] * 100) or "NO DATA") end
  end
  return table.concat(parts, ", ")
end

local function share(percent) return percent and percent / 100 end

-- Readings are taken beside the watch, so that a slow database does not delay a rollback.
-- One that fails is forgotten: an old good figure is not data.
local function start_probes(probes, readings)
  if not probes then return end
  local last_dropped
  return background(function()
    while true do
      readings.pool = probes.pool and probes.pool() or nil
      local host = probes.host and probes.host() or {}
      readings.cpu, readings.memory = share(host.cpu_percent), share(host.memory_percent)
      local dropped = probes.dropped and probes.dropped()
      -- The counter begins anew when the proxy does; the first reading only says where it stands.
      if dropped then
        if last_dropped and dropped > last_dropped then readings.dropped = (readings.dropped or 0) + dropped - last_dropped end
        last_dropped = dropped
      end
      sleep(1)
    end
  end)
end

--- Watches until the stage's time is over and nothing holds it, or a limit is crossed, or max_seconds are over.
-- options: feed, colour, baseline, seconds, max_seconds (default: seconds), limits (see judge, held_by, distrust),
-- probes = { pool = fn -> share from 0 to 1, host = fn -> host.sample(), dropped = fn -> how many log lines the proxy has
-- dropped in its life (HAProxy: DroppedLogs of `show info`) }; each may give nil: no data. on_tick(view): view has seconds, figures, hold
-- (why promotion waits, or nil) and readings.
-- At max_seconds the verdict is "hold" when there is no data or both colours are bad, for neither says anything about the
-- release; otherwise "rollback": the evidence was not enough. short = true: no limit was crossed, but there was not
-- enough to go by.
---@param options table
---@return { verdict: "promote"|"rollback"|"hold", short?: boolean, reason: string, limit?: number, n: integer, seconds: number, figures: table, readings: table, first_bad_at?: number, decided_at: number }
function M.watch(options)
  local feed, limits = options.feed, options.limits
  local readings = {}
  feed:mark()
  local began, unreadable_before = clock.now(), feed:since().unreadable
  local probes = start_probes(options.probes, readings)
  local closer <close> = setmetatable({}, { __close = function() if probes then probes:cancel "the stage is over" end end })

  local function ended(verdict, reason, limit, view, short)
    local green = view[options.colour]
    return { verdict = verdict, short = short, reason = options.colour .. ": " .. reason, limit = limit, n = green.requests, seconds = clock.now() - began,
      figures = view, readings = readings, first_bad_at = green.first_bad_at, decided_at = clock.wall(), closer and nil }
  end

  local function readable(view)
    local lines = 0
    for _, name in ipairs { options.colour, options.baseline } do lines = lines + view[name].requests + view[name].aborted end
    return lines
  end

  while true do
    feed:next_slot()
    local view, passed = feed:since(), clock.now() - began
    local verdict, reason, limit, blameless = M.judge(view[options.colour], view[options.baseline], limits)
    if verdict == "rollback" then return ended("rollback", reason, limit, view) end
    local distrust, no_data = M.distrust(view, { readable = readable(view), unreadable = view.unreadable - unreadable_before, dropped = readings.dropped }, limits)
    local hold = distrust or verdict == "hold" and reason or M.held_by(readings, limits)
    if options.on_tick then options.on_tick { seconds = passed, figures = view, hold = hold, readings = readings } end
    if passed >= options.seconds and not hold then return ended("promote", reason, nil, view) end
    if passed >= (options.max_seconds or options.seconds) then
      if no_data or blameless then return ended("hold", ("after %.0f s: %s"):format(passed, hold), nil, view, no_data) end
      return ended("rollback", ("insufficient evidence after %.0f s: %s"):format(passed, hold), limit, view, true)
    end
  end
end

return M
