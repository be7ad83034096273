--- report: what the commands status, log and approve print from the journal.

local display = require "display"
local journal_option = require "journal.option"
local json = require "json"
local report_state = require "report.state"
local text = require "display.text"

local M = {}

local function table_line(widths, ...)
  local cells = {}
  for i, cell in ipairs { ... } do
    local shown = text.one_line(tostring(cell))
    cells[i] = shown .. (" "):rep((widths[i] or 0) - text.width(shown))
  end
  print((table.concat(cells, "  "):gsub("%s+$", "")))
end

-- What comes from anybody is shown as text.
local function say(...) print(display.plain((...):format(select(2, ...)))) end

local function say_next(command) if command then print("  next   " .. command) end end

-- A run for machines: what is in the journal of it, how it stands and what it waits for.
local function run_object(journal, run)
  local state = report_state.of(journal, run)
  local paused = state.paused
  return {
    v = 1, run = run.id, venture = run.venture, playbook = run.playbook, release = run.release, by = run.actor, mode = run.mode, started_at = run.started_at, ended_at = run.ended_at,
    state = state.word, outcome = run.outcome, exit = run.exit_code, summary = run.summary, paused = paused and { by = paused.by, reason = paused.reason, since = paused.at },
    question = state.question and state.question.question,
  }
end

local function steps_object(journal, run)
  local steps = json.array {}
  for i, step in ipairs(assert(journal:steps(run.id))) do
    steps[i] = { seq = step.seq, parent = step.parent, name = step.name, state = step.state, effect = step.effect, started_at = step.started_at, ended_at = step.ended_at, seconds = step.seconds }
  end
  return steps
end

local function status_for_machines(journal, id, all)
  if not id then
    for _, run in ipairs(assert(journal:runs { limit = 10, changed = not all })) do display.value(run_object(journal, run)) end
    return 0
  end
  local run, err = journal:run(id)
  if not run then return nil, err end
  local object = run_object(journal, run)
  object.steps = steps_object(journal, run)
  display.value(object)
  return 0
end

-- The latest runs, and what the first of them that needs something needs. That nobody took a promoted one over matters of the latest alone.
local function status_of_all(journal, all, where)
  local runs, command = assert(journal:runs { limit = 10, changed = not all }), nil
  if not runs[1] then print "no run yet" end
  for i, run in ipairs(runs) do
    local state = report_state.of(journal, run)
    table_line({ 6, 24, 12, 10, 12, 4 }, run.id, run.started_at, run.venture or run.playbook, run.release or "-", state.word, run.exit_code or "")
    if i == 1 or not run.ended_at then command = command or report_state.next(journal, run, state, where) end
  end
  say_next(command)
  return 0
end

local function status_of_run(journal, run, options)
  local where = journal_option.text(options)
  local state = report_state.of(journal, run)
  say("run %s  %s  %s  release %s  %s%s", run.id, run.venture or "-", run.playbook, run.release or "-", state.word, run.exit_code and ("  exit %d"):format(run.exit_code) or "")
  if run.summary then say("%s", run.summary) end
  local depth = {}
  for _, step in ipairs(assert(journal:steps(run.id))) do
    depth[step.seq] = step.parent and depth[step.parent] + 1 or 0
    display.line((step.state == "running" or step.state == "intent") and "begin" or step.state, depth[step.seq],
      ("%s  %s"):format(step.name, step.seconds and display.duration(step.seconds) or step.state))
  end
  if state.gone and run.playbook ~= "console" then say("its engine is gone; %s", report_state.guardian(run)) end
  if state.paused then say("%s since %s", require("run.pause").text(state.paused), state.paused.at) end
  if state.question then say("waiting for an answer: %s", state.question.question) end
  local handoff = require("papers.standing").handoff(assert(journal:events(run.id)), run)
  if handoff then say("handoff: %s", journal_option.named(handoff.text, options)) end
  say_next(report_state.next(journal, run, state, where))
  return 0
