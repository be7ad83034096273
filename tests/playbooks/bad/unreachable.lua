-- Gates that are never reached.
return function(run, d)
  if run.mode == "auto" then
    fail("gate", "only by hand")
    step("never 1", function() end)
  end
  while true do
    if d.migrated then break end
    sleep(1)
  end
  if d.traffic_moved then
    return 1
  else
    error "no traffic"
  end
  step("never 2", function() end)
  for _ = 1, 2 do
    goto continue
    sleep(1)
    ::continue::
    sleep(1)
  end
  if false then step("never 3", function() end) end
end
-- expect 5:5 `step("never 1", function() end)` this is never reached: `fail` in line 4 always comes first
-- expect 16:3 `step("never 2", function() end)` never reached: an `if` whose every branch leaves in line 11
-- expect 19:5 `sleep(1)` never reached: `goto` in line 18
-- expect 23:6 `false` the condition is always false
