--- run.pause: a run that somebody paused. A canary holds at its weights; anything else waits before the next step that changes the world.
-- A rollback never waits, and is asked for and decided on evidence as always.

local clock = require "clock"
local core_err = require "core.err"
local display = require "display"
local task = require "task"

local M = {}

local POLL_S = 0.25

--- Who paused a run, by what was asked of it; nil when it is not paused.
---@param signals table[] of journal:signals
---@return { by: string, reason?: string, at?: string }?
---@usage assert(require("run.pause").of { { kind = "pause", by = "ana" } }.by == "ana" and not require("run.pause").of { { kind = "pause", by = "ana" }, { kind = "go_on", by = "bo" } })
function M.of(signals)
  local paused
  for _, signal in ipairs(signals) do
    if signal.kind == "pause" then paused = paused or signal
    elseif signal.kind == "go_on" then paused = nil end
  end
  return paused
end

--- "paused by ana: the database is slow".
---@param paused { by: string, reason?: string }
---@return string
---@usage assert(require("run.pause").text { by = "ana", reason = "lunch" } == "paused by ana: lunch")
function M.text(paused) return ("paused by %s%s"):format(paused.by, paused.reason and ": " .. paused.reason or "") end

--- Is a run on its way back, or has it been asked to go? No pause holds it then.
---@param journal table
---@param run string
---@param signals table[] of journal:signals
---@return boolean
function M.goes_back(journal, run, signals)
  for _, signal in ipairs(signals) do if signal.kind == "rollback" then return true end end
  local goes_back, err = journal:has_event(run, "reason")
  if goes_back == nil then error(err, 0) end
  return goes_back
end

--- Is there a pause that holds the run? A rollback is held by none.
---@param run table
---@return boolean
---@usage local pause = require "run.pause"  assert(pause.holds { paused = { by = "ana" } } and not pause.holds { paused = { by = "ana" }, is_rolling_back = true })
function M.holds(run) return run.paused ~= nil and not run.is_rolling_back end

--- Waits as long as a run is paused. What is asked of it meanwhile is raised.
---@param run table
---@param before string what comes next
function M.wait(run, before)
  local text, began = M.text(run.paused), clock.now()
  display.line("warn", 0, ("%s; it goes on with: %s"):format(text, before))
  local ok, err = run.journal:event(run.id, "paused", { by = run.paused.by, reason = run.paused.reason, before = before })
  if not ok then error(err, 0) end
  repeat
    task.sleep(POLL_S)
    local asked = run:asked()
    if asked then error(asked, 0) end
  until not M.holds(run)
  display.line("note", 0, ("it goes on after %s"):format(display.duration(clock.now() - began)))
  ok, err = run.journal:event(run.id, "went_on", { seconds = clock.now() - began })
  if not ok then error(err, 0) end
  if run.after_pause then run.after_pause() end
end

--- `engine pause` and `engine go-on`: asks it of a run that is under way.
---@param journal table
---@param options { words: string[], reason?: string, state?: string, venture?: string, journal?: string }
---@param kind "pause"|"go_on"
---@return integer? exit, table? err code usage, not_found or journal
function M.command(journal, options, kind)
  local row, err = journal:run(options.words[1])
  if not row then return nil, err end
  local where = require("journal.option").text(options)
  local function usage(message, command) return nil, core_err.new { code = "usage", message = message, next = ("engine %s %s%s"):format(command, row.id, where) } end
  if row.ended_at then return usage(("run %s has ended: %s"):format(row.id, row.outcome), "status") end
  if row.playbook == "console" then return usage(("%s is a console"):format(row.id), "log") end
  local state = require("report.state").of(journal, row)
  if state.goes_back then return usage(("run %s: it is going back; nothing waits"):format(row.id), "attach") end
  if kind == "pause" and state.paused then return usage(("run %s is %s already, since %s"):format(row.id, M.text(state.paused), state.paused.at), "go-on") end
  if kind == "go_on" and not state.paused then return usage(("run %s is not paused"):format(row.id), "status") end
  local asked
  asked, err = journal:signal(row.id, { kind = kind, by = require("execute").actor(), reason = options.reason })
  if not asked then return nil, err end
  print(("run %s of %s %s%s"):format(row.id, row.venture or "no venture", kind == "pause" and "was asked to pause" or "was asked to go on", state.gone and "; its engine is gone, and one that resumes it finds this" or ""))
  print(("  next   engine %s %s%s"):format(kind == "pause" and "go-on" or "status", row.id, where))
  return 0
end

return M
