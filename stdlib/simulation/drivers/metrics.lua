--- simulation.drivers.metrics: stands in for the feeds of module metrics. While nothing changes its slots are longer, so that two hours
-- cost little; around every change they are those of the real feed.

local core_clock = require "core.clock"
local task = require "task"
local world = require("simulation.current").world

local M = {}

local SLOT_S = 0.25
local COARSE_S, BAD_S = 10, 1 -- how long slots are at most when nothing changes, and while something is a little wrong
local PART = 8           -- a slot is at most such a part of the time since the last change: stages end about when they would

local Feed = {}
Feed.__index = Feed

local function empty() return { requests = 0, errors = 0, slow = 0, client_errors = 0, aborted = 0 } end

local function open() return setmetatable({ world = world(), marked_at = core_clock.now(), counts = { blue = empty(), green = empty() }, unread = 0 }, Feed) end

M.haproxy_log, M.nginx_log = open, open

-- As long as something is wrong with requests, slots are those of the real feed where it is enough to be found soon.
local function longest(here)
  local green, blue = here:answers "green", here:answers "blue"
  local limit = here.venture.canary.error_rate
  if not green or not blue or green >= limit or blue >= limit then return SLOT_S end
  return (here:fault_of("slow", "both") or here:fault_of("slow", "green") or here:fault_of("errors", "green")) and BAD_S or COARSE_S
end

--- How long the slot is that begins now, in seconds.
---@return number
function Feed:slot_s()
  local here = self.world
  local ahead, behind = here:calm()
  return math.max(SLOT_S, math.min(longest(here), ahead // SLOT_S * SLOT_S, behind / PART // SLOT_S * SLOT_S))
end

local function add(to, counts)
  for name, value in pairs(counts) do
    if name ~= "over" then to[name] = to[name] + value end
  end
end

function Feed:next_slot()
  local here, seconds = self.world, self:slot_s()
  task.sleep(seconds)
  here:check_alive()
  local slot = { blue = here:requests("blue", seconds), green = here:requests("green", seconds), slots = 1 }
  if here:fault "silent" then return { blue = empty(), green = empty(), slots = 1 } end
  if slot.blue.requests + slot.green.requests > 0 then self.newest_at = core_clock.now() end
  if here.seen then here.seen.requests = here.seen.requests + slot.green.requests end
  add(self.counts.blue, slot.blue)
  add(self.counts.green, slot.green)
  return slot
end

function Feed:mark()
  self.marked_at, self.counts = core_clock.now(), { blue = empty(), green = empty() }
  self.world.first_bad = nil
  return self.marked_at
end

-- The quantiles that a log-normal distribution has whose share of slow requests is the scenario's.
local function figures(feed, colour, seconds)
  local counts = feed.counts[colour]
  local view = { requests = counts.requests, errors = counts.errors, slow = counts.slow, client_errors = counts.client_errors, aborted = counts.aborted, retried = 0, hidden = 0,
    first_bad_at = feed.world.first_bad and feed.world.first_bad[colour] }
  if counts.requests == 0 then return view end
  view.error_rate, view.slow_rate, view.rps = counts.errors / counts.requests, counts.slow / counts.requests, seconds > 0 and counts.requests / seconds or 0
  local lag = feed.world:fault_of("slow", colour)
  local factor = lag and lag.share > 0.05 and 10 or 1
  view.p50_ms, view.p75_ms, view.p90_ms, view.p95_ms, view.p99_ms = 40 * factor, 60 * factor, 90 * factor, 120 * factor, 220 * factor
  return view
end

function Feed:since()
  local seconds = core_clock.now() - self.marked_at
  return { blue = figures(self, "blue", seconds), green = figures(self, "green", seconds), unreadable = self.unread, unattributed = 0, seconds = seconds,
    newest_age_s = self.newest_at and core_clock.now() - self.newest_at }
end

Feed.last = Feed.since

function Feed:thresholds() end
function Feed:received() return { blue = self.counts.blue.requests, green = self.counts.green.requests } end
function Feed:first_bad(colour) return self.world.first_bad and self.world.first_bad[colour] end
function Feed:close() end

--- Stands in for metrics.counter_feed too.
M.open = open

return M
