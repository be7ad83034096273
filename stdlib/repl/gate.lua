--- repl.gate: what stands between a statement and the world. An effect is refused until the console is armed, shown before it is done, done
-- when the venture's name is typed, and recorded before and after. Adds its methods to Session.
--
-- effect.change comes here from every driver. What does not come by it cannot happen: the statement's task may only look (core.task).

local clock = require "core.clock"
local core_err = require "core.err"
local core_task = require "core.task"
local display = require "display"

local Gate = {}

local REFUSAL = 'this changes production. arm("10m") first, or plan(...) to see what it would do'
local OUTSIDE = "it is no effect that was shown and confirmed. Give it a name: effect.change(\"what it is\", function() ... end)"

--- The error of what may not be done now.
---@param what string
---@return table err code read_only
function Gate:refusal(what)
  return core_err.new { code = "read_only", op = what, message = self:armed_for() and OUTSIDE or REFUSAL }
end

local function described_by(name, about)
  if not about then return { plan = name } end
  local described, err = about()
  if not described then return nil, err end
  described.plan = described.plan or name
  return described
end

--- An effect's plan as one line: what will be different, and what takes it back.
---@param described table effect.about
---@return string
function Gate.plan_text(described)
  return ("plan  %s;  undo %s"):format(described.plan, described.undo or "none: nothing takes it back")
end

-- What has to be typed: the venture's name.
function Gate:word_to_type() return self.venture and self.venture.name or "yes" end

-- The name that somebody typed, or that the script has given.
local function answer(self)
  local word = self:word_to_type()
  if self.interactive then
    self.is_asking = true
    local text, err = self.editor.read(("type %s to apply: "):format(word))
    self.is_asking = false
    if not text and err then error(err, 0) end
    return text and text:match "^%s*(.-)%s*$" or ""
  end
  local given = self.options.yes or self.confirmed_name
  self.confirmed_name = nil -- for one effect
  if not given then
    error(core_err.new { code = "read_only", op = "confirm", message = ("nobody is there to type %s: write confirm %q before it, or give --yes %s"):format(word, word, word) }, 0)
  end
  return given
end

local function confirm(self, name, described, about)
  print(self.plan_text(described))
  local word, given = self:word_to_type(), answer(self)
  if given ~= word then
    self:event("declined", { effect = name, plan = described.plan })
    error(core_err.new { code = "canceled", op = name, message = ("'%s' is not '%s': nothing was changed"):format(given, word) }, 0)
  end
  if not self:armed_for() then error(self:refusal(name), 0) end
  -- Somebody thought about it: the world may have gone on.
  local now, err = described_by(name, about)
  if not now then error(err, 0) end
  if now.plan ~= described.plan then
    error(core_err.new { code = "drift", op = name, message = ("it would be another change by now: %s; nothing was changed"):format(now.plan), next = "Look again, and say it again." }, 0)
  end
end

-- Runs fn as what was confirmed: it may change the world, and the effects within it are part of it.
local function let_through(self, step, fn)
  local context = core_task.context()
  core_task.set_context { console = self, confirmed = true, step = { key = step.key, name = step.name, effect = "manual" } }
  core_task.only_look(false)
  local results = table.pack(pcall(fn))
  core_task.only_look(true)
  core_task.set_context(context)
  return results
end

local function state_of(results)
  if results[1] then
    if results[2] == nil and core_err.is(results[3]) then return "failed", results[3] end
    return "done"
  end
  local err = results[2]
  local is_cancellation = core_err.is(err) and (err.code == "canceled" or err.code == "interrupted" or err.code == "deadline")
  return is_cancellation and "canceled" or "failed", err
end

local function apply(self, name, fn, described)
  local step, err = self:intent(name, described)
  if not step then error(err, 0) end
  step.name = name
  local began = clock.now()
  local results = let_through(self, step, fn)
  local seconds = clock.now() - began
  local state, problem = state_of(results)
  local audit, unrecorded = self:outcome(step, state, results[2], problem, seconds)
  self.done[#self.done + 1] = { kind = "effect", name = name, described = described, ok = state == "done", statement = self.current_statement }
  local recorded = audit and ("audit %d"):format(audit) or "NOT RECORDED: " .. unrecorded.message
  if state == "done" then
    print(("✓ %s%s, %s"):format(display.duration(seconds), described.verified and ", " .. described.verified or "", recorded))
  else
    print(("✗ %s after %s, %s"):format(state, display.duration(seconds), recorded))
  end
  self:look()
  if not results[1] then error(problem, 0) end
  return table.unpack(results, 2, results.n)
end

--- What effect.change does in a console.
---@param name string
---@param fn fun(): any
---@param about? fun(): table?, table?
---@return any what fn returns; while a plan is made, a value of which nothing is known
function Gate:change(name, fn, about)
  local planning = core_task.context().planning
  if not planning and not self:armed_for() then error(self:refusal(name), 0) end
  local described, err = described_by(name, about)
  if not described then return nil, err end
  if planning then
    planning[#planning + 1] = described
    return require("plan").unknown
  end
  if self.is_changing then error(core_err.new { code = "usage", op = name, message = "another effect is being asked for: one at a time" }, 0) end
  self.is_changing = true
  local finished <close> = setmetatable({}, { __close = function() self.is_changing, self.is_asking = false, false end })
  local ok
  ok, err = self:begin_record()
  if not ok then error(err, 0) end
  local lent_by
  if described.by_run then self:release() else lent_by = self:hold(described) end
  confirm(self, name, described, about)
  if lent_by and self:hold(described) ~= lent_by then error(core_err.new { code = "drift", op = name, message = ("run %s is not in charge any more; nothing was changed"):format(lent_by), next = "Look again, and say it again." }, 0) end
  return apply(self, name, fn, described)
end

--- Runs fn and keeps what it would have changed; nothing is done.
---@param fn fun(): any
---@return table[] effects effect.about, any ... what fn returned
function Gate:plan_of(fn)
  local effects, context = {}, core_task.context()
  core_task.set_context { console = self, planning = effects }
  local results = table.pack(pcall(fn))
  core_task.set_context(context)
  if not results[1] then error(results[2], 0) end
  return effects, table.unpack(results, 2, results.n)
end

return function(Session)
  for name, method in pairs(Gate) do Session[name] = method end
end
