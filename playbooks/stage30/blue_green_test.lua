-- 30.2: the new colour is proved before it gets traffic, gets it in stages, and loses it the moment that the evidence is against it.

local well = world { venture = "playbooks/demo/venture", release = "1.1", migrations = { "002_plans" } }

-- 30.2.1 Migrations

test("a migration that the old release cannot live with is found on a copy, and the live database never sees it", function()
  local seen = well:run { migration = "breaking" }
  seen:expect { exit = 1, outcome = "aborted", code = "gate", because = "does not work with the migrated schema", applied = { "001_base" }, version = "1.0" }
  seen:never "30.2.1 run migrations"
end)

test("without a rehearsal the live database shows it, before green gets traffic", function()
  local seen = well:run { migration = "breaking", settings = { rehearsal = false } }
  seen:expect { exit = 1, outcome = "aborted", applied = { "001_base" }, restored = true, version = "1.0" }
  seen:failed "30.2.1 blue works with the new schema"
  seen:shares {}
end)

test("without a copy that is kept there is nothing to rehearse on", function()
  local seen = well:run { settings = { backup = { warm = false } } }
  seen:expect { exit = 0 }
  seen:never "30.2.1 rehearsal"
end)

test("a release without migrations needs no rehearsal", function()
  local seen = well:run { migrations = {} }
  seen:expect { exit = 0, applied = { "001_base" } }
  seen:never "30.2.1 rehearsal"
  seen:never "30.2.1 run migrations"
end)

test("when it is aborted, a migrated schema that the old release works with stays: restoring would lose rows", function()
  local seen = well:run { faults = { { kind = "start", release = "1.1" } } }
  seen:expect { exit = 1, outcome = "aborted", applied = { "001_base", "002_plans" }, restored = false }
  seen:says "it stays"
end)

test("when it is aborted and the data is damaged, the backup is restored", function()
  local seen = well:run { migration = "damaging", faults = { { kind = "start", release = "1.1" } } }
  seen:expect { exit = 1, outcome = "aborted", applied = { "001_base" }, restored = true, damaged = false }
end)

test("a rehearsal that an engine left running is cleared away", function()
  local seen = well:run { faults = { { kind = "kill", during = "30.2.1 rehearsal: migrations and 1.0 on a copy of the database", at = "environment.provision: after", ["then"] = "rollback" } } }
  seen:expect { exit = 1, outcome = "aborted", engines = 2 }
  seen:step "undo 30.2.1 rehearsal: migrations and 1.0 on a copy of the database"
end)

