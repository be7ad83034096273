-- RB3: the new colour is beyond repair.

local gone = world { venture = "playbooks/demo/venture", release = "1.1", faults = { { kind = "down", colour = "green", anchor = "stage:50", after = 2 } } }

test("without a schema change the old colour gets everything, and green is destroyed", function()
  local seen = gone:run()
  seen:expect { exit = 4, rollback = "full", version = "1.0", green_release = false, restored = false }
  seen:order { "RB3 all traffic to blue", "RB3 blue is healthy", "RB3 destroy green", "RB3 root cause" }
end)

test("after a migration the database is restored too", function()
  local seen = gone:run { migrations = { "002_plans" } }
  seen:expect { exit = 4, rollback = "full", restored = true, applied = { "001_base" }, version = "1.0" }
  seen:order { "RB2 restore the database", "RB3 destroy green" }
  seen:never "RB3 blue is healthy"
end)

test("the root cause is asked for", function()
  local seen = gone:run()
  expect_equal(seen:event("output", { name = "root cause" }) ~= nil, true)
  seen:says "root cause"
end)
