-- RB3 Full rollback: the new colour is beyond repair. All traffic goes to the old colour, the database is
-- restored if migrations were applied, the new colour is destroyed, and the root cause is asked for.

local database = require "rollback.database"

return function(run, d)
  if d.migrated then
    database(run, d)
  else
    step { "RB3 all traffic to " .. d.old, effect = "idempotent", approve = false, run = function() return d:shift(0) end }
    step { "RB3 " .. d.old .. " is healthy", approve = false, run = function() d:check_settled(d.venture.health, d.old, "health check") end }
  end
  step { "RB3 destroy " .. d.new, effect = "idempotent", approve = false, run = function() d:retire(d.new) end }
  step { "RB3 root cause before the next attempt", approve = false, run = function()
    run:event("note", { text = ("find the root cause before the next attempt; the output of %s is kept in the environment's log"):format(d.new) })
    run:output("root cause", run.reason_of_failure and run.reason_of_failure.message or "unknown")
  end }
end
