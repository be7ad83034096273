local counter_feed = require "metrics.counter_feed"
local counters = require "counters"
local t = require "test"

local function totals(blue, green, blue_errors, green_errors, open)
  return { blue = { requests = blue, errors = blue_errors or 0, open = open or 0 }, green = { requests = green, errors = green_errors or 0, open = open or 0 } }
end

t.case("what happened between two looks", function()
  local d, reset = counters.delta(totals(100, 10), totals(190, 20, 3, 1))
  t.eq(d.blue.requests, 90)
  t.eq(d.blue.errors, 3)
  t.eq(d.green.requests, 10)
  t.eq(d.green.errors, 1)
  t.eq(reset, nil)
end)

t.case("a counter that falls is a reset, and its interval says nothing", function()
  local d, reset = counters.delta(totals(100, 50, 0, 9), totals(110, 2, 0, 1))
  t.eq(reset, "green")
  t.eq(d.green.requests, 0)
  t.eq(d.green.errors, 0)
  t.eq(d.blue.requests, 10)
end)

t.case("failures are at most the requests", function()
  t.eq(counters.delta(totals(0, 0), totals(5, 5, 0, 9)).green.errors, 5)
end)

t.case("HAProxy's servers", function()
  local rows = { { server = "b1", stot = 100, hrsp_5xx = 1, econ = 2, eresp = 3, srv_abrt = 3, scur = 4 }, { server = "b2", stot = 10 }, { server = "g1", stot = 7, hrsp_5xx = 7 } }
  local out = counters.of_haproxy(rows, { blue = { "b1", "b2" }, green = { "g1", "unknown" } })
  t.eq(out.blue, { requests = 110, errors = 6, slow = 0, open = 4 })
  t.eq(out.green.errors, 7)
end)

t.case("the cross-check", function()
  local lines, now = { blue = 0, green = 0 }, totals(1000, 100)
  local look = counters.cross_check({ received = function() return lines end }, function() return now end)
  t.eq(look(), nil, "the first look is where both stand")
  lines, now = { blue = 900, green = 90 }, totals(1905, 195, 0, 0, 5)
  t.eq(look(), nil, "open requests are no missing lines")
  lines, now = { blue = 8800, green = 990 }, totals(10000, 1090)
  t.has(look(), "the proxy counts 9000 requests of blue, its log has 8800")
  lines = { blue = 9000, green = 1200 }
  t.has(look(), "the proxy counts 990 requests of green, its log has 1200")
  now = totals(5, 5)
  t.eq(look(), nil, "the proxy began anew")
  now = nil
  t.eq(look(), nil, "nobody can say")
end)

t.case("a feed from counters", function()
  local now = totals(0, 0)
  local feed = counter_feed.open(function() return now end)
  feed:next_slot()
  now = totals(90, 10, 0, 2)
  local slot = feed:next_slot()
  t.eq(slot.green.requests, 10)
  t.eq(slot.green.errors, 2)
  local view = feed:since()
  t.eq(view.blue.requests, 90)
  t.eq(view.green.error_rate, 0.2)
  t.ok(view.newest_age_s < 5 and view.green.first_bad_at)
  now = totals(3, 3)
  t.eq(feed:next_slot().green.requests, 0, "a reset")
  t.eq(feed.reset, "green")
  now = nil
  t.eq(feed:next_slot().blue.requests, 0, "silence")
  feed:mark()
  t.eq(feed:since().blue.requests, 0)
  t.eq(feed:received().blue, 90)
end)

t.case("lines that were lost hold for half a minute, and not for ever", function()
  local lines, now, at = { blue = 0, green = 0 }, totals(0, 0), 0
  local look = counters.cross_check({ received = function() return lines end }, function() return now end, function() return at end)
  look()
  lines, now = { blue = 500, green = 0 }, totals(520, 0)
  t.has(look(), "its log has 500")
  at = 29
  t.has(look(), "its log has 500")
  at = 31
  t.eq(look(), nil, "another half minute begins")
  lines, now = { blue = 500, green = 900 }, totals(520, 900)
  t.eq(look(), nil, "and nothing is lost in it")
  lines = { blue = 500, green = 800 }
  t.has(look(), "its log has 800")
end)
