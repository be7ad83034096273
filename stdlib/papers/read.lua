--- papers.read: everything that the papers of a run are made of, read from the journal and from nowhere else: any run, at any time.

local clock = require "clock"
local expected = require "papers.expected"
local steps_and_values = require("journal.steps").and_values

local M = {}

local Record = {}
Record.__index = Record

--- The events of a kind, in their order.
---@param kind string
---@return table[]
function Record:all(kind) return self.by_kind[kind] or {} end

--- The last event of a kind.
---@param kind string
---@return table? event
function Record:last(kind)
  local all = self:all(kind)
  return all[#all]
end

-- How a run stands: "ended", or why it has not: "under way", "died", or "left" by an engine that gave it back.
local function standing(journal, row)
  if row.ended_at then return "ended" end
  local lease, lives = journal:holder(journal:lease_of(row))
  if not lease or lease.run ~= row.id then return "left" end
  return lives and "under way" or "died", lease
end

-- When an event happened: its time is that of its record, and when the journal was away, what it tells of was earlier.
local function wall_of(event)
  local late = type(event.data) == "table" and event.data.late_s or 0
  return assert(clock.of_utc(event.at)) - late
end

--- The record of a run. Its events have `wall`, the seconds since 1970 at which they happened.
---@param journal table
---@param id? string the run, the beginning of its id, or nil for the latest
---@param result? { outcome: string, exit: integer, summary?: string } of a run that is about to end: its own papers are a part of it
---@return table? record, table? err code not_found, usage or journal
function M.run(journal, id, result)
  local row, err = journal:run(id)
  if not row then return nil, err end
  local self = setmetatable({ run = row, by_kind = {}, made_at = clock.utc(clock.wall()) }, Record)
  self.events = assert(journal:events(row.id))
  for _, event in ipairs(self.events) do
    event.wall = wall_of(event)
    self.by_kind[event.kind] = self.by_kind[event.kind] or {}
    table.insert(self.by_kind[event.kind], event)
  end
  self.steps, self.values = steps_and_values(self.events)
  self.approvals = assert(journal:approvals(row.id))
  self.expected = expected.read(journal, row)
  self.proof, self.proof_error = journal:verify(row.id)
  self.is_own = result ~= nil
  if result then
    self.standing, self.outcome, self.exit_code, self.summary = "ended", result.outcome, result.exit, result.summary
    local steps = {} -- without the one that writes the papers
    for _, step in ipairs(self.steps) do if step.ended_at then steps[#steps + 1] = step end end
    self.steps = steps
  else
    self.standing, self.lease = standing(journal, row)
    self.outcome, self.exit_code, self.summary = row.outcome, row.exit_code, row.summary
  end
  local last = self.events[#self.events]
  self.until_at = row.ended_at or last.at
  self.colours = self.values.colours or {}
  self.owner = row.settings and row.settings.owner
  self.day = row.started_at:sub(1, 10)
  return self
end

return M
