--- simulation.journal: stands in for the module journal: what a run records, kept in the world, with the same rows and the same answers. What is durable
-- is the same too: a write that was not finished when the engine died is not there.
--
-- Leases, chains and databases are not simulated; the journal has tests of its own for those.

local chain = require "journal.chain"
local core_clock = require "core.clock"
local files = require "files"
local json = require "json"
local random = require "core.random"
local world = require("simulation.current").world

local M = {}

M.LEASE_S = 30
M.key = chain.key

local Journal = {}
Journal.__index = Journal

function M.number() return random.integer(1, math.maxinteger) end

function M.args(args)
  local text = json.encode(args or {})
  return text, files.sha256_text(text)
end

--- The journal of the present world; whoever opens it again finds what was written.
---@return table
function M.open()
  local here = world()
  here.journal = here.journal or setmetatable({ rows = {}, step_rows = {}, by_seq = {}, event_rows = {}, asked = {}, signal_rows = {}, world = here }, Journal)
  return here.journal
end

M.prepare = M.open

function Journal:open() return self end
function Journal:close() end
function Journal:hold() end
function Journal:confirm()
  self.world:check_alive()
  return true
end
function Journal:renew() return self:confirm() end
function Journal:let_go() return true end
function Journal:may_be_asked() return #self.signal_rows > 0 end
function Journal:held_by() return nil end
function Journal:runs() return {} end

-- One change: the engine can die before it is durable, and after.
local function write(self, name, fn)
  self.world:boundary("journal " .. name .. ": before")
  local result = fn(core_clock.utc())
  self.world:boundary("journal " .. name .. ": after")
  return result == nil and true or result
end

