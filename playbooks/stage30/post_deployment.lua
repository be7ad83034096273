-- 30.3 Post-deployment verification. A failing smoke test rolls back; missing monitoring is
-- investigated and does not block; the rollback is tried as a dry run, never for real.

local files = require "files"
local health = require "health"
local monitoring = require "monitoring"
local run_module = require "run"
local traffic = require "traffic"

return function(run, d)
  local venture, old, new = d.venture, d.old, d.new

  step { "30.3.1 smoke tests, full", effect = "idempotent", run = function()
    d:check(venture.health, new, "health check")
    d:check(venture.smoke, new, "smoke test")
    d:check(venture.flows, new, "user flow")
    d:check(venture.invariants, new, "invariant")
    d:verify_serving(new, d.release.version)
  end }

  step { "30.3.2 monitoring", effect = "idempotent", run = function()
    local results = health.all(venture.monitoring.checks, d:target(new))
    for _, result in ipairs(results) do
      run:event("check", { name = result.name, what = "monitoring", ok = result.ok, detail = result.detail, seconds = result.seconds })
      run:say(("%s: %s"):format(result.name, result.detail), result.ok and "done" or "warn")
    end
    local dashboards = venture.monitoring.dashboards or {}
    for _, name in ipairs(traffic.sorted_keys(dashboards)) do run:output("dashboard " .. name, dashboards[name]) end
    if venture.monitoring.rules then
      local path = expect(monitoring.write_rules(venture))
      run:output("alert rules", path)
      run:say("alert rules: error rate, p95, connection pool, CPU in " .. path, "done")
    end
  end }

  local alert = step { "30.3.2 a test alert fires and arrives", effect = "keyed", run = function()
    if not (venture.monitoring.alertmanager and venture.monitoring.receiver) then
      run:say("no alertmanager and receiver are configured: the test alert was not fired", "warn")
      run:event("alert", { arrived = false, detail = "not configured" })
      return { arrived = false }
    end
    local arrived, err = monitoring.test_alert(venture, "deployment-" .. run.id)
    if arrived then
      run:event("alert", { arrived = true, seconds = arrived.seconds })
      run:say(("the test alert arrived after %.1f s"):format(arrived.seconds), "done")
    else
      run:event("alert", { arrived = false, detail = err.message })
      run:say("monitoring is not available, investigate: " .. err.message, "warn")
    end
    return { arrived = arrived ~= nil }
  end }
  d.monitoring_active = alert.arrived

  step("30.3.3 rollback tested (dry run)", function()
    -- Everything a rollback would use is looked at; nothing is changed.
    local ready = {}
    local function look(name, ok, detail)
      ready[#ready + 1] = { name = name, ok = ok, detail = detail }
      run:event("check", { name = name, what = "rollback readiness", ok = ok, detail = detail })
      run:say(("%s: %s"):format(name, detail), ok and "done" or "failed")
    end
    local alive, detail = d.environment:alive(old)
    look(old .. " is there to go back to", alive, detail)
    local healthy, err = run_module.attempt(function() d:check(venture.health, old, "health check") end)
    look(old .. " is healthy", healthy, healthy and "all health checks pass" or err.message)
    local plan, plan_err = d.traffic:plan { [old] = 100, [new] = 0 }
    look("the weights of a traffic rollback", plan ~= nil, plan and "computed, not applied" or plan_err.message)
    look("the backup was restored in staging", d.backup ~= nil and d.backup.drill_seconds ~= nil,
      d.backup and d.backup.drill_seconds and ("took %.3f s"):format(d.backup.drill_seconds) or "no")
    if venture.rollback.docs then
      local path = venture.rollback.docs:sub(1, 1) == "/" and venture.rollback.docs or venture.folder .. "/" .. venture.rollback.docs
      local text = files.read(path)
      look("the rollback's documentation", text ~= nil and #text > 0, path)
    end
    for _, one in ipairs(ready) do
      if not one.ok then fail("check", "a rollback would not work: " .. one.name .. ": " .. one.detail) end
    end
    return ready
  end)
  d.rollback_tested = true
end
