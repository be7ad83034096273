--- papers.standing: how a run stands: what came of it, or why nothing has yet, and who has taken it over. Pure.

local M = {}

-- Who has the run, or had it.
local function holder_of(record)
  local lease = record.lease
  return lease and ("process %d on %s"):format(lease.pid, lease.host) or "its engine"
end

local function traffic_of(record)
  local last = record:last "traffic"
  if not last then return "traffic had not moved" end
  return ("traffic was last set to blue %s %%, green %s %%"):format(tostring(last.data.blue), tostring(last.data.green))
end

local function what_is_left(record, why)
  return ("The run has not ended%s. The last thing that is recorded happened at %s, and %s. engine resume %s goes on, engine rollback %s takes it back."):format(
    why, record.until_at, traffic_of(record), record.run.id, record.run.id)
end

local UNENDED = {
  ["under way"] = { word = "Under way", tone = "open", say = function(record)
    return ("This is what the run had done by %s; %s has it, and %s."):format(record.made_at, holder_of(record), traffic_of(record))
  end },
  died = { word = "Its engine died", tone = "bad", say = function(record) return what_is_left(record, (": %s is gone"):format(holder_of(record))) end },
  left = { word = "Left as it is", tone = "open", say = function(record) return what_is_left(record, ", and no engine has it") end },
}

local ENDED = {
  promoted = { word = "Promoted", tone = "good" },
  rolled_back = { word = "Rolled back", tone = "back" },
  aborted = { word = "Aborted, nothing changed", tone = "back" },
  interrupted = { word = "Interrupted", tone = "back" },
  failed = { word = "Failed", tone = "bad" },
  done = { word = "Done", tone = "good" },
}

local BY_EXIT_CODE = { [3] = "Nobody answered, nothing changed", [5] = "Rollback failed" }

--- What came of a run: the word, its tone, and the sentence.
---@param record table of papers.read
---@return { word: string, tone: "good"|"back"|"bad"|"open", text: string }
function M.outcome(record)
  if record.standing ~= "ended" then
    local known = UNENDED[record.standing]
    return { word = known.word, tone = known.tone, text = known.say(record) }
  end
  local known = ENDED[record.outcome] or { word = tostring(record.outcome or "unknown"), tone = "open" }
  return { word = BY_EXIT_CODE[record.exit_code] or known.word, tone = known.tone, text = record.summary or "" }
end

--- Who has taken a run over, or that nobody has yet; nil when it has no handoff.
---@param events table[] of the run
---@param run { id: string, outcome?: string }
---@param is_made? boolean the handoff is being made right now
---@return { text: string, tone: string }?
---@usage assert(require("papers.standing").handoff({}, { id = "7f3c", outcome = "promoted" }) == nil)
function M.handoff(events, run, is_made)
  local accepted
  for _, event in ipairs(events) do
    if event.kind == "handoff" then is_made = true elseif event.kind == "handoff_accepted" then accepted = event end
  end
  if accepted then
    local reason = accepted.data.reason and ": " .. accepted.data.reason or ""
    return { text = ("accepted by %s at %s%s"):format(accepted.data.by, accepted.at, reason), tone = "good" }
  end
  if is_made and run.outcome == "promoted" then return { text = ("not accepted yet; engine handoff accept %s"):format(run.id), tone = "open" } end
end

return M
