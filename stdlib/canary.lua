--- canary: takes a release through its stages on evidence, and takes traffic back within a slot of 250 ms when the evidence
-- says so.
--
-- States: WARM (the baseline is measured, nothing has moved), S10, S50, S100 (a stage, by its share), HOLD (nothing can be said:
-- the clock stands still), RETREAT (weight 0, probes look whether the colour answers), ROLLBACK, DONE. What leads from one to the
-- next is pure and in canary.rules; the mathematics is in verdict; the counts are recorded so that canary.record can
-- make every verdict again.

local clock = require "clock"
local record = require "canary.record"
local rules = require "canary.rules"
local verdict = require "verdict"

local M = {}

local TICK_S = 5          -- between two progress lines, and two records of slots
local FIRST_TICK_S = 1    -- until the first ones of a stage: whoever looks wants to see that requests come
local PROBE_S = 0.5       -- between two probes of a colour
local READ_S = 1          -- between two readings of pool and machine
local RETREAT_S = 10      -- a colour in retreat has this long to answer
local RETREAT_PASSES = 3  -- probes in a row that bring it back
local WARM_LIMIT_S = 60   -- a feed that is silent for so long before anything moves is not set up
local MEMORY_SAMPLES = 60
local THRESHOLD_FACTOR = 1.2
local THRESHOLD_MS = 5    -- and nobody waits for a difference of less
local QUANTILES = { "p50_ms", "p75_ms", "p90_ms", "p95_ms", "p99_ms" }

local Session = {}
Session.__index = Session

--- Begins to judge a release. Nothing moves yet.
-- options: feed (metrics), colour (judged), baseline (the other), stages (shares in percent), limits { error_rate,
-- target_error_rate, p95_ms, min_requests, pool, cpu, memory }, false_alarm (for the whole deployment), rules { R2 =, L2 = },
-- advance "time" or "evidence", watch, minimum, bake, max_watch, max_bake, hold_limit (seconds), and what the deployment lends:
--   shift(share)            sets the weights and reads them back
--   probe(colour) -> ok     asks a colour itself, past the proxy
--   readings() -> table     pool, cpu, memory as shares from 0 to 1
--   cross_check() -> reason?   compares the lines of the stage with the proxy's own counters
--   memory(colour) -> { age =, bytes = }?     and past_memory: such samples of the baseline from when it was young
--   paused() -> reason?, moved?  somebody wants the stage to stay as it is: it holds, and its clock stands still; moved: the weights are not the stage's
--   record(kind, data), say(text, kind)
-- A feed whose slots are longer than probes are apart says so by slot_s(): then probes and readings are as far apart as they.
--   recorded                events of a run that is gone through again: what was counted then counts on
---@param options table
---@return table session
---@usage local feed = metrics.haproxy_log { servers = { blue = { "b" }, green = { "g" } }, slow_ms = 500 }  canary.open { feed = feed, colour = "green", baseline = "blue", stages = { 100 }, limits = { error_rate = 0.05, target_error_rate = 0.01, p95_ms = 500, min_requests = 1 } }
function M.open(options)
  local limits = options.limits
  local budget = { alpha = options.false_alarm or 1e-4, error_rate = limits.error_rate, target_rate = limits.target_error_rate, slow_share = 0.05, slow_ms = limits.p95_ms,
    r2 = not options.rules or options.rules.R2 ~= false, l2 = not options.rules or options.rules.L2 ~= false }
  local self = setmetatable({ options = options, budget = budget, policy = verdict.policy(budget), state = "WARM", words = {}, memory = {}, strikes = 0 }, Session)
  self:record("policy", budget)
  if options.recorded then record.count_on(self.policy, options.recorded) end
  return self
end

function Session:record(kind, data)
  if self.options.record then self.options.record(kind, data) end
end

function Session:say(text, kind)
  if self.options.say then self.options.say(text, kind) end
end

function Session:enter(state, reason)
  if state == self.state then return end
  self:record("canary", { from = self.state, state = state, reason = reason })
  self.state = state
end

local function milliseconds(seconds) return math.floor(seconds * 1000 + 0.5) / 1000 end

-- Beside the counts that verdicts are made again from: when they were counted, and how slow requests were, for whoever draws it.
function Session:write_slots()
  if not self.words[1] then return end
  local o, now = self.options, clock.wall()
  local recent = o.feed.last and o.feed:last(TICK_S) -- counters know no quantiles
  local function p95(colour) return recent[colour].requests > 0 and recent[colour].p95_ms or nil end
  self:record("slots", { words = table.concat(self.words, " "), judged = o.colour, stage = self.stage_now, readings = self.readings_now, from = milliseconds(self.words_from), to = milliseconds(now),
    p95_ms = recent and { [o.colour] = p95(o.colour), [o.baseline] = p95(o.baseline) } })
  self.words, self.words_from = {}, now
