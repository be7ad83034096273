-- Effects with a fault in their middle: a command that is run once, before the run has been resumed. bad_disks.sh makes the faults.
--
--   traces   a line "name key" for each effect that was really done

local effect = require "effect"

local EFFECTS_AFTER = 60 -- more than a journal writes without its file growing

return playbook {
  name = "interrupted",
  about = "effects, a fault, and more effects",
  args = {
    world = { type = "string", required = true, about = "a folder" },
    fault = { type = "string", default = "true", about = "a command of the shell" },
  },
  run = function(run)
    local traces = run.args.world .. "/traces"
    local function once(name)
      step {
        name, effect = "probed", args = { text = name:rep(100) },
        run = function(key) effect.change(name, function() assert(files.append(traces, ("%s %s\n"):format(name, key))) end) end,
        probe = function() return (files.read(traces) or ""):find("\n" .. name .. " ", 1, true) and "done" or "absent", "by its trace" end,
      }
    end
    once "before"
    step { "fault", effect = "idempotent", run = function()
      if not run.recorded then assert(process.run { argv = { "sh", "-c", run.args.fault } }) end
    end }
    for i = 1, EFFECTS_AFTER do once("after-" .. i) end
    return { outcome = "done", summary = "all effects are there" }
  end,
}
