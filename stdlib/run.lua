--- run: one execution of a playbook: its steps, what they record, and how they are taken back.
--
-- A step is the unit that is journaled, shown and timed. One that changes the world says so by `effect` (see module effect), and gives
-- `probe` (did it happen?) and `undo` (take it back): its INTENT is durable before it begins.
--
-- A run whose engine died is gone through again: the same playbook runs from its beginning, and everything that it recorded gives what
-- it gave then, without being done, until the first place that has no outcome. So the playbook outside of its steps must do the same
-- each time: what it finds in the world goes through a step, or run:record.

local chain = require "journal.chain"
local clock = require "clock"
local core_err = require "core.err"
local core_task = require "core.task"
local display = require "display"
local doubt = require "run.doubt"
local effect = require "effect"
local journal = require "journal"
local json = require "json"
local later = require "run.later"
local pause = require "run.pause"
local places = require "run.places"
local task = require "task"

local M = {}

local DEFAULT_STEP_DEADLINE_S = 3600
local OPENING_S = 0.002
local OWNER_S = 60 -- how long a step that its owner will end sleeps at a time
local JOURNAL_WAIT_S = 600 -- for a journal that is away; a venture may say something else

local journal_key = journal.key

local Run = {}
Run.__index = Run

-- Errors that come from around the code that they are raised in.
local FROM_OUTSIDE = { canceled = true, interrupted = true, deadline = true, rollback_asked = true }

-- Errors that end the engine's part in a run and not the run: no playbook may answer them, and the run can be taken up again.
local STOPS = { journal = true, lock_held = true, replay = true, in_doubt = true }

--- Does this error end the engine's part in a run, which stays as it is and can be resumed?
---@param err any
---@return boolean
---@usage assert(not require("run").stops(nil))
function M.stops(err) return core_err.is(err) and STOPS[err.code] == true end

-- A run holds while its journal's database is away: that is said once, and what happened meanwhile is recorded when it is back.
local function hold(run)
  run.journal:hold(run.venture and run.venture.journal_wait or JOURNAL_WAIT_S, function(err)
    display.line("warn", 0, "the journal is away and the run holds until it is back: " .. err.message)
  end, function(seconds)
    display.line("note", 0, ("the journal is back after %s; the run goes on"):format(display.duration(seconds)))
    if not run.journal.held then return end
    -- If this fails, whatever is written next fails for the same reason, and says so.
    run.journal:event(run.id, "journal_away", { seconds = seconds })
  end)
end

--- A run that has not begun. It takes its lock and is recorded at its first step or event.
-- recorded: what it has recorded when it is gone through again (run.recorded), with its id; rebased: sources that are to take the place of its own.
---@param fields { playbook: table, path?: string, args: table, venture?: table, mode: string, actor: string, reason?: string, state_folder?: string, settings?: table, open_journal: fun(): table, folder_of: fun(id: string): string, id?: string, journal?: table, recorded?: table, rebased?: table[] }
---@return table run
function M.new(fields)
  local run = setmetatable(fields, Run)
  run.undos, run.facts, run.steps_done = {}, {}, 0
  run.outputs = run.recorded and run.recorded.outputs or {}
  run.next_seq = run.recorded and run.recorded.next_seq or 1
  run.early = {} -- values that were found before the run had begun
  run.is_live = not run.recorded
  if run.id then run.folder = run.folder_of(run.id) end
  if run.journal then hold(run) end
  return run
end

--- The context in which a run's function runs.
---@return table for core.task.set_context
function Run:context()
  local context = places.context(self)
  self.outermost = context.scope
  return context
end

--- The run's journal, opened when it is first needed.
---@return table
function Run:use_journal()
  if not self.journal then
    self.journal = self.open_journal()
    hold(self)
  end
  return self.journal
end

