local clock = require "clock"
local record = require "canary.record"
local rules = require "canary.rules"
local t = require "test"

local LIMITS = { error_rate = 0.05, target_error_rate = 0.01, p95_ms = 500, min_requests = 20, pool = 0.8, cpu = 0.7 }
local ALPHA = 1e-4

-- What is known in a stage in which nothing is wrong, with changes.
local function view(changes)
  local out = { evidence = { rollback = false, both_bad = false, hold_latency = false, rule = "R1", green = { requests = 500, errors = 0, slow = 0 } },
    gate = { open = true, enough = true, errors_good = true, slow_good = true, difference_good = true, difference = 0 }, asked = rules.gate("first", LIMITS),
    counted = 301, minimum = 300, limit = 600, held = 0, hold_limit = 60, limits = LIMITS, alpha = ALPHA }
  for key, value in pairs(changes or {}) do
    if type(value) == "table" and type(out[key]) == "table" then
      for inner, item in pairs(value) do out[key][inner] = item end
    else
      out[key] = value
    end
  end
  return out
end

t.case("decisions", function()
  local rows = {
    { {}, "advance", "evidence is there" },
    { { counted = 10 }, "go_on", "time is not over" },
    { { gate = { open = false, enough = false } }, "go_on", "at least 20 requests" },
    { { gate = { open = false, errors_good = false } }, "go_on", "5 % or more is not ruled out" },
    { { gate = { open = false, slow_good = false } }, "go_on", "10 %% or more slow" },
    { { gate = { open = false, slow_good = false }, counted = 600 }, "rollback", "insufficient evidence after 600 s" },
    { { held_by = "cpu at 90 %, limit 70 %" }, "hold", "cpu" },
    { { held_by = "cpu at 90 %, limit 70 %", counted = 600 }, "rollback", "insufficient evidence after 600 s: cpu" },
    { { leak = "its memory grows" }, "hold", "memory grows" },
    { { evidence = { hold_latency = true } }, "hold", "L2" },
    -- Nothing that is not known about the release rolls it back, however long the stage lasts ...
    { { distrust = "no data: the feed is silent", counted = 9999, gate = { open = false, enough = false } }, "freeze", "silent" },
    { { evidence = { both_bad = true }, counted = 9999 }, "freeze", "nobody is blamed" },
    -- ... until nobody can wait any longer.
    { { distrust = "no data: the feed is silent", held = 60 }, "rollback", "nothing can be said about the release" },
    { { gone = "green is silent" }, "retreat", "silent" },
    -- Evidence does not wait, not for the time, nor for the feed to come back.
    { { evidence = { rollback = true, green = { requests = 85, errors = 10, slow = 0 } }, counted = 1, distrust = "no data: the feed is silent" }, "rollback", "10 of 85 requests failed" },
  }
  for _, row in ipairs(rows) do
    local action, reason = rules.decide(view(row[1]))
    t.eq(action, row[2])
    t.has(reason, (row[3]:gsub("%%%%", "%%")))
  end
end)

t.case("reasons name the rule, the figures and the false-alarm probability", function()
  local green = { requests = 200, errors = 9, slow = 40 }
  t.eq(rules.reason({ rule = "R2", green = green }, LIMITS, ALPHA), "errors above the target of 1 % and more than the other colour's: 9 of 200 requests failed (R2, P(false) <= 0.0001)")
  t.eq(rules.reason({ rule = "L1", green = green }, LIMITS, ALPHA), "more than 5 % of the requests slower than 500 ms: 40 of 200 requests were (L1, P(false) <= 0.0001)")
end)

t.case("a feed that cannot be relied on", function()
  t.has(rules.distrust { lines = 0, unreadable = 0 }, "silent")
  t.has(rules.distrust { lines = 10, unreadable = 0, newest_age_s = 11 }, "silent for 11 s")
  t.has(rules.distrust { lines = 10, unreadable = 1, newest_age_s = 0 }, "1 of 11 log lines are unreadable")
  t.has(rules.distrust { lines = 98, unreadable = 0, newest_age_s = 0, mismatch = "counters say 120" }, "120")
  t.eq(rules.distrust { lines = 1000, unreadable = 1, newest_age_s = 1 }, nil)
end)

