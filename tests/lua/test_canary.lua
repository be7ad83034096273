local t = require "test"

local limits = { error_rate = 0.05, target_error_rate = 0.01, p95_ms = 500, min_requests = 20, pool = 0.8, cpu = 0.7 }

local function counts(requests, errors, p95_ms)
  return { requests = requests, errors = errors, error_rate = requests > 0 and errors / requests or nil, p95_ms = requests > 0 and (p95_ms or 20) or nil }
end

t.case("judge", function()
  local healthy = counts(900, 0)
  local rows = {
    { counts(0, 0), healthy, "hold", "only 0 requests" },
    { counts(19, 19), healthy, "hold", "only 19" },
    { counts(20, 2), healthy, "rollback", "10.00 %" },
    { counts(100, 5), healthy, "hold", "not below 1.00 %" },
    { counts(100, 6), counts(900, 60), "hold", "nobody is blamed" },
    { counts(1000, 9), healthy, "ok", "0.90 %" },
    { counts(100, 0, 501), healthy, "rollback", "p95 501 ms" },
    { counts(100, 0, 700), counts(900, 0, 600), "hold", "both colours are slow" },
    { counts(100, 0, 500), healthy, "hold", "p95 500 ms is not below" },
    { counts(100, 0, 499), healthy, "ok", "p95 499 ms" },
    { counts(49, 0, 900), healthy, "hold", "p95 900 ms is not below" },
    { counts(50, 0, 900), healthy, "rollback", "after 50 requests" },
    { counts(20, 1), healthy, "hold", "5.00 % is not below" },
    { counts(100, 6), counts(19, 19), "rollback", "6.00 %" },
    { counts(100, 30), counts(0, 0), "rollback", "30.00 %" },
  }
  for _, row in ipairs(rows) do
    local verdict, reason = canary.judge(row[1], row[2], limits)
    t.eq(verdict, row[3])
    t.has(reason, row[4])
  end
end)

t.case("pool and machine hold, no reading does not", function()
  t.eq(canary.held_by({}, limits), nil)
  t.has(canary.held_by({ pool = 0.81 }, limits), "connection pool at 81 %")
  t.has(canary.held_by({ cpu = 0.9 }, limits), "cpu at 90 %")
end)

local function line(server, status, total_ms)
  return ("<134>Nov 23 18:07:20 haproxy[9]: 127.0.0.1:5000 [23/Nov/2026:18:07:20.123] public app/%s 0/0/0/%d/%d %d 120 - - ---- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\""):format(server, total_ms, total_ms, status)
end

local function watch(lines, options)
  local feed = t.ok(metrics.haproxy_log { servers = { blue = { "b" }, green = { "g" } }, slow_ms = 500 })
  local writer = background(function()
    sleep(0.02)
    while true do
      for _, text in ipairs(lines) do feed:line(text) end
      sleep(0.02)
    end
  end)
  local verdict = canary.watch { feed = feed, colour = "green", baseline = "blue", seconds = options.seconds, max_seconds = options.max_seconds, limits = limits, probes = options.probes }
  writer:cancel()
  feed:close()
  return verdict
end

t.case("a healthy stage is promoted after its time", function()
  local verdict = watch({ line("b", 200, 1), line("g", 200, 1) }, { seconds = 1.5, max_seconds = 5 })
  t.eq(verdict.verdict, "promote")
  t.ok(verdict.seconds >= 1.5)
  t.eq(verdict.figures.green.errors, 0)
end)

t.case("errors roll back without waiting for the stage's end", function()
  local verdict = watch({ line("b", 200, 1), line("g", 200, 1), line("g", 503, 1) }, { seconds = 60, max_seconds = 60 })
  t.eq(verdict.verdict, "rollback")
  t.ok(verdict.first_bad_at and verdict.decided_at - verdict.first_bad_at < 30)
end)

