--- simulation.journal: stands in for the module journal: what a run records, kept in the world, with the same rows and the same answers. What is durable
-- is the same too: a write that was not finished when the engine died is not there.
--
-- Leases, chains and databases are not simulated; the journal has tests of its own for those.

local boundary = require "core.boundary"
local chain = require "journal.chain"
local core_clock = require "core.clock"
local files = require "files"
local json = require "json"
local random = require "core.random"
local steps = require "journal.steps"
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
  here.journal = here.journal or setmetatable({ rows = {}, event_rows = {}, asked = {}, signal_rows = {}, numbers = {}, world = here }, Journal)
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
  self.world:check_alive()
  boundary.pass("journal " .. name .. ": before")
  local result = fn(core_clock.utc())
  boundary.pass("journal " .. name .. ": after")
  return result == nil and true or result
end

local function append(self, kind, data, step, place, at)
  local rows = self.event_rows
  rows[#rows + 1] = { seq = #rows + 1, kind = kind, step = step, place = place, at = at, now = core_clock.now(), text = chain.encode(data or {}) }
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
  append(self, "value", { name = value.name, state = value.state, result = value.result, error = value.error, parent = value.parent }, value.seq, value.place, at)
end

function Journal:value(_, value)
  return write(self, "value", function(at) self:add_value(value, at) end)
end

function Journal:event(_, kind, data, step, place)
  return write(self, "event " .. kind, function(at) append(self, kind, data, step, place, at) end)
end

-- An event that two tasks write is written once, but both have gone through the boundaries of a write.
function Journal:numbered_event(_, event)
  return write(self, "event " .. event.kind, function(at)
    if self.numbers[event.n] then return end
    self.numbers[event.n] = true
    append(self, event.kind, event.data, event.step, nil, at)
  end)
end

function Journal:note(_, kind, data)
  append(self, kind, data, nil, nil, core_clock.utc())
  return true
end

local function state_of_begun(class) return class == "pure" and "running" or "intent" end

function Journal:step_begin(run, step)
  self.world:step_begins(step.name)
  return write(self, "step_begin", function(at)
    local key = step.key or M.key(run, step.place, step.name, select(2, M.args(step.args)))
    append(self, "step_begin", { name = step.name, effect = step.effect, parent = step.parent, args = step.args, key = key, undo = step.undo, state = state_of_begun(step.effect) }, step.seq, step.place, at)
  end)
end

function Journal:step_again(run, row, why)
  return self:event(run, "step_again", { name = row.name, state = state_of_begun(row.effect), attempt = row.attempts + 1, why = why }, row.seq)
end

function Journal:step_end(run, seq, state, result, problem, seconds)
  return self:event(run, "step_end", { state = state, result = result, error = problem, seconds = seconds }, seq)
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
  append(self, "signal", { signal = signal.kind, data = signal.data, by = signal.by, reason = signal.reason }, nil, nil, core_clock.utc())
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
  append(self, "answer", { seq = seq, answer = answer.answer, by = answer.by, reason = answer.reason }, nil, nil, row.answered_at)
  return row
end

function Journal:approval(_, seq) return self.asked[seq] end
function Journal:approvals() return self.asked end

function Journal:run(id) return self.rows[id or self.latest] end

-- What is kept as JSON is read when somebody asks for it.
local function with_data(row)
  return setmetatable({}, { __index = function(copy, name)
    local value = row[name]
    if name == "data" then value = json.decode(row.text) end
    copy[name] = value
    return value
  end })
end

-- kind: only events of that kind.
function Journal:events(_, kind)
  local out = {}
  for _, row in ipairs(self.event_rows) do
    if not kind or row.kind == kind then out[#out + 1] = with_data(row) end
  end
  return out
end

--- The steps that began, in their order.
function Journal:steps()
  local told = {}
  for _, row in ipairs(self.event_rows) do
    if steps.KINDS[row.kind] and row.kind ~= "value" then told[#told + 1] = with_data(row) end
  end
  return steps.of(told)
end

--- The log as text, one event a line: the same bytes whenever the same world is run.
---@return string
function Journal:text()
  local lines = {}
  for i, row in ipairs(self.event_rows) do lines[i] = ('{"seq":%d,"at":"%s","kind":"%s","step":%s,"place":%s,"data":%s}'):format(row.seq, row.at, row.kind, row.step or "null", row.place and json.encode(row.place) or "null", row.text) end
  return table.concat(lines, "\n") .. "\n"
end

return M
