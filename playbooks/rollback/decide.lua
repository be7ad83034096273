-- The decision tree of a failed deployment. What has the most weight comes first: clients go back to
-- the old colour before anything is thought about.
--
--   traffic never moved                      -> abort: destroy the new colour, nothing has changed
--   the new colour is beyond repair          -> RB3 full rollback
--   the database was migrated, and the data
--     is damaged or the old release cannot
--     work with the new schema               -> RB2 database rollback
--   otherwise                                -> RB1 traffic rollback

local rollbacks = {
  traffic = require "rollback.traffic",
  database = require "rollback.database",
  full = require "rollback.full",
}

-- Which rollback, and on what evidence; or the one that somebody asked for.
local function choose(d, asked)
  if asked then return asked, "it was asked for" end
  local alive, detail = d.environment:alive(d.new)
  if not alive then return "full", ("%s is gone: %s"):format(d.new, detail) end
  if not d.migrated then return "traffic", "no schema change" end
  local works, why = d:old_release_works()
  if not works then return "database", why end
  return "traffic", ("the schema was migrated, the data is sound, and %s works with it"):format(d.old)
end

local function abort(run, d, reason)
  local state = step { "abort: take back what was done", effect = "idempotent", approve = false, run = function()
    expect(run:unwind())
    return d:verify_untouched()
  end }
  -- Nobody answered a question: the same command asks again.
  run.result = { outcome = "aborted", exit = reason.unanswered and 3 or 1, summary = "nothing changed: " .. state }
end

return function(run, d, reason)
  run.is_rolling_back = true
  run:event("reason", { text = reason.message, code = reason.code, cause = reason.cause and tostring(reason.cause), where = reason.where, step = reason.step })
  run.reason_of_failure = reason
  local began = clock.wall()
  local ok, err = run:again(function()
    if not d.traffic_moved then return abort(run, d, reason) end
    step { "rollback: all traffic to " .. d.old, effect = "idempotent", approve = false, run = function()
      d:shift(0)
      local first_bad_at = reason.first_bad_at or d.first_bad_at
      if first_bad_at then
        local seconds = d.back_at - first_bad_at
        run:event("note", { text = ("from the first bad response to %s at 100 %%"):format(d.old), seconds = seconds })
        run:say(("%.2f s from the first bad response to %s at 100 %%"):format(seconds, d.old), "done")
      end
    end }
    if d.take_back_stage then
      step { "rollback: the venture's row", effect = "idempotent", approve = false, run = function() return d:insist("taking the venture's row back", d.take_back_stage) end }
    end
    local kind = step { "rollback: choose its kind", effect = "idempotent", approve = false, run = function()
      local chosen, evidence = choose(d, reason.rollback)
      run:event("note", { text = ("rollback chosen: %s, because %s"):format(chosen, evidence), rollback = chosen })
      run:say(("%s rollback: %s"):format(chosen, evidence))
      return chosen
    end }
    rollbacks[kind](run, d)
    step { "rollback: verified", approve = false, run = function()
      d:insist("proving that " .. d.old .. " serves", function() d:verify_serving(d.old, d.old_version) end)
      local seconds = math.max(0, clock.wall() - began)
      run:event("note", { text = "from the start of the rollback to verified", seconds = seconds })
      run:say(("%.2f s from the start of the rollback to verified"):format(seconds), "done")
    end }
    run.undos = {}
    run.result = { outcome = "rolled_back", exit = 4, rollback = kind, summary = ("%s rollback: %s serves %s at 100 %%, verified"):format(kind, d.old, d.old_version) }
  end)
  if not ok then
    run:event("note", { text = "the rollback did not reach its end: " .. err.message })
    -- `engine rollback` goes through all of this again.
    run.result = { outcome = "failed", exit = 5, summary = "rollback failed: " .. err.message, err = err }
  end
end
