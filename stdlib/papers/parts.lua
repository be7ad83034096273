--- papers.parts: the parts of a report that every run has, each as blocks of a document (see papers.report). Pure.

local words = require "papers.words"

local M = {}

local function table_or(otherwise, headings, rows, widths)
  if not rows[1] then return { kind = "text", text = otherwise } end
  return { kind = "table", headings = headings, rows = rows, widths = widths }
end

local function facts_or(otherwise, rows) return rows[1] and { kind = "facts", rows = rows } or { kind = "text", text = otherwise } end

-- The rows that have a value.
local function known(rows)
  local out = {}
  for _, row in ipairs(rows) do if row[2] ~= nil then out[#out + 1] = row end end
  return out
end

local function code(text) return text and { text = text, code = true } end

local function link(value) return type(value) == "string" and value:find "^https?://" and { text = value, href = value } or code(value) end

local function because(reason) return reason and ": " .. reason or "" end

--- Who, why and what.
---@param record table of papers.read
---@return table[] blocks
function M.about(record)
  local run, release, colours = record.run, record.values.release or {}, record.colours
  local rows = known {
    { "Run", code(run.id) }, { "Venture", run.venture or "none" }, { "Release", run.release or "none" }, { "Digest", code(release.digest) },
    { "Version before", colours.version }, { "Colours", colours.old and ("%s served, %s got the release"):format(colours.old, colours.new) },
    { "By", run.actor }, { "Reason", run.reason or "none given" }, { "Mode", run.mode },
    { "Owner", record.owner or "not named in the venture's configuration" },
    { "Began", run.started_at }, { record.standing == "ended" and "Ended" or "Last recorded", record.until_at }, { "Exit code", record.exit_code },
    { "Playbook", ("%s (%s)"):format(run.playbook, run.path) }, { "Its sources", code("sha256:" .. run.hash) },
    { "Plan", run.settings.plan and code(run.settings.plan) or "the run was not bound to one (--plan)" }, { "Engine", run.engine },
  }
  for _, operation in ipairs { { "resume", "Resumed" }, { "rollback", "Taken up to roll back" } } do
    for _, event in ipairs(record:all(operation[1])) do
      rows[#rows + 1] = { operation[2], ("%s by %s%s"):format(event.at, event.data.actor, because(event.data.reason)) }
    end
  end
  return { { kind = "facts", rows = rows, dense = true } }
end

local STEP_TONES = { done = "good", failed = "bad", canceled = "back", running = "open", intent = "open" }

local function state_of(step)
  local text = step.state == "intent" and "running" or step.state
  if step.attempts > 1 then text = ("%s, %d times begun"):format(text, step.attempts) end
  return { text = text .. because(step.error and step.error.message), tone = STEP_TONES[step.state] }
end

local function expected_of(step, record)
  local seconds, runs = record.expected.of(step.name, record.values)
  return seconds and ("%s, of %d"):format(words.seconds(seconds), runs) or "none yet"
end

--- Every step: when, how it ended, and how long it took against what it took in past runs.
---@param record table
---@return table[] blocks
function M.steps(record)
  local depth, rows = {}, {}
  for number, step in ipairs(record.steps) do
    depth[step.seq] = step.parent and (depth[step.parent] or 0) + 1 or 0
    rows[number] = { number, words.at(step.started_at, record.day), { text = step.name, depth = depth[step.seq] }, state_of(step),
      words.seconds(step.seconds), expected_of(step, record) }
  end
  local runs, venture = record.expected.runs, record.run.venture or "this venture"
  local basis = ("Expected is the median of the same step in %s of %s; of steps of the way back in those that were rolled back and verified."):format(
    words.count(runs, "earlier promoted run"), venture)
  if runs == 0 then basis = ("No earlier run of %s was promoted: there is nothing to expect a duration from."):format(venture) end
  return {
    { kind = "text", quiet = true, text = basis },
    table_or("No step was begun.", { "#", "UTC", "step", "state", "took", "expected" }, rows, { 4, 13, 36, 27, 8, 12 }),
  }
end

local function passed(is_so, yes, no) return { text = is_so and yes or no, tone = is_so and "good" or "bad" } end

--- The gates and their evidence.
---@param record table
---@return table[] blocks
function M.gates(record)
  local rows = {}
  for i, event in ipairs(record:all "gate") do
    local gate = event.data
    rows[i] = { gate.name, passed(gate.passed, "open", "CLOSED"), gate.evidence, words.time(event.wall, record.day) }
  end
  return { table_or("No gate was looked at.", { "gate", "state", "evidence", "UTC" }, rows) }
end

--- Every check; those that failed first.
---@param record table
---@return table[] blocks
function M.checks(record)
  local all, failed = {}, {}
  for i, event in ipairs(record:all "check") do
    local check = event.data
    all[i] = { words.time(event.wall, record.day), check.what, check.name, check.colour or "-", passed(check.ok, "ok", "FAILED"), check.detail or "",
      words.seconds(check.seconds) }
    if not check.ok then failed[#failed + 1] = all[i] end
  end
  if not all[1] then return { { kind = "text", text = "No check was made." } } end
  local headings = { "UTC", "kind", "check", "asked of", "result", "detail", "took" }
  local every = { kind = "table", fold = ("All %d checks"):format(#all), headings = headings, rows = all }
  if not failed[1] then return { { kind = "text", text = ("All %d checks passed."):format(#all) }, every } end
  return { { kind = "text", text = ("%d of %d checks failed:"):format(#failed, #all) }, { kind = "table", headings = headings, rows = failed }, every }
end

local function answer_of(approval)
  if not approval.answer then return { text = "OPEN: nobody has answered", tone = "open" } end
  return { text = approval.answer, tone = approval.answer == "yes" and "good" or "bad" }
end

--- What people were asked, and what they answered.
---@param record table
---@return table[] blocks
function M.approvals(record)
  local rows = {}
  for i, one in ipairs(record.approvals) do
    rows[i] = { words.at(one.asked_at, record.day), one.question, answer_of(one), one.by or "-", one.reason or "-",
      one.answered_at and words.at(one.answered_at, record.day) or "-", code(one.evidence_hash:sub(1, 16)) }
  end
  local headings = { "asked, UTC", "question", "answer", "by", "reason", "answered, UTC", "evidence's hash" }
  return { table_or(("Nobody was asked: the mode was %s."):format(record.run.mode), headings, rows) }
end

-- What a step found, by the beginning of its name.
local function result_of(record, name)
  for _, step in ipairs(record.steps) do
    if step.name:sub(1, #name) == name and step.state == "done" then return step.result or {} end
  end
end

local function restored_in_words(record)
  for _, event in ipairs(record:all "note") do
    local note = event.data
    if note.downtime_s then
      return ("in %s, the database not available for %s%s"):format(words.seconds(note.seconds), words.seconds(note.downtime_s), note.warm and ", from the warm copy" or "")
    end
  end
end

--- The backup, its integrity, its drill, and whether it was needed.
---@param record table
---@return table[] blocks
function M.backup(record)
  local event = record:last "backup"
  local taken = event and event.data or result_of(record, "30.1.3 backup")
  if not taken or not taken.path then return { { kind = "text", text = "No backup was taken." } } end
  local integrity, drill = result_of(record, "30.1.3 backup integrity"), result_of(record, "30.1.3 restoration tested")
  local sent = result_of(record, "30.1.3 backup in the store")
  return { { kind = "facts", rows = known {
    { "Backup", code(taken.id) }, { "Location", code(taken.path) }, { "SHA-256", code(taken.checksum) },
    { "Size", taken.size_bytes and ("%d bytes, taken in %s"):format(taken.size_bytes, words.seconds(taken.seconds)) },
    { "Integrity", integrity and ("%d files, %d bytes read and compared"):format(integrity.files, integrity.bytes) or "not verified" },
    { "Drill", drill and ("restored beside the live database and compared: %d tables, %d rows, in %s"):format(drill.tables, drill.rows, words.seconds(drill.seconds)) or "not restored" },
    { "In the store", sent and ("%d files"):format(sent.files) }, { "Restored", restored_in_words(record) },
  } } }
end

--- The test alert and the machine.
---@param record table
---@return table[] blocks
function M.monitoring(record)
  local rows, alert, machine = {}, record:last "alert", record:last "machine"
  if alert then
    local arrived = alert.data.arrived
    rows[#rows + 1] = { "Test alert", passed(arrived, arrived and ("arrived after %s"):format(words.seconds(alert.data.seconds)), "did not arrive: " .. tostring(alert.data.detail)) }
  end
  if machine then
    rows[#rows + 1] = { "Machine", ("CPU %s, memory %s, disk %s"):format(words.use(machine.data.cpu), words.use(machine.data.memory), words.use(machine.data.disk)) }
  end
  return { facts_or("Monitoring was not looked at.", rows) }
end

--- What the run noted.
---@param record table
---@return table[] blocks
function M.notes(record)
  local rows = {}
  for _, event in ipairs(record:all "note") do
    local note = event.data
    if note.text then rows[#rows + 1] = { words.time(event.wall, record.day), note.text, note.seconds and words.seconds(note.seconds) or "-" } end
  end
  return { table_or("Nothing was noted.", { "UTC", "note", "took" }, rows) }
end

--- What the run has given out: addresses, dashboards, files.
---@param record table
---@return table[] blocks
function M.outputs(record)
  local rows, at = {}, {}
  for _, event in ipairs(record:all "output") do
    local name = event.data.name
    if not at[name] then
      rows[#rows + 1] = { name }
      at[name] = #rows
    end
    rows[at[name]][2] = link(tostring(event.data.value))
  end
  return { facts_or("No output is recorded.", rows) }
end

--- The state that was read back from the world at the end; nil when traffic moved since, or nobody looked.
---@param record table
---@return table? event
function M.verified_state(record)
  local state, moved = record:last "state", record:last "traffic"
  return state and (not moved or moved.seq < state.seq) and state or nil
end

--- That state as facts.
---@param record table
---@return table[] blocks
function M.state(record)
  local event = M.verified_state(record)
  if not event then
    local since = record:last "traffic" and "traffic moved" or "the run began"
    return { { kind = "text", text = ("The end state is not verified: nobody has looked at the world since %s."):format(since) } }
  end
  local state = event.data
  return { { kind = "facts", rows = known {
    { "Traffic", ("blue %d %%, green %d %%"):format(state.blue, state.green) }, { "Version that clients get", state.version or "unknown" },
    { "Address", link(state.url) }, { "Stage of the venture's row", state.stage }, { "Read back", event.at },
  } } }
end

--- Whether the record of the run is whole.
---@param record table
---@return table[] blocks
function M.chain(record)
  local first, last, problem = record.events[1], record.events[#record.events], record.proof_error
  local proved = ("verified at %s: every event since the run began follows the one before, and the rows of the run say what its events say"):format(record.made_at)
  return {
    { kind = "facts", rows = {
      { "Events", ("%d, number %d to %d"):format(#record.events, first.seq, last.seq) },
      { "Chain", passed(record.proof, proved, "NOT VERIFIED: " .. (problem and problem.message or "nobody looked")) },
      { "Hash of the last event", code(last.hash) },
    } },
    { kind = "commands", lines = { ("engine log %s --verify"):format(record.run.id) } },
  }
end

return M
