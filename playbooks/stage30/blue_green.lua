-- 30.2 Blue-green deployment: the new colour is made and proved healthy, gets traffic in stages while
-- every request is watched, and is validated when it has all of it.

local migrations = require "migrations"

return function(run, d)
  local venture, old, new = d.venture, d.old, d.new

  -- 30.2.1 Green environment
  local pending = expect(d:with_database(function(db)
    return migrations.pending(db, d.release.migrations, venture.migrations.table)
  end))

  if #pending > 0 then
    local names = {}
    for i, migration in ipairs(pending) do names[i] = migration.version end
    -- Both colours will share the migrated database, and traffic alone can only go back to a release that lives with it.
    if venture.rehearsal and d.warm_copy then
      step("30.2.1 rehearsal: migrations and " .. d.old_version .. " on a copy of the database", function()
        local rehearsed = d:rehearse(pending)
        run:say(("%s: %s passes its smoke tests on the migrated copy"):format(rehearsed.label, d.old_version), "done")
        return rehearsed
      end)
    end
    step {
      "30.2.1 run migrations", approve = true, args = { migrations = names }, deadline = venture.migrations.timeout,
      run = function()
        d.migrated = true
        local applied = expect(d:with_database(function(db) return migrations.apply(db, pending, venture.migrations.table) end))
        run:say("applied " .. table.concat(applied, ", "), "done")
        return applied
      end,
      probe = function()
        local left, err = d:with_database(function(db) return migrations.pending(db, pending, venture.migrations.table) end)
        if not left then return "unknown", err.message end
        if #left == 0 then return "done" end
        return #left == #pending and "absent" or "partial", ("%d of %d are not applied"):format(#left, #pending)
      end,
      -- Taking a migration back means restoring the backup, which loses what was written since. That is only
      -- done when the old release cannot live with the new schema.
      undo = function()
        if d:old_release_works() then
          run:say(("%s works with the migrated schema: it stays"):format(old), "warn")
          run:event("note", { text = "the migrated schema stays: the old release passes its health and smoke checks on it" })
          return { restored = false }
        end
        d:restore_database()
        return { restored = true }
      end,
    }

    step("30.2.1 " .. old .. " works with the new schema", function()
      return d:check(venture.health, old, "health check")
    end)
  end

  -- The colour may still hold the release before the last, kept as a way back; it has no traffic.
  if d.environment:alive(new) then
    local former = d.environment:release(new) or "unknown"
    step {
      ("30.2.1 retire %s, which still holds %s"):format(new, former), approve = true, args = { colour = new, release = former },
      run = function()
        d:retire(new)
        run:event("note", { text = ("%s with release %s, which had no traffic, was retired to make room"):format(new, former) })
      end,
      undo = false, -- it was a way back that the present release has outlived
    }
  end

  step {
    "30.2.1 provision " .. new, approve = true, args = { colour = new, release = d.release.version, digest = d.release.digest },
    run = function()
      expect(d.traffic:maintenance(new))
      local made = expect(d.environment:provision(new, d.release))
      run:output("address of " .. new, made.address)
      run:say(("%s at %s"):format(d.release.version, made.address))
      return made
    end,
    probe = function()
      local alive, detail = d.environment:alive(new)
      return alive and "done" or "absent", detail
    end,
    undo = function() d:retire(new) end,
  }

  step("30.2.1 " .. new .. " is healthy", function()
    d:wait_healthy(new, d.release.version)
    d:check(venture.health, new, "health check")
    -- It joins the proxy with weight 0: ready, but without a request.
    expect(d.traffic:set { [old] = 100, [new] = 0 })
    expect(d.traffic:ready(new))
    run:say(("%s answers as %s and waits with 0 %%"):format(new, d.release.version), "done")
  end)

  -- 30.2.2 Traffic
  d:open_feed()
  step("30.2.2 measure " .. old .. " before traffic moves", function() return d:warm() end)
  for index, share in ipairs(venture.canary.stages) do
    step {
      ("30.2.2 traffic: %d %% to %s"):format(share, new), approve = true, args = { colour = new, share = share },
      run = function() return d:shift(share) end,
      probe = d:probe_share(share),
      undo = function() return d:shift(0) end,
    }
    -- Every request counts at once. The stage ends when its time is over and the evidence is there; traffic goes
    -- back the moment that the evidence is against the release (venture.canary says what that means).
    step { ("30.2.2 watch %s at %d %%"):format(new, share), approve = false, deadline = d:longest_watch(), run = function() d:watch(index) end }
  end

  -- 30.2.3 Validation
  step("30.2.3 smoke tests", function() return d:check(venture.smoke, new, "smoke test") end)
  step("30.2.3 critical user flows", function() return d:check(venture.flows, new, "user flow") end)
  step("30.2.3 the data is sound", function() return d:check(venture.invariants, new, "invariant") end)
  step("30.2.3 monitoring: application, infrastructure, business", function()
    d:look_at_machine(venture.folder)
    d:check(venture.monitoring.checks, new, "monitoring check")
    d:check(venture.monitoring.business, new, "business figure")
  end)
end