t.case("a feed that cannot be relied on", function()
  local some, none = { requests = 50, aborted = 0 }, { requests = 0, aborted = 0 }
  local function view(age, green) return { newest_age_s = age, blue = none, green = green or some } end
  t.eq(canary.distrust(view(1), { readable = 50, unreadable = 0 }, {}), nil)
  t.has(canary.distrust(view(nil), { readable = 0, unreadable = 0 }, {}), "silent")
  t.has(canary.distrust(view(11), { readable = 50, unreadable = 0 }, {}), "silent for 11 s")
  t.eq(canary.distrust(view(11), { readable = 50, unreadable = 0 }, { no_data_seconds = 20 }), nil)
  t.has(canary.distrust(view(1, none), { readable = 0, unreadable = 0 }, {}), "either colour")
  t.has(canary.distrust(view(1), { readable = 98, unreadable = 2 }, {}), "2 of 100 log lines")
  t.eq(canary.distrust(view(1), { readable = 99, unreadable = 1 }, {}), nil)
  t.has(canary.distrust(view(1), { readable = 90, unreadable = 0, dropped = 10 }, {}), "dropped 10 of 100")
  t.eq(canary.distrust(view(1), { readable = 99, unreadable = 0, dropped = 1 }, {}), nil)
end)

t.case("no reading is shown as such", function()
  t.eq(canary.readings_text({ pool = 0.3 }, limits), "pool 30 %, cpu NO DATA")
end)

t.case("a silent feed holds; it never rolls back", function()
  local verdict = watch({}, { seconds = 0.3, max_seconds = 1 })
  t.eq(verdict.verdict, "hold")
  t.has(verdict.reason, "no data")
end)

t.case("lines that nobody can read are no success", function()
  local verdict = watch({ line("b", 200, 1), line("g", 200, 1), "nonsense" }, { seconds = 0.5, max_seconds = 2 })
  t.eq(verdict.verdict, "hold")
  t.has(verdict.reason, "unreadable")
end)

t.case("lines that the proxy dropped hold; what it dropped before does not count", function()
  local total = 1000
  local function dropping() total = total + 500 return total end
  local lines = { line("b", 200, 1), line("g", 200, 1) }
  t.has(watch(lines, { seconds = 1.5, max_seconds = 3, probes = { dropped = dropping } }).reason, "dropped")
  t.eq(watch(lines, { seconds = 1.5, max_seconds = 5, probes = { dropped = function() return 1000 end } }).verdict, "promote")
end)

t.case("a reading that fails is forgotten", function()
  local calls = 0
  local function pool() calls = calls + 1 return calls == 1 and 0.3 or nil end
  local verdict = watch({ line("b", 200, 1), line("g", 200, 1) }, { seconds = 1.5, max_seconds = 5, probes = { pool = pool } })
  t.eq(verdict.verdict, "promote")
  t.eq(verdict.readings.pool, nil)
  t.has(canary.readings_text(verdict.readings, limits), "pool NO DATA")
end)

t.case("both colours bad: nobody is blamed, the verdict is hold", function()
  local verdict = watch({ line("b", 503, 1), line("g", 503, 1) }, { seconds = 0.5, max_seconds = 2.5 })
  t.eq(verdict.verdict, "hold")
  t.has(verdict.reason, "nobody is blamed")
end)

t.case("only the judged colour has no requests: insufficient evidence", function()
  local verdict = watch({ line("b", 200, 1) }, { seconds = 0.3, max_seconds = 1.5 })
  t.eq(verdict.verdict, "rollback")
  t.has(verdict.reason, "insufficient evidence")
end)

t.case("a refused server counts as an error, a client that went away does not", function()
  local refused = "haproxy[9]: 127.0.0.1:5000 [23/Nov/2026:18:07:20.123] public app/g 0/0/-1/-1/0 503 217 - - SC-- 1/1/0/0/3 0/0 \"GET / HTTP/1.1\""
  local aborted = "haproxy[9]: 127.0.0.1:5000 [23/Nov/2026:18:07:20.123] public app/g 0/0/0/-1/1 -1 0 - - CH-- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\""
  t.eq(watch({ line("b", 200, 1), refused }, { seconds = 60 }).verdict, "rollback")
  local verdict = watch({ line("b", 200, 1), line("g", 200, 1), aborted }, { seconds = 1, max_seconds = 5 })
  t.eq(verdict.verdict, "promote")
  t.ok(verdict.figures.green.aborted > 0)
end)

t.case("a full connection pool holds", function()
  local verdict = watch({ line("b", 200, 1), line("g", 200, 1) }, { seconds = 0.5, max_seconds = 2.5, probes = { pool = function() return 0.95 end } })
  t.eq(verdict.verdict, "rollback")
  t.has(verdict.reason, "connection pool at 95 %")
end)
