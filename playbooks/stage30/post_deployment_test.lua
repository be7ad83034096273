-- 30.3: a failing smoke test rolls back; missing monitoring does not; the rollback is tried as a dry run.

local well = world { venture = "playbooks/demo/venture", release = "1.1" }

test("a smoke test that fails now rolls back", function()
  local seen = well:run { faults = { { kind = "check", name = "wrong password is refused", anchor = "step:30.3.1 smoke tests" } } }
  seen:expect { exit = 4, code = "check", because = "wrong password is refused", version = "1.0" }
end)

test("monitoring that is not there is said, and does not block", function()
  local seen = well:run { faults = { { kind = "alert" } } }
  seen:expect { exit = 0, version = "1.1" }
  expect_equal(seen:event("alert").arrived, false)
  seen:event("gate", { name = "monitoring active", passed = false, evidence = "no test alert arrived; see 30.3.2" })
  seen:says "monitoring is not proved active"
end)

test("a venture without an alert manager gets no test alert", function()
  local seen = well:run { settings = { monitoring = { alertmanager = false } } }
  seen:expect { exit = 0 }
  seen:event("alert", { arrived = false, detail = "not configured" })
end)

test("rules and dashboards are a venture's choice", function()
  local seen = well:run { settings = { monitoring = { rules = false, dashboards = false, checks = {} } } }
  seen:expect { exit = 0 }
  seen:step "30.3.2 monitoring"
end)

test("a rollback that would not work ends the deployment while it still can be taken back", function()
  local seen = well:run { faults = { { kind = "down", colour = "blue", anchor = "step:30.3.3", lasts = 20 } } }
  seen:failed("30.3.3 rollback tested", "a rollback would not work: blue is there to go back to")
  seen:expect { exit = 4, version = "1.0" }
end)

test("the rollback's documentation is looked for where the venture says that it is", function()
  local seen = well:run { settings = { rollback = { docs = "nowhere.md" } } }
  seen:failed("30.3.3 rollback tested", "the rollback's documentation")
  seen:expect { exit = 4 }
  well:run({ settings = { rollback = { docs = false } } }):expect { exit = 0 }
end)
