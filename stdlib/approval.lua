--- approval: a person's yes, with who, when and on what evidence.
--
-- The question is put into the journal; the answer comes from the terminal, if there is one, or from
-- `engine approve RUN` anywhere else. Without an answer in time the run stops; nothing is assumed.

local clock = require "clock"
local core_err = require "core.err"
local core_terminal = require "core.terminal"
local display = require "display"
local task = require "task"

local M = {}

local POLL_S = 0.25

local function from_journal(run, seq)
  while true do
    local row = assert(run.journal:approval(run.id, seq))
    if row.answer then return row end
    task.sleep(POLL_S)
  end
end

local function from_terminal(run, seq, timeout)
  while true do
    local text, err = core_terminal.read_line(timeout)
    if not text then error(err, 0) end
    local answer = text:lower():match "^%s*(%a+)%s*$"
    if answer == "y" or answer == "yes" then return assert(run.journal:answer(run.id, seq, { answer = "yes", by = run.actor })) end
    if answer == "n" or answer == "no" then return assert(run.journal:answer(run.id, seq, { answer = "no", by = run.actor })) end
    display.line("ask", 0, "please answer yes or no")
  end
end

--- Waits for a yes to a question. Raises err "approval" when the answer is no or does not come in time.
---@param run table
---@param question string
---@param evidence? table what the answer is bound to
---@param place string where in the run it is asked; a question that was asked there before is not asked again
function M.ask(run, question, evidence, place)
  local timeout = run.venture and run.venture.approvals.timeout or 3600
  local asked = run.recorded and run.recorded.answers[place]
  local seq = asked and asked.seq or assert(run.journal:ask(run.id, { place = place, question = question, evidence = evidence or {} }))
  local interactive = core_terminal.interactive(0)
  display.line("ask", 0, ("%s? %s"):format(question, interactive and "[yes/no]" or ("waiting; answer with: engine approve %s%s"):format(run.id, require("journal.option").text { state = run.state_folder, journal = run.journal_option and run.journal_option.journal })))
  local began = clock.now()
  local ok, row = task.scope("approval of " .. question, timeout, function()
    if interactive then background(from_terminal, run, seq, timeout) end
    return from_journal(run, seq)
  end)
  local waited = clock.now() - began
  if not ok then
    if row.code ~= "deadline" then error(row, 0) end
    error(core_err.new { code = "approval", message = ("nobody answered '%s' within %s"):format(question, display.duration(timeout)), unanswered = true }, 0)
  end
  assert(run.journal:event(run.id, "approval", { question = question, answer = row.answer, by = row.by, reason = row.reason, waited_seconds = waited }))
  if row.answer ~= "yes" then
    error(core_err.new { code = "approval", message = ("'%s' was denied by %s%s"):format(question, row.by, row.reason and ": " .. row.reason or "") }, 0)
  end
end

return M
