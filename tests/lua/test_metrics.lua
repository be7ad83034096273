local t = require "test"

local clock = require "clock"
local files = require "files"

local SERVERS = { blue = { "b" }, green = { "g1", "g2" } }

local function line(server, status, total_ms)
  return ("<134>Nov 23 18:07:20 haproxy[9]: 127.0.0.1:5000 [23/Nov/2026:18:07:20.123] public app/%s 0/0/0/%d/%d %d 120 - - ---- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\""):format(server, total_ms, total_ms, status)
end

local function open(more)
  local options = { servers = SERVERS, slow_ms = 500 }
  for key, value in pairs(more or {}) do options[key] = value end
  return metrics.haproxy_log(options)
end

t.case("without requests there are no rates: no data is its own state", function()
  local feed = t.ok(open())
  local view = feed:since()
  t.eq(view.blue, { aborted = 0, client_errors = 0, errors = 0, hidden = 0, over = { 0, 0, 0, 0, 0 }, requests = 0, retried = 0, slow = 0 })
  t.eq(view.newest_age_s, nil)
  t.eq(feed:last(60).green.error_rate, nil)
  t.eq(feed:first_bad "green", nil)
  feed:close()
end)

t.case("counts, rates, quantiles of a stage; both servers of a colour", function()
  local feed = t.ok(open())
  feed:mark()
  sleep(0.03)
  for _ = 1, 8 do feed:line(line("g1", 200, 1)) end
  feed:line(line("g2", 500, 1))
  feed:line(line("g2", 404, 1))
  feed:line(line("b", 200, 20))
  feed:line(line("other", 200, 1))
  feed:line "nonsense"
  local wall = clock.wall()
  local slots, requests = 0, 0
  while requests < 10 do
    local slot = feed:next_slot()
    slots, requests = slots + slot.slots, requests + slot.green.requests
  end
  t.ok(slots >= 1)
  local view = feed:since()
  t.eq({ view.green.requests, view.green.errors, view.green.client_errors, view.green.error_rate }, { 10, 1, 1, 0.1 })
  t.eq({ view.blue.requests, view.blue.errors, view.blue.error_rate }, { 1, 0, 0.0 })
  t.eq({ view.unreadable, view.unattributed }, { 1, 1 })
  t.ok(view.green.p95_ms >= 1 and view.green.p95_ms < 1.02 and view.blue.p50_ms >= 20 and view.blue.p50_ms < 20.3)
  t.ok(view.green.rps > 0 and view.newest_age_s > 0)
  t.ok(math.abs(feed:first_bad "green" - wall) < 5 and feed:first_bad "blue" == nil)
  t.eq(view.green.first_bad_at, feed:first_bad "green")
  feed:close()
end)

t.case("an older mark and the last seconds come from the history", function()
  local feed = t.ok(open())
  local first = feed:mark()
  sleep(0.3) -- the first whole slot after the mark
  for _ = 1, 3 do feed:line(line("g1", 500, 0)) end
  repeat local slot = feed:next_slot() until slot.green.requests == 3
  local second = feed:mark()
  t.ok(second > first)
  t.eq(feed:since().green.requests, 0)
  t.eq(feed:since(second).green.requests, 0)
  t.eq(feed:since(first).green.errors, 3)
  t.eq(feed:last(60).green.errors, 3)
  t.ok(feed:last(60).green.p95_ms < 1)
  t.raises(function() feed:since(second + 1000000000) end, "not a mark")
  t.raises(function() feed:last(0) end, "positive")
  feed:close()
  t.raises(function() feed:since() end, "closed")
end)

t.case("misuse raises", function()
  t.raises(function() metrics.haproxy_log { slow_ms = 500 } end, "servers")
  t.raises(function() metrics.haproxy_log { servers = SERVERS } end, "slow_ms")
  t.raises(function() open { path = "/tmp/x", udp = 0 } end, "not both")
  t.raises(function() open { udp = 70000 } end, "65535")
end)

t.case("a path: one reader at a time, and gone after close", function()
  local path = ("/tmp/test_metrics.%d"):format(math.floor(clock.wall() * 1e6))
  local feed = t.ok(open { path = path })
  t.ok(feed:queue_lines() > 0)
  t.eq(feed:port(), nil)
  local other, err = open { path = path }
  t.err(other, err, "exists")
  feed:close()
  t.eq(files.stat(path), nil)
end)

t.case("udp: a free port on loopback", function()
  local feed = t.ok(open { udp = 0 })
  t.ok(feed:port() > 0)
  t.eq(feed:queue_lines(), nil)
  feed:close()
end)

t.case("nginx's lines", function()
  local feed = t.ok(metrics.nginx_log { servers = { blue = { "127.0.0.1:81" }, green = { "127.0.0.1:82" } }, slow_ms = 500 })
  feed:line '<134>Nov 23 20:30:14 vm nginx: 127.0.0.1 - - [23/Nov/2026:20:30:14 +0000] "GET / HTTP/1.1" 502 2 "-" "-" 127.0.0.1:82 0.000 0.000'
  repeat local slot = feed:next_slot() until slot.green.requests == 1
  t.eq(feed:since().green.errors, 1)
  feed:close()
end)

t.case("host: shares come with the second sample; a dead process is said to be dead", function()
  t.ok(host.sample { pids = { 1 }, disk = "/" })
  sleep(0.3)
  local s = t.ok(host.sample { pids = { 1, 1 << 30 }, disk = "/" })
  t.ok(s.cpu_percent >= 0 and s.cpu_percent <= 100)
  t.ok(s.disk_percent > 0 and s.disk_free_bytes > 0 and s.memory_percent > 0 and s.load1 >= 0)
  t.ok(s.per_pid[1].alive and s.per_pid[1].rss_bytes > 0 and s.per_pid[1].cpu_percent >= 0)
  t.eq(s.per_pid[1 << 30], { alive = false })
  local none, err = host.sample { disk = "/does/not/exist" }
  t.err(none, err, "not_found")
  t.raises(function() host.sample { pids = { 0 } } end, "pid")
end)
