--- papers.handoff: what the next stage needs to know about a promoted run, as a document (see papers.report): the state now, what is unsafe to
-- touch, how to take it back, what is open, who owns it. Pure.

local parts = require "papers.parts"
local report = require "papers.report"
local standing = require "papers.standing"
local words = require "papers.words"

local M = {}

-- How a command names the run's journal.
local function named(record)
  local state = record.run.state_folder
  return record.run.id .. (state and " --state " .. state or "")
end

local function owner(record)
  local run = record.run
  return {
    { kind = "facts", rows = {
      { "Owner", record.owner or "not named in the venture's configuration" }, { "Deployed by", run.actor },
      { "Handoff", standing.handoff(record.events, { id = run.id, outcome = record.outcome }, true) },
    } },
    { kind = "commands", lines = { ("engine handoff accept %s --reason TEXT"):format(named(record)) } },
  }
end

-- What must stay as it is, or the way back is gone.
local function untouchable(record)
  local old, before = record.colours.old or "the other colour", record.colours.version or "the release before"
  local items = {
    ("%s still runs %s at 0 %%. It is the way back: leave it until the new release has proved itself. The next deployment retires it, as a step of its own."):format(old, before),
    "The weights in the proxy: a deployment or rollback that finds them moved by hand stops, or goes back.",
  }
  local backup = record:last "backup"
  if backup then
    items[#items + 1] = ("The backup %s (SHA-256 %s): it was restored and compared in %s, and a database rollback goes back to it."):format(
      backup.data.path, backup.data.checksum, words.seconds(backup.data.drill_seconds))
  end
  for _, event in ipairs(record:all "note") do
    local label = event.data.label
    if label == "traffic-safe" then
      items[#items + 1] = ("The schema: %s was seen to work with it. A change that it does not work with takes away the quick way back."):format(before)
    elseif label then
      items[#items + 1] = ("The schema: %s does not work with it (%s), so every way back restores the database."):format(before, label)
    end
  end
  return { { kind = "list", items = items } }
end

-- How long traffic took to move in this run.
local function moves_in_words(record)
  local n, longest = 0, 0
  for _, step in ipairs(record.steps) do
    if step.name:find "traffic: %d+ %%" and step.seconds then n, longest = n + 1, math.max(longest, step.seconds) end
  end
  return n > 0 and ("%s of traffic in this run took at most %s, read back"):format(words.count(n, "move"), words.seconds(longest)) or words.UNMEASURED
end

local function way_back(record)
  local backup = record:last "backup"
  local drill = backup and backup.data.drill_seconds
  local restore = drill and ("took %s in the drill; it loses what was written since the backup, and the report says exactly which rows"):format(words.seconds(drill))
  return {
    { kind = "commands", lines = { ("engine rollback %s --dry-run"):format(named(record)), ("engine rollback %s --reason TEXT"):format(named(record)) } },
    { kind = "facts", rows = {
      { "Traffic back to " .. (record.colours.old or "the old colour"), moves_in_words(record) }, { "Restoring the database", restore or words.UNMEASURED },
    } },
    { kind = "text", quiet = true, text = "Only the venture's latest run can be taken back." },
  }
end

-- What nobody has answered, and what did not pass and did not block.
local function open(record)
  local items, alert = {}, record:last "alert"
  for _, one in ipairs(record.approvals) do if not one.answer then items[#items + 1] = "Nobody has answered: " .. one.question end end
  if not (alert and alert.data.arrived) then
    items[#items + 1] = "Monitoring is not proved active: " .. (alert and tostring(alert.data.detail) or "no test alert was fired")
  end
  for _, event in ipairs(record:all "gate") do
    if not event.data.passed then items[#items + 1] = ("Gate '%s' is closed: %s"):format(event.data.name, tostring(event.data.evidence)) end
  end
  for _, event in ipairs(record:all "check") do
    local check = event.data
    if not check.ok then items[#items + 1] = ("%s '%s' failed at %s and did not block: %s"):format(check.what, check.name, event.at, tostring(check.detail)) end
  end
  if items[1] then return { { kind = "list", items = items } } end
  return { { kind = "text", text = "Nothing: no question is open, every gate is open, no check failed, and the test alert arrived." } }
end

--- Is there something to hand over? A run that was promoted.
---@param record table of papers.read
---@return boolean
function M.applies(record) return record.standing == "ended" and record.outcome == "promoted" end

--- The handoff.
---@param record table of papers.read
---@return table document
function M.of(record)
  local state = parts.verified_state(record)
  local stage = state and state.data.stage
  return report.document(record, stage and ("Handoff to Stage %s"):format(tostring(stage)) or "Handoff", "Handoff", {}, {
    { "state", "State now", parts.state },
    { "owner", "Owner", owner },
    { "untouchable", "Do not touch yet", untouchable },
    { "back", "How to take it back", way_back },
    { "open", "Open", open },
    { "outputs", "Where it is", parts.outputs },
  })
end

return M
