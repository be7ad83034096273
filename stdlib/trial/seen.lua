--- trial.seen: what a run in a world has shown, and what a test expects of it. An expectation that is not met ends the test, with what was
-- there instead.

local core_err = require "core.err"
local inspect = require "inspect"
local schema = require "schema"
local means = require("simulation.world").means

local M = {}

local Seen = {}
Seen.__index = Seen

local function colour_release(colour) return function(seen) return seen.world.colours[colour] and seen.world.colours[colour].release or false end end

local function reason_of(seen) return seen.result.reason or seen.result.err end

local function restored(seen)
  for _, entry in ipairs(seen.world.history) do if entry.kind == "restored" then return true end end
  return false
end

local function lost(seen)
  local rows = 0
  for _, entry in ipairs(seen.world.history) do if entry.kind == "restored" then rows = rows + entry.lost end end
  return rows
end

local function applied(seen)
  local versions = {}
  for version in pairs(seen.world.database.applied) do versions[#versions + 1] = version end
  table.sort(versions)
  return versions
end

local function papers(seen)
  local names = {}
  for _, entry in ipairs(seen.world.history) do if entry.kind == "paper" then names[#names + 1] = entry.name end end
  return names
end

--- What `seen:expect` compares, in the order in which it does.
M.fields = {
  { "exit", "the exit code", function(seen) return seen.result.exit end },
  { "outcome", "promoted, rolled_back, aborted, failed, left", function(seen) return seen.result.outcome end },
  { "rollback", "its kind: traffic, database, full", function(seen) return seen.result.result.rollback end },
  { "code", "the code of the error that the deployment failed with; false: none", function(seen) return reason_of(seen) and reason_of(seen).code or false end },
  { "because", "a part of that error's text", function(seen) return reason_of(seen) and ("%s %s"):format(reason_of(seen).message, reason_of(seen).cause and tostring(reason_of(seen).cause) or "") or "" end, true },
  { "summary", "a part of what the run says of its end", function(seen) return seen.result.result.summary or "" end, true },
  { "blue", "percent of the traffic that blue has", function(seen) return seen.world.weights.blue end },
  { "green", "percent of the traffic that green has", function(seen) return seen.world.weights.green end },
  { "version", "the release that has all traffic; false: none has all", function(seen)
    local colour = seen.world.weights.blue == 100 and "blue" or seen.world.weights.green == 100 and "green"
    return colour and colour_release(colour)(seen)
  end },
  { "blue_release", "the release that blue holds; false: it is not there", colour_release "blue" },
  { "green_release", "the release that green holds; false: it is not there", colour_release "green" },
  { "applied", "the migrations that the database has", applied },
  { "damaged", "is the data damaged?", function(seen) return seen.world.database.damaged == true end },
  { "restored", "was the database restored?", restored },
  { "lost", "rows that clients wrote and that a restore lost", lost },
  { "stage", "the stage of the venture's row", function(seen) return seen.world.database.stage end },
  { "papers", "the papers that were written, in order", papers },
  { "engines", "how many engines it took: one more than deaths", function(seen) return seen.result.tries end },
}

local by_name = {}
for _, field in ipairs(M.fields) do by_name[field[1]] = field end

--- What a run has shown. An expectation that is not met raises { failure = text, seen = this }; a mistake in one raises an error of code usage.
---@param outcome table of simulation's Project:run
---@param names table of trial.steps
---@return table seen world, result, and the expectations
function M.new(outcome, names)
  local self = setmetatable({ world = outcome.world, result = outcome.result, rows = {} }, Seen)
  for _, row in ipairs(outcome.world.journal and outcome.world.journal:steps() or {}) do
    if row.effect ~= "value" then
      self.rows[#self.rows + 1] = row
      names:add(row.name)
    end
  end
  self.names = names
  return self
end

--- Ends the test.
---@param text string
function Seen:fail(text) error({ failure = text, seen = self }, 0) end

local function misused(message, next_step) error(core_err.new { code = "usage", op = "test", message = message, next = next_step }, 0) end

--- Everything in `wanted` must be so; see `trial.seen.fields`.
---@param wanted table<string, any>
function Seen:expect(wanted)
  for name in pairs(wanted) do
    if not by_name[name] then
      local known, near = {}, schema.nearest(tostring(name), by_name)
      for i, field in ipairs(M.fields) do known[i] = field[1] end
      misused(("nothing is called '%s' in what a run shows%s"):format(tostring(name), near and ("; did you mean '%s'?"):format(near) or ""), "It has: " .. table.concat(known, ", ") .. ".")
    end
  end
  local wrong = {}
  for _, field in ipairs(M.fields) do
    local name, _, read, is_part = table.unpack(field)
    local expected = wanted[name]
    if expected ~= nil then
      local found = read(self)
      local same = is_part and type(found) == "string" and found:find(tostring(expected), 1, true) or inspect.text(found) == inspect.text(expected)
      if not same then wrong[#wrong + 1] = ("%s is %s, expected %s%s"):format(name, inspect.text(found), is_part and "a text with " or "", inspect.text(expected)) end
    end
  end
  if wrong[1] then self:fail(table.concat(wrong, "\n")) end
end

-- The name must be one that there can be.
local function check_name(seen, name)
  if type(name) ~= "string" then misused("a step is named by a text, and not by " .. type(name)) end
  local known, near = seen.names:resolve(name)
  if not known then
    misused(("no step is called '%s'%s"):format(name, near and ("; did you mean '%s'?"):format(near) or ""), near and "Write its name as the playbook has it, or its beginning up to the end of a word." or "`engine plan` lists the steps.")
  end
end

local function find(seen, name, from)
  check_name(seen, name)
  local first
  for index = from or 1, #seen.rows do
    local row = seen.rows[index]
    if row.name == name then return row, index end
    if not first and means(name, row.name) then first = index end
  end
  return seen.rows[first], first
end

local function why(row) return row.error and (row.error.message or tostring(row.error)) or "it did not end" end

--- The step was done. Gives its row: name, result, seconds, state, attempts, args, error.
---@param name string its name, or the beginning of it
---@return table row
function Seen:step(name)
  local row = find(self, name)
  if not row then self:fail(("the step '%s' was never reached"):format(name)) end
  if row.state ~= "done" then self:fail(("the step '%s' was not done: %s"):format(row.name, why(row))) end
  return row
end

--- The step failed, or was canceled; with `part`, for a reason that has this in its text. Gives its row.
---@param name string
---@param part? string
---@return table row
function Seen:failed(name, part)
  local row = find(self, name)
  if not row then self:fail(("the step '%s' was never reached"):format(name)) end
  if row.state == "done" then self:fail(("the step '%s' was done; it should have failed"):format(row.name)) end
  local text = ("%s %s"):format(why(row), row.error and row.error.cause and tostring(row.error.cause) or "")
  if part and not text:find(part, 1, true) then self:fail(("the step '%s' failed because %s; expected a reason with %q"):format(row.name, text, part)) end
  return row
end

--- The step was not even begun.
---@param name string
function Seen:never(name)
  local row = find(self, name)
  if row then self:fail(("the step '%s' was begun (%s); expected that it never is"):format(row.name, row.state)) end
end

--- The steps began in this order; others may lie between.
---@param names string[]
function Seen:order(names)
  local from, before = 1, nil
  for _, name in ipairs(names) do
    local row, index = find(self, name, from)
    if not row then
      local earlier = find(self, name)
      self:fail(earlier and ("the step '%s' began before '%s'; expected it afterwards"):format(earlier.name, before) or ("the step '%s' was never reached"):format(name))
    end
    from, before = index + 1, row.name
  end
end

--- The shares of the traffic that green had, one after the other, in percent: { 10, 50, 0 } when it was taken back from half.
---@param wanted integer[]
function Seen:shares(wanted)
  local shares, last = {}, 0
  for _, entry in ipairs(self.world.history) do
    if entry.kind == "weights" and entry.green ~= last then
      shares[#shares + 1], last = entry.green, entry.green
    end
  end
  if inspect.text(shares) ~= inspect.text(wanted) then self:fail(("green had, one after the other, %s percent; expected %s"):format(inspect.text(shares), inspect.text(wanted))) end
end

--- The operator was told this, or more with this in it.
---@param part string
function Seen:says(part)
  for _, line in ipairs(self.world.lines) do if line.text:find(part, 1, true) then return end end
  self:fail(("the operator was never told %q"):format(part))
end

local function has(data, fields)
  for name, value in pairs(fields) do if inspect.text(data[name]) ~= inspect.text(value) then return false end end
  return true
end

--- An event of this kind is in the journal; with `fields`, one that has these. Gives what it says.
---@param kind string such as "gate", "alert", "loss", "note"
---@param fields? table
---@return table data
function Seen:event(kind, fields)
  local there = self.world.journal and self.world.journal:events(nil, kind) or {}
  for _, event in ipairs(there) do if not fields or has(event.data, fields) then return event.data end end
  self:fail(("no event '%s'%s is in the journal; of that kind there are %d"):format(kind, fields and " with " .. inspect.text(fields) or "", #there))
end

--- The steps that ran, as an operator saw them: { at, kind, text }[]; at is in seconds since the beginning.
---@return table[]
function Seen:story()
  local lines = {}
  for _, line in ipairs(self.world.lines) do
    if line.depth == 0 and (line.kind == "done" or line.kind == "failed" or line.kind == "canceled") then
      lines[#lines + 1] = { at = line.at - self.world.anchors.start, kind = line.kind, text = line.text }
    end
  end
  return lines
end

return M
