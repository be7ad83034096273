-- RB2 Database rollback: migrations were applied and must be taken back. All traffic goes to the old colour,
-- the new one is stopped so that it writes no more, the backup is restored, compared and checked, and the
-- report says exactly which rows are lost.

local display = require "display"

return function(run, d)
  step { "RB2 all traffic to " .. d.old, effect = "idempotent", approve = false, run = function() return d:shift(0) end }
  step { "RB2 stop " .. d.new .. ", it writes no more", effect = "idempotent", approve = false, run = function() d:retire(d.new) end }
  -- The step's key names the database of before: a swap that had happened when the engine died is found, and its loss is counted.
  step { "RB2 restore the database", effect = "idempotent", approve = false, run = function(key)
    local restored = d:restore_database(key)
    run:say(("restored%s in %s, not available for %s"):format(restored.warm and " from the warm copy" or "", display.duration(restored.seconds), display.duration(restored.downtime_s or 0)), "done")
    for _, entry in ipairs(restored.loss.tables or {}) do
      run:say(("lost in %s: %d inserted, %d updated, %d deleted rows since the backup"):format(entry.name, entry.inserted, entry.updated, entry.deleted), "warn")
    end
    if restored.loss.problem then run:say("what is lost could not be counted: " .. restored.loss.problem, "warn") end
    if restored.loss.approximate then run:say("the loss is approximate: " .. restored.loss.approximate, "warn") end
    run:output("the database of before the restore, kept until it is dropped by hand", restored.old)
    return restored
  end }
  d.migrated, d.warm_copy = false, nil
  step { "RB2 the database is sound", approve = false, run = function()
    d:check_settled(d.venture.invariants, d.old, "invariant")
    d:check_settled(d.venture.health, d.old, "health check")
  end }
end
