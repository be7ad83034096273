-- The decision tree: which rollback, on what evidence.

local well = world { venture = "playbooks/demo/venture", release = "1.1", migrations = { "002_plans" } }

local BREACH = { kind = "errors", colour = "green", rate = 0.3, anchor = "stage:50", after = 2 }

test("traffic never moved: what was done is taken back, and nothing has changed", function()
  local seen = well:run { faults = { { kind = "check", name = "application answers", colour = "green" } } }
  seen:expect { exit = 1, outcome = "aborted", summary = "nothing changed: blue serves 1.0 at 100 %", green_release = false }
  seen:step "abort: take back what was done"
  seen:never "rollback: choose its kind"
end)

test("no answer ends with the code that says so", function()
  well:run({ mode = "assisted", answer = "none" }):expect { exit = 3, outcome = "aborted" }
end)

test("no schema change: traffic", function()
  local seen = well:run { migrations = {}, faults = { BREACH } }
  seen:expect { exit = 4, rollback = "traffic" }
  seen:says "no schema change"
end)

test("a schema that the old release works with: traffic", function()
  local seen = well:run { faults = { BREACH } }
  seen:expect { exit = 4, rollback = "traffic", applied = { "001_base", "002_plans" }, restored = false }
end)

test("damaged data: database", function()
  local seen = well:run { migration = "damaging" }
  seen:expect { exit = 4, rollback = "database", restored = true, damaged = false, applied = { "001_base" } }
  seen:says "the data is damaged"
end)

test("a green that is gone: full", function()
  local seen = well:run { migrations = {}, faults = { { kind = "down", colour = "green", anchor = "stage:50", after = 2 } } }
  seen:expect { exit = 4, rollback = "full" }
end)

test("clients go back first, whatever is decided then", function()
  local seen = well:run { migration = "damaging" }
  seen:order { "rollback: all traffic to blue", "rollback: choose its kind", "RB2 restore the database", "rollback: verified" }
end)

test("how long clients saw bad answers is said, if they did", function()
  well:run({ faults = { BREACH } }):says "s from the first bad response to blue at 100 %"
  well:run({ errors = 0, faults = { { kind = "asked", what = "rollback", anchor = "stage:50", after = 2 } } }):expect { exit = 4, code = "rollback_asked" }
end)

test("somebody asks for a kind, and gets it", function()
  for _, kind in ipairs { "traffic", "database", "full" } do
    local seen = well:run { faults = { { kind = "asked", what = "rollback", type = kind, anchor = "stage:50", after = 2 } } }
    seen:expect { exit = 4, rollback = kind, code = "rollback_asked" }
  end
end)

test("what was promoted can still be taken back a day later, with the venture's row", function()
  for _, kind in ipairs { "traffic", "database", "full" } do
    local seen = well:run { faults = { { kind = "asked", what = "rollback", type = kind, anchor = "end", after = 86400 } } }
    seen:expect { exit = 4, rollback = kind, stage = 29, version = "1.0", engines = 2, papers = { "report", "handoff", "report" } }
    seen:step "rollback: the venture's row"
  end
end)

test("a proxy that does not answer once is asked again", function()
  local seen = well:run { faults = { BREACH, { kind = "operation", name = "traffic.set", how = "fails", nth = 4 } } }
  seen:expect { exit = 4, version = "1.0" }
  seen:says "is tried again"
end)

test("an engine that dies in the rollback is followed by one that ends it", function()
  for _, step in ipairs { "rollback: all traffic to blue", "rollback: choose its kind", "RB1 retire green", "rollback: verified" } do
    local seen = well:run { faults = { BREACH, { kind = "kill", during = step } } }
    seen:expect { exit = 4, engines = 2, version = "1.0", green_release = false }
  end
end)

test("a rollback that does not reach its end says so", function()
  local seen = well:run { migrations = {}, faults = { BREACH, { kind = "check", name = "application answers", colour = "blue", anchor = "rollback" } } }
  seen:expect { exit = 5, outcome = "failed", summary = "rollback failed" }
  seen:failed "RB1 blue is healthy"
end)
