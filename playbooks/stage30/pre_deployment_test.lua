-- 30.1: whatever fails here aborts, and nothing has been changed.

local well = world { venture = "playbooks/demo/venture", release = "1.1", migrations = { "002_plans" } }

local function aborts(seen)
  seen:expect { exit = 1, outcome = "aborted", version = "1.0", green_release = false, applied = { "001_base" } }
  seen:never "30.2"
end

test("a serving release that is ill is not replaced", function()
  local seen = well:run { faults = { { kind = "check", name = "database answers", colour = "blue" } } }
  aborts(seen)
  seen:failed("30.1.1 health checks", "database answers")
end)

test("dependencies must be there", function()
  local outside = well:run { faults = { { kind = "check", name = "Supabase status" } } }
  aborts(outside)
  outside:failed "30.1.2 external dependencies"
  local inside = well:run { faults = { { kind = "check", name = "secrets vault" } } }
  aborts(inside)
  inside:failed "30.1.2 internal dependencies"
end)

test("a test payment whose answer is lost is asked for again and made once", function()
  local seen = well:run { faults = { { kind = "operation", name = "test payment", how = "lost" } } }
  seen:expect { exit = 0 }
  seen:step "30.1.2 external dependencies"
end)

test("a backup that does not verify is no backup", function()
  local seen = well:run { faults = { { kind = "corrupt" } } }
  aborts(seen)
  seen:failed("30.1.3 backup integrity", "is not the file that was written")
end)

test("a backup that restores to something else is no backup", function()
  local seen = well:run { faults = { { kind = "mismatch" } } }
  aborts(seen)
  seen:failed "30.1.3 restoration tested in staging"
end)

test("a full disk ends it before the live database is touched", function()
  local seen = well:run { faults = { { kind = "disk", after = 20, lasts = 30 } } }
  aborts(seen)
  seen:failed("30.1.3 backup", "no space left")
end)

test("a backup that was never restored does not pass", function()
  local seen = well:run { settings = { backup = { drill = false } } }
  aborts(seen)
  seen:expect { code = "gate", because = "never restored" }
end)

test("the copy is kept for a rollback, unless the venture says otherwise", function()
  expect_equal(well:run():step("30.1.3 restoration tested in staging").result.copy ~= nil, true)
  local cold = well:run { settings = { backup = { warm = false } } }
  cold:expect { exit = 0 }
  expect_equal(cold:step("30.1.3 restoration tested in staging").result.copy, nil)
end)

test("a store gets the backup, and must have it", function()
  local stored = well:with { settings = { backup = { store = "s3://backups/acme?endpoint=http://127.0.0.1:1" } } }
  local seen = stored:run()
  seen:expect { exit = 0 }
  seen:step "30.1.3 backup in the store"
  local lost = stored:run { faults = { { kind = "operation", name = "store.put", how = "fails" } } }
  aborts(lost)
  lost:failed "30.1.3 backup in the store"
end)
