--- canary: watches a colour for a stage and says promote or rollback, with its figures.
--
-- Thresholds on every request since the stage began, looked at four times a second. No data is never good
-- news: it holds. When the baseline is as bad as the canary, nobody is blamed and promotion waits.

local clock = require "clock"

local M = {}

local NO_DATA_S = 10

local function rate_text(rate) return ("%.2f %%"):format(rate * 100) end

local function is_over(counts, limits)
  return counts.requests >= limits.min_requests and counts.error_rate > limits.error_rate
end

local function is_slow(counts, limits)
  return counts.requests >= limits.min_requests and counts.p95_ms > limits.p95_ms
end

--- What the counts say now. Pure: no waiting, no clock.
-- "rollback": a limit is crossed and the baseline is not as bad. "hold": promotion must wait, and why.
-- "ok": nothing stands against promotion.
---@param green table counts of the judged colour since the stage began: requests, errors, error_rate, p95_ms
---@param blue table the same of the baseline
---@param limits { error_rate: number, target_error_rate: number, p95_ms: number, min_requests: integer }
---@return "rollback"|"hold"|"ok" verdict, string reason, number? limit
---@usage assert(canary.judge({ requests = 100, errors = 20, error_rate = 0.2, p95_ms = 5 }, { requests = 900, errors = 0, error_rate = 0, p95_ms = 5 }, { error_rate = 0.05, target_error_rate = 0.01, p95_ms = 500, min_requests = 20 }) == "rollback")
function M.judge(green, blue, limits)
  if is_over(green, limits) then
    if is_over(blue, limits) then
      return "hold", ("errors on both colours: %s and %s; nobody is blamed"):format(rate_text(green.error_rate), rate_text(blue.error_rate))
    end
    return "rollback", ("error rate %s is above %s after %d requests"):format(rate_text(green.error_rate), rate_text(limits.error_rate), green.requests), limits.error_rate
  end
  if is_slow(green, limits) then
    if is_slow(blue, limits) then
      return "hold", ("both colours are slow: p95 %.0f ms and %.0f ms; nobody is blamed"):format(green.p95_ms, blue.p95_ms)
    end
    return "rollback", ("p95 %.0f ms is above %.0f ms after %d requests"):format(green.p95_ms, limits.p95_ms, green.requests), limits.p95_ms
  end
  if green.requests < limits.min_requests then
    return "hold", ("only %d requests, at least %d are needed"):format(green.requests, limits.min_requests)
  end
  if green.error_rate >= limits.target_error_rate then
    return "hold", ("error rate %s is not below %s"):format(rate_text(green.error_rate), rate_text(limits.target_error_rate)), limits.target_error_rate
  end
  return "ok", ("error rate %s, p95 %.0f ms, %d requests"):format(rate_text(green.error_rate), green.p95_ms, green.requests)
end

--- Reasons outside the requests why promotion waits: pool, CPU, memory. nil values are "no data" and do not hold.
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

-- Readings are taken beside the watch, so that a slow database does not delay a rollback.
local function start_probes(probes, readings)
  if not probes then return end
  return background(function()
    while true do
      if probes.pool then readings.pool = probes.pool() end
      local host = probes.host and probes.host()
      if host then readings.cpu, readings.memory = host.cpu, host.memory end
      sleep(1)
    end
  end)
end

--- Watches until the stage's time is over and nothing holds it, or a limit is crossed, or max_seconds are over.
-- options: feed, colour, baseline, seconds, max_seconds, limits (see judge and held_by), probes = { pool = fn, host = fn },
-- on_tick(view). At max_seconds the verdict is rollback with short = true: no limit was crossed, but the evidence was not
-- enough.
---@param options table
---@return { verdict: "promote"|"rollback", short?: boolean, reason: string, limit?: number, n: integer, seconds: number, figures: table, readings: table, first_bad_at?: number, decided_at: number }
function M.watch(options)
  local feed, limits = options.feed, options.limits
  local readings = {}
  feed:mark()
  local began = clock.now()
  local probes = start_probes(options.probes, readings)
  local closer <close> = setmetatable({}, { __close = function() if probes then probes:cancel "the stage is over" end end })

  local function ended(verdict, reason, limit, view, short)
    local green = view[options.colour]
    return { verdict = verdict, short = short, reason = options.colour .. ": " .. reason, limit = limit, n = green.requests, seconds = clock.now() - began,
      figures = view, readings = readings, first_bad_at = green.first_bad_at, decided_at = clock.wall(), closer and nil }
  end

  while true do
    feed:next_slot()
    local view, passed = feed:since_mark(), clock.now() - began
    local verdict, reason, limit = M.judge(view[options.colour], view[options.baseline], limits)
    if verdict == "rollback" then return ended("rollback", reason, limit, view) end
    local silent = not view.newest_age_s or view.newest_age_s > NO_DATA_S
    local hold = silent and "no data: the feed is silent" or verdict == "hold" and reason or M.held_by(readings, limits)
    if options.on_tick then options.on_tick { seconds = passed, figures = view, hold = hold, readings = readings } end
    if passed >= options.seconds and not hold then return ended("promote", reason, nil, view) end
    if passed >= (options.max_seconds or options.seconds) then
      return ended("rollback", ("insufficient evidence after %.0f s: %s"):format(passed, hold), limit, view, true)
    end
  end
end

return M
