-- The canary on a real HAProxy: two servers whose behaviour is switched, a steady load, and one fault in mid-stage.
-- Prints what happened; the last line is "SCENARIO verdict=.. states=.. seconds=.. failed=.. weights=BLUE/GREEN reason=..", where
-- seconds is from the first failed answer at a client to blue at 100 % as the proxy reports it.

local clock = require "clock"
local counter_feed = require "metrics.counter_feed"
local counters = require "counters"
local files = require "files"
local http = require "http"
local net = require "net"
local process = require "process"

local CONFIG = [[
global
  log %LOG% len 4096 local0
  stats socket %ADMIN% mode 600 level admin
  maxconn 4000
defaults
  mode http
  log global
  option httplog
  retries 0
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend public
  bind 127.0.0.1:%PUBLIC%
  %EXTRA%
  default_backend app
backend app
  balance roundrobin
  server blue1 127.0.0.1:%BLUE% weight 100
  server green1 127.0.0.1:%GREEN% weight 0
]]

local LIMITS = { error_rate = 0.05, target_error_rate = 0.01, p95_ms = 500, min_requests = 100 }
local HEALTHY_S = 4 -- of the stage before the fault

local function world_of(folder, rps, scenario)
  local ports, seen = {}, {}
  for _, name in ipairs { "PUBLIC", "BLUE", "GREEN" } do
    repeat ports[name] = net.free_port() until not seen[ports[name]]
    seen[ports[name]] = true
  end
  local world = { folder = folder, ports = ports, rps = rps, failed = 0, sent = 0, children = {} }
  world.public = ("http://127.0.0.1:%d/"):format(ports.PUBLIC)
  world.lines = expect(metrics.haproxy_log { path = folder .. "/log.sock", servers = { blue = { "blue1" }, green = { "green1" } }, slow_ms = LIMITS.p95_ms })
  local text = CONFIG:gsub("%%(%u+)%%", { LOG = folder .. "/log.sock", ADMIN = folder .. "/admin.sock", PUBLIC = ports.PUBLIC, BLUE = ports.BLUE,
    EXTRA = scenario == "lossy" and "http-request set-log-level silent if { rand(20) lt 1 }" or "", GREEN = ports.GREEN })
  expect(files.write(folder .. "/haproxy.cfg", text))
  local engine = expect(files.realpath "/proc/self/exe")
  setmetatable(world, { __close = function()
    shield(function() for _, child in pairs(world.children) do process.stop(child, { grace = 1 }) end end)
    world.lines:close()
  end })
  for _, colour in ipairs { "BLUE", "GREEN" } do
    world.children[colour:lower()] = expect(process.spawn { argv = { engine, "tests/lib/switchable.lua", "--port", tostring(ports[colour]), "--state", folder .. "/" .. colour }, log = folder .. "/" .. colour .. ".log" })
  end
  world.children.haproxy = expect(process.spawn { argv = { "haproxy", "-db", "-f", folder .. "/haproxy.cfg" }, log = folder .. "/haproxy.log" })
  deadline(20, function()
    for _, name in ipairs { "PUBLIC", "BLUE", "GREEN" } do
      local response
      repeat
        response = http.get(("http://127.0.0.1:%d/"):format(ports[name]), { timeout = 2 })
        if not response then sleep(0.05) end
      until response and response.status == 200
    end
  end)
  world.lb = expect(require("traffic").open { driver = "haproxy", socket = folder .. "/admin.sock", backend = "app", servers = { blue = { "blue1" }, green = { "green1" } } })
  world.feed = world.lines
  if scenario == "stats" then world.feed = counter_feed.open(counters.haproxy(world.lb)) end
  if scenario == "exposed" then
    local urls = {}
    for _, colour in ipairs { "BLUE", "GREEN" } do urls[colour:lower()] = ("http://127.0.0.1:%d/metrics"):format(ports[colour]) end
    world.feed = counter_feed.open(counters.prometheus { urls = urls, requests = "http_requests_total", errors = "http_errors_total", timeout = 1 })
  end
  return world
end

