--- simulation.drivers.approval: stands in for module approval: a person answers as the scenario says, after a while.

local core_err = require "core.err"
local task = require "task"
local world = require("simulation.current").world

local M = {}

function M.ask(run, what, evidence, place)
  local here = world()
  local asked = run.recorded and run.recorded.answers[place]
  if asked and asked.answer == "yes" then return end
  local seq = asked and asked.seq or run.journal:ask(run.id, { place = place, question = what, evidence = evidence })
  here:note("asked", { question = what })
  task.sleep(here.scenario.answer_s)
  here:check_alive()
  if here.scenario.answer == "none" then
    error(core_err.new { code = "approval", unanswered = true, message = ("nobody answered: %s"):format(what) }, 0)
  end
  run.journal:answer(run.id, seq, { answer = here.scenario.answer, by = "simulated" })
  if here.scenario.answer ~= "yes" then error(core_err.new { code = "approval", message = ("no to: %s"):format(what) }, 0) end
end

return M
