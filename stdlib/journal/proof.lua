--- journal.proof: that the journal says what was recorded: the chain of events is whole, and the rows of runs, steps and answers, which are
-- what a resume goes by, say what the events say.

local chain = require "journal.chain"
local core_err = require "core.err"
local files = require "files"
local json = require "json"

local M = {}

local PAGE = 1000
local STEP_KINDS = { step_begin = true, step_again = true, step_end = true, value = true }

local function broken(seq, why)
  error(core_err.new { code = "journal", op = "verify", message = ("event %d: %s"):format(seq, why),
    next = "The journal was changed from outside, or its disk is bad: keep a copy of it, and treat what follows this event as unproved." }, 0)
end

local function told_of(all, key)
  local told = all[key]
  if not told then
    told = {}
    all[key] = told
  end
  return told
end

-- What the events say last of each step, run and question.
local function follow(told, event)
  if STEP_KINDS[event.kind] then
    local data, step = json.decode(event.data), told_of(told.steps, event.run .. "/" .. event.step)
    step.state, step.result, step.error, step.event = data.state, data.result, data.error, event.seq
    step.name, step.place, step.effect, step.key = step.name or data.name, step.place or data.place, step.effect or data.effect, step.key or data.key
  elseif event.kind == "answer" then
    local data = json.decode(event.data)
    told_of(told.answers, event.run .. "/" .. data.seq).answer = data.answer
  elseif event.kind == "run_begin" or event.kind == "rebase" then
    local data, run = json.decode(event.data), told_of(told.runs, event.run)
    run.hash, run.row, run.event = data.hash or run.hash, run.row or data.row, event.seq
  end
end

-- Goes through the chain from an event on.
local function follow_chain(db, first, told)
  local expected, prev = first, nil
  if first == 1 then prev = chain.GENESIS end
  while true do
    local rows = assert(db:query("SELECT * FROM events WHERE seq >= $1 ORDER BY seq LIMIT $2", expected, PAGE))
    for _, row in ipairs(rows) do
      if row.seq ~= expected then broken(expected, "it is missing") end
      if row.prev ~= (prev or row.prev) then broken(row.seq, "it does not follow the one before") end
      if row.hash ~= chain.hash_of(row) then broken(row.seq, "its content was changed") end
      follow(told, row)
      prev, expected = row.hash, expected + 1
    end
    if #rows == 0 then return expected - first end
  end
end

local function same(text, value)
  if text == nil then return value == nil end
  return text == json.encode(value) or json.encode(json.decode(text)) == json.encode(value)
end

local function compare_step(row, told)
  local which = ("step %d of run %s"):format(row.seq, row.run)
  if not told then broken(0, which .. " has no event") end
  if told.state ~= row.state then broken(told.event, ("%s is '%s' in its row, but '%s' in its event"):format(which, row.state, told.state)) end
  if not same(row.result, told.result) or not same(row.error, told.error) then broken(told.event, which .. " has another result in its row than in its event") end
  if row.name ~= told.name then broken(told.event, which .. " has another name in its row than in its event") end
  if row.effect == "value" then return end
  if row.place ~= told.place or row.effect ~= told.effect or row.key ~= told.key or files.sha256_text(row.args) ~= row.args_hash or chain.key(row.run, row.place, row.name, row.args_hash) ~= row.key then
    broken(told.event, which .. " is another one in its row than in its event")
  end
end

-- The rows of all runs, or of one, against what was told.
local function compare_rows(db, told, run)
  local where, values = run and " WHERE run = $1" or "", { run }
  for _, row in ipairs(assert(db:query("SELECT * FROM steps" .. where, table.unpack(values)))) do
    local key = row.run .. "/" .. row.seq
    compare_step(row, told.steps[key])
    told.steps[key].has_row = true
  end
  for key, step in pairs(told.steps) do
    if not step.has_row and (not run or key:match "^[^/]*" == run) then broken(step.event, ("its step %s has no row"):format(key)) end
  end
  for _, row in ipairs(assert(db:query("SELECT run, seq, answer FROM approvals" .. where, table.unpack(values)))) do
    local answer = told.answers[row.run .. "/" .. row.seq]
    if row.answer ~= (answer and answer.answer) then broken(0, ("question %d of run %s has another answer in its row than in its event"):format(row.seq, row.run)) end
  end
end

-- A run's row, and the sources that it is made of.
local function compare_run(db, told, run)
  local at = told.runs[run]
  local row = assert(db:query("SELECT * FROM runs WHERE id = $1", run))[1]
  local ok, hash = pcall(chain.hash_of_run, row)
  if not ok or hash ~= at.row then broken(at.event, ("run %s is not in its row as it was recorded"):format(run)) end
  local sources = assert(db:query("SELECT s.name, t.text FROM sources s JOIN texts t ON t.hash = s.hash WHERE s.run = $1 ORDER BY s.n", run))
  if chain.hash_of_sources(sources) ~= at.hash then broken(at.event, ("the sources of run %s are not those that were recorded"):format(run)) end
end

--- Proves the chain whole, and that the rows say what the events say.
---@param db table
---@param run? string only from this run's beginning on, with its rows and sources
---@return { events: integer }?, table? err names the first link that is broken
function M.verify(db, run)
  local ok, problem = pcall(function()
    local told = { steps = {}, answers = {}, runs = {} }
    local first = run and assert(db:value("SELECT seq FROM runs WHERE id = $1", run)) or 1
    local count = follow_chain(db, first, told)
    if run and not told.runs[run] then broken(first, ("it is not the beginning of run %s"):format(run)) end
    compare_rows(db, told, run)
    for id in pairs(told.runs) do if not run or id == run then compare_run(db, told, id) end end
    return { events = count }
  end)
  if ok then return problem end
  if not core_err.is(problem) then error(problem, 0) end
  if problem.code == "journal" then return nil, problem end
  -- What cannot even be read.
  return nil, core_err.new { code = "journal", op = "verify", message = ("the journal cannot be read: %s"):format(problem.message), next = "Its file is damaged: keep a copy of it, and check the disk." }
end

return M
