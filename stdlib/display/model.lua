--- display.model: how a run stands, as its events tell of it one after the other. Whoever shows a run, wherever, shows this.
--
-- Pure: it is given events and keeps what is worth showing now.

local clock = require "clock"
local record = require "canary.record"

local M = {}

local HISTORY = 24 -- values of a sparkline

local Model = {}
Model.__index = Model

--- A run of which nothing is known yet.
---@param row table of journal:run
---@return table model
---@usage local m = require("display.model").new { id = "7f3c" }  m:take { kind = "traffic", at = "2026-11-24T10:00:00.000Z", data = { blue = 90, green = 10 } }  assert(m.weights.green == 10)
function M.new(row)
  return setmetatable({ row = row, steps = {}, by_seq = {}, values = {}, outcome = row.outcome }, Model)
end

--- Is this a step that watches requests?
---@param name string
---@return boolean
---@usage assert(require("display.model").is_watch "30.2.2 watch green at 10 %")
function M.is_watch(name) return name:find("watch ", 1, true) ~= nil end

local tell = {}

function tell.step_begin(self, event, at)
  local data = event.data
  local parent = data.parent and self.by_seq[data.parent]
  local step = { seq = event.step, name = data.name, effect = data.effect, parent = parent, depth = parent and parent.depth + 1 or 0, state = "running", began = at }
  self.steps[#self.steps + 1], self.by_seq[event.step] = step, step
  if M.is_watch(step.name) and self.watched then self.watched.at = nil end -- nothing is known of this stage yet
end

function tell.step_again(self, event, at)
  local step = self.by_seq[event.step]
  if step then step.state, step.began, step.seconds = "running", at, nil end
end

function tell.step_end(self, event)
  local step, data = self.by_seq[event.step], event.data
  if not step then return end
  step.state, step.seconds = data.state, data.seconds or 0
  step.error = data.error
  -- The innermost step is where it failed; what is around it only passes the error on.
  if data.state == "failed" and not (self.failed and self.failed.error and data.error and self.failed.error.message == data.error.message) then self.failed = step end
end

function tell.value(self, event) self.values[event.data.name] = event.data.result end
function tell.policy(self, event) self.limits = event.data end
function tell.forecast(self, event) self.forecast = event.data end

local function empty() return { requests = 0, errors = 0, slow = 0 } end

local function add(side, counts)
  for name in pairs(side) do side[name] = side[name] + (counts[name] or 0) end
end

local function remember(list, value)
  list[#list + 1] = value
  if #list > HISTORY then table.remove(list, 1) end
end

local function rate(side, what) return side.requests > 0 and side[what] / side.requests end

-- What was counted since the last such event, and since the stage began.
function tell.slots(self, event, at)
  local data = event.data
  local watched = self.watched
  if not watched or watched.judged ~= data.judged then
    watched = { judged = data.judged, judged_counts = empty(), other_counts = empty(), errors = {}, slow = {} }
    self.watched = watched
  end
  local now = { empty(), empty() }
  record.play({
    stage_start = function() watched.judged_counts, watched.other_counts = empty(), empty() end,
    probe_blue = function() end,
    slot = function(_, judged, other)
      add(watched.judged_counts, judged)
      add(watched.other_counts, other)
      add(now[1], judged)
      add(now[2], other)
    end,
  }, data.words)
  remember(watched.errors, rate(now[1], "errors"))
  remember(watched.slow, rate(now[1], "slow"))
  if now[1].requests > 0 then watched.heard_at = at end
  watched.p95_ms, watched.readings, watched.stage, watched.at = data.p95_ms or {}, data.readings, data.stage, at
  watched.ran, watched.runs_since = 0, at
end

function tell.canary(self, event) self.canary, self.canary_reason = event.data.state, event.data.reason end
function tell.traffic(self, event) self.weights = event.data end
function tell.reason(self, event) self.reason = event.data end
function tell.ask(self, event) self.question = event.data end
function tell.answer(self) self.question = nil end
tell.approval = tell.answer

function tell.interrupt(self, event)
  if not self.failed then self.stopped = event.data.error end
end

function tell.signal(self, event, at)
  local data = event.data
  local what = { by = data.by, reason = data.reason, at = at }
  if data.signal == "pause" then self.paused = what
  elseif data.signal == "go_on" then self.paused = nil
  elseif data.signal == "rollback" then self.rollback_asked = what end
end

function tell.engine_died(self) self.is_dead = true end
function tell.resume(self) self.is_dead, self.outcome = nil, nil end
tell.rollback = tell.resume

function tell.run_end(self, event)
  self.outcome, self.exit_code, self.summary = event.data.outcome, event.data.exit_code, event.data.summary
end

local BETWEEN_RECORDS_S = 6

local function run_since(watched, now) return math.min(BETWEEN_RECORDS_S, math.max(0, now - watched.runs_since)) end

-- The stage clock stands still while the run holds: what it ran until then stays, and it goes on from there.
local function hold_clock(self, at)
  local watched = self.watched
  if not watched or not watched.at then return end
  local holds = self:held() ~= nil
  if holds and watched.runs_since then
    watched.ran, watched.runs_since = watched.ran + run_since(watched, at), nil
  elseif not holds and not watched.runs_since then
    watched.runs_since = at
  end
end

--- How long the canary's stage has run: by its last record, and since then as time goes, unless it holds.
---@param now number
---@return number? seconds, number? minimum
function Model:stage_time(now)
  local watched = self.watched
  if not watched or not watched.at or not watched.stage then return nil end
  return watched.stage.seconds + watched.ran + (watched.runs_since and run_since(watched, now) or 0), watched.stage.minimum
end

--- Is the run on its way back?
---@return boolean
function Model:goes_back() return self.reason ~= nil or self.rollback_asked ~= nil end

--- Takes one event more, in the order of the journal.
---@param event table
function Model:take(event)
  local fn = tell[event.kind]
  self.last_seq = event.seq or self.last_seq
  if not fn then return end
  local at = clock.of_utc(event.at)
  fn(self, event, at)
  hold_clock(self, at)
end

--- The steps that are under way and have none under way within them.
---@return table[]
function Model:current()
  local has_child = {}
  for _, step in ipairs(self.steps) do
    if step.state == "running" and step.parent then has_child[step.parent] = true end
  end
  local out = {}
  for _, step in ipairs(self.steps) do
    if step.state == "running" and not has_child[step] then out[#out + 1] = step end
  end
  return out
end

--- "30.2.1" of "30.2.1 provision green"; the whole name of a step without a number.
---@param name string
---@return string
---@usage assert(require("display.model").number "30.2.1 provision green" == "30.2.1" and require("display.model").number "documents" == "documents")
function M.number(name) return name:match "^(%w*%d[%w.]*) " or name end

--- The outermost steps by the number that their names begin with, in order; those of a chapter that is over ("30.1" when 30.2 has begun) together.
---@return { name: string, state: string, seconds: number, steps: integer, began: number }[]
function Model:groups()
  local groups, last_chapter = {}, nil
  local function chapter_of(name) return name:match "^(%d+%.%d+)" end
  for _, step in ipairs(self.steps) do
    if step.depth == 0 then last_chapter = chapter_of(step.name) or last_chapter end
  end
  local by_name = {}
  for _, step in ipairs(self.steps) do
    if step.depth == 0 then
      local number = M.number(step.name)
      local chapter = chapter_of(number)
      local name = chapter and chapter ~= last_chapter and chapter or number
      local group = by_name[name]
      if not group then
        group = { name = name, state = "done", seconds = 0, steps = 0, began = step.began }
        groups[#groups + 1], by_name[name] = group, group
      end
      group.steps, group.seconds = group.steps + 1, group.seconds + (step.seconds or 0)
      if step.state == "running" then group.state = "running"
      elseif step.state ~= "done" and group.state == "done" then group.state = step.state end
    end
  end
  return groups
end

--- Does it hold: paused by a person, or by the canary?
---@return string? why
function Model:held()
  if self.outcome then return nil end
  if self.paused and not self:goes_back() then
    return ("PAUSED by %s%s"):format(self.paused.by, self.paused.reason and ": " .. self.paused.reason or "")
  end
  return self.canary == "HOLD" and "on hold: " .. tostring(self.canary_reason) or nil
end

return M
