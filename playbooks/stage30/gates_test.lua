-- 30.0: without evidence nothing begins.

local well = world { venture = "playbooks/demo/venture", release = "1.1" }

test("each gate is recorded with its evidence", function()
  local seen = well:run()
  seen:step "30.0 gates"
  for _, name in ipairs { "stage 29 complete", "release candidate approved", "chairman's approval received", "security baseline in place" } do
    seen:event("gate", { name = name, passed = true })
  end
end)

test("one gate that does not pass stops the deployment before anything is touched", function()
  local seen = well:run { faults = { { kind = "check", name = "chairman's approval received" } } }
  seen:expect { exit = 1, outcome = "aborted", code = "gate", because = "chairman's approval received", version = "1.0" }
  seen:failed("30.0 gates", "chairman's approval received")
  seen:never "30.1"
end)

test("a venture that declares no gate is not deployed", function()
  local seen = well:run { settings = { gates = {} } }
  seen:expect { exit = 1, code = "gate", because = "no gate is declared" }
  seen:never "30.1"
end)