end

--- `engine status`: the latest runs; with a run, its steps.
---@param journal table
---@param id? string
---@param options? { all?: boolean, json?: boolean, state?: string, venture?: string, journal?: string } all: also the consoles that only looked
---@return integer? exit, table? err
function M.status(journal, id, options)
  options = options or {}
  if options.json then return status_for_machines(journal, id, options.all) end
  if not id then return status_of_all(journal, options.all, journal_option.text(options)) end
  local run, err = journal:run(id)
  if not run then return nil, err end
  return status_of_run(journal, run, options)
end

--- `engine log`: a run's events, one line each; with verify, the proof of the chain.
---@param journal table
---@param id? string
---@param options? { verify?: boolean, json?: boolean, state?: string, venture?: string, journal?: string } json: an object a line, as a run tells them with --json
---@return integer? exit, table? err
function M.log(journal, id, options)
  options = options or {}
  if options.verify then
    local proof, err = journal:verify()
    if not proof then
      display.failure(err)
      return 1
    end
    if options.json then display.value { v = 1, chain = "whole", events = proof.events } else print(("%d events, chain whole"):format(proof.events)) end
    if not id then return 0 end
  end
  local run, err = journal:run(id)
  if not run then return nil, err end
  for _, event in ipairs(assert(journal:events(run.id))) do
    if options.json then display.value { v = 1, at = event.at, run = run.id, seq = event.seq, step = event.step, kind = event.kind, data = event.data }
    else say("%s  %5d  %-10s  %s", event.at, event.seq, event.kind, json.encode(event.data)) end
  end
  if not options.json then say_next(report_state.next(journal, run, report_state.of(journal, run), journal_option.text(options))) end
  return 0
end

--- `engine approve`: answers the question that a run waits for.
---@param journal table
---@param options { words: string[], no?: boolean, reason?: string, state?: string, venture?: string, journal?: string }
---@return integer? exit, table? err
function M.approve(journal, options)
  local answer = options.no and "no" or "yes"
  local run, err = journal:run(options.words[1])
  if not run then return nil, err end
  local question = journal:open_question(run.id)
  if not question then
    print(("run %s waits for no answer\n  next   engine status %s%s"):format(run.id, run.id, journal_option.text(options)))
    return 1
  end
  local row
  row, err = journal:answer(run.id, question.seq, { answer = answer, by = require("execute").actor(), reason = options.reason })
  if not row then return nil, err end
  say("%s: %s, by %s", question.question, answer, row.by)
  return 0
end

--- `engine unlock`: says whose lock it is and since when; with yes it is taken away.
---@param journal table
---@param options { words: string[], yes?: boolean, reason?: string, state?: string, venture?: string, journal?: string }
---@return integer? exit, table? err
function M.unlock(journal, options)
  local yes, where = options.yes, journal_option.text(options)
  local run, err = journal:run(options.words[1])
  if not run then return nil, err end
  local lease, lives = journal:holder(journal:lease_of(run))
  if not lease or not lease.run then
    print(("nobody holds %s"):format(journal:lease_of(run)))
    return 0
  end
  print(("run %s holds %s since %s for %s: process %d on %s, which %s; epoch %d"):format(lease.run, lease.venture, lease.acquired_at, lease.operation, lease.pid, lease.host,
    lives and "lives" or "is gone", lease.epoch))
  if not lives and not yes then
    print(("  next   %s: a dead holder's lock is taken over by itself"):format(report_state.after_engine({ id = lease.run }, where)))
    return 0
  end
  if not yes then
    print(("  next   engine unlock %s --yes%s takes it away: that engine stops before it does or records anything more"):format(run.id, where))
    return 0
  end
  local done
  done, err = journal:unlock(run, require("execute").actor(), options.reason)
  if not done then return nil, err end
  print(("taken away\n  next   %s"):format(report_state.after_engine({ id = lease.run }, where)))
  return 0
end

return M
