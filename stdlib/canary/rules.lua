--- canary.rules: what a canary does next, given what is known. Pure: no waiting, no clock, no I/O.
--
-- The evidence comes from verdict.policy. This says which gate a stage has, why the feed cannot be relied on, what
-- holds promotion, and what follows from all of it.

local verdict = require "verdict"

local M = {}

local NO_DATA_S = 10         -- a feed that is silent for so long is no feed
local MISSING_LIMIT = 0.01   -- more lines than this share unreadable or lost: the rest is no fair sample
local SILENT_EXPECTED = 20   -- so many requests were to be expected of green, and none came: e^-20 by chance
local SILENT_S = 3           -- and for so long: a slow answer is no silence
local PROBES_FAILED = 3      -- so many probes in a row

--- The gates of the procedure's stages: what must be known about green before the next stage begins.
-- The first share answers for "not a disaster", the middle ones for the target, the last for the target with more
-- certainty. `limits` are the venture's: error_rate, target_error_rate, min_requests.
---@param position "first"|"middle"|"last"
---@param limits { error_rate: number, target_error_rate: number, min_requests: integer }
---@return table gate as verdict.policy takes it
---@usage local rules = require "canary.rules"  assert(rules.gate("first", { error_rate = 0.05, target_error_rate = 0.01, min_requests = 100 }).error_rate == 0.05)
function M.gate(position, limits)
  if position == "first" then
    return { min_requests = limits.min_requests, error_rate = limits.error_rate, error_alpha = 0.01, slow_share = 0.10, slow_alpha = 0.01 }
  elseif position == "middle" then
    return { min_requests = limits.min_requests, error_rate = limits.target_error_rate, error_alpha = 0.05, slow_share = 0.05, slow_alpha = 0.01,
      difference = 0.005, difference_alpha = 0.05 }
  end
  return { min_requests = limits.min_requests, error_rate = limits.target_error_rate, error_alpha = 0.01, slow_share = 0.05, slow_alpha = 0.01 }
end

--- Where a share stands in the list of stages.
---@param stages integer[] shares in percent
---@param index integer
---@return "first"|"middle"|"last"
---@usage assert(require("canary.rules").position({ 10, 50, 100 }, 3) == "last")
function M.position(stages, index)
  if index == #stages then return "last" end
  return index == 1 and "first" or "middle"
end

-- The least n of green with upper(green) - lower(blue) within the gate, when neither fails and blue has `ratio` times as many.
local function difference_requests(gate)
  local low, high = 0, 64
  local function enough(n)
    local _, upper = verdict.interval(n, 0, gate.difference_alpha)
    return upper <= gate.difference
  end
  while not enough(high) do high = high * 2 end
  while low + 1 < high do
    local middle = (low + high) // 2
    if enough(middle) then high = middle else low = middle end
  end
  return high
end

--- How long a gate needs at the rate that clients ask now, if green does not fail once.
---@param gate table
---@param rps number requests a second of all colours
---@param share integer percent
---@return number seconds (math.huge without requests), integer requests
---@usage local seconds, requests = require("canary.rules").forecast({ min_requests = 100 }, 10, 10)  assert(seconds == 100 and requests == 100)
function M.forecast(gate, rps, share)
  local requests = verdict.gate_requests(gate)
  if (gate.difference or 0) > 0 then requests = math.max(requests, difference_requests(gate)) end
  local rate = rps * share / 100
  return rate > 0 and requests / rate or math.huge, requests
end

--- Why the feed cannot be relied on, or nil.
---@param view { newest_age_s?: number, lines: integer, unreadable: integer, mismatch?: string } of the stage
---@return string? reason
---@usage assert(require("canary.rules").distrust({ lines = 0, unreadable = 0 }) == "no data: the feed is silent")
function M.distrust(view)
  if view.mismatch then return view.mismatch end
  if not view.newest_age_s then return "no data: the feed is silent" end
  if view.newest_age_s > NO_DATA_S then return ("no data: the feed is silent for %.0f s"):format(view.newest_age_s) end
  local all = view.lines + view.unreadable
  if view.unreadable > MISSING_LIMIT * all then return ("%d of %d log lines are unreadable"):format(view.unreadable, all) end
end

--- Reasons outside the requests why promotion waits: pool, CPU, memory. nil values are no data and do not hold.
---@param readings { pool?: number, cpu?: number, memory?: number } shares from 0 to 1
---@param limits { pool?: number, cpu?: number, memory?: number }
---@return string? reason
---@usage assert(require("canary.rules").held_by({ pool = 0.9 }, { pool = 0.8 }):find "pool")
function M.held_by(readings, limits)
  for _, name in ipairs { "pool", "cpu", "memory" } do
    if readings[name] and limits[name] and readings[name] > limits[name] then
      return ("%s at %.0f %%, limit %.0f %%"):format(name == "pool" and "connection pool" or name, readings[name] * 100, limits[name] * 100)
    end
  end
end

--- Has green stopped answering, whatever the reason? A hung colour writes no lines, so that silence is all there is.
-- silent: seconds since its last line; expected: requests that it should have answered since then; probes are counted in a row.
---@param view { silent: number, expected: number, probes_failed: integer, blue_probes_failed: integer }
---@return string? reason
---@usage assert(require("canary.rules").gone { silent = 5, expected = 30, probes_failed = 0, blue_probes_failed = 0 })
function M.gone(view)
  if view.expected >= SILENT_EXPECTED and view.silent >= SILENT_S then
    return ("silent for %.0f s, in which about %.0f requests should have come back"):format(view.silent, view.expected)
  end
  if view.probes_failed >= PROBES_FAILED and view.blue_probes_failed == 0 then
    return ("no answer to %d probes in a row"):format(view.probes_failed)
  end
