-- 30.4: what is promoted is verified once more, then the venture's row moves on.

local well = world { venture = "playbooks/demo/venture", release = "1.1" }

test("the gate has evidence for each of its three questions", function()
  local seen = well:run()
  for _, name in ipairs { "deployment successful", "monitoring active", "rollback tested" } do seen:event("gate", { name = name, passed = true }) end
  seen:expect { exit = 0, stage = 31, papers = { "report", "handoff" } }
end)

test("a row that cannot be moved takes the deployment back", function()
  local seen = well:run { faults = { { kind = "database", anchor = "step:30.4 the venture moves", lasts = 0.01 } } }
  seen:expect { exit = 4, version = "1.0", stage = 29 }
end)

test("an engine that died over the row finds out whether it had moved", function()
  for _, at in ipairs { "venture's row: before", "venture's row: after" } do
    local seen = well:run { faults = { { kind = "kill", during = "30.4 the venture moves to stage 31", at = at } } }
    seen:expect { exit = 0, engines = 2, stage = 31 }
  end
end)

test("while the database is away the probe does not know, and is asked again", function()
  local seen = well:run { faults = {
    { kind = "kill", during = "30.4 the venture moves to stage 31", at = "venture's row: after", back_s = 5 }, { kind = "database", anchor = "step:30.4 the venture moves", after = 1, lasts = 20 },
  } }
  seen:expect { exit = 0, engines = 2, stage = 31 }
end)

test("a rollback of what had moved on takes the row back too", function()
  local seen = well:run { faults = { { kind = "kill", during = "30.4 the venture moves to stage 31", at = "venture's row: after", ["then"] = "rollback" } } }
  seen:expect { exit = 4, outcome = "rolled_back", stage = 29, version = "1.0" }
  seen:step "rollback: the venture's row"
end)
