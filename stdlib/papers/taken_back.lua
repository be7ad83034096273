--- papers.taken_back: the part of a report about a release that was taken back or never went out: why, on what evidence, in which order, of
-- which kind, what is lost, what was kept, and the question that stays.

local clock = require "clock"
local expected = require "papers.expected"
local words = require "papers.words"

local M = {}

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
    for _, one in ipairs(event.data.tables or {}) do
      local only = one.only_in and "only " .. one.only_in or table.concat(one.columns_only_live or {}, ", ")
      rows[#rows + 1] = { one.name, one.inserted, one.updated, one.deleted, only, table.concat(one.examples or {}, "; ") }
    end
    if rows[1] then blocks[#blocks + 1] = { kind = "table", headings = { "table", "inserted", "updated", "deleted", "only in the lost schema", "first of them" }, rows = rows } end
    if event.data.path then blocks[#blocks + 1] = { kind = "facts", rows = { { "The rows themselves are in", { text = event.data.path, code = true } } } } end
  end
  return blocks
end

local function reasons(record)
  local rows = {}
  for _, event in ipairs(record:all "reason") do
    local reason = event.data
    for _, row in ipairs {
      { "What", { text = reason.text, tone = "bad" } }, { "Cause", reason.cause }, { "In step", reason.step }, { "Where", reason.where and { text = reason.where, code = true } }, { "Recorded", words.time(event.wall, record.day) },
    } do if row[2] then rows[#rows + 1] = row end end
  end
  if not rows[1] then return { kind = "text", text = "No reason is recorded." } end
  return { kind = "facts", rows = rows }
end

local function failed_verdict(record)
  for _, event in ipairs(record:all "metrics") do if event.data.verdict == "rollback" then return event end end
end

local function evidence(record)
  local event, rows = failed_verdict(record), {}
  if event then
    local data = event.data
    local mean = tonumber(data.evidence and data.evidence.mean)
    rows = { { "At a share of", data.stage }, { "Rule", data.rule or "none: see the reason" }, { "Green", words.figures(data.green) }, { "Blue", words.figures(data.blue) },
      { "E-value, against its limit", data.limit and ("%s of %g"):format(words.evidence(mean), data.limit) or words.NO_DATA }, { "P(false alarm)", data.false_alarm and ("<= %g"):format(data.false_alarm) or words.NO_DATA },
      { "Requests judged", data.n or words.NO_DATA } }
  end
  -- What failed before anything was taken back, not what was looked at because of it.
  local began = record:all "reason"[1]
  for _, event_of in ipairs(record.events) do
    if began and event_of.seq > began.seq then break end
    local check = event_of.data
    if (event_of.kind == "check" or event_of.kind == "gate") and check.ok == false then rows[#rows + 1] = { ("%s: %s"):format(check.what, check.name), { text = check.detail, tone = "bad" } } end
  end
  if not rows[1] then return { kind = "text", text = "No figure and no check stood against the release: see the reason." } end
  return { kind = "facts", rows = rows }
end

-- When the first bad response was given, if requests had a part in it.
local function first_bad_at(record)
  local event = failed_verdict(record)
  return event and event.data.first_bad_at
end

-- What an event says, and why, if that is to be said only once.
local function said_of(event)
  local data = event.data
  if event.kind == "traffic" then return ("traffic: blue %d %%, green %d %%, read back"):format(data.blue, data.green)
  elseif event.kind == "metrics" then return ("%s: %s"):format(data.stage, data.verdict), data.reason
  elseif event.kind == "reason" then return "the deployment ended here", data.text
  elseif event.kind == "canary" then return "canary: " .. data.state, data.reason
  elseif event.kind == "journal_away" then return ("the journal was back after %s"):format(words.seconds(data.seconds))
  elseif event.kind == "engine_died" then return ("the engine (process %s on %s) died"):format(tostring(data.pid), tostring(data.host))
  elseif event.kind == "resume" or event.kind == "rollback" then return ("taken up by %s%s"):format(data.actor, data.reason and ": " .. data.reason or "")
  elseif event.kind == "signal" then return ("%s asked for: %s%s"):format(data.by, data.signal, data.reason and ": " .. data.reason or "")
  elseif event.kind == "loss" then return "the loss was counted"
  elseif event.kind == "state" then return ("verified: clients get %s; blue %d %%, green %d %%"):format(tostring(data.version), data.blue, data.green)
  elseif event.kind == "note" and data.rollback then return ("a %s rollback was chosen"):format(data.rollback)
  elseif event.kind == "note" and data.text then
    local took = data.seconds and words.seconds(data.seconds)
    return took and not data.text:find(took, 1, true) and ("%s: %s"):format(data.text, took) or data.text
  end
end

--- What happened in which order, from the first bad response on, or from the reason when no request had a part in it.
---@param record table
---@return { at: number, what: string }[]
function M.timeline(record)
  local reason = record:all "reason"[1]
  local first = first_bad_at(record)
  local from = first or reason and reason.wall
  if not from then return {} end
  local entries, told = first and { { at = first, what = "the first bad response" } } or {}, {}
  for _, event in ipairs(record.events) do
    local what, why
    if event.wall >= from then what, why = said_of(event) end
    local same = why and why:gsub("^%a+: ", "") -- some say first which colour it was
    if why and not told[same] then
      what, told[same] = ("%s: %s"):format(what, why), true
    end
    if what then entries[#entries + 1] = { at = event.wall, what = what, order = event.seq } end
  end
  for _, step in ipairs(record.steps) do
    local at = clock.of_utc(step.started_at)
    if at >= from and expected.is_way_back(step.name) then entries[#entries + 1] = { at = at, what = ("%s: %s, %s"):format(step.name, step.state, words.seconds(step.seconds)), order = 0 } end
  end
  for i, entry in ipairs(entries) do entry.n = i end
  table.sort(entries, function(a, b) return a.at < b.at or (a.at == b.at and ((a.order or -1) < (b.order or -1) or ((a.order or -1) == (b.order or -1) and a.n < b.n))) end)
  return entries
end

local function timeline_block(record)
  local entries, rows = M.timeline(record), {}
  for i, entry in ipairs(entries) do rows[i] = { words.time(entry.at, record.day), ("+%.3f s"):format(entry.at - entries[1].at), entry.what } end
  return { kind = "table", headings = { "UTC", "since the first", "what" }, rows = rows }
end

local function kind_block(record)
  local chosen
  for _, event in ipairs(record:all "note") do if event.data.rollback then chosen = event.data end end
  if not chosen then return { kind = "text", text = "No kind was chosen: traffic had not moved, so what was done was taken back step by step." } end
  return { kind = "text", text = ("A %s rollback: %s."):format(chosen.rollback, (chosen.text:gsub("^rollback chosen: %a+, because ", ""))) }
end

--- What of the release, and of what was before, is still there.
---@param record table
---@return table[] rows of facts
function M.kept(record)
  local rows = {}
  local backup = record:last "backup"
  if backup then rows[#rows + 1] = { "The backup", { text = backup.data.path, code = true } } end
  for _, event in ipairs(record:all "output") do
    if event.data.name:find "kept" then rows[#rows + 1] = { event.data.name:gsub("^%l", string.upper), { text = event.data.value, code = true } } end
  end
  local loss = record:last "loss"
  if loss and loss.data.path then rows[#rows + 1] = { "The rows that were lost", { text = loss.data.path, code = true } } end
  for _, step in ipairs(record.steps) do
    if step.name:find "run migrations$" and not step.name:find "^undo" and step.state == "done" and not loss then rows[#rows + 1] = { "The schema", "as migrated: " .. table.concat(step.result or {}, ", ") } end
  end
  for _, event in ipairs(record:all "note") do
    local text = event.data.text or ""
    if text:find "log" and text:find "kept" then rows[#rows + 1] = { "The release's output", text } end
  end
  return rows
end

--- How long it took from the first bad response until all traffic was back, if that was measured.
---@param record table
---@return number? seconds
function M.back_after(record)
  for _, event in ipairs(record:all "note") do if event.data.seconds and event.data.text and event.data.text:find "^from the first bad response" then return event.data.seconds end end
end

--- Was something taken back, or given up?
---@param record table
---@return boolean
function M.applies(record) return record:last "reason" ~= nil end

--- The sections of that part.
---@param record table
---@return table[] sections
function M.sections(record)
  local kept = M.kept(record)
  local asked_of = record.owner and record.owner .. ", the owner," or "the owner of the venture"
  local taken_back = record.outcome == "rolled_back" or record:last "traffic"
  return {
    { id = "why", title = taken_back and "Why it was taken back" or "Why it did not go out", blocks = {
      reasons(record), { kind = "heading", text = "Evidence" }, evidence(record), { kind = "heading", text = "The kind of rollback" }, kind_block(record),
    } },
    { id = "timeline", title = "Timeline", blocks = { timeline_block(record) } },
    { id = "loss", title = "Data loss", blocks = M.loss(record) },
    { id = "kept", title = "What was kept", blocks = { kept[1] and { kind = "facts", rows = kept } or { kind = "text", text = "Nothing is recorded as kept." } } },
    { id = "cause", title = "Root cause", blocks = {
      { kind = "text", text = ("The engine knows what it saw, not why it was so. Asked of %s before the next attempt:"):format(asked_of) },
      { kind = "list", items = { "What in the release made this happen?", "Why did nothing before production see it: tests, staging, the rehearsal, the checks before traffic moved?", "Which check would see it next time, and is it in the venture's configuration now?" } },
    } },
  }
end

return M
