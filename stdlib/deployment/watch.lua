--- deployment.watch: the part of a deployment that looks at requests: the feed, the canary's stages, and what is written
-- about them. Adds its methods to Deployment.

local canary = require "canary"
local clock = require "clock"
local core_err = require "core.err"
local counter_feed = require "metrics.counter_feed"
local counters = require "counters"
local host = require "host"
local metrics = require "metrics"
local pause = require "run.pause"
local record = require "canary.record"
local task = require "task"

local Watch = {}

local PROBE_TIMEOUT_S = 3
local GUARD_FALSE_ALARM = 0.1 -- the part of the false alarms that is allowed for what is watched between the stages, beside the stages themselves
local SOCKET_PATH_MAX = 107 -- sun_path, with its end

-- Where the proxy's lines come in: a path, or a port. Raises "config" unless there is exactly one.
local function line_address(self)
  local config = self.venture.metrics
  local udp = config.udp and math.tointeger(tonumber(config.udp))
  local problem
  if config.udp and (not udp or udp < 1 or udp > 65535) then
    problem = ("metrics.udp: '%s' is no port"):format(tostring(config.udp))
  elseif not udp == not config.path then
    problem = "metrics: give path (a unix socket) or udp (a port), one of them"
  end
  if not problem and config.path and #config.path > SOCKET_PATH_MAX then
    problem = ("metrics.path: a socket's path has at most %d bytes, and this one %d; metrics.udp needs none"):format(SOCKET_PATH_MAX, #config.path)
  end
  if problem then error(core_err.new { code = "config", op = "read configuration", message = ("%s/venture.lua: %s"):format(self.venture.folder, problem) }, 0) end
  return { path = config.path, udp = udp, servers = self.venture.traffic.servers, slow_ms = self.venture.canary.p95_ms }
end

local feeds = {
  none = function() return function() end end,
  haproxy_log = function(self)
    local address = line_address(self)
    return function() return assert(metrics.haproxy_log(address)) end
  end,
  nginx_log = function(self)
    local address = line_address(self)
    return function() return assert(metrics.nginx_log(address)) end
  end,
  haproxy_stats = function(self)
    if self.venture.traffic.driver ~= "haproxy" then
      error(core_err.new { code = "config", op = "read configuration", message = self.venture.folder .. "/venture.lua: metrics.driver \"haproxy_stats\" needs traffic.driver \"haproxy\"" }, 0)
    end
    return function() return counter_feed.open(counters.haproxy(self.traffic)) end
  end,
  prometheus = function(self)
    local config = self.venture.metrics
    return function()
      local urls = {}
      for _, colour in ipairs { "blue", "green" } do urls[colour] = self.environment:base(colour) .. config.endpoint end
      return counter_feed.open(counters.prometheus { urls = urls, requests = config.requests, errors = config.errors, duration = config.duration,
        slow_ms = self.venture.canary.p95_ms, timeout = 2 })
    end
  end,
}

--- Looks at how requests will be seen, and opens nothing. Raises "config".
function Watch:prepare_feed() self.make_feed = feeds[self.venture.metrics.driver](self) end

--- Opens the stream of requests, as the proxy or the colours report them.
function Watch:open_feed()
  if not self.feed and not self.run.is_planning then self.feed = self.make_feed() end
end

function Watch:close_feed()
  if self.feed then self.feed:close() end
  self.feed = nil
end

local function figures_of(counts)
  if not counts then return nil end
  return { requests = counts.requests, errors = counts.errors, error_rate = counts.error_rate, p95_ms = counts.p95_ms, slow = counts.slow }
end

local function percent(value) return value and ("%.2f %%"):format(value * 100) or "no data" end
local function milliseconds(value) return value and ("%.0f ms"):format(value) or "no data" end

local function describe(name, counts)
  if not counts or counts.requests == 0 then return name .. " no data" end
  return ("%s %d requests, errors %s, p95 %s"):format(name, counts.requests, percent(counts.error_rate), milliseconds(counts.p95_ms))
end

-- Without a feed of requests the colour's own health checks are what there is to go by.
function Watch:watch_health(colour, seconds, stage)
  local began, rounds = clock.now(), 0
  repeat
    self:check(self.venture.health, colour, "health check while watched")
    rounds = rounds + 1
    local slept = clock.now()
    task.sleep(math.min(2, seconds))
    if pause.holds(self.run) then began = began + clock.now() - slept end
  until clock.now() - began >= seconds
  self.run:event("metrics", { stage = stage, colour = colour, verdict = "promote", seconds = clock.now() - began,
    reason = ("no feed of requests (metrics.driver = \"none\"): judged by %d rounds of health checks alone"):format(rounds) })
  self.run:say(("no feed of requests: %d rounds of health checks passed"):format(rounds), "warn")
end

-- The pool and the machine, as shares; what cannot be read is left out.
local function readings_of(self)
  local sample = host.sample() or {}
  local function share(value) return value and value / 100 end
  return { pool = self:pool_use(), cpu = share(sample.cpu_percent), memory = share(sample.memory_percent) }
end

-- Memory of the baseline from the run in which it was young, for the test for leaks.
function Watch:past_memory()
  for _, run in ipairs(self.run.journal:runs { venture = self.venture.name } or {}) do
    if run.outcome == "promoted" and run.release == self.old_version then
      for _, event in ipairs(self.run.journal:events(run.id) or {}) do
        if event.kind == "memory" and event.data.release == self.old_version then return event.data.samples end
      end
    end
  end
  return nil
end

-- Why a canary holds although nothing is wrong: somebody paused the run. Meanwhile somebody may move traffic by hand; when the pause is over and it is not back, the run goes back.
local function paused_by(self)
  if not pause.holds(self.run) then
    if self.was_paused then self:look_again() end
    self.was_paused = nil
    return nil
  end
  self.was_paused = true
  local weights = self.traffic:get()
  local share = weights and weights[self.new]
  if not share or share == self.share then return pause.text(self.run.paused), false end
  return ("%s; %s has %d %% by hand"):format(pause.text(self.run.paused), self.new, share), true
end

local function session_of(self, colour, baseline, stages, recorded, part)
  local config = self.venture.canary
  return canary.open {
    recorded = recorded, feed = self.feed, colour = colour, baseline = baseline, stages = stages, limits = config, false_alarm = config.false_alarm * (part or 1), rules = config.rules,
    advance = config.advance, watch = config.watch, minimum = config.minimum, bake = config.bake, max_watch = config.max_watch, max_bake = config.max_bake,
    hold_limit = config.hold_limit,
    shift = function(share) return self:shift(share) end,
    probe = function(which)
      local response = require("http").request { url = self.environment:base(which) .. self.venture.environment.health, timeout = PROBE_TIMEOUT_S }
      return response ~= nil and response.status < 500
    end,
    readings = function() return readings_of(self) end,
    cross_check = self.venture.traffic.driver == "haproxy" and self.venture.metrics.driver:match "_log$" and counters.cross_check(self.feed, counters.haproxy(self.traffic)),
    memory = self.environment.memory and function(which) return self.environment:memory(which) end,
    past_memory = self.environment.memory and self:past_memory(),
    paused = function() return paused_by(self) end,
    -- Between steps nothing is recorded of what is watched: it would stand where the next step does.
    record = not part and function(kind, data) self.run:event_later(kind, data) end,
    say = not part and function(text, kind) self.run:say(text, kind) end,
    on_tick = not part and function(view)
      self.run:say(("%.0f of %g s: %s; %s%s"):format(view.seconds, view.minimum, describe(colour, view.figures[colour]), describe(baseline, view.figures[baseline]),
        view.hold and "; " .. view.hold or ""))
    end,
  }
end

--- Begins to judge the release. What the run has counted before its engine died counts on.
function Watch:open_canary()
  if not self.feed then return end
  self.canary = session_of(self, self.new, self.old, self.venture.canary.stages, self.run.recorded and self.run.recorded.events)
  self.run.while_waiting = function() self:guard() end
end

--- Measures the serving colour before anything moves, and foretells how long each gate takes.
---@return table? baseline for take_baseline
function Watch:warm()
  if not self.feed then return nil end
  return self.canary:warm(self.venture.canary.warm)
end

--- From here on the canary goes by this baseline, which may have been measured before the engine died.
---@param baseline? table of warm
function Watch:take_baseline(baseline)
  if baseline and self.canary then self.canary:take_baseline(baseline) end
end

-- Writes a verdict to the journal and says it. Raises "breach", or "no_data" when no limit was crossed but there was too little to go by.
local function conclude(self, stage, colour, baseline, verdict, word)
  self.first_bad_at, self.decided_at = verdict.first_bad_at or self.first_bad_at, verdict.decided_at
  self.run:event("metrics", { stage = stage, colour = colour, green = figures_of(verdict.figures.green), blue = figures_of(verdict.figures.blue),
    verdict = word or verdict.verdict, reason = verdict.reason, rule = verdict.rule, evidence = record.digits(verdict.evidence), limit = verdict.evidence.limit,
    false_alarm = 1 / verdict.evidence.limit, n = verdict.n, seconds = verdict.seconds, readings = verdict.readings, first_bad_at = verdict.first_bad_at,
    decided_at = verdict.decided_at })
  self.run:say(("%s; %s; %s"):format(verdict.verdict == "promote" and "good" or verdict.reason, describe(colour, verdict.figures[colour]),
    describe(baseline, verdict.figures[baseline])), verdict.verdict == "promote" and "done" or "failed")
  if verdict.verdict ~= "promote" then
    error(core_err.new { code = verdict.rule and "breach" or "no_data", op = stage, message = verdict.reason, first_bad_at = verdict.first_bad_at, decided_at = verdict.decided_at }, 0)
  end
end

--- Goes on watching the stage that the new colour is at, for as long as the run waits for a person: an answer, or the end of a pause, may take an hour. Until it is canceled; raises
-- "breach".
function Watch:guard()
  local stage
  for index, share in ipairs(self.venture.canary.stages) do if share == self.reached then stage = index end end
  if not self.feed or not stage or self.run.is_rolling_back then return end
  self.guarding = self.guarding or session_of(self, self.new, self.old, self.venture.canary.stages, nil, GUARD_FALSE_ALARM)
  local verdict = self.guarding:watch(stage, true)
  self.first_bad_at, self.decided_at = verdict.first_bad_at or self.first_bad_at, verdict.decided_at
  error(core_err.new { code = "breach", op = "wait for a person", message = verdict.reason, first_bad_at = verdict.first_bad_at, decided_at = verdict.decided_at }, 0)
end

--- Seconds that one stage can last: the deadline of its step.
function Watch:longest_watch()
  local config = self.venture.canary
  return math.max(config.watch, config.max_watch, config.max_bake) + config.hold_limit + 120
end

--- Watches the canary's stage number `index`, whose weights have been set.
---@param index integer
function Watch:watch(index)
  local stage = ("%d %%"):format(self.venture.canary.stages[index])
  if not self.feed then return self:watch_health(self.new, self.venture.canary.watch, stage) end
  local verdict = self.canary:watch(index)
  if self.canary.memory[1] then self.run:event("memory", { colour = self.new, release = self.release.version, samples = self.canary.memory }) end
  conclude(self, stage, self.new, self.old, verdict)
end

--- Watches a colour that has all traffic by itself: after a rollback, and after a promotion.
---@param colour string
---@param seconds number
---@param stage string for the record
function Watch:watch_alone(colour, seconds, stage)
  if not self.feed then return self:watch_health(colour, seconds, stage) end
  local other = colour == self.new and self.old or self.new
  conclude(self, stage, colour, other, session_of(self, colour, other, { 100 }):watch_alone(seconds), "watched")
end

return function(Deployment)
  for name, method in pairs(Watch) do Deployment[name] = method end
end
