-- Stage 30: production deployment. This file is the order of the procedure; each part has its own
-- file in stage30/ and rollback/, and a venture replaces a part by having a file of the same name.

local deployment = require "deployment"
local papers = require "stage30.papers"
local run_module = require "run"

local gates = require "stage30.gates"
local pre_deployment = require "stage30.pre_deployment"
local blue_green = require "stage30.blue_green"
local post_deployment = require "stage30.post_deployment"
local exit_gate = require "stage30.exit_gate"
local decide = require "rollback.decide"

return playbook {
  name = "stage30",
  about = "Production deployment: verified backup, blue-green canary, automated rollback",
  needs_venture = true,
  args = {
    release = { type = "string", required = true, about = "the release candidate, a folder in the venture's releases" },
  },

  -- Looks at everything that must be there, and changes nothing.
  prepare = function(run) run.deployment = deployment.open(run) end,

  run = function(run)
    local d = run.deployment
    local ok, reason = run_module.attempt(function()
      gates(run, d)            -- 30.0
      pre_deployment(run, d)   -- 30.1
      blue_green(run, d)       -- 30.2
      post_deployment(run, d)  -- 30.3
      exit_gate(run, d)        -- 30.4
      run:heed()               -- an end that is recorded can still be taken back
    end)
    -- Whatever went wrong, and also an interruption, ends in the decision tree. It is shielded: what
    -- canceled the deployment must not cancel its rollback or its papers.
    shield(function()
      if ok then
        run.result = { outcome = "promoted", exit = 0, summary = ("%s serves %s at 100 %%, verified"):format(d.new, d.release.version) }
      else
        decide(run, d, reason)
      end
      d:close_feed()
      if run.result.exit ~= 5 then d:release_backup() end -- a rollback that failed is tried again with it
      step { "documents", effect = "idempotent", approve = false, run = function() papers(run, d) end }
    end)
    return run.result
  end,
}
