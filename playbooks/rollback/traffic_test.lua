-- RB1: all traffic to the old colour, which is looked at before and watched afterwards.

local well = world { venture = "playbooks/demo/venture", release = "1.1", migrations = { "002_plans" } }

local BREACH = { kind = "errors", colour = "green", rate = 0.3, anchor = "stage:50", after = 2 }

test("the old colour is healthy, the new one is retired, and error rates are watched", function()
  local seen = well:run { faults = { BREACH } }
  seen:expect { exit = 4, rollback = "traffic", version = "1.0", green_release = false }
  seen:order { "RB1 all traffic to blue", "RB1 blue is healthy", "RB1 the migrated data is sound", "RB1 retire green", "RB1 watch error rates of blue" }
end)

test("without a schema change there is no data to look at", function()
  local seen = well:run { migrations = {}, faults = { BREACH } }
  seen:expect { exit = 4, rollback = "traffic" }
  seen:never "RB1 the migrated data is sound"
end)

test("an old colour that takes a while to be well is waited for", function()
  local seen = well:run { migrations = {}, faults = { BREACH, { kind = "check", name = "application answers", colour = "blue", anchor = "step:RB1", lasts = 10 } } }
  seen:expect { exit = 4, rollback = "traffic" }
end)

test("asked for although the migrations did harm, it fails, and says why", function()
  local seen = well:run { migration = "damaging", faults = { { kind = "asked", what = "rollback", type = "traffic", anchor = "stage:50", after = 2 } } }
  seen:expect { exit = 5, outcome = "failed", version = "1.0", damaged = true }
  seen:failed "RB1 the migrated data is sound"
end)
