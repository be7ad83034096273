-- Stage 30 from its beginning to its end. The tests of its parts stand beside them.

local well = world { venture = "playbooks/demo/venture", release = "1.1", migrations = { "002_plans" } }

test("a good release is promoted in stages, and the venture moves on", function()
  local seen = well:run()
  seen:expect { exit = 0, outcome = "promoted", version = "1.1", blue_release = "1.0", stage = 31, applied = { "001_base", "002_plans" }, papers = { "report", "handoff" } }
  seen:order { "30.0", "30.1.3 backup", "30.2.1 run migrations", "30.2.2 traffic: 10 % to green", "30.3.3", "30.4", "documents" }
  seen:shares { 10, 50, 100 }
end)

test("errors above the limit take traffic back", function()
  local seen = well:run { faults = { { kind = "errors", colour = "green", rate = 0.2, anchor = "traffic", after = 3 } } }
  seen:expect { exit = 4, outcome = "rolled_back", rollback = "traffic", code = "breach", version = "1.0", green_release = false, stage = 29 }
  seen:shares { 10, 0 }
  seen:never "30.4"
end)

test("what happens before traffic moves ends with nothing changed", function()
  local seen = well:run { faults = { { kind = "start", release = "1.1" } } }
  seen:expect { exit = 1, outcome = "aborted", version = "1.0", green_release = false, papers = { "report" } }
  seen:shares {}
end)

test("a person who says no ends it, and one who does not answer is asked again later", function()
  local asked = well:with { mode = "assisted" }
  asked:run({ answer = "yes" }):expect { exit = 0 }
  asked:run({ answer = "no" }):expect { exit = 1, outcome = "aborted", code = "approval" }
  asked:run({ answer = "none" }):expect { exit = 3, outcome = "aborted", version = "1.0" }
end)

test("an engine that dies is followed by another, and nothing is done twice", function()
  for _, step in ipairs { "30.1.2 external dependencies", "30.1.3 backup", "30.2.2 watch green at 50 %", "30.4 exit gate" } do
    local seen = well:run { rps = 200, faults = { { kind = "kill", during = step } } }
    seen:expect { exit = 0, outcome = "promoted", engines = 2, version = "1.1" }
  end
end)

test("one that lost its lease changes nothing more", function()
  local seen = well:run { rps = 200, faults = { { kind = "lease", during = "30.2.2 traffic: 50 % to green", at = "traffic.set: after" } } }
  seen:expect { exit = 0, engines = 2 }
  seen:shares { 10, 50, 100 }
end)

test("Ctrl-C before traffic moves takes back what was done", function()
  local seen = well:run { faults = { { kind = "asked", what = "interrupt", after = 75 } } }
  seen:expect { outcome = "aborted", code = "interrupted", version = "1.0", green_release = false }
end)

test("a rollback that failed keeps its backup, to be tried again", function()
  local seen = well:run { migration = "damaging", faults = {
    { kind = "operation", name = "backup.restore", how = "fails", times = 50 }, { kind = "operation", name = "backup.swap", how = "fails", times = 50 },
  } }
  seen:expect { exit = 5, outcome = "failed", version = "1.0", damaged = true }
  seen:never "the backup is released"
end)
