--- simulation.drivers.approval: stands in for module approval: a person answers as the scenario says, after a while, or not at all.

local core_clock = require "core.clock"
local core_err = require "core.err"
local display = require "display"
local task = require "task"
local world = require("simulation.current").world

local M = {}

-- Waits for the person, as long as the venture lets a question stand; a question that was answered while no engine ran is not waited for.
local function answered(here, run, seq, question)
  local row = run.journal:approval(run.id, seq)
  if row.answer then return row end
  local timeout = run.venture and run.venture.approvals.timeout or 3600
  here.answered = (here.answered or 0) + 1
  local is_there = here.scenario.answer ~= "none" and here.answered <= here.scenario.answered
  local comes = is_there and here.scenario.answer_s or math.huge
  task.sleep(math.min(comes, timeout))
  here:check_alive()
  if comes <= timeout then return run.journal:answer(run.id, seq, { answer = here.scenario.answer, by = "simulated" }) end
  error(core_err.new { code = "approval", message = ("nobody answered '%s' within %s"):format(question, display.duration(timeout)), unanswered = true }, 0)
end

function M.ask(run, question, evidence, place)
  local here = world()
  local asked = run.recorded and run.recorded.answers[place]
  local seq = asked and asked.seq or run.journal:ask(run.id, { place = place, question = question, evidence = evidence or {} })
  here:note("asked", { question = question })
  local began = core_clock.now()
  local row = answered(here, run, seq, question)
  run.journal:event(run.id, "approval", { question = question, answer = row.answer, by = row.by, reason = row.reason, waited_seconds = core_clock.now() - began })
  if row.answer ~= "yes" then error(core_err.new { code = "approval", message = ("'%s' was denied by %s"):format(question, row.by) }, 0) end
end

return M
