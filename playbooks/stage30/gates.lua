-- 30.0 Before it starts: Stage 29 complete, release candidate approved, chairman's approval received,
-- security baseline in place. Each is a gate with evidence, declared in the venture's `gates`.

return function(run, d)
  step { "30.0 gates", approve = false, run = function()
    run:event("note", { text = "release candidate", version = d.release.version, digest = d.release.digest })
    run:say(("release candidate %s, %s"):format(d.release.version, d.release.digest:sub(1, 19)))
    if #d.venture.gates == 0 then
      fail("gate", "no gate is declared: a deployment needs evidence that it may begin", { next = "Declare `gates` in venture.lua (30.0 of the procedure)." })
    end
    return d:check(d.venture.gates, d.old, "gate")
  end }
end