test("an engine that died among migrations is followed by one that applies what is left", function()
  local two = well:with { migrations = { "002_plans", "003_more" } }
  local function died(at, nth, more)
    local faults = { { kind = "kill", during = "30.2.1 run migrations", at = at, nth = nth } }
    for _, fault in ipairs(more or {}) do faults[#faults + 1] = fault end
    return two:run { faults = faults }
  end
  for _, seen in ipairs { died("migration 002_plans: before"), died("migration 002_plans: after"), died("migration 003_more: after") } do
    seen:expect { exit = 0, engines = 2, applied = { "001_base", "002_plans", "003_more" } }
  end
end)

test("asked for a rollback after that, the probe says how far the migrations came", function()
  local function died(at, more)
    local faults = { { kind = "kill", during = "30.2.1 run migrations", at = at, ["then"] = "rollback" }, table.unpack(more or {}) }
    return well:run { migrations = { "002_plans", "003_more" }, faults = faults }
  end
  died("migration 002_plans: before", { { kind = "database", anchor = "step:30.2.1 run migrations", after = 20, lasts = 20 } }):expect { outcome = "aborted" }
  died("migration 002_plans: before"):expect { exit = 1, outcome = "aborted", applied = { "001_base" } }
  died("migration 002_plans: after"):expect { exit = 1, outcome = "aborted", applied = { "001_base", "002_plans" } }
  died("migration 003_more: after"):expect { exit = 1, outcome = "aborted", applied = { "001_base", "002_plans", "003_more" } }
end)

-- 30.2.1 Green

test("a colour that still holds the release before the last is retired first", function()
  local seen = well:run { former = "0.9" }
  seen:expect { exit = 0, green_release = "1.1" }
  seen:order { "30.2.1 retire green, which still holds 0.9", "30.2.1 provision green" }
end)

test("an engine that died while green was made finds it, or makes it", function()
  for _, at in ipairs { "environment.provision: before", "environment.provision: after" } do
    local seen = well:run { faults = { { kind = "kill", during = "30.2.1 provision green", at = at } } }
    seen:expect { exit = 0, engines = 2, green_release = "1.1" }
  end
end)

test("a green that ended while its engine was away is made anew", function()
  local seen = well:run { faults = {
    { kind = "kill", during = "30.2.1 provision green", at = "environment.provision: after", back_s = 30 }, { kind = "down", colour = "green", after = 80, lasts = 30 },
  } }
  seen:expect { exit = 0, engines = 2, green_release = "1.1" }
end)

test("a green that is not healthy gets no traffic", function()
  local seen = well:run { faults = { { kind = "check", name = "metrics endpoint", colour = "green" } } }
  seen:expect { exit = 1, outcome = "aborted", green_release = false }
  seen:failed("30.2.1 green is healthy", "metrics endpoint")
  seen:step "undo 30.2.1 provision green"
  seen:shares {}
end)

-- 30.2.2 Traffic

test("errors take traffic back from any stage", function()
  for share, shares in pairs { [10] = { 10, 0 }, [50] = { 10, 50, 0 }, [100] = { 10, 50, 100, 0 } } do
    local seen = well:run { faults = { { kind = "errors", colour = "green", rate = 0.2, anchor = "stage:" .. share, after = 1 } } }
    seen:expect { exit = 4, rollback = "traffic", code = "breach", version = "1.0" }
    seen:shares(shares)
  end
end)

test("slow answers take traffic back", function()
  local seen = well:run { faults = { { kind = "slow", colour = "green", share = 0.5, anchor = "traffic" } } }
  seen:expect { exit = 4, code = "breach", version = "1.0" }
end)

test("trouble that both colours share blames nobody", function()
  local seen = well:run { faults = { { kind = "errors", colour = "both", rate = 0.3, anchor = "traffic", after = 5, lasts = 20 } } }
  seen:expect { exit = 0, version = "1.1" }
end)

test("no data is no good news: nothing goes on without it", function()
  local seen = well:run { faults = { { kind = "silent", anchor = "stage:50" } } }
  seen:expect { exit = 4, code = "no_data", version = "1.0" }
  seen:shares { 10, 50, 0 }
end)

test("an engine that died between two stages goes on where traffic stands", function()
  for _, at in ipairs { "traffic.set: before", "traffic.set: after" } do
    local seen = well:run { rps = 200, faults = { { kind = "kill", during = "30.2.2 traffic: 50 % to green", at = at } } }
    seen:expect { exit = 0, engines = 2 }
    seen:shares { 10, 50, 100 }
  end
end)

test("a venture without a feed of requests is judged by its health checks", function()
  local blind = well:with { settings = { metrics = { driver = "none" } } }
  blind:run():expect { exit = 0 }
  blind:run({ faults = { { kind = "check", name = "application answers", colour = "green", anchor = "stage:50" } } }):expect { exit = 4, code = "check" }
end)

-- 30.2.3 Validation

test("what fails when green has everything takes it back", function()
  for name, step in pairs {
    ["wrong password is refused"] = "30.2.3 smoke tests", ["venture creation"] = "30.2.3 critical user flows", ["every venture has an owner"] = "30.2.3 the data is sound",
    ["application metrics"] = "30.2.3 monitoring", ["active users"] = "30.2.3 monitoring",
  } do
    local seen = well:run { migrations = {}, faults = { { kind = "check", name = name, colour = "green", anchor = "stage:100" } } }
    seen:expect { exit = 4, code = "check", because = name, version = "1.0" }
    seen:failed(step, name)
  end
end)

-- Somebody pauses it

test("a paused canary holds at its weights, and goes on with its stage when it may", function()
  local seen = well:run { errors = 0, settings = { canary = { advance = "time", watch = 300, max_watch = 600 } }, faults = { { kind = "asked", what = "pause", anchor = "step:30.2.2 watch green at 10 %", after = 20, lasts = 600 } } }
  seen:expect { exit = 0, version = "1.1" }
  seen:event("canary", { state = "HOLD", reason = "paused by simulated" })
  seen:event("canary", { state = "S10", reason = "the hold is over" })
  local seconds = seen:step("30.2.2 watch green at 10 %").seconds
  expect_equal(seconds >= 895 and seconds <= 920, true, "the stage's 300 s and the pause's 600: " .. seconds)
  seen:shares { 10, 50, 100 }
end)

test("a paused canary still goes back on evidence", function()
  local seen = well:run { faults = { { kind = "asked", what = "pause", anchor = "step:30.2.2 watch green at 10 %", after = 20 },
    { kind = "errors", colour = "green", rate = 0.5, anchor = "step:30.2.2 watch green at 10 %", after = 60 } } }
  seen:expect { exit = 4, outcome = "rolled_back", code = "breach", version = "1.0" }
  seen:event("canary", { state = "HOLD", reason = "paused by simulated" })
end)

test("a pause that nobody ends is a hold that has its limit", function()
  local seen = well:run { faults = { { kind = "asked", what = "pause", anchor = "step:30.2.2 watch green at 10 %", after = 20 } } }
  seen:expect { exit = 4, outcome = "rolled_back", because = "nothing can be said about the release: paused by simulated", version = "1.0" }
end)

test("a yes does not end a pause", function()
  local seen = well:run { mode = "manual", answer_s = 60, faults = { { kind = "asked", what = "pause", anchor = "stage:50", after = 100, lasts = 900 } } }
  seen:expect { exit = 0, version = "1.1" }
  seen:shares { 10, 50, 100 }
  seen:event("paused", { before = "30.2.2 traffic: 100 % to green" })
  seen:event "went_on"
end)

test("a pause between two steps does not keep a bad release", function()
  local seen = well:run { mode = "manual", answer_s = 60, faults = { { kind = "asked", what = "pause", anchor = "stage:50", after = 100 }, { kind = "errors", colour = "green", rate = 0.5, anchor = "stage:50", after = 300 } } }
  seen:expect { exit = 4, outcome = "rolled_back", code = "breach", version = "1.0" }
  seen:event "paused"
  expect_equal(seen.result.seconds < 1500, true, "it is seen at once, and not when somebody comes back: " .. seen.result.seconds)
end)

test("between two steps a paused run waits before the next one that changes something", function()
  local seen = well:run { faults = { { kind = "asked", what = "pause", anchor = "step:30.1.1 health checks", lasts = 300 } } }
  seen:expect { exit = 0, version = "1.1" }
  seen:event "paused"
  seen:event "went_on"
end)