t.case("a colour that is gone", function()
  local function gone(changes)
    local out = { expected = 0, silent = 5, probes_failed = 0, blue_probes_failed = 0 }
    for key, value in pairs(changes) do out[key] = value end
    return rules.gone(out)
  end
  t.eq(gone {}, nil)
  t.eq(gone { expected = 19 }, nil)
  t.has(gone { expected = 20 }, "silent")
  t.eq(gone { expected = 2000, silent = 2 }, nil, "slow is not silent")
  t.eq(gone { probes_failed = 2 }, nil)
  t.has(gone { probes_failed = 3 }, "3 probes in a row")
  t.eq(gone { probes_failed = 3, blue_probes_failed = 1 }, nil)
end)

t.case("pool and machine hold, no reading does not", function()
  t.eq(rules.held_by({}, LIMITS), nil)
  t.has(rules.held_by({ pool = 0.81 }, LIMITS), "connection pool at 81 %")
  t.has(rules.held_by({ cpu = 0.9 }, LIMITS), "cpu at 90 %")
end)

t.case("gates and forecasts", function()
  local first, middle, last = rules.gate("first", LIMITS), rules.gate("middle", LIMITS), rules.gate("last", LIMITS)
  t.eq(verdict.gate_requests(first), 106)
  t.eq(verdict.gate_requests(middle), 362)
  t.eq(verdict.gate_requests(last), 540)
  local seconds, requests = rules.forecast(first, 4, 10)
  t.eq(requests, 106)
  t.eq(seconds, 265.0)
  t.eq(rules.forecast(first, 0, 10), math.huge)
  seconds, requests = rules.forecast(middle, 100, 50)
  t.ok(requests > 1000 and requests < 2000, "the difference to blue asks for more: " .. requests)
  t.eq(seconds, requests / 50)
  t.eq(rules.position({ 100 }, 1), "last")
  t.eq(rules.position({ 10, 100 }, 1), "first")
end)

t.case("a leak", function()
  local function samples(start, per_second, count)
    local out = {}
    for i = 1, count do out[i] = { age = i * 5, bytes = start + math.floor(per_second * i * 5) + (i % 3) * 4096 } end
    return out
  end
  t.eq(rules.leak(samples(100e6, 0, 60), {}), nil)
  t.has(rules.leak(samples(100e6, 1e5, 60), {}), "grows by 360.0 MB an hour")
  t.eq(rules.leak(samples(100e6, 1e5, 60), samples(100e6, 1e5, 60)), nil, "blue did the same when it was young")
  t.has(rules.leak(samples(100e6, 1e5, 60), samples(100e6, 2e4, 60)), "72.0 at the same age")
  t.eq(rules.leak(samples(100e6, 1e5, 10), {}), nil, "too little is known")
end)

