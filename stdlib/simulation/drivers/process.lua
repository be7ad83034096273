--- simulation.drivers.process: stands in for module process: a command does nothing and ends well, unless the venture's simulation.lua says what it gives (`commands`) or
-- a fault lets it fail.
--
-- Not simulated: processes that stay, signals, time limits, what grants refuse, and output as a secret.

local answers = require "simulation.answers"
local core_err = require "core.err"
local world = require("simulation.current").world

local M = {}

local RUN_S = 0.1

function M.run(options)
  local here = world()
  local text = table.concat(options.argv, " ")
  return here:operation("command", RUN_S, function()
    here:note("command", { argv = text })
    local answer = answers.find(here.scenario.answers and here.scenario.answers.commands, text) or {}
    local result = { code = answer.code or 0, stdout = answer.stdout or "", stderr = answer.stderr or "", truncated = false, seconds = RUN_S }
    if options.on_line then
      for line in result.stdout:gmatch "[^\n]+" do options.on_line(line, "stdout") end
    end
    if not options.check or result.code == 0 then return result end
    return nil, core_err.new { code = "process", op = "run " .. options.argv[1], message = ("%s ended with exit code %d"):format(options.argv[1], result.code),
      stdout = result.stdout, stderr = result.stderr, exit = result.code }
  end)
end

function M.self() return { pid = 1, started = 1, exe = "engine" } end
function M.alive() return true end

return M
