--- report: what the commands status, log and approve print from the journal.

local display = require "display"
local json = require "json"

local M = {}

local function table_line(widths, ...)
  local cells = {}
  for i, cell in ipairs { ... } do
    local text = tostring(cell)
    cells[i] = text .. (" "):rep((widths[i] or 0) - utf8.len(text))
  end
  print((table.concat(cells, "  "):gsub("%s+$", "")))
end

local function state_of(journal, run) return require("run.pause").of(assert(journal:signals(run.id))) and "paused" or "running" end

-- A run for machines: what is in the journal of it, and what it waits for.
local function run_object(journal, run)
  local paused = not run.outcome and require("run.pause").of(assert(journal:signals(run.id))) or nil
  local question = not run.outcome and journal:open_question(run.id) or nil
  return {
    v = 1, run = run.id, venture = run.venture, playbook = run.playbook, release = run.release, by = run.actor, mode = run.mode, started_at = run.started_at, ended_at = run.ended_at,
    outcome = run.outcome, exit = run.exit_code, summary = run.summary, paused = paused and { by = paused.by, reason = paused.reason, since = paused.at }, question = question and question.question,
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
    for _, run in ipairs(assert(journal:runs { limit = 10, changed = not all })) do print(json.encode(run_object(journal, run))) end
    return 0
  end
  local run, err = journal:run(id)
  if not run then return nil, err end
  local object = run_object(journal, run)
  object.steps = steps_object(journal, run)
  print(json.encode(object))
  return 0
end

--- `engine status`: the latest runs; with a run, its steps.
---@param journal table
---@param id? string
---@param options? { all?: boolean, json?: boolean } all: also the consoles that only looked
---@return integer? exit, table? err
function M.status(journal, id, options)
  options = options or {}
  if options.json then return status_for_machines(journal, id, options.all) end
  if not id then
    local runs = assert(journal:runs { limit = 10, changed = not options.all })
    if not runs[1] then print "no run yet" end
    for _, run in ipairs(runs) do
      table_line({ 6, 24, 12, 10, 12, 4 }, run.id, run.started_at, run.venture or run.playbook, run.release or "-", run.outcome or state_of(journal, run), run.exit_code or "")
    end
    return 0
  end
  local run, err = journal:run(id)
  if not run then return nil, err end
  print(("run %s  %s  %s  release %s  %s%s"):format(run.id, run.venture or "-", run.playbook, run.release or "-", run.outcome or "running", run.exit_code and ("  exit %d"):format(run.exit_code) or ""))
  if run.summary then print(run.summary) end
  local depth = {}
  for _, step in ipairs(assert(journal:steps(run.id))) do
    depth[step.seq] = step.parent and depth[step.parent] + 1 or 0
    display.line((step.state == "running" or step.state == "intent") and "begin" or step.state, depth[step.seq],
      ("%s  %s"):format(step.name, step.seconds and display.duration(step.seconds) or step.state))
  end
  local paused = not run.outcome and require("run.pause").of(assert(journal:signals(run.id)))
  if paused then print(("%s since %s; engine go-on %s"):format(require("run.pause").text(paused), paused.at, run.id)) end
  local question = journal:open_question(run.id)
  if question and not run.outcome then print(("waiting for an answer: %s; engine approve %s"):format(question.question, run.id)) end
  local handoff = require("papers.standing").handoff(assert(journal:events(run.id)), run)
  if handoff then print("handoff: " .. handoff.text) end
  return 0
end

--- `engine log`: a run's events, one line each; with verify, the proof of the chain.
---@param journal table
---@param id? string
---@param options? { verify?: boolean, json?: boolean } json: an object a line, as a run tells them with --json
---@return integer? exit, table? err
function M.log(journal, id, options)
  options = options or {}
  if options.verify then
    local proof, err = journal:verify()
    if not proof then
      display.failure(err)
      return 1
    end
    print(options.json and json.encode { v = 1, chain = "whole", events = proof.events } or ("%d events, chain whole"):format(proof.events))
    if not id then return 0 end
  end
  local run, err = journal:run(id)
  if not run then return nil, err end
  for _, event in ipairs(assert(journal:events(run.id))) do
    if options.json then print(json.encode { v = 1, at = event.at, run = run.id, seq = event.seq, step = event.step, kind = event.kind, data = event.data })
    else print(("%s  %5d  %-10s  %s"):format(event.at, event.seq, event.kind, json.encode(event.data))) end
  end
  return 0
end

--- `engine approve`: answers the question that a run waits for.
---@return integer? exit, table? err
function M.approve(journal, id, answer, reason)
  local run, err = journal:run(id)
  if not run then return nil, err end
  local question = journal:open_question(run.id)
  if not question then
    print(("run %s waits for no answer\n  next   engine status %s"):format(run.id, run.id))
    return 1
  end
  local row
  row, err = journal:answer(run.id, question.seq, { answer = answer, by = require("execute").actor(), reason = reason })
  if not row then return nil, err end
  print(("%s: %s, by %s"):format(question.question, answer, row.by))
  return 0
end

--- `engine unlock`: says whose lock it is and since when; with yes it is taken away.
---@return integer? exit, table? err
function M.unlock(journal, id, yes, reason)
  local run, err = journal:run(id)
  if not run then return nil, err end
  local lease, lives = journal:holder(journal:lease_of(run))
  if not lease or not lease.run then
    print(("nobody holds %s"):format(journal:lease_of(run)))
    return 0
  end
  print(("run %s holds %s since %s for %s: process %d on %s, which %s; epoch %d"):format(lease.run, lease.venture, lease.acquired_at, lease.operation, lease.pid, lease.host,
    lives and "lives" or "is gone", lease.epoch))
  if not lives and not yes then
    print(("  next   engine resume %s, or engine rollback %s: a dead holder's lock is taken over by itself"):format(lease.run, lease.run))
    return 0
  end
  if not yes then
    print "  next   engine unlock --yes takes it away: that engine stops before it does or records anything more"
    return 0
  end
  local done
  done, err = journal:unlock(run, require("execute").actor(), reason)
  if not done then return nil, err end
  print(("taken away; next   engine resume %s, or engine rollback %s"):format(lease.run, lease.run))
  return 0
end

return M
