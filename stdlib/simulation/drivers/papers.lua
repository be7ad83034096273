--- simulation.drivers.papers: stands in for module papers: that a paper is made is what matters, and what it would say is in the journal.

local world = require("simulation.current").world

local M = {}

local function made(name)
  return function()
    local here = world()
    here:note("paper", { name = name, stage = here.database.stage })
    return name .. "\n"
  end
end

M.deployment_log, M.rollback_report, M.handoff = made "deployment log", made "rollback report", made "handoff"

return M
