--- explain: why the canary decided as it did: every verdict of a run, made again from its recorded counts.

local record = require "canary.record"

local M = {}

local RULES = {
  { "R1", "errors above the limit" }, { "R2", "errors above the target and above the other colour's" },
  { "L1", "slow requests above 5 %" }, { "L2", "slower than the other colour (holds only)" },
}

local function step_named(steps, wanted)
  for _, step in ipairs(steps) do
    if tostring(step.seq) == wanted or step.name:find(wanted, 1, true) then return step end
  end
end

local function show(one, step)
  print(("%s  %s"):format(step and step.name or one.stage, one.verdict))
  print("  " .. one.reason)
  for _, side in ipairs { "green", "blue" } do
    local counts = one.evidence[side]
    print(("  %-9s%d requests, %d errors, %d client errors, %d slow since the stage began"):format(side == "green" and "judged" or "baseline",
      counts.requests, counts.errors, counts.client_errors, counts.slow))
  end
  for _, rule in ipairs(RULES) do print(("  %-9s%-22s %s"):format(rule[1], one.replayed[rule[1]], rule[2])) end
  print(("  %-9s%-22s traffic goes back at %g"):format("mean", one.replayed.mean, one.evidence.limit))
  if one.evidence.blue_bad then print "  baseline bad itself: errors or slowness count only as far as the other colour does better" end
  if one.same then
    print "  replayed  the same to the last digit"
  else
    print(("  replayed  DIFFERENT: the journal has mean %s"):format(one.recorded.mean))
  end
end

--- Prints the verdicts of a run, or of one of its steps, from the recorded counts.
---@param journal table
---@param id string the run
---@param wanted? string a step's number or a part of its name
---@return integer? code 0, or 1 when a verdict does not come out the same, table? err
function M.run(journal, id, wanted)
  local core_err = require "core.err"
  local row, err = journal:run(id)
  if not row then return nil, err end
  local steps = assert(journal:steps(row.id))
  local step
  if wanted then
    step = step_named(steps, wanted)
    if not step then
      return nil, core_err.new { code = "not_found", message = ("run %s has no step '%s'"):format(row.id, wanted), next = ("engine status %s lists its steps."):format(row.id) }
    end
  end
  local by_seq = {}
  for _, each in ipairs(steps) do by_seq[each.seq] = each end
  local code, shown = 0, 0
  for _, one in ipairs(record.replay(assert(journal:events(row.id)))) do
    if not step or one.step == step.seq then
      show(one, by_seq[one.step])
      shown = shown + 1
      if not one.same then code = 1 end
    end
  end
  if shown == 0 then
    return nil, core_err.new { code = "not_found", message = ("%s of run %s has no verdict on requests"):format(step and ("the step '%s'"):format(step.name) or "no step", row.id),
      next = ("engine log %s shows what it did."):format(row.id) }
  end
  return code
end

return M