end

local RULES = {
  R1 = "errors above %.3g %%", R2 = "errors above the target of %.3g %% and more than the other colour's", L1 = "more than 5 %% of the requests slower than %g ms",
}

--- The evidence of a rollback in words.
---@param evidence table of verdict.policy
---@param limits table
---@param alpha number
---@return string
---@usage assert(require("canary.rules").reason({ rule = "R1", green = { requests = 85, errors = 10, slow = 0 } }, { error_rate = 0.05 }, 1e-4) == "errors above 5 %: 10 of 85 requests failed (R1, P(false) <= 0.0001)")
function M.reason(evidence, limits, alpha)
  local green = evidence.green
  local what = RULES[evidence.rule]:format(evidence.rule == "R1" and limits.error_rate * 100 or evidence.rule == "R2" and limits.target_error_rate * 100 or limits.p95_ms)
  local seen = evidence.rule == "L1" and ("%d of %d requests were"):format(green.slow, green.requests) or ("%d of %d requests failed"):format(green.errors, green.requests)
  return ("%s: %s (%s, P(false) <= %g)"):format(what, seen, evidence.rule, alpha)
end

local function shortage(gate, asked)
  if not gate.enough then return ("at least %d requests are needed"):format(asked.min_requests) end
  if not gate.errors_good then return ("an error rate of %g %% or more is not ruled out yet"):format(asked.error_rate * 100) end
  if not gate.slow_good then return ("%g %% or more slow requests are not ruled out yet"):format(asked.slow_share * 100) end
  return ("errors may be %.2f points above the other colour's, limit %.2f"):format(gate.difference * 100, asked.difference * 100)
end

--- What to do now. The view has: evidence and gate (of the policy), asked (the gate's definition), counted (seconds of the stage
-- that were not on hold), minimum and limit (seconds), held (seconds on hold in a row), hold_limit, distrust, held_by, gone, leak
-- (reasons or nil), limits, alpha.
-- Rollback never waits. No data and a bad baseline hold the clock too: they say nothing about the release.
---@param view table
---@return "go_on"|"advance"|"hold"|"freeze"|"retreat"|"rollback" action, string reason
---@usage local rules = require "canary.rules"
function M.decide(view)
  local evidence = view.evidence
  if evidence.rollback then return "rollback", M.reason(evidence, view.limits, view.alpha) end
  if view.gone then return "retreat", view.gone end
  local freeze = view.distrust or evidence.both_bad and "both colours are bad: nobody is blamed, traffic stays as it is"
  if freeze then
    if view.held >= view.hold_limit then return "rollback", ("held for %.0f s, nothing can be said about the release: %s"):format(view.held, freeze) end
    return "freeze", freeze
  end
  local short = not view.gate.open and shortage(view.gate, view.asked)
  local hold = evidence.hold_latency and "slower than the other colour at the same moment (L2)" or view.held_by or view.leak
  if view.counted >= view.minimum and not short and not hold then return "advance", "the evidence is there" end
  if view.counted >= view.limit then
    return "rollback", ("insufficient evidence after %.0f s: %s"):format(view.counted, hold or short or "the time is over")
  end
  if hold then return "hold", hold end
  if view.counted >= view.minimum then return "go_on", short end
  return "go_on", "the stage's time is not over"
end

-- The median of the slopes between all pairs: outliers such as one garbage collection do not bend it (Theil and Sen).
local function slope(samples)
  local slopes = {}
  for i = 1, #samples do
    for j = i + 1, #samples do
      local seconds = samples[j].age - samples[i].age
      if seconds > 0 then slopes[#slopes + 1] = (samples[j].bytes - samples[i].bytes) / seconds end
    end
  end
  table.sort(slopes)
  return slopes[(#slopes + 1) // 2]
end

--- Does green's memory grow as that of the other colour did not at the same age? nil: no, or too little is known.
---@param green { age: number, bytes: integer }[] resident memory by age in seconds, in order
---@param blue { age: number, bytes: integer }[] the other colour's; those within green's ages are compared
---@return string? reason
---@usage assert(not require("canary.rules").leak({}, {}))
function M.leak(green, blue)
  local LEAST_SAMPLES, LEAST_S, LEAST_GROWTH = 12, 60, 0.05
  if #green < LEAST_SAMPLES then return nil end
  local first, last = green[1], green[#green]
  local seconds = last.age - first.age
  local mine = slope(green)
  if seconds < LEAST_S or not mine or mine * seconds < first.bytes * LEAST_GROWTH then return nil end
  local same_age = {}
  for _, sample in ipairs(blue) do
    if sample.age >= first.age and sample.age <= last.age then same_age[#same_age + 1] = sample end
  end
  local theirs = #same_age >= LEAST_SAMPLES // 2 and slope(same_age) or 0
  if mine <= 2 * math.max(theirs, 0) then return nil end
  return ("its memory grows by %.1f MB an hour, the other colour's by %.1f at the same age"):format(mine * 3600 / 1e6, theirs * 3600 / 1e6)
end

return M
