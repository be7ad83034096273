--- run: one execution of a playbook: its steps, what they record, and how they are taken back.
--
-- A step is the unit that is journaled, shown and timed. One that changes the world gives `probe`
-- (did it happen?) and `undo` (take it back): its INTENT is durable before it begins.

local clock = require "clock"
local core_err = require "core.err"
local core_task = require "core.task"
local display = require "display"
local task = require "task"

local M = {}

local DEFAULT_STEP_DEADLINE_S = 3600

local Playbook = { __name = "playbook" }

--- Declares a playbook; the value that a playbook file returns.
---@param fields { name: string, about?: string, args?: table, needs_venture?: boolean, prepare?: fun(run: table), run: fun(run: table): table? }
---@return table
---@usage local p = playbook { name = "empty", about = "does nothing", run = function() end }  assert(p.name == "empty")
function M.playbook(fields)
  -- `return playbook { ... }` is a tail call, so there is no caller whose line an error could name: the field
  -- is given, and whoever loads the file finds its line.
  local function misuse(message, field) error(core_err.new { code = "playbook", op = "load playbook", message = message, field = field }, 0) end
  if type(fields) ~= "table" then misuse "playbook takes a table" end
  local known = { name = "string", about = "string", args = "table", prepare = "function", run = "function", needs_venture = "boolean" }
  for key, value in pairs(fields) do
    if not known[key] then misuse(("a playbook has no field '%s'"):format(tostring(key)), key) end
    if type(value) ~= known[key] then misuse(("the playbook's field '%s' must be a %s"):format(key, known[key]), key) end
  end
  if not fields.name then misuse "a playbook needs a name" end
  if not fields.run then misuse "a playbook needs a function run" end
  fields.args = fields.args or {}
  return setmetatable(fields, Playbook)
end

--- Is this value one that `playbook` made?
---@param value any
---@return boolean
function M.is_playbook(value) return getmetatable(value) == Playbook end

local Run = {}
Run.__index = Run

--- A run that has not begun. It takes its lock and is recorded at its first step or event.
---@param fields { playbook: table, path?: string, args: table, venture?: table, mode: string, actor: string, reason?: string, state_folder?: string, open_journal: fun(): table, folder_of: fun(id: string): string }
---@return table run
function M.new(fields)
  local run = setmetatable(fields, Run)
  run.undos, run.facts, run.steps_done, run.outputs = {}, {}, 0, {}
  return run
end

--- Begins the run in the journal: takes the venture's lock, stores the sources that were loaded.
function Run:open()
  if self.id then return self end
  self.journal = self.open_journal()
  local id, err = self.journal:run_begin {
    venture = self.venture and self.venture.name, playbook = self.playbook.name, path = self.path, args = self.args, release = self.args.release,
    mode = self.mode, actor = self.actor, reason = self.reason, sources = self:sources(),
  }
  if not id then error(err, 0) end
  self.id = id
  self.folder = self.folder_of(id)
  display.header(self)
  return self
end