local function append(self, kind, data, step, place, at)
  local rows = self.event_rows
  rows[#rows + 1] = { seq = #rows + 1, kind = kind, step = step, place = place, at = at, text = json.encode(data or {}) }
end

function Journal:run_begin(fields)
  return write(self, "run_begin", function(at)
    local id = random.hex(3)
    self.rows[id] = { id = id, venture = fields.venture, playbook = fields.playbook, path = fields.path, args = fields.args, release = fields.release, mode = fields.mode, actor = fields.actor,
      reason = fields.reason, settings = {}, started_at = at, hash = "simulated" }
    self.latest = id
    append(self, "run_begin", { venture = fields.venture, playbook = fields.playbook, args = fields.args, mode = fields.mode }, nil, nil, at)
    for _, value in ipairs(fields.values or {}) do self:add_value(value, at) end
    return id
  end)
end

function Journal:add_value(value, at)
  append(self, "value", { name = value.name, state = value.state, result = value.result, error = value.error }, value.seq, nil, at)
  self:add_step { seq = value.seq, place = value.place, parent = value.parent, name = value.name, effect = "value", args_hash = "", args = "{}", state = value.state, attempts = 1, started_at = at, ended_at = at,
    result = value.result ~= nil and json.encode(value.result) or nil, error = value.error and json.encode(value.error) or nil }
end

function Journal:add_step(row)
  self.step_rows[#self.step_rows + 1] = row
  self.by_seq[row.seq] = row
end

function Journal:value(_, value)
  return write(self, "value", function(at) self:add_value(value, at) end)
end

function Journal:event(_, kind, data, step, place)
  return write(self, "event " .. kind, function(at) append(self, kind, data, step, place, at) end)
end

function Journal:numbered_event(run, event) return self:event(run, event.kind, event.data, event.step) end

function Journal:note(_, kind, data)
  append(self, kind, data, nil, nil, core_clock.utc())
  return true
end

function Journal:step_begin(run, step)
  return write(self, "step_begin", function(at)
    local args, args_hash = step.args_text, step.args_hash
    if not args then args, args_hash = M.args(step.args) end
    local state = step.effect == "pure" and "running" or "intent"
    append(self, "step_begin", { name = step.name, place = step.place, effect = step.effect, parent = step.parent, args = step.args, undo = step.undo, state = state }, step.seq, nil, at)
    self:add_step { seq = step.seq, place = step.place, parent = step.parent, name = step.name, effect = step.effect, key = step.key or M.key(run, step.place, step.name, args_hash), args = args, args_hash = args_hash,
      undo = step.undo, state = state, attempts = 1, started_at = at }
  end)
end

function Journal:step_again(_, row, why)
  return write(self, "step_again", function(at)
    local found = self.by_seq[row.seq]
    found.state, found.attempts = row.effect == "pure" and "running" or "intent", row.attempts + 1
    append(self, "step_again", { name = row.name, why = why, attempt = found.attempts }, row.seq, nil, at)
  end)
end

function Journal:step_end(_, seq, state, result, problem, seconds)
  return write(self, "step_end", function(at)
    append(self, "step_end", { state = state, result = result, error = problem, seconds = seconds }, seq, nil, at)
    local row = self.by_seq[seq]
    row.state, row.ended_at, row.seconds = state, at, seconds
    row.result, row.error = result ~= nil and json.encode(result) or nil, problem and json.encode(problem) or nil
  end)
end

function Journal:run_end(run, outcome, exit_code, summary)
  return write(self, "run_end", function(at)
    local row = self.rows[run]
    row.ended_at, row.outcome, row.exit_code, row.summary = at, outcome, exit_code, summary
    append(self, "run_end", { outcome = outcome, exit_code = exit_code, summary = summary }, nil, nil, at)
  end)
end

--- A run that was left is gone on with, as by `engine resume` or `engine rollback`.
function Journal:take_up(row, fields)
  local at = core_clock.utc()
  local found = self.rows[row.id]
  found.ended_at, found.outcome, found.exit_code, found.summary = nil, nil, nil, nil
  append(self, fields.operation, { actor = fields.actor, reason = fields.reason }, nil, nil, at)
  return 1
end

function Journal:signal(_, signal)
  self.signal_rows[#self.signal_rows + 1] = { kind = signal.kind, data = signal.data or {}, by = signal.by, reason = signal.reason }
  append(self, "signal", { signal = signal.kind, by = signal.by }, nil, nil, core_clock.utc())
  return true
end

function Journal:signals() return self.signal_rows end

function Journal:ask(_, question)
  return write(self, "ask", function(at)
    self.asked[#self.asked + 1] = { seq = #self.asked + 1, place = question.place, question = question.question, asked_at = at }
    append(self, "ask", { seq = #self.asked, question = question.question }, nil, nil, at)
    return #self.asked
  end)
end

function Journal:answer(_, seq, answer)
  local row = self.asked[seq]
  row.answer, row.by, row.reason, row.answered_at = answer.answer, answer.by, answer.reason, core_clock.utc()
  append(self, "answer", { seq = seq, answer = answer.answer, by = answer.by }, nil, nil, row.answered_at)
  return row
end

function Journal:approval(_, seq) return self.asked[seq] end
function Journal:approvals() return self.asked end

function Journal:run(id) return self.rows[id or self.latest] end

-- What is kept as JSON is read when somebody asks for it.
local DECODED = { data = "text", args = "args", result = "result", error = "error" }

local function with_json(row)
  return setmetatable({}, { __index = function(copy, name)
    local value = row[DECODED[name] or name]
    if DECODED[name] and value then value = json.decode(value) end
    copy[name] = value
    return value
  end })
end

function Journal:steps(_, with_values)
  local out = {}
  for _, row in ipairs(self.step_rows) do
    if with_values or row.effect ~= "value" then out[#out + 1] = with_json(row) end
  end
  return out
end

-- kind: only events of that kind.
function Journal:events(_, kind)
  local out = {}
  for _, row in ipairs(self.event_rows) do
    if not kind or row.kind == kind then out[#out + 1] = with_json(row) end
  end
  return out
end

--- The log as text, one event a line: the same bytes whenever the same world is run.
---@return string
function Journal:text()
  local lines = {}
  for i, row in ipairs(self.event_rows) do lines[i] = ('{"seq":%d,"at":"%s","kind":"%s","step":%s,"data":%s}'):format(row.seq, row.at, row.kind, row.step or "null", row.text) end
  return table.concat(lines, "\n") .. "\n"
end

return M
