--- report.state: how a run stands, in a word, and what there is to type about it.

local pause = require "run.pause"

local M = {}

--- How a run stands now. A run that has not ended and that nobody alive holds has lost its engine, or was left by it.
---@param journal table
---@param row table of journal:run
---@return { word: string, gone: boolean, goes_back?: boolean, paused?: table, question?: table } word: its outcome, or "engine gone", "going back", "waiting", "paused", "running"
function M.of(journal, row)
  if row.ended_at then return { word = row.outcome, gone = false } end
  local lease, lives = journal:holder(journal:lease_of(row))
  local signals = assert(journal:signals(row.id))
  local state = { gone = not (lives and lease.run == row.id), goes_back = pause.goes_back(journal, row.id, signals), question = journal:open_question(row.id) }
  state.paused = not state.goes_back and pause.of(signals) or nil
  state.word = state.gone and "engine gone" or state.goes_back and "going back" or state.question and "waiting" or state.paused and "paused" or "running"
  return state
end

--- What goes on with a run whose engine is gone.
---@param row table
---@param where string of journal.option.text
---@return string
---@usage assert(require("report.state").after_engine({ id = "7f3c" }, " --state /s") == "engine resume 7f3c --state /s | engine rollback 7f3c --state /s")
function M.after_engine(row, where) return ("engine resume %s%s | engine rollback %s%s"):format(row.id, where, row.id, where) end

--- What comes of a run by itself after its engine's end.
---@param row table of journal:run
---@return string
---@usage assert(require("report.state").guardian { settings = { guardian = { action = "resume", grace = 30 } } } == "its guardian goes on with it after 30 s")
function M.guardian(row)
  local guardian = row.settings and row.settings.guardian
  if not guardian or guardian.action == "off" then return "nobody goes on with it by itself" end
  return ("its guardian %s after %g s"):format(guardian.action == "resume" and "goes on with it" or "takes it back, if traffic had moved,", guardian.grace or 30)
end

--- The command that a run needs now; nil when it needs none.
---@param journal table
---@param row table
---@param state table of M.of
---@param where string of journal.option.text
---@return string?
function M.next(journal, row, state, where)
  if row.playbook == "console" then return nil end
  if state.gone then return M.after_engine(row, where) end
  if state.question then return ("engine approve %s%s"):format(row.id, where) end
  if state.paused then return ("engine go-on %s%s"):format(row.id, where) end
  if row.exit_code == 5 then return ("engine rollback %s%s"):format(row.id, where) end
  if row.outcome ~= "promoted" then return nil end
  local handoff = require("papers.standing").handoff(assert(journal:events(row.id)), row)
  return handoff and handoff.tone == "open" and ("engine handoff accept %s%s"):format(row.id, where) or nil
end

return M
