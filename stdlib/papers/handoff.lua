--- papers.handoff: what the next stage needs to know about a promoted run, as a document (see papers.report): the state now, what is unsafe to
-- touch, how to take it back, what is open, who owns it.

local report = require "papers.report"
local words = require "papers.words"

local M = {}

-- What must stay as it is, or the way back is gone.
local function untouchable(record)
  local old = record.colours.old or "the other colour"
  local items = {
    ("%s still runs %s at 0 %%. It is the way back: leave it until the new release has proved itself. The next deployment retires it, as a step of its own."):format(old, record.colours.version or "the release before"),
    "The weights in the proxy: a deployment or rollback that finds them moved by hand stops, or goes back.",
  }
  local backup = record:last "backup"
  if backup then
    items[#items + 1] = ("The backup %s (SHA-256 %s): it was restored and compared in %s, and a database rollback goes back to it."):format(backup.data.path, backup.data.checksum, words.seconds(backup.data.drill_seconds))
  end
  for _, event in ipairs(record:all "note") do
    local label = event.data.label
    if label == "traffic-safe" then items[#items + 1] = ("The schema: %s was seen to work with it. A change that it does not work with takes away the quick way back."):format(record.colours.version or "the release before")
    elseif label then items[#items + 1] = ("The schema: %s does not work with it (%s), so every way back restores the database."):format(record.colours.version or "the release before", label) end
  end
  return items
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
  local id, state = record.run.id, record.run.state_folder
  local named = state and (" --state %s"):format(state) or ""
  local backup = record:last "backup"
  local drill = backup and backup.data.drill_seconds
  return {
    { kind = "commands", lines = { ("engine rollback %s%s --dry-run"):format(id, named), ("engine rollback %s%s --reason TEXT"):format(id, named) } },
    { kind = "facts", rows = {
      { "Traffic back to " .. (record.colours.old or "the old colour"), moves_in_words(record) },
      { "Restoring the database", drill and ("took %s in the drill; it loses what was written since the backup, and the report says exactly which rows"):format(words.seconds(drill)) or words.UNMEASURED },
    } },
    { kind = "text", quiet = true, text = "Only the venture's latest run can be taken back." },
  }
end

-- What nobody has answered, and what did not pass and did not block.
local function open(record)
  local items = {}
  for _, one in ipairs(record.approvals) do if not one.answer then items[#items + 1] = "Nobody has answered: " .. one.question end end
  local alert = record:last "alert"
  if not (alert and alert.data.arrived) then items[#items + 1] = "Monitoring is not proved active: " .. (alert and tostring(alert.data.detail) or "no test alert was fired") end
  for _, event in ipairs(record:all "gate") do if not event.data.passed then items[#items + 1] = ("Gate '%s' is closed: %s"):format(event.data.name, tostring(event.data.evidence)) end end
  for _, event in ipairs(record:all "check") do
    if not event.data.ok then items[#items + 1] = ("%s '%s' failed at %s and did not block: %s"):format(event.data.what, event.data.name, event.at, tostring(event.data.detail)) end
  end
  return items[1] and { kind = "list", items = items } or { kind = "text", text = "Nothing: no question is open, every gate is open, no check failed, and the test alert arrived." }
end

--- Can the run be handed over? One that was promoted, and whose handoff was made.
---@param record table of papers.read
---@return boolean
function M.applies(record) return record.standing == "ended" and record.outcome == "promoted" end

--- The handoff.
---@param record table of papers.read
---@return table document
function M.of(record)
  local run = record.run
  local outputs = report.outputs(record)
  local state = report.verified_state(record)
  local stage = state and state.data.stage
  local accepted = report.handoff(record.events, { id = run.id, outcome = record.outcome }, true)
  local subject = ("%s %s"):format(run.venture or run.playbook, run.release or "")
  local sections = {
    { id = "state", title = "State now", blocks = report.state(record) },
    { id = "owner", title = "Owner", blocks = { { kind = "facts", rows = { { "Owner", record.owner or "not named in the venture's configuration" }, { "Deployed by", run.actor }, { "Handoff", accepted } } },
      { kind = "commands", lines = { ("engine handoff accept %s%s --reason TEXT"):format(run.id, run.state_folder and " --state " .. run.state_folder or "") } } } },
    { id = "untouchable", title = "Do not touch yet", blocks = { { kind = "list", items = untouchable(record) } } },
    { id = "back", title = "How to take it back", blocks = way_back(record) },
    { id = "open", title = "Open", blocks = { open(record) } },
    { id = "outputs", title = "Where it is", blocks = { outputs[1] and { kind = "facts", rows = outputs } or { kind = "text", text = "No output is recorded." } } },
  }
  return { title = "Handoff: " .. subject, kind = stage and ("Handoff to Stage %s"):format(stage) or "Handoff", subject = subject, made = ("Run %s. Made from the journal at %s."):format(run.id, record.made_at), outcome = report.outcome(record), keys = {}, sections = sections }
end

return M
