--- papers.report: the report of a run as a document: what came of it first, then everything that the journal knows. Pure.
--
-- A document is plain data, which papers.html and papers.markdown write down, so that both say the same:
--   title, kind, subject, made
--   outcome { word, tone, text }   tone: "good", "back", "bad" or "open"
--   keys { { label, value }... }   the few figures that matter most
--   sections { id, title, blocks }
-- A block has a kind:
--   heading { text }   text { text, quiet? }   facts { rows = { { label, value }... }, dense? }   list { items = texts }   commands { lines }
--   table { headings, rows, fold?, wide?, widths? }   fold: what it says while it is folded away; wide: one column an entry; widths in percent
--   chart { heading, spec?, note?, fold, headings, rows }   the rows are the chart's numbers
-- A value is a text or number, or { text =, code?, tone?, href?, depth? }.

local clock = require "clock"
local core_err = require "core.err"
local parts = require "papers.parts"
local requests = require "papers.requests"
local standing = require "papers.standing"
local taken_back = require "papers.taken_back"
local words = require "papers.words"

local M = {}

local KINDS = { promoted = "Deployment log", rolled_back = "Rollback report", aborted = "Abort report" }

local function keys(record)
  local has_ended = record.standing == "ended"
  local judged, errors = requests.judged(record)
  local out = { { has_ended and "Took" or "So far", words.seconds(clock.of_utc(record.until_at) - clock.of_utc(record.run.started_at)) } }
  local back = taken_back.back_after(record)
  if back then out[#out + 1] = { "First bad response to all traffic back", words.seconds(back) } end
  if record:last "traffic" then out[#out + 1] = { "Requests judged", judged > 0 and ("%d, %d failed"):format(judged, errors) or words.NO_DATA } end
  if has_ended or record:last "loss" then out[#out + 1] = { "Rows lost", (taken_back.loss_in_words(record)) } end
  return out
end

local function handoff(record)
  local state = standing.handoff(record.events, { id = record.run.id, outcome = record.outcome }, record.is_own)
  return state and { { kind = "facts", rows = { { "Handoff", state } } } } or {}
end

-- The sections in their order: id, title, and what makes their blocks.
local function sections_of(record)
  local was_taken_back = taken_back.applies(record)
  local out = { { "about", "Who, why, what", parts.about } }
  if was_taken_back then for _, section in ipairs(taken_back.sections(record)) do out[#out + 1] = section end end
  for _, section in ipairs {
    { "state", record.standing == "ended" and "Verified end state" or "State", parts.state },
    { "requests", "What clients got", requests.charts },
    { "verdicts", "Evidence of the verdicts", requests.verdicts },
    { "steps", "Steps", parts.steps },
    { "gates", "Gates", parts.gates },
    { "checks", "Checks", parts.checks },
    { "approvals", "Approvals", parts.approvals },
    { "backup", "Backup and drill", parts.backup },
    { "loss", "Data loss", not was_taken_back and taken_back.loss or nil },
    { "monitoring", "Monitoring", parts.monitoring },
    { "notes", "Notes", parts.notes },
    { "outputs", "Outputs", parts.outputs },
    { "handoff", "Handoff", handoff },
    { "chain", "Audit", parts.chain },
  } do if section[3] then out[#out + 1] = section end end
  return out
end

--- Makes sections. Playbooks of a team's own may record something else under a name that is known here: that takes away one section, and
-- not the report.
---@param record table of papers.read
---@param list table[] { id, title, fn(record) -> blocks }
---@return table[] sections those that have blocks
function M.sections(record, list)
  local out = {}
  for _, section in ipairs(list) do
    local ok, blocks = pcall(section[3], record)
    if not ok then
      local problem = core_err.is(blocks) and blocks.message or tostring(blocks)
      blocks = { { kind = "text", text = ("What is recorded for this is not what it is expected to be: %s. engine log %s has it as it is."):format(problem, record.run.id) } }
    end
    if blocks[1] then out[#out + 1] = { id = section[1], title = section[2], blocks = blocks } end
  end
  return out
end

--- A document about a run.
---@param record table
---@param kind string what it is
---@param name string for its title
---@param about_keys table[]
---@param list table[] of sections
---@return table document
function M.document(record, kind, name, about_keys, list)
  local run = record.run
  local subject = ("%s %s"):format(run.venture or run.playbook, run.release or "")
  return { title = ("%s: %s"):format(name, subject), kind = kind, subject = subject, made = ("Run %s. Made from the journal at %s."):format(run.id, record.made_at),
    outcome = standing.outcome(record), keys = about_keys, sections = M.sections(record, list) }
end

--- The report.
---@param record table of papers.read
---@return table document
function M.of(record)
  local kind = record.standing == "ended" and KINDS[record.outcome] or "Run report"
  local ok, figures = pcall(keys, record)
  return M.document(record, kind, kind, ok and figures or {}, sections_of(record))
end

return M
