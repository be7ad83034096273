--- repl.follow: what a console sees of the venture's run: its state for the prompt, and its events between the prompts, a line each.

local M = {}

local ASKED = { pause = "it to pause", go_on = "it to go on" }

-- The events that are told, and what is told of each.
local TOLD = {
  step_begin = function(data) return "▶ " .. data.name end,
  step_end = function(data) return data.state ~= "done" and ("✗ a step %s%s"):format(data.state, data.error and ": " .. tostring(data.error.message) or "") or nil end,
  traffic = function(data) return ("✓ traffic: blue %s %%, green %s %%"):format(tostring(data.blue), tostring(data.green)) end,
  metrics = function(data) return ("%s %s: %s%s"):format(data.verdict == "promote" and "✓" or "!", tostring(data.stage), tostring(data.verdict), data.reason and ": " .. data.reason or "") end,
  ask = function(data) return ("? %s; engine approve"):format(data.question) end,
  answer = function(data) return ("? answered %s by %s"):format(data.answer, data.by) end,
  signal = function(data) return ("! %s asked %s%s"):format(data.by, ASKED[data.signal] or "for a " .. tostring(data.signal), data.reason and ": " .. data.reason or "") end,
  reason = function(data) return "✗ " .. tostring(data.text) end,
  hold = function(data) return ("! a console holds %s"):format(data.venture) end,
  engine_died = function(data) return ("! the engine (process %s on %s) died"):format(tostring(data.pid), tostring(data.host)) end,
  resume = function(data) return ("▶ resumed by %s"):format(data.actor) end,
  rollback = function(data) return ("▶ rollback by %s"):format(data.actor) end,
  run_end = function(data) return ("· ended: %s, exit %s%s"):format(data.outcome, tostring(data.exit_code), data.summary and ": " .. data.summary or "") end,
}

--- One event as a line; nil for one that is not told.
---@param event { at: string, kind: string, data: table }
---@return string?
---@usage assert(require("repl.follow").line({ at = "2026-11-24T10:00:00.000Z", kind = "traffic", data = { blue = 90, green = 10 } }) == "10:00:00 ✓ traffic: blue 90 %, green 10 %")
function M.line(event)
  local tell = TOLD[event.kind]
  local text = tell and tell(event.data)
  return text and ("%s %s"):format(event.at:match "T(%d+:%d+:%d+)" or event.at, text) or nil
end

--- What the run is doing, in one word for the prompt; nil when nothing is under way.
---@param journal table
---@param row? table of the run
---@return string?
function M.state(journal, row)
  if not row then return nil end
  if row.ended_at then return row.outcome and row.outcome:upper():gsub("_", " ") end
  local _, lives = journal:holder(journal:lease_of(row))
  if not lives then return "ENGINE DEAD" end
  if journal:open_question(row.id) then return "WAITING" end
  return require("run.pause").of(journal:signals(row.id) or {}) and "PAUSED" or "RUNNING"
end

-- The run that the prompt speaks of: the one that the console is attached to, or one of the venture that is under way.
local function run_of(session)
  local journal = session.journal
  if session.attached then return journal:run(session.attached.id) end
  local latest = session.venture and (journal:runs { venture = session.venture.name, limit = 1 } or {})[1]
  return latest and not latest.ended_at and latest or nil
end

--- Looks at the run once: its state, and what happened since the last look. Raises nothing: a journal that is away says nothing.
---@param session table
function M.look(session)
  local journal = session.journal
  if not journal then return end
  pcall(function()
    local row = run_of(session)
    session.run_state = M.state(journal, row)
    if not session.attached then return end
    local events = assert(journal:events(session.attached.id, session.followed or 0))
    local is_first = not session.followed
    for _, event in ipairs(events) do
      session.followed = event.seq
      if event.kind == "traffic" then session.weights = event.data end
      local line = not is_first and not session.is_quiet and not session.is_waiting_for_run and M.line(event)
      if line then session:tell(line) end
    end
    session.followed = session.followed or 0
  end)
end

return M