local function switch(world, colour, mode)
  expect(http.request { url = ("http://127.0.0.1:%d/mode"):format(world.ports[colour]), method = "PUT", body = mode, timeout = 5 })
end

-- Requests at a steady rate, whether or not the former ones have been answered.
local function start_load(world)
  return background(function()
    local next_at = clock.now()
    while true do
      world.sent = world.sent + 1
      background(function()
        local response = http.get(world.public, { timeout = 30 })
        if world.over or response and response.status == 200 then return end
        world.failed = world.failed + 1
        world.first_failed_at = world.first_failed_at or clock.now()
      end)
      next_at = next_at + 1 / world.rps
      sleep(math.max(0, next_at - clock.now()))
    end
  end)
end

local faults = {
  none = function() end,
  outage = function(world) switch(world, "GREEN", "down") end,
  failing = function(world) switch(world, "GREEN", "failing") end, -- to its users, while its health page says fine
  killed = function(world) expect(process.stop(world.children.green, { grace = 0 })) end,
  errors = function(world) switch(world, "GREEN", "errors") end,
  slow = function(world) switch(world, "GREEN", "slow") end,
  hang = function(world) switch(world, "GREEN", "hang") end,
  silent = function(world) expect(world.lb:set { blue = 100, green = 0 }) end, -- somebody else's hand
  shared = function(world)
    switch(world, "BLUE", "down")
    switch(world, "GREEN", "down")
    sleep(5)
    switch(world, "BLUE", "ok")
    switch(world, "GREEN", "ok")
  end,
  -- The same with other feeds, and a log that loses one line in twenty.
  stats = function(world) switch(world, "GREEN", "errors") end,
  exposed = function(world) switch(world, "GREEN", "errors") end,
  lossy = function() end,
  feed = function(world) expect(files.remove(world.folder .. "/log.sock")) end,
}

return playbook {
  name = "canary-scenario",
  about = "one canary stage on a real HAProxy, with one fault",
  args = {
    scenario = { type = "string", required = true },
    folder = { type = "string", required = true },
    rps = { type = "integer", default = 100 },
    watch = { type = "integer", default = 40 },
    hold = { type = "integer", default = 8 },
  },
  run = function(run)
    local plant = faults[run.args.scenario] or fail("usage", "there is no scenario " .. run.args.scenario)
    local world <close> = world_of(run.args.folder, run.args.rps, run.args.scenario)
    local states, blue_at = {}, nil
    local session = canary.open {
      feed = world.feed, colour = "green", baseline = "blue", stages = { 10, 100 }, limits = LIMITS, watch = run.args.watch, hold_limit = run.args.hold,
      shift = function(share)
        local weights = expect(world.lb:set { blue = 100 - share, green = share })
        if share == 0 and weights.blue == 100 then blue_at = blue_at or clock.now() end
      end,
      probe = function(colour)
        local response = http.get(("http://127.0.0.1:%d/health"):format(world.ports[colour:upper()]), { timeout = 3 })
        return response ~= nil and response.status < 500
      end,
      cross_check = world.feed == world.lines and counters.cross_check(world.lines, counters.haproxy(world.lb)),
      record = function(kind, data) if kind == "canary" then states[#states + 1] = data.state end end,
      say = function(text) print(text) end,
    }
    local load = start_load(world)
    session:take_baseline(session:warm(1))
    expect(world.lb:set { blue = 90, green = 10 })
    local fault = background(function()
      sleep(HEALTHY_S)
      plant(world)
      print("planted: " .. run.args.scenario)
    end)
    local outcome = session:watch(1)
    fault:join()
    local failed = world.failed
    world.over = true
    load:cancel "the stage is over"
    local weights = expect(world.lb:get())
    local seconds = blue_at and world.first_failed_at and ("%.2f"):format(blue_at - world.first_failed_at) or "none"
    print(("%s verdict=%s rule=%s states=%s seconds=%s sent=%d failed=%d weights=%d/%d reason=%s"):format(run.args.scenario, outcome.verdict, tostring(outcome.rule),
      table.concat(states, ","), seconds, world.sent, failed, weights.blue, weights.green, outcome.reason))
  end,
}
