-- Steps that cannot be taken back, and one in the wrong place.
step("too early", function() end)

return playbook {
  name = "steps",
  run = function()
    step { "a probe that nobody asks", effect = "keyed", run = function() end, probe = function() return "done" end }
    step { "no probe", effect = "idempotent", run = function() end, undo = function() end }
    step { "no undo", approve = true, run = function() end }
    step { "for good", approve = true, run = function() end, undo = false }
    step "nothing to do"
    step { "unsaid", run = function() end, undo = function() end }
    step { "misspelt", effect = "idempotant", run = function() end }
    step { "unprobed", effect = "probed", run = function() end, undo = function() end }
    step { "whole", run = function() end, probe = function() return "done" end, undo = function() end }
  end,
}
-- expect 2:1 `step` this step would run when the file is loaded
-- expect 7:80 `probe` this probe is never asked
-- expect 8:12 `"no probe"` it has no probe
-- expect 9:12 `"no undo"` it has no undo
-- expect 11:10 `"nothing to do"` this step has a name and nothing to do
-- expect 12:12 `"unsaid"` does not say what may be done when the engine died
-- expect 12:12 `"unsaid"` it has no probe
-- expect 13:33 `"idempotant"` there is no class of effects 'idempotant'
-- expect 14:33 `"probed"` has no probe
-- expect 14:12 `"unprobed"` it has no probe
