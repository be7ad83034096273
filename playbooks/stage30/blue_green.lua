-- 30.2 Blue-green deployment: the new colour is made and proved healthy, gets traffic in stages while
-- every request is watched, and is validated when it has all of it.

local migrations = require "migrations"

return function(run, d)
  local venture, old, new = d.venture, d.old, d.new

  -- 30.2.1 Green environment
  local names = run:record("migrations that are pending", function()
    local found = {}
    for i, migration in ipairs(expect(d:with_database(function(db)
      return migrations.pending(db, d.release.migrations, venture.migrations.table)
    end))) do found[i] = migration.version end
    return found
  end)

  if #names > 0 then
    local pending = migrations.named(d.release.migrations, names)
    -- Both colours will share the migrated database, and traffic alone can only go back to a release that lives with it.
    if venture.rehearsal and d.warm_copy then
      step { "30.2.1 rehearsal: migrations and " .. d.old_version .. " on a copy of the database", effect = "idempotent", run = function()
        local found = d:rehearse(pending)
        run:say(("%s: %s passes its smoke tests on the migrated copy"):format(found.label, d.old_version), "done")
        return found
      end, probe = function() return d:rehearsal_left() end, undo = function() d:clear_rehearsal() end }
    end
    d.migrated = true -- from here on, wholly or in part
    step {
      "30.2.1 run migrations", effect = "idempotent", approve = true, args = { migrations = names }, deadline = venture.migrations.timeout,
      run = function()
        -- Each is there with its row or not at all, so what is still pending is what is left to do.
        local applied = expect(d:with_database(function(db)
          return migrations.apply(db, expect(migrations.pending(db, pending, venture.migrations.table)), venture.migrations.table)
        end))
        run:say("applied " .. table.concat(applied, ", "), "done")
        return names
      end,
      probe = function()
        local left, err = d:with_database(function(db) return migrations.pending(db, pending, venture.migrations.table) end)
        if not left then return "unknown", err.message end
        if #left == 0 then return "done" end
        return #left == #pending and "absent" or "partial", ("%d of %d are not applied"):format(#left, #pending)
      end,
      -- Taking a migration back means restoring the backup, which loses what was written since. That is only
      -- done when the data is damaged or the old release cannot live with the new schema.
      undo = function(key)
        if d:old_release_works() then
          run:say(("%s works with the migrated schema: it stays"):format(old), "warn")
          run:event("note", { text = "the migrated schema stays: the data is sound, and the old release passes its health and smoke checks on it" })
          return { restored = false }
        end
        d:restore_database(key)
        return { restored = true }
      end,
    }

    step("30.2.1 " .. old .. " works with the new schema", function()
      return d:check(venture.health, old, "health check")
    end)
  end

  -- The colour may still hold the release before the last, kept as a way back; it has no traffic.
  local former = run:record("release that " .. new .. " still holds", function()
    return d.environment:alive(new) and (d.environment:release(new) or "unknown") or nil
  end)
  if former then
    step {
      ("30.2.1 retire %s, which still holds %s"):format(new, former), effect = "idempotent", approve = true, args = { colour = new, release = former },
      run = function()
        d:retire(new)
        run:event("note", { text = ("%s with release %s, which had no traffic, was retired to make room"):format(new, former) })
      end,
      undo = false, -- it was a way back that the present release has outlived
    }
  end

  step {
    "30.2.1 provision " .. new, effect = "probed", approve = true, args = { colour = new, release = d.release.version, digest = d.release.digest },
    run = function()
      expect(d.traffic:maintenance(new))
      local made = expect(d.environment:provision(new, d.release))
      run:output("address of " .. new, made.address)
      run:say(("%s at %s"):format(d.release.version, made.address))
      return { address = made.address }
    end,
    probe = function()
      local alive, detail = d.environment:alive(new)
      if alive then return "done", detail, { address = d.environment.addresses[new] } end
      -- What was begun and does not run may still have left something: it is destroyed.
      return d.environment:release(new) == d.release.version and "partial" or "absent", detail
    end,
    undo = function() d:retire(new) end,
  }

  step { "30.2.1 " .. new .. " is healthy", effect = "idempotent", run = function()
    d:wait_healthy(new, d.release.version)
    d:check(venture.health, new, "health check")
    -- It joins the proxy with weight 0: ready, but without a request.
    expect(d.traffic:set { [old] = 100, [new] = 0 })
    expect(d.traffic:ready(new))
    run:say(("%s answers as %s and waits with 0 %%"):format(new, d.release.version), "done")
  end }

  -- 30.2.2 Traffic
  d:open_feed()
  d:open_canary()
  local baseline = step("30.2.2 measure " .. old .. " before traffic moves", function() return d:warm() end)
  d:take_baseline(baseline)
  run:event("traffic_begins", { colour = new })
  for index, share in ipairs(venture.canary.stages) do
    d:traffic_step(("30.2.2 traffic: %d %% to %s"):format(share, new), share)
    -- Every request counts at once. The stage ends when its time is over and the evidence is there; traffic goes
    -- back the moment that the evidence is against the release (venture.canary says what that means).
    step { ("30.2.2 watch %s at %d %%"):format(new, share), effect = "idempotent", approve = false, deadline = d:longest_watch(), run = function() d:watch(index) end }
  end

  -- 30.2.3 Validation
  step { "30.2.3 smoke tests", effect = "idempotent", run = function() return d:check(venture.smoke, new, "smoke test") end }
  step { "30.2.3 critical user flows", effect = "idempotent", run = function() return d:check(venture.flows, new, "user flow") end }
  step("30.2.3 the data is sound", function() return d:check(venture.invariants, new, "invariant") end)
  step("30.2.3 monitoring: application, infrastructure, business", function()
    d:look_at_machine(venture.folder)
    d:check(venture.monitoring.checks, new, "monitoring check")
    d:check(venture.monitoring.business, new, "business figure")
  end)
end