--- Begins the run in the journal: takes the venture's lock, stores the sources that were loaded and the values that were found so far.
function Run:open()
  while self.is_opening do task.sleep(OPENING_S) end -- work side by side begins the run once
  if self.id then return self end
  self.is_opening = true
  local over <close> = setmetatable({}, { __close = function() self.is_opening = false end })
  local id, err = self:use_journal():run_begin {
    venture = self.venture and self.venture.name, playbook = self.playbook.name, path = self.path, args = self.args, release = self.args.release,
    mode = self.mode, actor = self.actor, reason = self.reason, sources = M.sources_of(self), state_folder = self.state_folder, settings = self.settings, values = self.early,
    engine = require("core.search").version(),
  }
  if not id then error(err, 0) end
  self.id = id
  self.folder = self.folder_of(id)
  display.header(self)
  return self
end

--- Everything that a run is made of: the playbook, every module that is loaded, the configuration.
---@param run table
---@return { name: string, path: string, text: string }[]
function M.sources_of(run)
  local all = {}
  for _, source in ipairs(require("core.search").sources()) do all[#all + 1] = source end
  if run.venture then all[#all + 1] = { name = "venture", path = run.venture.folder .. "/venture.lua", text = run.venture.source } end
  return all
end

--- Ends the run in the journal.
function Run:finish(outcome, code, summary) assert(self.journal:run_end(self.id, outcome, code, summary)) end

--- The run's own row, steps and events, as the journal has them now.
function Run:row() return assert(self.journal:run(self.id)) end
function Run:steps() return assert(self.journal:steps(self.id)) end
function Run:events() return assert(self.journal:events(self.id)) end

local function take_seq(run)
  local seq = run.next_seq
  run.next_seq = seq + 1
  return seq
end

-- The engine's part in this run ends here. What it has in the background is ended by that and by nothing that belongs to the run, so no
-- outcome of it is recorded.
local function leave(run, err)
  run.is_left = true
  error(err, 0)
end

-- A write is finished whatever is canceled meanwhile: what happened must be known. The cancellation is raised at the next wait.
local function write(run, fn)
  local done, err
  local ok, raised = pcall(shield, function() done, err = fn() end)
  if done then return end
  -- Whatever it was, no playbook may answer it: what happens from here on would not be recorded.
  if not err and not ok and M.stops(raised) then err = raised end
  leave(run, err or core_err.new { code = "journal", message = "nothing was recorded", cause = not ok and tostring(core_err.is(raised) and raised.message or raised) or nil })
end

-- What failed before a rollback was begun again is no answer for it: see Run:again.
local function is_over(run, row)
  return run.anew_since and row.ended_by and row.ended_by < run.anew_since and (row.interrupt or row.state ~= "done")
end

-- What the run has recorded at a place; nil when it did not come so far.
local function recorded_at(run, ...)
  if not run.recorded then return nil end
  local ok, row = pcall(run.recorded.at, run.recorded, ...)
  if not ok then leave(run, row) end
  if row and row.interrupt and is_over(run, row) then return nil end
  return row
end

-- What of an error is plain data: as it is recorded, and raised again.
local function plain_error(err)
  local plain = {}
  for key, value in pairs(err) do
    local kind = type(value)
    if key == "cause" and value ~= nil then plain.cause = tostring(value)
    elseif kind == "string" or kind == "boolean" or math.type(value) == "integer" or (kind == "number" and value == value and math.abs(value) < math.huge) then plain[key] = value end
  end
  plain.shown, plain.recorded = nil, nil
  return plain
end

local function raise_recorded(problem)
  local err = core_err.new(problem)
  err.recorded = true
  err.shown = true
  error(err, 0)
end

--- Work begins side by side at a place (run.places asks): raises "replay" when the run has something else there.
---@param place string
function Run:begin_branches(place)
  if not self.recorded then return end
  local ok, result = pcall(self.recorded.branches, self.recorded, place)
  if not ok then leave(self, result) end
  if result and not is_over(self, result) then raise_recorded(result.interrupt) end
end

--- Raises "replay" when the playbook has ended before it did all that is recorded.
function Run:came_to_its_end()
  local ok, err = true, nil
  if self.recorded then ok, err = pcall(self.recorded.ends, self.recorded, self.outermost) end
  if not ok then leave(self, err) end
end

-- What a step has to be written yet comes before whatever else is written of it.
local function drain(run, step)
  if step and step.later then write(run, function() return step.later:drain() end) end
end

--- Records an event. Outside of steps it has a place, and is not recorded again when the run is gone through again.
---@param kind string see stdlib/papers/ for the kinds that appear in papers
---@param data table plain data
function Run:event(kind, data)
  self:open()
  local context = core_task.context()
  local step = context and context.step
  local place = not step and places.next(context) or nil
  local row = place and recorded_at(self, place, "event", kind)
  if row and row.interrupt then raise_recorded(row.interrupt) end
  if row then return end
  drain(self, step)
  write(self, function() return self.journal:event(self.id, kind, data, step and step.seq, place) end)
end

--- Records an event of a step without waiting for the journal: for what watches, and must act at once even while the journal is away.
-- It is written soon, in its order, and before the step ends. Outside of steps it is an event like all others.
---@param kind string
---@param data table plain data
function Run:event_later(kind, data)
  local context = core_task.context()
  local step = context and context.step
  if not step then return self:event(kind, data) end
  step.later = step.later or later.new(self, step.seq)
  step.later:add(kind, data)
end

--- Says something to the operator.
---@param text string
---@param kind? "note"|"warn"|"done"|"failed"
function Run:say(text, kind)
  local context = core_task.context()
  display.line(kind or "note", context and context.step and context.step.depth + 1 or 0, text)
end

--- Records one of the run's outputs (green's URL, a dashboard, a document) under a name.
function Run:output(name, value)
  self.outputs[name] = value
  self:event("output", { name = name, value = value })
end

--- The run that the calling code belongs to.
---@return table
function M.current()
  local context = core_task.context()
  if not context or not context.run then error("this only works inside a playbook's run function", 3) end
  return context.run
end

-- As if nothing had happened in between: what came out of a step is what comes out of the journal.
local function as_recorded(value, what)
  if value == nil then return nil end
  local ok, text = pcall(chain.encode, value)
  if ok then return json.decode(text) end
  local why = core_err.is(text) and text.message or tostring(text)
  error(("%s must give plain data, texts, numbers, booleans and tables of them, as it is kept in the journal: %s"):format(what, why:gsub("^.-json%.encode: ", "")), 0)
end

-- Raises again how a step failed. One that was ended by its owner is ended by it again: what its task raised instead would be a failure.
local function raise_outcome(problem)
  while problem.by_owner do task.sleep(OWNER_S) end
  raise_recorded(problem)
end

--- A value that the run finds outside of its steps: fn is called, and what it gives is recorded, to be the same when the run is gone
-- through again. Also before the run has begun. It must be plain data.
---@param name string
---@param fn fun(): any
---@return any
function Run:record(name, fn)
  local context = core_task.context()
  local step = context and context.step
  local place = places.next(context)
  local row = recorded_at(self, place, "value", name)
  if row and not is_over(self, row) then
    if row.interrupt then raise_recorded(row.interrupt) end
    if row.state == "failed" then raise_recorded(row.error) end
    return row.result
  end
  local ok, result = M.attempt(fn)
  local value = { seq = row and row.seq or take_seq(self), place = place, parent = step and step.seq, name = name, state = ok and "done" or "failed" }
  if ok then value.result = result else value.error = plain_error(result) end
  if self.id then
    write(self, function() return self.journal:value(self.id, value) end)
  else
    self.early[#self.early + 1] = value
  end
  if not ok then
    result.recorded = true
    error(result, 0)
  end
  return as_recorded(result, ("'%s'"):format(name))
end

-- Ends the playbook's way here by an error that is recorded at this place: when the run is gone through again, it ends here too.
function Run:interrupt(place, err)
  write(self, function() return self.journal:event(self.id, "interrupt", { error = plain_error(err) }, nil, place) end)
  err.recorded = true
  error(err, 0)
end

--- What somebody asked of this run, as an error, or nil: a rollback, as long as none is under way. Also finds out whether the run is paused
-- (self.paused). While the journal is away nobody can ask.
---@return table? err code rollback_asked
function Run:asked()
  if self.is_rolling_back then return nil end
  local signals, err = self.journal:signals(self.id)
  if not signals and err.away then return nil end
  self.paused = pause.of(assert(signals, err))
  for _, signal in ipairs(signals) do
    if signal.kind == "rollback" then
      return core_err.new { code = "rollback_asked", message = ("%s asked for a rollback%s"):format(signal.by, signal.reason and ": " .. signal.reason or ""), rollback = signal.data.type }
    end
  end
end

local function go_live(run)
  run.is_live = true
  -- Other sources have gone through the same until here: now they are the run's.
  if run.rebased then write(run, function() return run.journal:rebase(run.id, run.rebased) end) end
  display.line("note", 0, ("gone through again: %d steps are done; it goes on from here"):format(run.recorded:done()))
  if run.on_live and not run.is_rolling_back then run.on_live(run) end
end

-- Waits for a person by fn. Meanwhile the run may have something to watch, whose error ends the waiting.
local function wait_for_person(run, place, fn)
  if not run.while_waiting then return fn() end
  local ok, err = task.scope("waiting", nil, function()
    core_task.set_context(places.aside(core_task.context(), place .. "?"))
    task.background(run.while_waiting)
    fn()
  end)
  if not ok then error(err, 0) end
end

-- Before something new begins: was the run canceled, or a rollback asked for? From the first time on, does the world stand as it was left?
-- stop(err) is called when something of it is so, and records it. lightly: what was asked since the journal last looked is found by the write
-- that follows. changes: the step that begins, when it changes the world: { name, place }; it waits as long as the run is paused.
local function heed(run, stop, lightly, changes)
  local ok, err = M.attempt(function()
    if task.canceled() then task.sleep(0) end -- raises what canceled it
    local asked = (not lightly or run.journal:may_be_asked()) and run:asked()
    if asked then error(asked, 0) end
    if changes and pause.holds(run) then wait_for_person(run, changes.place, function() pause.wait(run, changes.name) end) end
    if not run.is_live then go_live(run) end
  end)
  if not ok then stop(err) end
end

--- Raises what was asked of this run, and what canceled it. A playbook calls it where it ends, so that an end that was recorded can still be
-- taken back.
function Run:heed()
  self:open()
  local place = places.next(core_task.context())
  local row = recorded_at(self, place, "event", "passed")
  if not row then
    heed(self, function(err) self:interrupt(place, err) end)
    write(self, function() return self.journal:event(self.id, "passed", {}, nil, place) end)
    return
  end
  if row.interrupt then raise_recorded(row.interrupt) end
  -- It ended here once, and did then what stands at the next places. What it does in place of that stands within this one.
  local taken_back = recorded_at(self, place .. "!", "event", "passed")
  local asked = not taken_back and self:asked()
  if not taken_back and not asked then return end
  self.outermost = places.turn(core_task.context(), place .. "!")
  if taken_back then raise_recorded(taken_back.interrupt) end
  self:interrupt(place .. "!", asked)
end

--- Goes through fn, and records whether it came to its end. If it did not, the run can be taken up to be taken back (`engine rollback`) after it has
-- ended: fn is gone through again then. What is done stays done, what had failed is done anew. Not inside a step.
---@param fn fun(): any
---@return boolean ok, any result_or_err
function Run:again(fn)
  self:open()
  local context = core_task.context()
  local body, tried = places.next(context), places.next(context)
  local since
  -- What a try did afterwards stands where it is recorded; the next one's end, and all that follows, stands within its place.
  while true do
    local begun, ended = recorded_at(self, tried .. "!", "event", "again"), recorded_at(self, tried, "event", "tried")
    if not begun and not (ended and not ended.data.ok and self.recorded:was_taken_back_after(ended.seq)) then break end
    since = begun and begun.seq or math.huge
    if not begun then write(self, function() return self.journal:event(self.id, "again", {}, nil, tried .. "!") end) end
    self.outermost = places.turn(context, tried .. "!")
    tried = places.next(context)
  end
  self.anew_since = since
  core_task.set_context(places.inside(context, body))
  local ok, result = M.attempt(fn)
  core_task.set_context(context)
  self.anew_since = nil
  if not recorded_at(self, tried, "event", "tried") then
    write(self, function() return self.journal:event(self.id, "tried", { ok = ok, text = not ok and result.message or nil }, nil, tried) end)
  end
  return ok, result
end

-- Records that a step begins. What was asked of the run before that is heeded first.
local function begin_step(run, record, stop)
  while true do
    local begun
    write(run, function()
      local err
      begun, err = run.journal:step_begin(run.id, record, not run.is_rolling_back)
      return begun ~= nil, err
    end)
    if begun then return end
    heed(run, stop, false, record.effect ~= "pure" and record)
  end
end

local function needs_yes(run, options)
  if options.approve == false then return false end
  if run.mode == "manual" then return true end
  return run.mode == "assisted" and options.approve == true
end

-- Waits for a yes to the step at a place.
local function ask(run, name, args, place)
  wait_for_person(run, place, function() require("approval").ask(run, name, args, place .. "?") end)
end

local function finish_step(run, step, ok, result, seconds)
  if run.is_left then error(result, 0) end
  drain(run, step)
  local state = ok and "done" or ((result.code == "canceled" or result.code == "interrupted" or result.code == "deadline" or result.code == "rollback_asked") and "canceled" or "failed")
  -- The outcome is recorded even when the step is being canceled.
  write(run, function() return run.journal:step_end(run.id, step.seq, state, ok and result or nil, not ok and plain_error(result) or nil, seconds) end)
  if not ok then result.recorded = true end
  local text = ("%s  %s"):format(step.name, display.duration(seconds))
  if not ok and not result.shown then
    text = text .. "\n" .. (result.message or tostring(result))
    result.shown = true
  end
  display.line(state, step.depth, text)
end

local STEP_FIELDS = { run = true, args = true, deadline = true, approve = true, effect = true, probe = true, undo = true }

local function check_options(options)
  if type(options) ~= "table" or type(options[1]) ~= "string" then error("step takes a name and a function", 3) end
  local name = options[1]
  if not utf8.len(name) then error("a step's name is text in UTF-8", 3) end
  for field in pairs(options) do
    if field ~= 1 and not STEP_FIELDS[field] then
      local near = require("schema").nearest(tostring(field), STEP_FIELDS)
      error(("step '%s' has no field '%s'%s"):format(name, tostring(field), near and ("; did you mean '%s'?"):format(near) or ""), 3)
    end
  end
  if type(options.run) ~= "function" then error(("step '%s' needs a function"):format(name), 3) end
  local class = options.effect or (options.probe and "probed") or "pure"
  if not effect.CLASSES[class] then error(("step '%s': effect is pure, idempotent, keyed, probed or manual, not %s"):format(name, tostring(class)), 3) end
  if class == "probed" and not options.probe then error(("step '%s' is probed and has no probe"):format(name), 3) end
  if class == "pure" and options.undo then error(("step '%s' has an undo: say by effect what it changes"):format(name), 3) end
  return class
end

-- Runs the step's function as a scope of its own and records what came of it.
local function run_step(run, step, options)
  -- An engine that stood still since it wrote its intent may have been taken for dead, and the run taken over.
  if step.effect ~= "pure" then write(run, function() return run.journal:confirm() end) end
  local began = clock.now()
  local context = core_task.context()
  local called, ok, result = pcall(task.scope, step.name, options.deadline or DEFAULT_STEP_DEADLINE_S, function()
    core_task.set_context(places.within(context, step))
    return as_recorded(options.run(step.key), ("step '%s'"):format(step.name))
  end)
  if not called then ok, result = false, ok end -- what is around the step was canceled
  if not ok then
    result.step = result.step or step.name
    result.by_owner = result.code == "canceled" and task.canceled() or nil
  end
  if not ok and M.stops(result) then leave(run, result) end
  finish_step(run, step, ok, result, clock.now() - began)
  if not ok then error(result, 0) end
  return result
end

-- A step that had begun when the engine died. Returns true and its result when it turns out to be done.
local function take_up(run, step, row, options)
  local context = core_task.context()
  local ok, outcome = M.attempt(function()
    return doubt.resolve(run, step, row, options, function(fn)
      core_task.set_context(places.within(context, step))
      local results = table.pack(pcall(fn))
      core_task.set_context(context)
      if not results[1] then error(results[2], 0) end
      return table.unpack(results, 2, results.n)
    end)
  end)
  if not ok then
    finish_step(run, step, false, outcome, 0)
    error(outcome, 0)
  end
  drain(run, step)
  if outcome.done then
    write(run, function() return run.journal:step_end(run.id, step.seq, "done", outcome.result, nil, nil) end)
    display.line("done", step.depth, ("%s: %s"):format(step.name, outcome.why))
    return true, as_recorded(outcome.result)
  end
  write(run, function() return run.journal:step_again(run.id, row, outcome.why) end)
  return false
end

--- A step of the present run.
-- Fields: the name, run(key) (the function; key is the same whenever this step is done), args (plain data that identify what it does),
-- deadline (seconds), approve (true: in assisted mode it waits for a yes; false: never asks), and for a step that changes the world
-- effect (see module effect), probe() -> "done"|"absent"|"partial"|"unknown", detail, result (of one that is done), and undo(); `undo = false`
-- says that nothing can take it back.
-- Returns what run returned, which must be plain data; raises what it raised. A step that the run has recorded as ended is not run
-- again: it gives, or raises, what it did then.
---@param name_or_options string | { [1]: string, run: fun(key: string): any, args?: table, deadline?: number, approve?: boolean, effect?: string, probe?: (fun(): string, string?, any), undo?: (fun(): any) | false }
---@param fn? fun(key: string): any
---@return any
function M.step(name_or_options, fn)
  local options = name_or_options
  if type(options) == "string" then options = { options, run = fn } end
  local class = check_options(options)
  local context = core_task.context() or {}
  local run = M.current()
  if run.plan_step then return run:plan_step(options, class, places.next(context)) end
  run:open()
  local parent, name = context.step, options[1]
  local place = places.next(context)
  local args_text, args_hash = journal.args(options.args)
  local key = journal_key(run.id, place, name, args_hash)
  local row = recorded_at(run, place, "step", name, key, args_text)
  if row and row.interrupt then raise_recorded(row.interrupt) end
  local function interrupt(err) run:interrupt(place, err) end
  if not row then
    drain(run, parent)
    local changes = class ~= "pure" and { name = name, place = place }
    heed(run, interrupt, true, changes)
    if needs_yes(run, options) then
      local ok, err = M.attempt(function() ask(run, name, options.args, place) end)
      if not ok then interrupt(err) end
      heed(run, interrupt, false, changes) -- a yes does not end a pause
    end
  end
  local step = { name = name, depth = parent and parent.depth + 1 or 0, place = place, effect = class, parent = parent, key = key, seq = row and row.seq or take_seq(run) }
  if not row then
    begin_step(run, { seq = step.seq, place = place, name = name, parent = parent and parent.seq, effect = class, args = options.args,
      key = key, undo = options.undo and ("undo " .. name) or nil }, interrupt)
  end
  if options.undo then
    -- From here on it may have happened, wholly or in part: it can be taken back even if it fails.
    run.undos[#run.undos + 1] = { name = name, undo = options.undo, probe = options.probe }
  end
  local is_anew = row and is_over(run, row)
  if row and row.ended_at and not is_anew then
    if row.state ~= "done" then raise_outcome(row.error) end
    run.steps_done = run.steps_done + 1
    return row.result
  end
  display.line("begin", step.depth, name)
  local found, result
  if row then
    heed(run, function(err)
      finish_step(run, step, false, err, 0)
      error(err, 0)
    end)
    if is_anew then
      write(run, function() return run.journal:step_again(run.id, row, "it had failed, and is tried again") end)
    else
      found, result = take_up(run, step, row, options)
    end
  end
  if not found then result = run_step(run, step, options) end
  run.steps_done = run.steps_done + 1
  return result
end

local function unwind(self)
  local first_err
  while #self.undos > 0 do
    local entry = table.remove(self.undos)
    local looked = { state = "unknown" }
    if entry.probe then
      looked = self:record("probe of " .. entry.name, function()
        local state, detail = entry.probe()
        return { state = state, detail = detail }
      end)
    end
    if looked.state == "absent" then
      self:event("note", { text = ("nothing to undo of '%s': %s"):format(entry.name, looked.detail or "it is absent") })
    else
      local ok, err = M.attempt(function() M.step { "undo " .. entry.name, effect = "idempotent", run = entry.undo, approve = false } end)
      if not ok then first_err = first_err or err end
    end
  end
  if first_err then return nil, first_err end
  return true
end

--- Takes back what the run's steps did, last first, each as a step of its own. An effect whose probe
-- says "absent" needs nothing. Like every rollback it is held by no pause, and nothing that is asked meanwhile ends it, nor what has canceled
-- the run. Returns true, or nil and the first error after trying all of them.
---@return boolean?, table? err
function Run:unwind()
  local before, context = self.is_rolling_back, core_task.context()
  self.is_rolling_back = true
  local done, err
  local ok, raised = pcall(task.shield, function()
    core_task.set_context(context)
    done, err = unwind(self)
  end)
  self.is_rolling_back = before
  if not ok and not done and not err then error(raised, 0) end
  return done, err
end

--- Runs fn and catches what it raises, also the run's cancellation; not what ends the engine's part in the run (see stops).
---@return boolean ok, any result_or_err
function M.attempt(fn)
  local context = core_task.context()
  local ok, result = pcall(fn)
  core_task.set_context(context)
  if not ok and not core_err.is(result) then
    result = core_err.new { code = "script", message = tostring(result) }
  end
  local run = context and context.run
  -- What a plan cannot find out is no reason to plan a rollback.
  if not ok and (M.stops(result) or (run and run.is_planning)) then error(result, 0) end
  -- What ended a wait outside of any step is in no step's outcome: it is recorded where the next thing would have been.
  if not ok and FROM_OUTSIDE[result.code] and not result.recorded and run and run.id and run.is_live and context.scope and not context.step then
    ok, result = pcall(run.interrupt, run, places.next(context), result)
    if M.stops(result) then error(result, 0) end
  end
  return ok, result
end

--- Raises the error if there is one, with words of the playbook before it; otherwise passes the values on.
---@param value any
---@param err? table|string
---@usage assert(expect(5, nil) == 5)
function M.expect(value, err, ...)
  if value == nil or value == false then error(err or "expected a value", 0) end
  return value, err, ...
end

--- Fails the present step with one sentence.
---@param code string an error code such as "gate" or "check"
---@param message string
---@param fields? table further fields of the error: cause, next
function M.fail(code, message, fields)
  local err = fields or {}
  err.code, err.message = code, message
  error(core_err.new(err), 0)
end

return M
