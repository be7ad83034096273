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
local requests = require "papers.requests"
local taken_back = require "papers.taken_back"
local words = require "papers.words"

local M = {}

local function table_or(what, headings, rows, widths) return rows[1] and { kind = "table", headings = headings, rows = rows, widths = widths } or { kind = "text", text = what } end
local function facts_or(what, rows) return rows[1] and { kind = "facts", rows = rows } or { kind = "text", text = what } end

local function code(text) return text and { text = text, code = true } end

-- Who has the run, or had it.
local function holder_of(record)
  local lease = record.lease
  return lease and ("process %d on %s"):format(lease.pid, lease.host) or "its engine"
end

local function traffic_now(record)
  local last = record:last "traffic"
  return last and ("traffic was last set to blue %d %%, green %d %%"):format(last.data.blue, last.data.green) or "traffic had not moved"
end

local UNENDED = {
  ["under way"] = { "Under way", "open", function(record) return ("This is what the run had done by %s; %s has it, and %s."):format(record.made_at, holder_of(record), traffic_now(record)) end },
  died = { "Its engine died", "bad", function(record) return ("The run has not ended: %s is gone. The last thing that is recorded happened at %s, and %s. engine resume %s goes on, engine rollback %s takes it back."):format(holder_of(record), record.until_at, traffic_now(record), record.run.id, record.run.id) end },
  left = { "Left as it is", "open", function(record) return ("The run has not ended, and no engine has it. The last thing that is recorded happened at %s, and %s. engine resume %s goes on, engine rollback %s takes it back."):format(record.until_at, traffic_now(record), record.run.id, record.run.id) end },
}

local ENDED = { promoted = { "Promoted", "good" }, rolled_back = { "Rolled back", "back" }, aborted = { "Aborted, nothing changed", "back" }, failed = { "Failed", "bad" }, done = { "Done", "good" }, interrupted = { "Interrupted", "back" } }

--- What came of a run: the word, its tone, and the sentence.
---@param record table of papers.read
---@return { word: string, tone: string, text: string }
function M.outcome(record)
  if record.standing ~= "ended" then
    local words_of = UNENDED[record.standing]
    return { word = words_of[1], tone = words_of[2], text = words_of[3](record) }
  end
  local known = ENDED[record.outcome] or { tostring(record.outcome or "unknown"), "open" }
  local word = known[1]
  if record.exit_code == 5 then word = "Rollback failed" end
  if record.exit_code == 3 then word = "Nobody answered, nothing changed" end
  return { word = word, tone = known[2], text = record.summary or "" }
end

local function took(record)
  local seconds = clock.of_utc(record.until_at) - clock.of_utc(record.run.started_at)
  return words.seconds(seconds)
end