-- Everything that this run is made of: the playbook, every module, the configuration.
function Run:sources()
  local all = {}
  for _, source in ipairs(require("core.search").sources()) do all[#all + 1] = source end
  if self.venture then all[#all + 1] = { name = "venture", path = self.venture.folder .. "/venture.lua", text = self.venture.source } end
  return all
end

--- Ends the run in the journal.
function Run:finish(outcome, code, summary)
  assert(self.journal:run_end(self.id, outcome, code, summary))
  self.journal:close()
end

--- The run's own row, steps and events, as the journal has them now.
function Run:row() return assert(self.journal:run(self.id)) end
function Run:steps() return assert(self.journal:steps(self.id)) end
function Run:events() return assert(self.journal:events(self.id)) end

--- Records an event of the present step.
---@param kind string see stdlib/papers.lua for the kinds that appear in papers
---@param data table plain data
function Run:event(kind, data)
  self:open()
  local context = core_task.context()
  shield(function() assert(self.journal:event(self.id, kind, data, context and context.step and context.step.seq)) end)
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

local function needs_yes(run, options)
  if options.approve == false then return false end
  if run.mode == "manual" then return true end
  return run.mode == "assisted" and options.approve == true
end

local function finish_step(run, step, ok, result, seconds)
  local state = ok and "done" or ((result.code == "canceled" or result.code == "interrupted" or result.code == "deadline") and "canceled" or "failed")
  -- The outcome is recorded even when the step is being canceled.
  shield(function()
    assert(run.journal:step_end(run.id, step.seq, state, ok and result or nil, not ok and {
      code = result.code, message = result.message, where = result.where, traceback = result.traceback,
    } or nil, seconds))
  end)
  local text = ("%s  %s"):format(step.name, display.duration(seconds))
  if not ok and not result.shown then
    text = text .. "\n" .. (result.message or tostring(result))
    result.shown = true
  end
  display.line(state, step.depth, text)
end

--- A step of the present run.
-- Fields: the name, run (the function), args (plain data that identify what it does), deadline
-- (seconds), approve (true: in assisted mode it waits for a yes; false: never asks), and for a step
-- that changes the world probe() -> "done"|"absent"|"partial"|"unknown", detail and undo(); `undo = false` says
-- that nothing can take it back.
-- Returns what run returned, which must be plain data; raises what it raised.
---@param name_or_options string | { [1]: string, run: fun(): any, args?: table, deadline?: number, approve?: boolean, probe?: (fun(): string, string?), undo?: (fun(): any) | false }
---@param fn? fun(): any
---@return any
function M.step(name_or_options, fn)
  local options = name_or_options
  if type(options) == "string" then options = { options, run = fn } end
  if type(options) ~= "table" or type(options[1]) ~= "string" then error("step takes a name and a function", 2) end
  if type(options.run) ~= "function" then error(("step '%s' needs a function"):format(options[1]), 2) end
  local context = core_task.context() or {}
  local run = M.current():open()
  local step = { name = options[1], depth = context.step and context.step.depth + 1 or 0 }
  if needs_yes(run, options) then
    require("approval").ask(run, step.name, options.args)
  end
  step.seq = assert(run.journal:step_begin(run.id, {
    name = step.name, parent = context.step and context.step.seq, kind = options.undo and "effect" or "step",
    args = options.args, undo = options.undo and ("undo " .. step.name) or nil,
  }))
  display.line("begin", step.depth, step.name)
  local began = clock.now()
  if options.undo then
    -- From here on it may have happened, wholly or in part: it can be taken back even if it fails.
    run.undos[#run.undos + 1] = { name = step.name, undo = options.undo, probe = options.probe }
  end
  local ok, result = task.scope(step.name, options.deadline or DEFAULT_STEP_DEADLINE_S, function()
    core_task.set_context { run = run, step = step }
    return options.run()
  end)
  if not ok then result.step = result.step or step.name end
  finish_step(run, step, ok, result, clock.now() - began)
  if not ok then error(result, 0) end
  run.steps_done = run.steps_done + 1
  return result
end

--- Takes back what the run's steps did, last first, each as a step of its own. An effect whose probe
-- says "absent" needs nothing. Returns true, or nil and the first error after trying all of them.
---@return boolean?, table? err
function Run:unwind()
  local first_err
  while #self.undos > 0 do
    local entry = table.remove(self.undos)
    local state, detail = "unknown", nil
    if entry.probe then state, detail = entry.probe() end
    if state == "absent" then
      self:event("note", { text = ("nothing to undo of '%s': %s"):format(entry.name, detail or "it is absent") })
    else
      local ok, err = M.attempt(function() M.step { "undo " .. entry.name, run = entry.undo, approve = false } end)
      if not ok then first_err = first_err or err end
    end
  end
  if first_err then return nil, first_err end
  return true
end

--- Runs fn and catches what it raises, also the run's cancellation.
---@return boolean ok, any result_or_err
function M.attempt(fn)
  local context = core_task.context()
  local ok, result = pcall(fn)
  core_task.set_context(context)
  if not ok and not core_err.is(result) then
    result = core_err.new { code = "script", message = tostring(result) }
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
