--- papers.taken_back: the part of a report about a release that was taken back or never went out: why, on what evidence, in which order, of
-- which kind, what is lost, what was kept, and the question that stays. Pure.

local clock = require "clock"
local expected = require "papers.expected"
local words = require "papers.words"

local M = {}

local function code(text) return { text = text, code = true } end

local function because(reason) return reason and ": " .. reason or "" end

--- What a restore of the database cost, in a word, and as a sentence.
---@param record table of papers.read
---@return string word, string sentence
function M.loss_in_words(record)
  local last = record:last "loss"
  if not last then
    for _, step in ipairs(record.steps) do
      if step.name:find "^RB2 restore" and step.state ~= "done" then return "not known", "What is lost is not known: the restore did not reach its end." end
    end
    return "none", "Nothing is lost: the database was not restored."
  end
  local loss = last.data
  if loss.problem then return "not counted", "What is lost could not be counted: " .. loss.problem end
  local rows = ("%d inserted, %d updated, %d deleted"):format(loss.inserted or 0, loss.updated or 0, loss.deleted or 0)
  return rows, ("The restore took back what was written since the backup: rows %s%s."):format(rows, loss.approximate and ", which is approximate: " .. loss.approximate or "")
end

--- What is lost, table by table.
---@param record table
---@return table[] blocks
function M.loss(record)
  local blocks = { { kind = "text", text = select(2, M.loss_in_words(record)) } }
  for _, event in ipairs(record:all "loss") do
    local rows = {}
    for i, one in ipairs(event.data.tables or {}) do
      local only = one.only_in and "only " .. one.only_in or table.concat(one.columns_only_live or {}, ", ")
      rows[i] = { one.name, one.inserted, one.updated, one.deleted, only, table.concat(one.examples or {}, "; ") }
    end
    if rows[1] then
      blocks[#blocks + 1] = { kind = "table", headings = { "table", "inserted", "updated", "deleted", "only in the lost schema", "first of them" }, rows = rows }
    end
    if event.data.path then blocks[#blocks + 1] = { kind = "facts", rows = { { "The rows themselves are in", code(event.data.path) } } } end
  end
  return blocks
end

local function reasons(record)
  local rows = {}
  for _, event in ipairs(record:all "reason") do
    local reason = event.data
    for _, row in ipairs {
      { "What", { text = reason.text, tone = "bad" } }, { "Cause", reason.cause }, { "In step", reason.step }, { "Where", reason.where and code(reason.where) },
      { "Recorded", words.time(event.wall, record.day) },
    } do if row[2] then rows[#rows + 1] = row end end
  end
  return { kind = "facts", rows = rows }
end

-- The verdict on requests that took the release back, if one did.
local function failed_verdict(record)
  for _, event in ipairs(record:all "metrics") do if event.data.verdict == "rollback" then return event end end
end

local function verdict_rows(event)
  local data = event.data
  local mean = tonumber(data.evidence and data.evidence.mean)
  return {
    { "At a share of", data.stage }, { "Rule", data.rule or "none: see the reason" }, { "Green", words.figures(data.green) }, { "Blue", words.figures(data.blue) },
    { "E-value, against its limit", data.limit and ("%s of %g"):format(words.evidence(mean), data.limit) or words.NO_DATA },
    { "P(false alarm)", data.false_alarm and ("<= %g"):format(data.false_alarm) or words.NO_DATA }, { "Requests judged", data.n or words.NO_DATA },
  }
end

local function evidence(record)
  local event, began = failed_verdict(record), record:all "reason"[1]
  local rows = event and verdict_rows(event) or {}
  -- What failed before anything was taken back, not what was looked at because of it.
  for _, other in ipairs(record.events) do
    local check = other.data
    if other.seq < began.seq and (other.kind == "check" or other.kind == "gate") and check.ok == false then
      rows[#rows + 1] = { ("%s: %s"):format(check.what, check.name), { text = check.detail, tone = "bad" } }
    end
  end
  if not rows[1] then return { kind = "text", text = "No figure and no check stood against the release: see the reason." } end
  return { kind = "facts", rows = rows }
end

local function kind_of(record)
  local chosen
  for _, event in ipairs(record:all "note") do if event.data.rollback then chosen = event.data end end
  if not chosen then return { kind = "text", text = "No kind was chosen: traffic had not moved, so what was done was taken back step by step." } end
  return { kind = "text", text = ("A %s rollback: %s."):format(chosen.rollback, (chosen.text:gsub("^rollback chosen: %a+, because ", ""))) }
end

local function why(record)
  return {
    reasons(record), { kind = "heading", text = "Evidence" }, evidence(record), { kind = "heading", text = "The kind of rollback" }, kind_of(record),
  }
end

-- What an event says in the timeline, and why, if that is to be said only once.
local SAYS = {
  traffic = function(data) return ("traffic: blue %d %%, green %d %%, read back"):format(data.blue, data.green) end,
  metrics = function(data) return ("%s: %s"):format(data.stage, data.verdict), data.reason end,
  reason = function(data) return "the deployment ended here", data.text end,
  canary = function(data) return "canary: " .. data.state, data.reason end,
  journal_away = function(data) return ("the journal was back after %s"):format(words.seconds(data.seconds)) end,
  engine_died = function(data) return ("the engine (process %s on %s) died"):format(tostring(data.pid), tostring(data.host)) end,
  resume = function(data) return ("taken up by %s%s"):format(data.actor, because(data.reason)) end,
  rollback = function(data) return ("taken up to roll back by %s%s"):format(data.actor, because(data.reason)) end,
  signal = function(data) return ("%s asked for: %s%s"):format(data.by, data.signal, because(data.reason)) end,
  loss = function() return "the loss was counted" end,
  state = function(data) return ("verified: clients get %s; blue %d %%, green %d %%"):format(tostring(data.version), data.blue, data.green) end,
  note = function(data)
    if data.rollback then return ("a %s rollback was chosen"):format(data.rollback) end
    local took = data.seconds and words.seconds(data.seconds)
    if took and not data.text:find(took, 1, true) then return ("%s: %s"):format(data.text, took) end
    return data.text
  end,
}

-- The events from a moment on, as entries of the timeline.
local function add_events(record, from, entries)
  local told = {}
  for _, event in ipairs(record.events) do
    local says = event.wall >= from and SAYS[event.kind]
    if says then
      local what, reason = says(event.data)
      local same = reason and reason:gsub("^%a+: ", "") -- some say first which colour it was
      if reason and not told[same] then what, told[same] = ("%s: %s"):format(what, reason), true end
      entries[#entries + 1] = { at = event.wall, what = what }
    end
  end
end

--- What happened in which order, from the first bad response on, or from the reason when no request had a part in it.
---@param record table
---@return { at: number, what: string }[]
function M.timeline(record)
  local verdict = failed_verdict(record)
  local first = verdict and verdict.data.first_bad_at
  local from = first or record:all "reason"[1].wall
  local entries = first and { { at = first, what = "the first bad response" } } or {}
  for _, step in ipairs(record.steps) do
    local at = clock.of_utc(step.started_at)
    if at >= from and expected.is_way_back(step.name) then
      entries[#entries + 1] = { at = at, what = ("%s: %s, %s"):format(step.name, step.state, words.seconds(step.seconds)) }
    end
  end
  add_events(record, from, entries)
  for i, entry in ipairs(entries) do entry.n = i end -- of what happened in the same millisecond, the step begins first
  table.sort(entries, function(a, b) return a.at < b.at or (a.at == b.at and a.n < b.n) end)
  return entries
end

local function timeline(record)
  local entries, rows = M.timeline(record), {}
  for i, entry in ipairs(entries) do rows[i] = { words.time(entry.at, record.day), ("+%.3f s"):format(entry.at - entries[1].at), entry.what } end
  return { { kind = "table", headings = { "UTC", "since the first", "what" }, rows = rows } }
end

-- What of the release, and of what was before, is still there.
local function kept(record)
  local rows, backup, loss = {}, record:last "backup", record:last "loss"
  if backup then rows[#rows + 1] = { "The backup", code(backup.data.path) } end
  for _, event in ipairs(record:all "output") do
    if event.data.name:find "kept" then rows[#rows + 1] = { event.data.name:gsub("^%l", string.upper), code(event.data.value) } end
  end
  if loss and loss.data.path then rows[#rows + 1] = { "The rows that were lost", code(loss.data.path) } end
  for _, step in ipairs(record.steps) do
    local is_migration = step.name:find "run migrations$" and not step.name:find "^undo"
    if is_migration and step.state == "done" and not loss then rows[#rows + 1] = { "The schema", "as migrated: " .. table.concat(step.result or {}, ", ") } end
  end
  for _, event in ipairs(record:all "note") do
    local text = event.data.text or ""
    if text:find "log" and text:find "kept" then rows[#rows + 1] = { "The release's output", text } end
  end
  return { rows[1] and { kind = "facts", rows = rows } or { kind = "text", text = "Nothing is recorded as kept." } }
end

local function cause(record)
  local asked_of = record.owner and record.owner .. ", the owner," or "the owner of the venture"
  return {
    { kind = "text", text = ("The engine knows what it saw, not why it was so. Asked of %s before the next attempt:"):format(asked_of) },
    { kind = "list", items = {
      "What in the release made this happen?",
      "Why did nothing before production see it: tests, staging, the rehearsal, the checks before traffic moved?",
      "Which check would see it next time, and is it in the venture's configuration now?",
    } },
  }
end

--- How long it took from the first bad response until all traffic was back, if that was measured.
---@param record table
---@return number? seconds
function M.back_after(record)
  for _, event in ipairs(record:all "note") do
    local note = event.data
    if note.seconds and note.text and note.text:find "^from the first bad response" then return note.seconds end
  end
end

--- Was something taken back, or given up?
---@param record table
---@return boolean
function M.applies(record) return record:last "reason" ~= nil end

--- The sections of that part, for papers.report.
---@param record table
---@return table[] sections
function M.sections(record)
  return {
    { "why", record:last "traffic" and "Why it was taken back" or "Why it did not go out", why }, { "timeline", "Timeline", timeline }, { "loss", "Data loss", M.loss },
    { "kept", "What was kept", kept }, { "cause", "Root cause", cause },
  }
end

return M