end

-- How long a stage lasts at least and at most.
function Session:times(position)
  local o = self.options
  local last = position == "last"
  local minimum = o.watch or 300
  if o.advance == "evidence" then minimum = last and (o.bake or 900) or (o.minimum or 60) end
  return minimum, math.max(minimum, last and (o.max_bake or 3600) or (o.max_watch or 600))
end

local function minutes(seconds)
  if seconds == math.huge then return "forever" end
  return seconds < 90 and ("%.0f s"):format(seconds) or ("%.1f min"):format(seconds / 60)
end

--- Measures the baseline before anything moves: its quantiles are frozen, and every gate's time is foretold.
-- Raises "no_data" when the feed stays silent: whoever cannot see must not move traffic.
---@param seconds number
---@return { rps: number, thresholds_ms?: number[], stages: table[] } baseline plain data, for take_baseline
function Session:warm(seconds)
  local o = self.options
  o.feed:mark()
  local began = clock.now()
  local view
  repeat
    o.feed:next_slot()
    view = o.feed:since()
    local passed = clock.now() - began
    if passed > math.max(seconds, WARM_LIMIT_S) then
      fail("no_data", ("not one request in %.0f s: the feed is silent, so traffic does not move"):format(passed),
        { next = "Let the proxy log to the engine (see metrics.haproxy_log), or set metrics.driver to \"none\"." })
    end
  until passed >= seconds and view[o.baseline].requests > 0

  local base = view[o.baseline]
  local thresholds
  if base.p50_ms then -- counters know no quantiles
    thresholds = {}
    for i, name in ipairs(QUANTILES) do thresholds[i] = math.max(base[name] * THRESHOLD_FACTOR, base[name] + THRESHOLD_MS) end
  end
  local rps = base.rps or 0
  local forecasts = {}
  for index, share in ipairs(o.stages) do
    local position = rules.position(o.stages, index)
    local gate = rules.gate(position, o.limits)
    local needed, requests = rules.forecast(gate, rps, share)
    local minimum, limit = self:times(position)
    forecasts[index] = { share = share, requests = requests, seconds = needed < math.huge and needed or nil, minimum = minimum, limit = limit }
    local slow = needed > limit
    self:say(("at %.1f requests/s of %s the %d %% gate needs %d requests, %s%s"):format(rps * share / 100, o.colour, share, requests, minutes(needed),
      slow and (", more than the %s that the stage may last"):format(minutes(limit)) or ""), slow and "warn" or "note")
  end
  self:record("forecast", { rps = rps, requests = base.requests, thresholds_ms = thresholds, stages = forecasts, false_alarm = self.budget.alpha })
  return { rps = rps, thresholds_ms = thresholds, stages = forecasts }
end

--- Freezes the baseline's quantiles, from which a slower colour is told.
---@param baseline table of warm
function Session:take_baseline(baseline)
  if baseline.thresholds_ms then self.options.feed:thresholds(baseline.thresholds_ms) end
end

-- How long an observer waits, when it would wait for so long.
local function pause(feed, seconds) return feed.slot_s and math.max(seconds, feed:slot_s()) or seconds end

