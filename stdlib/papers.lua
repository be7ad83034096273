--- papers: a run's documents in Markdown, made from what the journal has and nothing else.
--
-- Pure functions of data = { run = row, steps = rows, events = rows, result = { outcome, exit, summary } }. A figure
-- that was not measured is said to be so.

local M = {}

local UNMEASURED = "not measured"

local function cell(value) return (tostring(value == nil and "" or value):gsub("|", "\\|"):gsub("\n", " ")) end

local function markdown_table(out, headings, rows)
  if #rows == 0 then
    out[#out + 1] = "None."
    out[#out + 1] = ""
    return
  end
  out[#out + 1] = "| " .. table.concat(headings, " | ") .. " |"
  out[#out + 1] = "|" .. (" --- |"):rep(#headings)
  for _, row in ipairs(rows) do
    local cells = {}
    for i = 1, #headings do cells[i] = cell(row[i]) end
    out[#out + 1] = "| " .. table.concat(cells, " | ") .. " |"
  end
  out[#out + 1] = ""
end

local function heading(out, text)
  out[#out + 1] = "## " .. text
  out[#out + 1] = ""
end

local function seconds(value) return value and ("%.3f s"):format(value) or UNMEASURED end
local function percent(value) return value and ("%.2f %%"):format(value * 100) or "no data" end

local function of_kind(data, kind)
  local found = {}
  for _, event in ipairs(data.events) do if event.kind == kind then found[#found + 1] = event end end
  return found
end

local function last(list) return list[#list] end

local function depths(steps)
  local depth = {}
  for _, step in ipairs(steps) do depth[step.seq] = step.parent and (depth[step.parent] or 0) + 1 or 0 end
  return depth
end

local function about(out, data, title)
  local run = data.run
  out[#out + 1] = ("# %s: %s %s"):format(title, run.venture or "no venture", run.release or "")
  out[#out + 1] = ""
  local release
  for _, event in ipairs(of_kind(data, "note")) do if event.data.digest then release = event.data end end
  local rows = {
    { "run", run.id }, { "outcome", ("%s, exit %s: %s"):format(data.result.outcome or "unknown", tostring(data.result.exit), data.result.summary or "") },
    { "started", run.started_at }, { "by", run.actor }, { "reason", run.reason or "none given" }, { "mode", run.mode },
    { "playbook", ("%s (%s), SHA-256 of all its sources %s"):format(run.playbook, run.path, run.hash) },
    { "release", release and ("%s, %s"):format(release.version, release.digest) or run.release }, { "version before", data.version and data.version.before },
  }
  markdown_table(out, { "what", "" }, rows)
end

local function reasons(out, data)
  for _, event in ipairs(of_kind(data, "reason")) do
    local reason = event.data
    out[#out + 1] = ("**%s** at %s in step *%s*%s%s"):format(reason.text, event.at, reason.step or "unknown", reason.cause and "; cause: " .. reason.cause or "", reason.where and (" (%s)"):format(reason.where) or "")
    out[#out + 1] = ""
  end
end

local function steps(out, data)
  local depth, rows = depths(data.steps), {}
  for _, step in ipairs(data.steps) do
    if step.ended_at then rows[#rows + 1] = { step.started_at, ("&nbsp;"):rep(2 * depth[step.seq]) .. step.name, step.state, seconds(step.seconds), step.error and step.error.message or "" } end -- not the step that writes this
  end
  markdown_table(out, { "UTC", "step", "state", "took", "error" }, rows)
end

local function gates(out, data)
  local rows = {}
  for _, event in ipairs(of_kind(data, "gate")) do rows[#rows + 1] = { event.data.name, event.data.passed and "open" or "closed", event.data.evidence, event.at } end
  markdown_table(out, { "gate", "state", "evidence", "UTC" }, rows)
end

local function checks(out, data)
  local rows = {}
  for _, event in ipairs(of_kind(data, "check")) do
    local check = event.data
    rows[#rows + 1] = { event.at, check.what, check.name, check.colour, check.ok and "ok" or "FAILED", check.detail, check.seconds and seconds(check.seconds) or "" }
  end
  markdown_table(out, { "UTC", "kind", "check", "asked of", "result", "detail", "took" }, rows)
end

local function traffic(out, data)
  local rows = {}
  for _, event in ipairs(of_kind(data, "traffic")) do
    local change = event.data
    rows[#rows + 1] = { event.at, ("%d / %d"):format(change.before.blue, change.before.green), ("%d / %d"):format(change.blue, change.green), change.verified and "read back from the proxy" or "not verified" }
  end
  markdown_table(out, { "UTC", "before: blue / green %", "after: blue / green %", "verified" }, rows)
end

local function figures(counts)
  if not counts or not counts.requests or counts.requests == 0 then return "no data" end
  return ("%d requests, %d errors (%s), p95 %s"):format(counts.requests, counts.errors, percent(counts.error_rate), counts.p95_ms and ("%.0f ms"):format(counts.p95_ms) or "no data")
end

local function metrics(out, data)
  local rows = {}
  for _, event in ipairs(of_kind(data, "metrics")) do
    local view = event.data
    rows[#rows + 1] = { event.at, view.stage, figures(view.green), figures(view.blue), view.verdict, view.reason, view.seconds and seconds(view.seconds) or UNMEASURED }
  end
  markdown_table(out, { "UTC", "stage", "green", "blue", "verdict", "reason", "watched" }, rows)
end

local function machine(out, data)
  local rows = {}
  for _, event in ipairs(of_kind(data, "machine")) do rows[#rows + 1] = { event.at, percent(event.data.cpu), percent(event.data.memory), percent(event.data.disk) } end
  markdown_table(out, { "UTC", "CPU", "memory", "disk" }, rows)
end

local function backups(out, data)
  local rows = {}
  for _, event in ipairs(of_kind(data, "backup")) do
    local one = event.data
    rows[#rows + 1] = { one.id, one.path, one.checksum, one.size_bytes, seconds(one.seconds), seconds(one.drill_seconds) }
  end
  markdown_table(out, { "backup", "location", "SHA-256", "bytes", "taken in", "restored and compared in" }, rows)
end

local function approvals(out, data)
  local rows = {}
  for _, event in ipairs(of_kind(data, "approval")) do rows[#rows + 1] = { event.at, event.data.question, event.data.answer, event.data.by, event.data.reason } end
  markdown_table(out, { "UTC", "question", "answer", "by", "reason" }, rows)
end

local function notes(out, data)
  local rows = {}
  for _, event in ipairs(of_kind(data, "note")) do rows[#rows + 1] = { event.at, event.data.text, event.data.seconds and seconds(event.data.seconds) or "" } end
  markdown_table(out, { "UTC", "note", "seconds" }, rows)
end

local function outputs(out, data)
  local rows = {}
  for _, event in ipairs(of_kind(data, "output")) do rows[#rows + 1] = { event.data.name, event.data.value } end
  markdown_table(out, { "output", "" }, rows)
end

local function end_state(out, data)
  local event = last(of_kind(data, "state"))
  if not event then
    out[#out + 1] = "The end state was not verified."
    out[#out + 1] = ""
    return
  end
  local state = event.data
  markdown_table(out, { "what", "read back from the world" }, {
    { "traffic", ("blue %d %%, green %d %%"):format(state.blue, state.green) }, { "version that clients get", state.version or "unknown" },
    { "address", state.url }, { "stage of the venture's row", state.stage }, { "at", event.at },
  })
end

local function text_of(out) return table.concat(out, "\n") .. "\n" end

--- The deployment log: who, why, which plan and versions, every step, evidence, traffic, figures, end state.
---@param data table
---@return string
function M.deployment_log(data)
  local out = {}
  about(out, data, "Deployment log")
  reasons(out, data)
  for _, part in ipairs {
    { "Steps", steps }, { "Gates", gates }, { "Checks", checks }, { "Backups", backups }, { "Traffic", traffic }, { "Canary", metrics }, { "Machine", machine },
    { "Approvals", approvals }, { "Notes", notes }, { "Outputs", outputs }, { "Verified end state", end_state },
  } do
    heading(out, part[1])
    part[2](out, data)
  end
  return text_of(out)
end

local function losses(out, data)
  local all = of_kind(data, "loss")
  if #all == 0 then
    out[#out + 1] = "The database was not restored: no row was lost."
    out[#out + 1] = ""
    return
  end
  for _, event in ipairs(all) do
    local loss = event.data
    out[#out + 1] = ("Since the backup, %d rows had been inserted, %d updated and %d deleted. The rows themselves are in `%s`."):format(loss.inserted or 0, loss.updated or 0, loss.deleted or 0, loss.path or "")
    out[#out + 1] = ""
    local rows = {}
    for _, one in ipairs(loss.tables) do
      rows[#rows + 1] = { one.name, one.inserted, one.updated, one.deleted, one.only_in and "only " .. one.only_in or table.concat(one.columns_only_live or {}, ", "), table.concat(one.examples or {}, "; ") }
    end
    markdown_table(out, { "table", "inserted", "updated", "deleted", "only in the lost schema", "first of them" }, rows)
  end
end

-- An event's time is that of its record. When the journal was away, what it tells of was earlier.
local function late(entry) return entry.late_s and (", %.3f s before it could be recorded"):format(entry.late_s) or "" end

--- The rollback report: reason, timeline, data loss, end state. Also for a deployment that was aborted.
---@param data table
---@return string
function M.rollback_report(data)
  local out = {}
  about(out, data, data.result.outcome == "aborted" and "Abort report" or "Rollback report")
  heading(out, "Reason")
  reasons(out, data)
  heading(out, "Timeline")
  local rows = {}
  for _, event in ipairs(data.events) do
    local entry = event.data
    if event.kind == "traffic" then rows[#rows + 1] = { event.at, ("traffic: blue %d %%, green %d %%, read back%s"):format(entry.blue, entry.green, late(entry)) }
    elseif event.kind == "metrics" then
      if entry.first_bad_at then rows[#rows + 1] = { require("clock").utc(entry.first_bad_at), "the first bad response of " .. tostring(entry.colour) } end
      rows[#rows + 1] = { event.at, ("%s: %s (%s)"):format(entry.stage, entry.verdict, entry.reason or "") }
    elseif event.kind == "reason" then rows[#rows + 1] = { event.at, "failed: " .. entry.text }
    elseif event.kind == "journal_away" then rows[#rows + 1] = { event.at, ("the journal was back after %.3f s"):format(entry.seconds) }
    elseif event.kind == "note" and entry.text then rows[#rows + 1] = { event.at, entry.text .. (entry.seconds and (": %.3f s"):format(entry.seconds) or "") } end
  end
  for _, step in ipairs(data.steps) do
    if step.name:match "^RB%d" or step.name:match "^rollback" or step.name:match "^abort" or step.name:match "^undo" then rows[#rows + 1] = { step.started_at, ("%s: %s, %s"):format(step.name, step.state, seconds(step.seconds)) } end
  end
  table.sort(rows, function(a, b) return a[1] < b[1] end)
  markdown_table(out, { "UTC", "what" }, rows)
  heading(out, "Data loss")
  losses(out, data)
  heading(out, "Figures")
  metrics(out, data)
  heading(out, "Verified end state")
  end_state(out, data)
  return text_of(out)
end

--- The handoff to the next stage: state now, what is unsafe to touch, how to go back, who owns it.
---@param data table
---@return string
function M.handoff(data)
  local out = {}
  about(out, data, "Handoff to the next stage")
  heading(out, "State now")
  end_state(out, data)
  heading(out, "Do not touch yet")
  local state = last(of_kind(data, "state"))
  local old = state and (state.data.green == 100 and "blue" or "green") or "the other colour"
  out[#out + 1] = ("- %s still runs with the release of before, at 0 %%: it is the way back. Leave it until the new release has proved itself."):format(old)
  local backup = last(of_kind(data, "backup"))
  if backup then out[#out + 1] = ("- The backup `%s` (SHA-256 %s) was restored and compared in %s."):format(backup.data.path, backup.data.checksum, seconds(backup.data.drill_seconds)) end
  out[#out + 1] = ""
  heading(out, "Gates")
  gates(out, data)
  heading(out, "Open")
  local alert = last(of_kind(data, "alert"))
  out[#out + 1] = alert and alert.data.arrived and ("- Monitoring: a test alert arrived after %.1f s."):format(alert.data.seconds) or "- **Monitoring is not proved active**: " .. (alert and alert.data.detail or "no test alert was fired") .. "."
  out[#out + 1] = ""
  heading(out, "Outputs")
  outputs(out, data)
  heading(out, "Owner")
  out[#out + 1] = (data.owner or "not named in the venture's configuration") .. "; deployed by " .. data.run.actor .. "."
  return text_of(out)
end

return M
