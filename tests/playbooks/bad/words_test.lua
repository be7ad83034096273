-- A test of a playbook has three words more, and they are known by their names.
-- expect 6:1 `tset` there is no global 'tset'; did you mean 'test'?
-- expect 8:3 `expect_equl` there is no global 'expect_equl'; did you mean 'expect_equal'?
local well = world { venture = "playbooks/demo/venture" }

tset("a", function() well:run() end)
test("b", function()
  expect_equl(1, 2)
  expect_equal(1, 1)
end)