-- Probes and readings are taken beside the watch, so that a slow answer never delays a rollback.
function Session:start_observers(observed, probe_baseline)
  local o = self.options
  local tasks = {}
  if o.readings then
    tasks[#tasks + 1] = background(function()
      while true do
        -- What cannot be read is forgotten: an old good figure is not data.
        local now = o.readings()
        observed.readings = { pool = now.pool, cpu = now.cpu, memory = now.memory }
        sleep(pause(o.feed, READ_S))
      end
    end)
  end
  if o.cross_check then
    tasks[#tasks + 1] = background(function()
      while true do
        observed.mismatch = o.cross_check()
        sleep(pause(o.feed, READ_S))
      end
    end)
  end
  if o.probe then
    for _, colour in ipairs { o.colour, o.baseline } do
      tasks[#tasks + 1] = background(function()
        while true do
          local ok = o.probe(colour)
          observed.failed[colour] = ok and 0 or observed.failed[colour] + 1
          if colour == o.baseline and probe_baseline then observed.pending[#observed.pending + 1] = not ok end
          sleep(pause(o.feed, PROBE_S))
        end
      end)
    end
  end
  return setmetatable(tasks, { __close = function() for _, one in ipairs(tasks) do one:cancel "the stage is over" end end })
end

-- A colour in retreat is given time to answer probes. What still comes back from its last requests counts meanwhile.
---@return "answers"|"evidence"|"confirmed"
function Session:retreat()
  local o = self.options
  local passes, deadline, slots = 0, clock.now() + RETREAT_S, 0
  while clock.now() < deadline do
    self:take_slot(o.feed:next_slot())
    if self.policy:evidence().rollback then return "evidence" end
    slots = slots + 1
    if slots % 2 == 0 then
      passes = o.probe and o.probe(o.colour) and passes + 1 or 0
      if passes == RETREAT_PASSES then return "answers" end
    end
  end
  return "confirmed"
end

function Session:take_probes(observed)
  for _, failed in ipairs(observed.pending) do
    self.policy:probe_blue(failed)
    self.words[#self.words + 1] = failed and "p1" or "p0"
  end
  observed.pending = {}
end

function Session:take_slot(slot)
  local green, blue = slot[self.options.colour], slot[self.options.baseline]
  if green.requests + blue.requests == 0 then return end
  self.policy:slot(green, blue)
  self.words[#self.words + 1] = record.slot(green, blue)
end

function Session:begin_counting()
  if not self.words[1] then self.words_from = clock.wall() end
  self.policy:stage_start()
  self.words[#self.words + 1] = "s"
  self.options.feed:mark()
end

local function lines_of(view)
  return view.blue.requests + view.blue.aborted + view.green.requests + view.green.aborted
end

-- For how long the colour has been silent, and how many requests it should have answered meanwhile, by what the baseline did.
local function listen(silence, slot, colour, baseline, share, at)
  if slot[colour].requests + slot[colour].aborted > 0 then
    silence.baseline, silence.since = 0, at
  else
    silence.baseline = silence.baseline + slot[baseline].requests
  end
  return at - silence.since, share < 100 and silence.baseline * share / (100 - share) or 0
end

function Session:ended(what, reason, now)
  local o = self.options
  self:write_slots()
  local green = now.figures[o.colour]
  return { verdict = what, reason = ("%s: %s"):format(o.colour, reason), rule = now.evidence.rollback and now.evidence.rule or nil, evidence = now.evidence, gate = now.gate,
    n = now.evidence.green.requests, seconds = now.seconds, figures = now.figures, readings = now.readings, first_bad_at = green.first_bad_at or self.first_bad_at, decided_at = clock.wall() }
end

--- Watches one stage, whose weights have been set, until it is decided. Traffic is back at the baseline when the verdict is
-- "rollback".
---@param index integer of the stage
---@param for_good? boolean it is decided already: traffic is only watched on, and whoever calls takes it back. Returns only a verdict "rollback"
---@return { verdict: "promote"|"rollback", reason: string, rule?: string, evidence: table, gate: table, n: integer, seconds: number, figures: table, readings: table, first_bad_at?: number, decided_at: number }
function Session:watch(index, for_good)
  local o = self.options
  local share, position = o.stages[index], rules.position(o.stages, index)
  local asked = rules.gate(position, o.limits)
  local minimum, limit = self:times(position)
  if for_good then minimum, limit = math.huge, math.huge end
  local observed = { readings = {}, failed = { [o.colour] = 0, [o.baseline] = 0 }, pending = {} }
  local stage_state = ("S%d"):format(share)
  self:enter(stage_state, "weights are set")
  self:begin_counting()
  local unreadable_before = o.feed:since().unreadable
  local observers <close> = self:start_observers(observed, share == 100)
  local began, last, told = clock.now(), clock.now(), clock.now() - TICK_S + FIRST_TICK_S
  local counted, held = 0, 0
  local silence = { baseline = 0, since = began }
  while true do
    local slot = o.feed:next_slot()
    local at = clock.now()
    self:take_probes(observed)
    self:take_slot(slot)
    local figures, evidence, gate = o.feed:since(), self.policy:evidence(), self.policy:gate(asked)
    self.first_bad_at = figures[o.colour].first_bad_at or self.first_bad_at
    local now = { figures = figures, evidence = evidence, gate = gate, readings = observed.readings, seconds = at - began }
    local silent, expected = listen(silence, slot, o.colour, o.baseline, share, at)
    local paused, is_moved
    if o.paused then paused, is_moved = o.paused() end
    if is_moved then silence = { baseline = 0, since = at } end
    local action, reason = rules.decide {
      evidence = evidence, gate = gate, asked = asked, limits = o.limits, alpha = self.budget.alpha, counted = counted, minimum = minimum, limit = limit,
      held = held, hold_limit = o.hold_limit or 3600, held_by = rules.held_by(observed.readings, o.limits),
      distrust = paused or rules.distrust { newest_age_s = figures.newest_age_s, lines = lines_of(figures), unreadable = figures.unreadable - unreadable_before,
        mismatch = observed.mismatch },
      gone = not is_moved and rules.gone { silent = silent, expected = expected,
        probes_failed = observed.failed[o.colour], blue_probes_failed = observed.failed[o.baseline] },
      leak = position == "last" and self:leak(at) or nil,
    }
    if for_good and (action == "rollback" or action == "retreat") then return self:ended("rollback", reason, now) end
    if action == "rollback" or action == "retreat" then
      -- Traffic first. Whether anything is said or written about it comes second.
      if o.shift then o.shift(0) end
      self:enter("RETREAT", reason)
      self.strikes = self.strikes + 1
      local found = action == "retreat" and self.strikes == 1 and self:retreat() or "evidence"
      if found ~= "answers" then
        now.evidence, now.figures = self.policy:evidence(), o.feed:since()
        if action == "retreat" and now.evidence.rollback then reason = ("%s; %s"):format(reason, rules.reason(now.evidence, o.limits, self.budget.alpha)) end
        if found == "confirmed" then reason = ("%s, and none in the %d s after traffic was taken away"):format(reason, RETREAT_S) end
        self:enter("ROLLBACK", reason)
        return self:ended("rollback", reason, now)
      end
      self:say(("%s: %s; but it answers probes, so it gets a second chance"):format(o.colour, reason), "warn")
      o.shift(share)
      self:enter(stage_state, "it answers probes")
      self:begin_counting()
      counted, last, observed.failed[o.colour] = 0, clock.now(), 0
      silence = { baseline = 0, since = last }
    elseif action == "advance" then
      if position == "last" then self:enter("DONE", reason) end
      return self:ended("promote", reason, now)
    else
      local frozen = action == "freeze"
      if frozen then
        if self.state ~= "HOLD" then self:say("on hold: " .. reason, "warn") end
        self:enter("HOLD", reason)
        held = held + (at - last)
      else
        if self.state == "HOLD" then
          self:say("no longer on hold", "note")
          -- What both colours went through says nothing about the release, and lost lines are no fair sample: its gate counts anew.
          if self.counts_anew then
            self:begin_counting()
            counted = 0
          end
          self:enter(stage_state, "the hold is over")
          held = 0
        end
        counted = counted + (at - last)
      end
      self.counts_anew = frozen and (evidence.both_bad or observed.mismatch ~= nil) or nil
      last = at
    end
    if at - told >= TICK_S then
      told = at
      self.stage_now, self.readings_now = { seconds = milliseconds(counted), minimum = minimum, limit = limit }, observed.readings
      self:write_slots()
      if o.on_tick then o.on_tick { state = self.state, seconds = counted, minimum = minimum, limit = limit, figures = figures, evidence = evidence, hold = action ~= "go_on" and reason or nil, reason = reason, readings = observed.readings } end
    end
  end
end

-- Samples memory and asks for growth. Of a long stage every second sample is let go, so that there are never many.
function Session:leak(at)
  local o = self.options
  if not o.memory then return nil end
  self.memory_every = self.memory_every or TICK_S
  if not self.memory_at or at - self.memory_at >= self.memory_every then
    self.memory_at = at
    self.memory[#self.memory + 1] = o.memory(o.colour)
    if #self.memory > MEMORY_SAMPLES then
      local kept = {}
      for i = 1, #self.memory, 2 do kept[#kept + 1] = self.memory[i] end
      self.memory, self.memory_every = kept, self.memory_every * 2
    end
    self.memory_problem = rules.leak(self.memory, o.past_memory or {})
  end
  return self.memory_problem
end

--- Watches a colour that has all traffic and nothing to be compared with: after a rollback.
-- "rollback" means that it fails by itself; few requests are no reason.
---@param seconds number
---@return table verdict as of watch
function Session:watch_alone(seconds)
  local o = self.options
  self:begin_counting()
  local began, told = clock.now(), clock.now()
  while true do
    self:take_slot(o.feed:next_slot())
    local at, figures, evidence = clock.now(), o.feed:since(), self.policy:evidence()
    local now = { figures = figures, evidence = evidence, readings = {}, seconds = at - began }
    if evidence.rollback then return self:ended("rollback", rules.reason(evidence, o.limits, self.budget.alpha), now) end
    if now.seconds >= seconds then
      return self:ended("promote", evidence.green.requests > 0 and "no limit was crossed" or "no requests came", now)
    end
    if at - told >= TICK_S then
      told = at
      self:write_slots()
    end
  end
end

return M
