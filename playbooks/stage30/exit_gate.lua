-- 30.4 Exit gate: deployment successful, monitoring active, rollback tested. Then the venture's row
-- moves on, and a handoff document for Stage 31 is made.

local clock = require "clock"
local effect = require "effect"

return function(run, d)
  local venture = d.venture

  step("30.4 exit gate", function()
    d:verify_serving(d.new, d.release.version)
    run:event("gate", { name = "deployment successful", passed = true, evidence = ("%s serves %s at 100 %%"):format(d.new, d.release.version) })
    run:event("gate", { name = "monitoring active", passed = d.monitoring_active == true, evidence = d.monitoring_active and "a test alert arrived" or "no test alert arrived; see 30.3.2" })
    run:event("gate", { name = "rollback tested", passed = d.rollback_tested == true, evidence = "dry run of 30.3.3" })
    if not d.rollback_tested then fail("gate", "the rollback was not tested") end
    if not d.monitoring_active then run:say("monitoring is not proved active; the handoff says so", "warn") end
  end)

  local exit = venture.exit
  local function stage_now()
    return d:with_database(function(db)
      return db:value(("SELECT current_workflow_stage FROM %s WHERE id = $1"):format(exit.table), venture.id)
    end)
  end
  local before = run:record("the venture's stage before", function() return expect(stage_now()) end)

  local function set_stage(stage)
    effect.change("venture's row", function()
      expect(d:with_database(function(db)
        return db:query(("UPDATE %s SET current_workflow_stage = $1, updated_at = $2 WHERE id = $3"):format(exit.table), stage, clock.utc(), venture.id)
      end))
    end)
    local now = expect(stage_now())
    if now ~= stage then fail("sql", ("the venture's row is at stage %s, expected %s"):format(tostring(now), stage)) end
    return { stage = now }
  end

  -- A rollback of a promoted run takes this back.
  d.take_back_stage = function() return set_stage(before) end
  step {
    ("30.4 the venture moves to stage %d"):format(exit.stage), effect = "probed", args = { id = venture.id, stage = exit.stage },
    run = function() return set_stage(exit.stage) end,
    probe = function()
      local now, err = stage_now()
      if now == nil then return "unknown", err and err.message end
      return now == exit.stage and "done" or "absent", ("stage %s"):format(tostring(now)), { stage = now }
    end,
    undo = d.take_back_stage,
  }
  local weights = run:record("weights at the end", function()
    local now = expect(d.traffic:get())
    return { blue = now.blue, green = now.green }
  end)
  run:event("state", { blue = weights.blue, green = weights.green, version = d.release.version, stage = exit.stage, url = venture.traffic.public, verified = true })
  run:output("production", venture.traffic.public or d.environment:base(d.new))
end
