-- Steps that cannot be taken back, and one in the wrong place.
step("too early", function() end)

return playbook {
  name = "steps",
  run = function()
    step { "a probe that nobody asks", run = function() end, probe = function() return "done" end }
    step { "no probe", run = function() end, undo = function() end }
    step { "no undo", approve = true, run = function() end }
    step { "for good", approve = true, run = function() end, undo = false }
    step "nothing to do"
    step { "whole", run = function() end, probe = function() return "done" end, undo = function() end }
  end,
}
-- expect 2:1 `step` this step would run when the file is loaded
-- expect 7:62 `probe` this probe is never asked: the step has no undo
-- expect 8:12 `"no probe"` it has no probe
-- expect 9:12 `"no undo"` it has no undo
-- expect 11:10 `"nothing to do"` this step has a name and nothing to do