t.case("recorded slots play back to the same digits", function()
  local one, two = verdict.policy {}, verdict.policy {}
  local words = {}
  math.randomseed(7)
  one:stage_start()
  words[1] = "s"
  for i = 1, 500 do
    local green = { requests = math.random(0, 3), errors = 0, client_errors = 0, slow = 0, over = { 0, 0, 0, 0, 0 } }
    local blue = { requests = math.random(0, 20), errors = 0, client_errors = 0, slow = 0, over = { 0, 0, 0, 0, 0 } }
    if green.requests > 0 and i % 5 == 0 then green.errors = 1 end
    if blue.requests > 2 then blue.slow, blue.over = 1, { 2, 1, 1, 0, 0 } end
    one:slot(green, blue)
    words[#words + 1] = record.slot(green, blue)
    if i % 50 == 0 then
      one:probe_blue(false)
      words[#words + 1] = "p0"
    end
  end
  record.play(two, table.concat(words, " "))
  t.eq(record.digits(two:evidence()), record.digits(one:evidence()))
  t.raises(function() record.play(two, "3.1") end, "no recorded slot")
end)

local function line(server, status, total_ms)
  return ("<134>Nov 23 18:07:20 haproxy[9]: 127.0.0.1:5000 [23/Nov/2026:18:07:20.123] public app/%s 0/0/0/%d/%d %d 120 - - ---- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\""):format(server, total_ms, total_ms, status)
end

-- A stage on a feed that gets these lines again and again, and what happened in it.
local function stage(lines, options)
  local feed = t.ok(metrics.haproxy_log { servers = { blue = { "b" }, green = { "g" } }, slow_ms = 500 })
  local seen = { shares = {}, states = {}, events = {} }
  local session = canary.open {
    feed = feed, colour = "green", baseline = "blue", stages = options.stages or { 10 }, limits = options.limits or LIMITS, watch = options.watch or 0.5,
    max_bake = options.max_bake or 3, hold_limit = options.hold_limit or 2, probe = options.probe, readings = options.readings,
    shift = function(share) seen.shares[#seen.shares + 1] = share end,
    record = function(kind, data)
      seen.events[#seen.events + 1] = { kind = kind, data = data }
      if kind == "canary" then seen.states[#seen.states + 1] = data.state end
    end,
  }
  local writer = background(function()
    sleep(0.02)
    while true do
      for _, text in ipairs(lines) do feed:line(text) end
      sleep(0.02)
    end
  end)
  local outcome = session:watch(1)
  writer:cancel()
  feed:close()
  seen.states = table.concat(seen.states, " ")
  return outcome, seen
end

local function many(text, count)
  local out = {}
  for i = 1, count do out[i] = text end
  return out
end

local function both(green, blue)
  local out = many(green, 10)
  for i = 1, 30 do out[#out + 1] = blue end
  return out
end

t.case("a healthy stage is promoted after its time", function()
  local outcome, seen = stage(both(line("g", 200, 5), line("b", 200, 5)), {})
  t.eq(outcome.verdict, "promote")
  t.eq(seen.states, "S10 DONE")
  t.eq(#seen.shares, 0)
  t.ok(outcome.seconds >= 0.5 and outcome.n > 20)
end)

t.case("beside the counts it is recorded when they were counted, and how slow requests were", function()
  local began = clock.wall()
  local _, seen = stage(both(line("g", 200, 5), line("b", 200, 40)), {})
  local slots
  for _, event in ipairs(seen.events) do if event.kind == "slots" then slots = event.data end end
  t.eq(slots.judged, "green")
  t.ok(slots.from >= began - 0.01 and slots.to > slots.from and slots.to <= clock.wall() + 0.01)
  t.ok(slots.p95_ms.green < 10 and slots.p95_ms.blue > 30)
  _, seen = stage(many(line("b", 200, 5), 30), { watch = 0.5, max_bake = 0.5 })
  for _, event in ipairs(seen.events) do if event.kind == "slots" then t.eq(event.data.p95_ms.green, nil, "no data is not zero") end end
end)

t.case("errors take traffic back at once", function()
  local outcome, seen = stage(both(line("g", 500, 5), line("b", 200, 5)), { watch = 60, max_bake = 60 })
  t.eq(outcome.verdict, "rollback")
  t.has(outcome.reason, "green: errors above")
  t.eq(seen.shares[1], 0)
  t.eq(seen.states, "S10 RETREAT ROLLBACK")
  t.ok(outcome.first_bad_at and outcome.first_bad_at <= outcome.decided_at)
end)

t.case("slowness does too", function()
  local outcome = stage(both(line("g", 200, 900), line("b", 200, 5)), { watch = 60, max_bake = 60 })
  t.eq(outcome.verdict, "rollback")
  t.eq(outcome.rule, "L1")
end)

t.case("a common cause blames nobody", function()
  local outcome, seen = stage(both(line("g", 503, 5), line("b", 503, 5)), { watch = 0.5, hold_limit = 2 })
  t.has(seen.states, "S10 HOLD")
  t.eq(seen.shares[1], 0, "after hold_limit")
  t.has(outcome.reason, "nothing can be said about the release")
  t.eq(outcome.rule, nil)
end)

t.case("a silent feed holds, and says so", function()
  local outcome, seen = stage({}, { watch = 0.3, max_bake = 0.5, hold_limit = 1 })
  t.has(seen.states, "S10 HOLD")
  t.has(outcome.reason, "the feed is silent")
  t.ok(outcome.seconds >= 1)
end)

t.case("too few requests end as insufficient evidence", function()
  local limits = setmetatable({ min_requests = 1e6 }, { __index = LIMITS })
  local outcome = stage(both(line("g", 200, 5), line("b", 200, 5)), { watch = 0.3, max_bake = 0.8, limits = limits })
  t.eq(outcome.verdict, "rollback")
  t.has(outcome.reason, "insufficient evidence")
  t.has(outcome.reason, "at least 1000000 requests")
end)

t.case("a busy machine holds", function()
  local outcome = stage(both(line("g", 200, 5), line("b", 200, 5)), { watch = 0.3, max_bake = 0.8, readings = function() return { cpu = 0.99 } end })
  t.has(outcome.reason, "cpu at 99 %")
end)

t.case("a silent green retreats; it answers probes and gets a second chance, but no third", function()
  local outcome, seen = stage(many(line("b", 200, 5), 30), { watch = 60, max_bake = 60, probe = function() return true end })
  t.eq(outcome.verdict, "rollback")
  t.has(outcome.reason, "green: silent for")
  t.eq(seen.shares, { 0, 10, 0 })
  t.eq(seen.states, "S10 RETREAT S10 RETREAT ROLLBACK")
end)

t.case("a green that does not answer probes is rolled back", function()
  local down = false
  local outcome, seen = stage(both(line("g", 200, 5), line("b", 200, 5)), { watch = 60, max_bake = 60, probe = function(colour)
    if colour == "green" and not down then
      down = true
      return true
    end
    return colour == "blue"
  end })
  t.eq(outcome.verdict, "rollback")
  t.has(outcome.reason, "3 probes in a row")
  t.eq(seen.shares[1], 0)
end)

t.case("what was recorded makes the same verdict again", function()
  local outcome, seen = stage(both(line("g", 500, 5), line("b", 200, 700)), { watch = 60, max_bake = 60 })
  seen.events[#seen.events + 1] = { kind = "metrics", step = 1, data = { stage = "10 %", verdict = outcome.verdict, reason = outcome.reason, evidence = record.digits(outcome.evidence) } }
  local replayed = record.replay(seen.events)
  t.eq(#replayed, 1)
  t.ok(replayed[1].same, "the same digits")
  t.ok(replayed[1].evidence.rollback)
end)

t.case("before anything moves the baseline is measured", function()
  local feed = t.ok(metrics.haproxy_log { servers = { blue = { "b" }, green = { "g" } }, slow_ms = 500 })
  local said = {}
  local session = canary.open { feed = feed, colour = "green", baseline = "blue", stages = { 10, 50, 100 }, limits = LIMITS, say = function(text) said[#said + 1] = text end }
  local writer = background(function()
    while true do
      for i = 1, 10 do feed:line(line("b", 200, i)) end
      sleep(0.05)
    end
  end)
  local baseline = session:warm(0.8)
  session:take_baseline(baseline)
  local forecast = baseline.stages
  writer:cancel()
  feed:close()
  t.eq(#forecast, 3)
  t.eq(forecast[1].requests, 106)
  t.ok(forecast[1].seconds > forecast[1].requests / 100, "a tenth of about 200 a second")
  t.has(said[1], "the 10 % gate needs 106 requests")
  t.ok(clock.now() > 0)
end)
