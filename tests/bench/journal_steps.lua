-- Many durable steps, then an effect in whose middle the engine is killed. journal.sh runs and resumes it.

local clock = require "clock"

return playbook {
  name = "journal-steps",
  args = {
    steps = { type = "integer", default = 1000, about = "how many" },
    out = { type = "string", required = true, about = "a folder: `step` gets the microseconds a step (median, mean), `probe` is made by the probe" },
    die = { type = "boolean", about = "end with an effect that kills the engine" },
  },
  run = function(run)
    step("the first, which begins the run", function() end)
    local took, sum = {}, 0
    for i = 1, run.args.steps do
      local began = clock.now()
      step { "a step", args = { number = i }, run = function() return { number = i } end }
      took[i] = (clock.now() - began) * 1e6
      sum = sum + took[i]
    end
    table.sort(took)
    if not run.recorded then assert(files.write(run.args.out .. "/step", ("%.1f %.1f\n"):format(took[#took // 2 + 1], sum / #took))) end
    if not run.args.die then return end
    step {
      "an effect", effect = "probed",
      probe = function()
        assert(files.write(run.args.out .. "/probe", ""))
        return "done"
      end,
      run = function() assert(process.run { argv = { "kill", "-9", tostring(process.self().pid) } }) end,
    }
  end,
}
