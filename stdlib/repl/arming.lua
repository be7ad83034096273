--- repl.arming: for how long and why this console may change something, and who holds the venture meanwhile. Adds its methods to Session.

local clock = require "core.clock"
local core_err = require "core.err"
local pause = require "run.pause"
local task = require "task"

local Arming = {}

local MOST_S = 3600 -- nobody forgets an open console for longer than this
local DEFAULT = "10m"
local RENEW_S = 5         -- a holder that is silent for journal.lease's EXPIRES_S is taken for dead
local RENEW_TIMEOUT_S = 4
local UNITS = { s = 1, m = 60, h = 3600 }

--- Seconds of "90s", "10m", "1h" or a number. Raises usage.
---@param text string|number
---@return number seconds
function Arming.seconds_of(text)
  if type(text) ~= "string" and type(text) ~= "number" then
    error(core_err.new { code = "usage", message = ("a time is a text or a number of seconds, and no %s"):format(type(text)), next = 'arm("10m", "why")' }, 0)
  end
  local number, unit = tostring(text):match "^(%d+%.?%d*)([smh]?)$"
  local seconds = number and tonumber(number) * (UNITS[unit] or 1)
  if not seconds or seconds <= 0 then error(core_err.new { code = "usage", message = ("'%s' is no time: \"90s\", \"10m\", \"1h\""):format(tostring(text)) }, 0) end
  return seconds
end

--- The seconds that are left; nil when it is not armed.
---@return number?
function Arming:armed_for()
  local left = self.armed_until and self.armed_until - clock.now()
  return left and left > 0 and left or nil
end

--- From now on effects are asked for and done.
---@param time? string|number (10m)
---@param reason? string why; needed unless the session began with one
function Arming:arm(time, reason, over)
  local seconds = self.seconds_of(time or DEFAULT)
  reason = reason or self.reason
  if seconds > MOST_S then error(core_err.new { code = "usage", message = ("a console is armed for an hour at most, not %s"):format(tostring(time)) }, 0) end
  if type(reason) ~= "string" or not reason:match "%S" then
    error(core_err.new { code = "usage", message = "arming needs a reason, for the journal", next = "arm(\"10m\", \"why\"), or engine repl --reason \"why\"" }, 0)
  end
  local ok, err = self:event("arm", { seconds = seconds, reason = reason, by = self:actor(), over = over })
  if not ok then error(err, 0) end
  self.reason, self.over = reason, over
  self.armed_until = clock.now() + seconds
end

--- Read-only again; the venture is given back.
---@param why string
function Arming:disarm(why)
  local was_armed = self.armed_until
  self.armed_until, self.confirmed_name = nil, nil
  if not was_armed then return end
  self:release()
  self:event("disarm", { why = why, by = self:actor() })
end

--- Ends an arming whose time is over.
---@return boolean expired
function Arming:expire()
  if not self.armed_until or self:armed_for() or self.is_changing then return false end
  self:disarm "its time was over"
  return true
end

-- The run whose engine holds the venture, as an error says it.
local function holder_of(err) return err.run or err.message:match "^run (%x+)" end

-- Who paused a run that is under way, and which colour served before it; nil when it is not paused.
local function paused_run(self, run)
  local paused = pause.of(self.journal:signals(run) or {})
  if not paused then return nil end
  for _, event in ipairs(self.journal:events(run) or {}) do
    if event.kind == "value" and event.data.name == "colours" then return paused, event.data.result.old end
  end
end

-- What to do when somebody else is in charge of the venture.
local function in_charge(self, err)
  local run = holder_of(err)
  if err.run then
    return ("Its engine is gone: rollback.traffic() or rollback.full() takes it back. To change something in spite of it: arm(\"10m\", \"why\", { over = %q })."):format(run)
  end
  local row = run and self.journal:run(run)
  if row and row.playbook == "console" then return ("%s has a console open that is armed: ask there, or engine unlock %s"):format(row.actor, run) end
  local paused, old = paused_run(self, run)
  if old then return ("It is %s: beside it all traffic may go to %s, traffic.set{%s=100}; rollback.traffic() or rollback.full() tells it to go back."):format(pause.text(paused), old, old) end
  return ("It is in charge of the traffic: rollback.traffic() or rollback.full() tells it to go back. If it does not answer: engine unlock %s."):format(run or "RUN")
end

--- The venture is this console's until it is disarmed; or the run that holds it is paused, and lets it do this one thing: give all traffic to the
-- colour that served before. The run itself would do nothing else, so that it does no harm if both do. Raises lock_held, and says what to do.
---@param described table effect.about
---@return string? run whose pause it is
function Arming:hold(described)
  local journal = self.journal
  if not self.venture or journal.held.own then return nil end
  local ok, err = journal:hold_venture(self.venture.name, self.over)
  if ok then return nil end
  if err.code == "lock_held" then
    local run = not err.run and holder_of(err)
    local paused, old = nil, nil
    if run then paused, old = paused_run(self, run) end
    if paused and old and described.all_to == old then return run end
    err.next = in_charge(self, err)
  end
  error(err, 0)
end

-- Somebody took the venture away: this console is one that only looks.
local function lose(self)
  self.armed_until, self.confirmed_name = nil, nil
  self.journal.held = self.journal.held.own
  self:say "! the venture was taken over by somebody else: read-only again"
end

--- Who would refuse an effect now, and what to do: of what is only planned. Nil when nobody would.
---@param described table effect.about
---@return string?
function Arming:refused_by(described)
  local journal, venture = self.journal, self.venture
  if not journal or not venture or described.by_run or journal.held and journal.held.own then return nil end
  local lease, lives = journal:holder(venture.name)
  if not lease or not lease.run or not lives or lease.run == self.id then return nil end
  local paused, old = paused_run(self, lease.run)
  if paused and old and described.all_to == old then return nil end
  return in_charge(self, core_err.new { code = "lock_held", message = ("run %s holds %s"):format(lease.run, venture.name) })
end

--- Says that this console lives, for engines on other machines, as long as it holds the venture. For a task in the background.
function Arming:keep()
  while true do
    task.sleep(RENEW_S)
    local held = self.journal and self.journal.held
    if held and held.own then
      local ok, err = self.journal:renew(RENEW_TIMEOUT_S)
      if not ok and err.code == "lock_held" then lose(self) end
    end
  end
end

--- The venture is free for others.
function Arming:release()
  local journal = self.journal
  if not journal or not journal.held or not journal.held.own then return end
  local ok, err = journal:release_venture()
  if not ok and err.code ~= "lock_held" then self:say("! the venture could not be given back: " .. err.message) end
end

return function(Session)
  for name, method in pairs(Arming) do Session[name] = method end
end
