-- RB1 Traffic rollback: no schema change that the old release could not live with. All traffic goes to the
-- old colour, its health is verified, error rates are watched, the new colour is retired.

return function(run, d)
  step { "RB1 all traffic to " .. d.old, effect = "idempotent", approve = false, run = function() return d:shift(0) end }
  step { "RB1 " .. d.old .. " is healthy", approve = false, run = function() d:check_settled(d.venture.health, d.old, "health check") end }
  -- Whoever asked for this kind was not asked whether the migrations did harm.
  if d.migrated then
    step { "RB1 the migrated data is sound", approve = false, run = function() d:check_settled(d.venture.invariants, d.old, "invariant") end }
  end
  step { "RB1 retire " .. d.new, effect = "idempotent", approve = false, run = function() d:retire(d.new) end }
  step { "RB1 watch error rates of " .. d.old, approve = false, deadline = d.venture.rollback.watch + 60, run = function()
    -- Few requests at night are no reason to call a rollback failed.
    d:watch_alone(d.old, d.venture.rollback.watch, "after rollback")
  end }
end
