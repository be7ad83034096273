--- metrics.counter_feed: a feed from counters, for proxies that cannot log each request. See metrics for its methods.
--
-- Counters are read four times a second; what happened since the last look is a slot. They know neither quantiles nor
-- which request was slow (unless the source says so), and a counter that falls drops its interval.

local clock = require "clock"
local counters = require "counters"
local task = require "task"

local M = {}

local SLOT_S = 0.25
local NAMES = { "requests", "errors", "slow", "client_errors", "aborted" }

local Feed = {}
Feed.__index = Feed

local function empty()
  local out = { retried = 0, hidden = 0, over = { 0, 0, 0, 0, 0 } }
  for _, name in ipairs(NAMES) do out[name] = 0 end
  return out
end

--- A feed from a source of totals (see counters).
---@param source fun(): table?, table?
---@return table feed
---@usage local feed = require("metrics.counter_feed").open(function() return { blue = { requests = 1, errors = 0 } } end)  assert(feed:since().blue.requests == 0)
function M.open(source)
  local self = setmetatable({ source = source, next_at = clock.now(), total = { blue = 0, green = 0 } }, Feed)
  self:mark()
  return self
end

function Feed:mark()
  self.counts = { blue = empty(), green = empty() }
  self.marked = clock.now()
  self.first_bad_at = {}
  return self.marked
end

local function rated(counts, seconds)
  if counts.requests == 0 then return counts end
  counts.error_rate, counts.slow_rate = counts.errors / counts.requests, counts.slow / counts.requests
  if seconds > 0 then counts.rps = counts.requests / seconds end
  return counts
end

function Feed:since()
  local now = clock.now()
  local out = { unreadable = 0, unattributed = 0, seconds = now - self.marked, newest_age_s = self.answered_at and now - self.answered_at }
  for _, colour in ipairs { "blue", "green" } do
    local copy = {}
    for key, value in pairs(self.counts[colour]) do copy[key] = value end
    out[colour] = rated(copy, out.seconds)
    out[colour].first_bad_at = self.first_bad_at[colour]
  end
  return out
end

-- A source that cannot be asked is silence: newest_age_s grows, and nothing is counted.
function Feed:next_slot()
  local now = clock.now()
  self.next_at = math.max(self.next_at + SLOT_S, now)
  task.sleep(self.next_at - now)
  local slot = { blue = empty(), green = empty(), slots = 1 }
  local totals, err = self.source()
  self.problem = err
  if not totals then return slot end
  self.answered_at = clock.now()
  local former = self.former
  self.former = totals
  if not former then return slot end
  local delta, reset = counters.delta(former, totals)
  self.reset = reset
  for _, colour in ipairs { "blue", "green" } do
    for _, name in ipairs(NAMES) do
      slot[colour][name] = delta[colour][name]
      self.counts[colour][name] = self.counts[colour][name] + delta[colour][name]
    end
    self.total[colour] = self.total[colour] + delta[colour].requests
    if delta[colour].errors > 0 then self.first_bad_at[colour] = self.first_bad_at[colour] or clock.wall() end
  end
  return slot
end

function Feed:received() return self.total end
function Feed:first_bad(colour) return self.first_bad_at[colour] end
function Feed:thresholds() end
function Feed:close() end

return M
