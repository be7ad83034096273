--- run.doubt: an effect that was begun when the engine died. Did it happen? Its class says how that is found out (see module effect); nothing
-- in doubt is blindly done again.

local core_err = require "core.err"
local task = require "task"

local M = {}

local PROBE_LIMIT_S = 60 -- a probe that cannot say is asked again for so long, then a person is
local PROBE_PAUSE_S = 1

local AGAIN = {
  pure = "it changes nothing",
  idempotent = "twice is the same as once",
  keyed = "whoever is asked knows its key",
}

-- Asks the probe until it knows, or the time is over.
local function probe(options)
  local clock = require "clock"
  local began = clock.now()
  while true do
    local state, detail, result = options.probe()
    if state ~= "unknown" or clock.now() - began > PROBE_LIMIT_S then return state, detail, result end
    task.sleep(PROBE_PAUSE_S)
  end
end

local function ask_a_person(run, step, row, why)
  local approval = require "approval"
  local ok, err = pcall(approval.ask, run, ("did '%s' happen before the engine died"):format(step.name), { args = row.args, began = row.started_at, why = why }, ("%s?%d"):format(step.place, row.attempts))
  if ok then return { done = true, why = "a person says that it happened" } end
  if core_err.is(err) and err.code == "approval" and not err.unanswered then return { why = "a person says that it did not happen" } end
  if core_err.is(err) and err.unanswered then
    run.is_left = true
    error(core_err.new { code = "in_doubt", message = ("nobody knows whether '%s' happened: %s"):format(step.name, why), unanswered = true,
      next = ("Look for yourself, then: engine resume %s, and answer."):format(run.id) }, 0)
  end
  error(err, 0)
end

-- Part of it happened: that is taken back, and then it must be absent.
local function take_back(options, detail)
  if not options.undo then return nil, detail end
  options.undo()
  local state, now = probe(options)
  if state == "absent" then return { why = ("part of it had happened (%s) and was taken back"):format(detail or "partial") } end
  return nil, ("part of it had happened and could not be taken back: %s"):format(now or state)
end

--- What became of a step that had begun. `inside` runs a function as part of the step.
---@param run table
---@param step table
---@param row table as it is recorded
---@param options table of the step
---@param inside fun(fn: fun(): any): any
---@return { done?: boolean, result?: any, why: string } done: it happened; otherwise it is to be done again
function M.resolve(run, step, row, options, inside)
  if AGAIN[step.effect] then return { why = AGAIN[step.effect] } end
  if step.effect == "manual" then return ask_a_person(run, step, row, "nothing can say") end
  local state, detail, result = inside(function() return probe(options) end)
  if state == "done" then return { done = true, result = result, why = "it had happened" .. (detail and ": " .. detail or "") } end
  if state == "absent" then return { why = "it had not happened" .. (detail and ": " .. detail or "") } end
  local taken, problem
  if state == "partial" then taken, problem = inside(function() return take_back(options, detail) end) end
  return taken or ask_a_person(run, step, row, problem or detail or ("the probe says %s"):format(tostring(state)))
end

return M
