--- simulation.drivers.process: stands in for module process: a command does nothing and ends well, unless the venture's simulation.lua says what it gives (`commands`) or
-- a fault lets it fail.

local answers = require "simulation.answers"
local world = require("simulation.current").world

local M = {}

function M.run(options)
  local here = world()
  local text = table.concat(options.argv, " ")
  return here:operation("command", 0.1, function()
    here:note("command", { argv = text })
    local answer = answers.find(here.scenario.answers and here.scenario.answers.commands, text) or {}
    return { code = answer.code or 0, stdout = answer.stdout or "", stderr = answer.stderr or "" }
  end)
end

function M.self() return { pid = 1, started = 1, exe = "engine" } end
function M.alive() return true end

return M
