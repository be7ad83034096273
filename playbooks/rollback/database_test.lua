-- RB2: the backup takes the place of what the migrations made of the database, and the report says exactly what is lost by it.

local damaged = world { venture = "playbooks/demo/venture", release = "1.1", migrations = { "002_plans" }, migration = "damaging" }

test("traffic goes back and green stops before the database is restored", function()
  local seen = damaged:run()
  seen:expect { exit = 4, rollback = "database", restored = true, damaged = false, applied = { "001_base" }, version = "1.0", green_release = false }
  seen:order { "RB2 all traffic to blue", "RB2 stop green, it writes no more", "RB2 restore the database", "RB2 the database is sound" }
end)

test("rows that clients wrote since the backup are lost, and are listed", function()
  local seen = damaged:run()
  local tables = seen:event("loss").tables
  expect_equal(#tables, 1)
  seen:expect { lost = tables[1].inserted + tables[1].updated + tables[1].deleted }
  seen:says "lost in ventures"
end)

test("when nobody wrote nothing is lost", function()
  local seen = damaged:run { writes = 0 }
  seen:expect { exit = 4, restored = true, lost = 0 }
  expect_equal(#seen:event("loss").tables, 0)
end)

test("a loss that cannot be counted, or not exactly, is said", function()
  damaged:run({ loss = "unknown" }):says "what is lost could not be counted"
  damaged:run({ loss = "approximate" }):says "the loss is approximate"
end)

test("a warm copy that cannot be used is no reason to fail: the backup is loaded", function()
  local seen = damaged:run { faults = { { kind = "operation", name = "backup.swap", how = "fails" } } }
  seen:expect { exit = 4, rollback = "database", restored = true }
  seen:says "the warm copy cannot be used"
  local cold = damaged:run { settings = { backup = { warm = false } } }
  cold:expect { exit = 4, restored = true }
end)

test("an engine that died over the restore does not restore twice", function()
  local seen = damaged:run { faults = { { kind = "kill", during = "RB2 restore the database", at = "database swap: after" } } }
  seen:expect { exit = 4, engines = 2, restored = true, damaged = false }
end)
