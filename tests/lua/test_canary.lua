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
    { counts(100, 0, 500), healthy, "ok", "p95 500 ms" },
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

t.case("a silent feed is not promoted; at the limit the evidence was not enough", function()
  local verdict = watch({}, { seconds = 0.3, max_seconds = 1 })
  t.eq(verdict.verdict, "rollback")
  t.has(verdict.reason, "insufficient evidence")
  t.has(verdict.reason, "no data")
end)

t.case("a full connection pool holds", function()
  local verdict = watch({ line("b", 200, 1), line("g", 200, 1) }, { seconds = 0.5, max_seconds = 2.5, probes = { pool = function() return 0.95 end } })
  t.eq(verdict.verdict, "rollback")
  t.has(verdict.reason, "connection pool at 95 %")
end)