local function keys(record)
  local judged, errors = requests.judged(record)
  local out = { { record.standing == "ended" and "Took" or "So far", took(record) } }
  local back = taken_back.back_after(record)
  if back then out[#out + 1] = { "First bad response to all traffic back", words.seconds(back) } end
  if record:last "traffic" then out[#out + 1] = { "Requests judged", judged > 0 and ("%d, %d failed"):format(judged, errors) or words.NO_DATA } end
  if record.standing == "ended" or record:last "loss" then out[#out + 1] = { "Rows lost", (taken_back.loss_in_words(record)) } end
  return out
end

local function about(record)
  local run, release = record.run, record.values.release or {}
  local rows = {
    { "Run", code(run.id) }, { "Venture", run.venture or "none" }, { "Release", run.release or "none" }, { "Digest", code(release.digest) },
    { "Version before", record.colours.version }, { "Colours", record.colours.old and ("%s served, %s got the release"):format(record.colours.old, record.colours.new) },
    { "By", run.actor }, { "Reason", run.reason or "none given" }, { "Mode", run.mode }, { "Owner", record.owner or "not named in the venture's configuration" },
    { "Began", run.started_at }, { record.standing == "ended" and "Ended" or "Last recorded", record.until_at }, { "Exit code", record.exit_code },
    { "Playbook", ("%s (%s)"):format(run.playbook, run.path) }, { "Its sources", code("sha256:" .. run.hash) },
    { "Plan", run.settings.plan and code(run.settings.plan) or "the run was not bound to one (--plan)" }, { "Engine", run.engine },
  }
  local out = {}
  for _, row in ipairs(rows) do if row[2] ~= nil then out[#out + 1] = row end end
  for _, kind in ipairs { "resume", "rollback" } do
    for _, event in ipairs(record:all(kind)) do
      out[#out + 1] = { kind == "resume" and "Resumed" or "Taken up to roll back", ("%s by %s%s"):format(event.at, event.data.actor, event.data.reason and ": " .. event.data.reason or "") }
    end
  end
  return { { kind = "facts", rows = out, dense = true } }
end

local function depths(steps)
  local depth = {}
  for _, step in ipairs(steps) do depth[step.seq] = step.parent and (depth[step.parent] or 0) + 1 or 0 end
  return depth
end

local TONES = { done = "good", failed = "bad", canceled = "back", running = "open", intent = "open" }

local function state_of(step)
  local text = step.state == "intent" and "running" or step.state
  if step.attempts > 1 then text = ("%s, %d times begun"):format(text, step.attempts) end
  if step.error and step.error.message then text = text .. ": " .. step.error.message end
  return { text = text, tone = TONES[step.state] }
end

local function steps(record)
  local depth, rows = depths(record.steps), {}
  for number, step in ipairs(record.steps) do
    local expected, of = record.expected.of(step.name, record.values)
    rows[number] = { number, words.at(step.started_at, record.day), { text = step.name, depth = depth[step.seq] }, state_of(step), words.seconds(step.seconds), expected and ("%s, of %d"):format(words.seconds(expected), of) or "none yet" }
  end
  local runs = record.expected.runs
  return {
    { kind = "text", quiet = true, text = runs == 0 and ("No earlier run of %s was promoted: there is nothing to expect a duration from."):format(record.run.venture or "this venture")
      or ("Expected is the median of the same step in %s of %s; of steps of the way back in those that were rolled back and verified."):format(words.count(runs, "earlier promoted run"), record.run.venture) },
    table_or("No step was begun.", { "#", "UTC", "step", "state", "took", "expected" }, rows, { 4, 13, 36, 27, 8, 12 }),
  }
end

local function gates(record)
  local rows = {}
  for _, event in ipairs(record:all "gate") do
    local gate = event.data
    rows[#rows + 1] = { gate.name, { text = gate.passed and "open" or "CLOSED", tone = gate.passed and "good" or "bad" }, gate.evidence, words.time(event.wall, record.day) }
  end
  return { table_or("No gate was looked at.", { "gate", "state", "evidence", "UTC" }, rows) }
end

local function check_row(event, record)
  local check = event.data
  return { words.time(event.wall, record.day), check.what, check.name, check.colour or "-", { text = check.ok and "ok" or "FAILED", tone = check.ok and "good" or "bad" }, check.detail or "", words.seconds(check.seconds) }
end

local function checks(record)
  local all, failed = {}, {}
  for _, event in ipairs(record:all "check") do
    local row = check_row(event, record)
    all[#all + 1] = row
    if not event.data.ok then failed[#failed + 1] = row end
  end
  if not all[1] then return { { kind = "text", text = "No check was made." } } end
  local headings = { "UTC", "kind", "check", "asked of", "result", "detail", "took" }
  local blocks = { { kind = "text", text = failed[1] and ("%d of %d checks failed:"):format(#failed, #all) or ("All %d checks passed."):format(#all) } }
  if failed[1] then blocks[#blocks + 1] = { kind = "table", headings = headings, rows = failed } end
  blocks[#blocks + 1] = { kind = "table", fold = ("All %d checks"):format(#all), headings = headings, rows = all }
  return blocks
end

local function approvals(record)
  local rows = {}
  for _, one in ipairs(record.approvals) do
    rows[#rows + 1] = { words.at(one.asked_at, record.day), one.question, { text = one.answer or "OPEN: nobody has answered", tone = not one.answer and "open" or one.answer == "yes" and "good" or "bad" }, one.by or "-", one.reason or "-", one.answered_at and words.at(one.answered_at, record.day) or "-", code(one.evidence_hash:sub(1, 16)) }
  end
  return { table_or(("Nobody was asked: the mode was %s."):format(record.run.mode), { "asked, UTC", "question", "answer", "by", "reason", "answered, UTC", "evidence's hash" }, rows) }
end

-- What a step found, by the beginning of its name.
local function result_of(record, name)
  for _, step in ipairs(record.steps) do if step.name:sub(1, #name) == name and step.state == "done" then return step.result or {} end end
end

local function backup(record)
  local event = record:last "backup"
  local taken = event and event.data or result_of(record, "30.1.3 backup")
  if not taken or not taken.path then return { { kind = "text", text = "No backup was taken." } } end
  local integrity, drill, sent = result_of(record, "30.1.3 backup integrity"), result_of(record, "30.1.3 restoration tested"), result_of(record, "30.1.3 backup in the store")
  local rows = {
    { "Backup", code(taken.id) }, { "Location", code(taken.path) }, { "SHA-256", code(taken.checksum) }, { "Size", taken.size_bytes and ("%d bytes, taken in %s"):format(taken.size_bytes, words.seconds(taken.seconds)) },
    { "Integrity", integrity and ("%d files, %d bytes read and compared"):format(integrity.files, integrity.bytes) or "not verified" },
    { "Drill", drill and ("restored beside the live database and compared: %d tables, %d rows, in %s"):format(drill.tables, drill.rows, words.seconds(drill.seconds)) or "not restored" },
    { "In the store", sent and ("%d files"):format(sent.files) or nil },
  }
  local restored
  for _, note in ipairs(record:all "note") do if note.data.downtime_s then restored = note.data end end
  if restored then rows[#rows + 1] = { "Restored", ("in %s, the database not available for %s%s"):format(words.seconds(restored.seconds), words.seconds(restored.downtime_s), restored.warm and ", from the warm copy" or "") } end
  local out = {}
  for _, row in ipairs(rows) do if row[2] then out[#out + 1] = row end end
  return { { kind = "facts", rows = out } }
end

local function monitoring(record)
  local rows = {}
  local alert = record:last "alert"
  if alert then rows[#rows + 1] = { "Test alert", alert.data.arrived and ("arrived after %s"):format(words.seconds(alert.data.seconds)) or { text = "did not arrive: " .. tostring(alert.data.detail), tone = "bad" } } end
  local machine = record:last "machine"
  if machine then rows[#rows + 1] = { "Machine", ("CPU %s, memory %s, disk %s"):format(words.use(machine.data.cpu), words.use(machine.data.memory), words.use(machine.data.disk)) } end
  return { facts_or("Monitoring was not looked at.", rows) }
end

local function notes(record)
  local rows = {}
  for _, event in ipairs(record:all "note") do
    if event.data.text then rows[#rows + 1] = { words.time(event.wall, record.day), event.data.text, event.data.seconds and words.seconds(event.data.seconds) or "-" } end
  end
  return rows[1] and { { kind = "table", headings = { "UTC", "note", "took" }, rows = rows } } or nil
end

local function link(value) return type(value) == "string" and value:find "^https?://" and { text = value, href = value } or code(value) end

--- What the run has given out: addresses, dashboards, files.
---@param record table
---@return table[] rows of facts
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
  return rows
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
    return { { kind = "text", text = ("The end state is not verified: nobody has looked at the world since %s."):format(record:last "traffic" and "traffic moved" or "the run began") } }
  end
  local state = event.data
  local rows = { { "Traffic", ("blue %d %%, green %d %%"):format(state.blue, state.green) }, { "Version that clients get", state.version or "unknown" } }
  if state.url then rows[#rows + 1] = { "Address", link(state.url) } end
  if state.stage then rows[#rows + 1] = { "Stage of the venture's row", state.stage } end
  rows[#rows + 1] = { "Read back", event.at }
  return { { kind = "facts", rows = rows } }
end

--- Who has taken a run over, or that nobody has yet; nil when it has no handoff.
---@param events table[] of the run
---@param run { id: string, outcome?: string }
---@param is_made? boolean the handoff is being made right now
---@return { text: string, tone: string }?
---@usage assert(require("papers.report").handoff({}, { id = "7f3c", outcome = "promoted" }) == nil)
function M.handoff(events, run, is_made)
  local accepted
  for _, event in ipairs(events) do
    if event.kind == "handoff" then is_made = true elseif event.kind == "handoff_accepted" then accepted = event end
  end
  if accepted then return { text = ("accepted by %s at %s%s"):format(accepted.data.by, accepted.at, accepted.data.reason and ": " .. accepted.data.reason or ""), tone = "good" } end
  if is_made and run.outcome == "promoted" then return { text = ("not accepted yet; engine handoff accept %s"):format(run.id), tone = "open" } end
end

local function chain(record)
  local first, last = record.events[1], record.events[#record.events]
  local rows = { { "Events", ("%d, number %d to %d"):format(#record.events, first.seq, last.seq) } }
  if record.proof then
    rows[#rows + 1] = { "Chain", { text = ("verified at %s: every event since the run began follows the one before, and the rows of the run say what its events say"):format(record.made_at), tone = "good" } }
  else
    rows[#rows + 1] = { "Chain", { text = "NOT VERIFIED: " .. (record.proof_error and record.proof_error.message or "nobody looked"), tone = "bad" } }
  end
  rows[#rows + 1] = { "Hash of the last event", code(last.hash) }
  return { { kind = "facts", rows = rows }, { kind = "commands", lines = { ("engine log %s --verify"):format(record.run.id) } } }
end

local KINDS = { promoted = "Deployment log", rolled_back = "Rollback report", aborted = "Abort report" }

--- The report.
---@param record table of papers.read
---@return table document
function M.of(record)
  local run = record.run
  local outputs = M.outputs(record)
  local sections = { { id = "about", title = "Who, why, what", blocks = about(record) } }
  local function add(id, title, blocks) if blocks and blocks[1] then sections[#sections + 1] = { id = id, title = title, blocks = blocks } end end
  if taken_back.applies(record) then for _, section in ipairs(taken_back.sections(record)) do sections[#sections + 1] = section end end
  add("state", record.standing == "ended" and "Verified end state" or "State", M.state(record))
  add("requests", "What clients got", requests.charts(record))
  local verdicts = requests.verdicts(record)
  for _, block in ipairs(requests.states(record)) do verdicts[#verdicts + 1] = block end
  add("verdicts", "Evidence of the verdicts", verdicts)
  add("steps", "Steps", steps(record))
  add("gates", "Gates", gates(record))
  add("checks", "Checks", checks(record))
  add("approvals", "Approvals", approvals(record))
  add("backup", "Backup and drill", backup(record))
  if not taken_back.applies(record) then add("loss", "Data loss", taken_back.loss(record)) end
  add("monitoring", "Monitoring", monitoring(record))
  add("notes", "Notes", notes(record))
  add("outputs", "Outputs", { facts_or("None.", outputs) })
  local accepted = M.handoff(record.events, { id = run.id, outcome = record.outcome }, record.is_own)
  if accepted then add("handoff", "Handoff", { { kind = "facts", rows = { { "Handoff", accepted } } } }) end
  add("chain", "Audit", chain(record))
  local kind = record.standing == "ended" and KINDS[record.outcome] or "Run report"
  local subject = ("%s %s"):format(run.venture or run.playbook, run.release or "")
  return { title = ("%s: %s"):format(kind, subject), kind = kind, subject = subject, made = ("Run %s. Made from the journal at %s."):format(run.id, record.made_at), outcome = M.outcome(record), keys = keys(record), sections = sections }
end

return M
