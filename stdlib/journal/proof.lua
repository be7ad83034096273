--- journal.proof: that the journal says what was recorded: the chain of events is whole, and the rows of runs and answers, which are what a resume
-- goes by beside the events, say what the events say.

local chain = require "journal.chain"
local core_err = require "core.err"
local json = require "json"

local M = {}

local PAGE = 1000

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

-- What the events say last of each run and question.
local function follow(self, event)
  local kind, is_ours = event.kind, event.run == self.run
  local is_told = kind == "answer" or kind == "run_begin" or kind == "rebase"
  if not (is_ours or is_told and not self.run) then return end
  local data = json.decode(event.data)
  if is_ours then
    event.data = data
    self.of_run[#self.of_run + 1] = event
  end
  if kind == "answer" then
    told_of(self.answers, event.run .. "/" .. data.seq).answer = data.answer
  elseif is_told then
    local run = told_of(self.runs, event.run)
    run.hash, run.row, run.event = data.hash or run.hash, run.row or data.row, event.seq
  end
end

-- Goes through the chain from where the proof has come to.
local function follow_chain(self, db)
  while true do
    local rows = assert(db:query("SELECT * FROM events WHERE seq > $1 ORDER BY seq LIMIT $2", self.seq, PAGE))
    for _, row in ipairs(rows) do
      local expected = self.seq + 1
      if row.seq ~= expected then broken(expected, "it is missing") end
      if row.hash ~= chain.hash_of(self.hash, row) then broken(row.seq, "its content was changed, or it does not follow the one before") end
      self.seq, self.hash, self.events = row.seq, row.hash, self.events + 1
      follow(self, row)
    end
    if #rows == 0 then return end
  end
end

-- The answers to questions of all runs, or of one, against what was told.
local function compare_answers(self, db)
  local where, values = self.run and " WHERE run = $1" or "", { self.run }
  for _, row in ipairs(assert(db:query("SELECT run, seq, answer FROM approvals" .. where, table.unpack(values)))) do
    local answer = self.answers[row.run .. "/" .. row.seq]
    if row.answer ~= (answer and answer.answer) then broken(0, ("question %d of run %s has another answer in its row than in its event"):format(row.seq, row.run)) end
  end
end

-- A run's row, and the sources that it is made of.
local function compare_run(self, db, run)
  local at = self.runs[run]
  local row = assert(db:query("SELECT * FROM runs WHERE id = $1", run))[1]
  local ok, hash = pcall(chain.hash_of_run, row)
  if not ok or hash ~= at.row then broken(at.event, ("run %s is not in its row as it was recorded"):format(run)) end
  local sources = assert(db:query("SELECT s.name, t.text FROM sources s JOIN texts t ON t.hash = s.hash WHERE s.run = $1 ORDER BY s.n", run))
  if chain.hash_of_sources(sources) ~= at.hash then broken(at.event, ("the sources of run %s are not those that were recorded"):format(run)) end
end

-- What fn proves, or the error that names what is broken.
local function proved(fn)
  local ok, problem = pcall(fn)
  if ok then return problem end
  if not core_err.is(problem) then error(problem, 0) end
  if problem.code == "journal" then return nil, problem end
  -- What cannot even be read.
  return nil, core_err.new { code = "journal", op = "verify", message = ("the journal cannot be read: %s"):format(problem.message), next = "Its file is damaged: keep a copy of it, and check the disk." }
end

-- A proof that has come to the event before the run's first, or before all.
local function new_proof(db, run)
  local self = { run = run, of_run = {}, events = 0, seq = 0, hash = chain.GENESIS, answers = {}, runs = {} }
  if run then self.seq = assert(db:value("SELECT seq FROM runs WHERE id = $1", run)) - 1 end
  if self.seq > 0 then
    local before = assert(db:query("SELECT hash FROM events WHERE seq = $1", self.seq))[1]
    if not before then broken(self.seq, "it is missing") end
    self.hash = before.hash
  end
  return self
end

--- Proves the chain whole, and that the rows say what the events say.
---@param db table
---@param run? string only from this run's beginning on, with its rows and sources
---@return { events: integer, of_run: table[] }?, table? err names the first link that is broken; events: how many were looked at; of_run: those of the run
function M.verify(db, run)
  return proved(function()
    local self = new_proof(db, run)
    local first = self.seq + 1
    follow_chain(self, db)
    if run and not self.runs[run] then broken(first, ("it is not the beginning of run %s"):format(run)) end
    compare_answers(self, db)
    for id in pairs(self.runs) do compare_run(self, db, id) end
    return self
  end)
end

--- Goes on with a proof over the events that were written since.
---@param db table
---@param proof table of verify
---@return table? proof, table? err
function M.go_on(db, proof)
  return proved(function()
    follow_chain(proof, db)
    compare_answers(proof, db)
    return proof
  end)
end

return M
