--- journal: what runs did, durably: every change is committed before the call returns.
--
-- A step's beginning (for an effect its INTENT) is in the journal before anything happens, its outcome after. Each thing that a run does
-- has a place ("7", "7.2"), which is the same when the run is gone through again: journal and playbook meet there. Events
-- form a hash chain (journal.chain). One run a venture, by a lease with an epoch (journal.lease): a write of a holder whose lease was
-- taken over is refused. The tables are in SQLite, or in a PostgreSQL that several machines share (journal.store).

local chain = require "journal.chain"
local core_err = require "core.err"
local core_secret = require "core.secret"
local files = require "files"
local json = require "json"
local leases = require "journal.lease"
local random = require "core.random"
local sql = require "sql"
local stores = require "journal.store"

local M = {}

local Journal = {}
Journal.__index = Journal

--- Seconds after which a holder on another machine that has not renewed its lease is taken for dead.
M.LEASE_S = leases.EXPIRES_S

local function opt(value) return value == nil and sql.null or value end

local function encode(value) return core_secret.redact(json.encode(value)) end

--- Opens the journal, and makes it if it is not there.
---@param where any the path of a SQLite file, or postgres://..., which may be a secret
---@return table? journal, table? err code journal
---@usage local j = assert(journal.open("/tmp/engine-usage-" .. random.hex(4)))  j:close()
function M.open(where)
  local is_url = core_secret.is(where) or where:match "^postgres%w*://"
  local store, err = stores.open(is_url and where or "sqlite:" .. where, is_url and tostring(where):gsub("//[^@/]*@", "//") or where)
  if not store then return nil, err end
  return setmetatable({ store = store, db = store.db, path = not is_url and where or nil, writes = 0, disturbances = 0 }, Journal)
end

function Journal:close() self.store:close() end

--- Calls fn(err) each time that a write waits for a database that is away.
function Journal:on_wait(fn) self.store.on_wait = fn end

-- What a run's lease is called: its venture, or itself.
local function lease_name(run) return run.venture or "run " .. run.id end

-- What looks like a transaction and only remembers the statements.
local function new_plan()
  return { query = function(self, text, ...)
    self[#self + 1] = { text, ... }
    return true
  end }
end

-- The head of the chain and the lease, read inside a transaction. Raises when the lease was taken over.
local function read_head(tx, held)
  local at = assert(tx:one([[SELECT (SELECT epoch FROM leases WHERE venture = $1) AS epoch, (SELECT run FROM leases WHERE venture = $1) AS run, seq, hash
    FROM events ORDER BY seq DESC LIMIT 1]], held.lease))
  if at.epoch ~= held.epoch or at.run ~= held.run then
    error(core_err.new { code = "lock_held", message = ("this run's lease (epoch %d) was taken over (epoch %d%s); nothing more is done by this engine"):format(
      held.epoch, at.epoch, at.run and ", by run " .. at.run or ""), next = "engine status " .. held.run }, 0)
  end
  return { seq = at.seq, hash = at.hash }
end

-- One durable change of the run whose lease this journal holds. fn(tx, now, append) writes, its event first; result is what the change
-- gives. As long as nobody else writes, the head of the chain is the one that this journal left: then everything goes as one batch, whose
-- first statement is the condition that the head and the lease are as they were. Otherwise both are read first; or, when it may only happen
-- undisturbed, false is given and nothing is written.
local function change(self, run, result, fn, undisturbed)
  local held = self.held
  if not held or held.run ~= run then error("this journal does not hold run " .. tostring(run), 3) end
  self.writes = self.writes + 1
  local n = self.writes
  local function write(tx, now, head, condition)
    fn(tx, now, function(event)
      event.run, event.epoch, event.n = run, held.epoch, n
      return chain.append(tx, now, event, head, condition)
    end)
    return head
  end
  while self.store.dialect == "sqlite" do
    if undisturbed and self:may_be_asked() then return false end
    if not self.head then break end
    local before, plan = self.head, new_plan()
    local after = write(plan, self.store:now(), { seq = before.seq, hash = before.hash }, held)
    local done, err = self.store:batch(plan)
    if done == nil then return nil, err end
    if done then
      self.head = after
      return result
    end
    -- Another task of this run was quicker, or somebody else wrote, who may have asked something of it.
    if self.head == before then
      self.head, self.disturbances = nil, self.disturbances + 1
    end
  end
  local head, err = self.store:write(function(tx, now) return write(tx, now, read_head(tx, held)) end, function(tx)
    return tx:value("SELECT count(*) FROM events WHERE run = $1 AND epoch = $2 AND n = $3", run, held.epoch, n) == 1
  end)
  if not head then return nil, err end
  self.head = head ~= true and head or nil
  return result
end

local hash_of = chain.hash_of_sources

local function insert_sources(tx, run, sources, lines)
  for i, source in ipairs(sources) do
    local hash = lines[i]:sub(1, 64)
    assert(tx:query("INSERT INTO texts (hash, text) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING", hash, source.text))
    assert(tx:query("INSERT INTO sources (run, n, name, path, hash) VALUES ($1, $2, $3, $4, $5)", run, i, source.name, source.path, hash))
  end
end

local function insert_value(tx, run, value, at)
  assert(tx:query([[INSERT INTO steps (run, seq, place, parent, name, effect, key, args, args_hash, state, attempts, started_at, ended_at, seconds, result, error)
    VALUES ($1, $2, $3, $4, $5, 'value', '', '{}', '', $6, 1, $7, $7, 0, $8, $9)]], run, value.seq, value.place, opt(value.parent), value.name, value.state, at,
    opt(value.result ~= nil and encode(value.result) or nil), opt(value.error and encode(value.error) or nil)))
end

local function append_value(append, value)
  return append { kind = "value", step = value.seq, data = { name = value.name, state = value.state, result = value.result, error = value.error } }
end

--- Begins a run: takes the venture's lease, stores the run, every source that it loaded, and the values that it has recorded so far.
---@param fields { venture?: string, playbook: string, path: string, args: table, release?: string, mode: string, actor: string, reason?: string, engine?: string, state_folder?: string, settings?: table, sources: table[], values?: table[] }
---@return string? id, table? err code lock_held or journal
function Journal:run_begin(fields)
  local id = random.hex(3)
  local hash, lines = hash_of(fields.sources)
  local held, err = self.store:write(function(tx, now)
    local lease = lease_name { id = id, venture = fields.venture }
    local epoch, taken_from = leases.acquire(tx, now, lease, id, fields.playbook)
    local head = chain.head(tx)
    local row = { id = id, venture = fields.venture, playbook = fields.playbook, path = fields.path, args = json.encode(fields.args), release = fields.release, mode = fields.mode,
      state_folder = fields.state_folder, settings = encode(fields.settings or {}) }
    assert(tx:query([[INSERT INTO runs (id, venture, playbook, path, hash, args, release, mode, actor, reason, engine, state_folder, settings, started_at, seq)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)]], id, opt(row.venture), row.playbook, row.path, hash, row.args, opt(row.release), row.mode,
      fields.actor, opt(fields.reason), opt(fields.engine), opt(row.state_folder), row.settings, now.utc, head.seq + 1))
    insert_sources(tx, id, fields.sources, lines)
    local function append(event)
      event.run, event.epoch = id, epoch
      return chain.append(tx, now, event, head)
    end
    append { kind = "run_begin", n = 0, data = { venture = fields.venture, playbook = fields.playbook, hash = hash, args = fields.args, mode = fields.mode,
      actor = fields.actor, reason = fields.reason, epoch = epoch, taken_over_from = taken_from, row = chain.hash_of_run(row) } }
    for _, value in ipairs(fields.values or {}) do insert_value(tx, id, value, append_value(append, value)) end
    return { run = id, lease = lease, epoch = epoch }
  end)
  if not held then return nil, err end
  self.held = held
  return id
end

--- Takes up a run whose engine has ended, or one that has ended and is to be taken back: its lease is acquired anew, with a higher epoch.
---@param row table of run()
---@param fields { operation: string, actor: string, reason?: string, sources?: table[] } sources: others than were recorded (rebase)
---@return integer? epoch, table? err code lock_held or journal
function Journal:take_up(row, fields)
  local lease = lease_name(row)
  local held, err = self.store:write(function(tx, now)
    local epoch = leases.acquire(tx, now, lease, row.id, fields.operation)
    local hash, lines
    if fields.sources then
      hash, lines = hash_of(fields.sources)
      assert(tx:query("DELETE FROM sources WHERE run = $1", row.id))
      insert_sources(tx, row.id, fields.sources, lines)
      assert(tx:query("UPDATE runs SET hash = $1 WHERE id = $2", hash, row.id))
    end
    assert(tx:query("UPDATE runs SET ended_at = NULL, outcome = NULL, exit_code = NULL, summary = NULL WHERE id = $1", row.id))
    chain.append(tx, now, { run = row.id, epoch = epoch, n = 0, kind = fields.operation, data = { actor = fields.actor, reason = fields.reason, epoch = epoch, hash = hash } })
    return { run = row.id, lease = lease, epoch = epoch }
  end)
  if not held then return nil, err end
  self.held = held
  return held.epoch
end

--- Who holds a venture (or, by "run ID", a run without one).
---@param lease string
---@return table? row of the lease, boolean lives
function Journal:holder(lease) return leases.look(self.db, lease, self.store:now(self.db)) end

--- The error that says who holds a venture, or nil when nobody alive does.
---@param venture string
---@return table? err code lock_held
function Journal:held_by(venture)
  local row, lives = self:holder(venture)
  return lives and leases.held(row) or nil
end

--- The lease of a run's row.
---@param row table
---@return string
function Journal:lease_of(row) return lease_name(row) end

--- Takes a lease away from whoever holds it, with who and why in the journal.
---@return true?, table? err
function Journal:unlock(row, by, reason)
  return self.store:write(function(tx, now)
    local lease = lease_name(row)
    local held = tx:one("SELECT * FROM leases WHERE venture = $1", lease)
    leases.revoke(tx, lease)
    chain.append(tx, now, { run = row.id, kind = "unlock", data = { by = by, reason = reason, epoch = held and held.epoch, host = held and held.host, pid = held and held.pid } })
    return true
  end)
end

--- Ends a run and gives its lease back.
---@return true?, table? err
function Journal:run_end(run, outcome, exit_code, summary)
  return change(self, run, true, function(tx, _, append)
    local at = append { kind = "run_end", data = { outcome = outcome, exit_code = exit_code, summary = summary } }
    assert(tx:query("UPDATE runs SET ended_at = $1, outcome = $2, exit_code = $3, summary = $4 WHERE id = $5", at, outcome, exit_code, opt(summary), run))
    leases.release(tx, self.held.lease)
  end)
end

--- Says that the holder is alive, for engines on other machines.
---@return true?, table? err
function Journal:renew()
  local held = self.held
  return self.store:write(function(tx, now)
    local renewed = assert(tx:query("UPDATE leases SET renewed_at = $1 WHERE venture = $2 AND epoch = $3 AND run = $4", now.wall, held.lease, held.epoch, held.run))
    if renewed.affected ~= 1 then error(core_err.new { code = "lock_held", message = ("this run's lease (epoch %d) was taken over"):format(held.epoch), next = "engine status " .. held.run }, 0) end
    return true
  end)
end

--- Gives the lease back without ending the run: it can be taken up at once.
function Journal:let_go()
  local held = self.held
  if not held then return true end
  self.held = nil
  return self.store:write(function(tx)
    assert(tx:query("UPDATE leases SET run = NULL WHERE venture = $1 AND epoch = $2", held.lease, held.epoch))
    return true
  end)
end

--- The key of an effect: the same whenever this run does this, so that whoever is asked twice can see that it is the same.
M.key = chain.key

--- Arguments as they are compared: their JSON and its hash.
---@return string text, string hash
function M.args(args)
  local text = json.encode(args or {})
  return text, files.sha256_text(text)
end

--- Records that a step begins; durable when it returns. For an effect this is its INTENT.
---@param run string
---@param step { seq: integer, place: string, name: string, parent?: integer, effect: string, args?: table, args_text?: string, args_hash?: string, undo?: string, key?: string } args_text, args_hash: what args() gives
---@param undisturbed? boolean only if nobody else has written since the run's signals were read
---@return boolean? begun, table? err
function Journal:step_begin(run, step, undisturbed)
  return change(self, run, true, function(tx, _, append)
    local args, args_hash = step.args_text, step.args_hash
    if not args then args, args_hash = M.args(step.args) end
    local state = step.effect == "pure" and "running" or "intent"
    local key = step.key or M.key(run, step.place, step.name, args_hash)
    local at = append { kind = "step_begin", step = step.seq, data = { name = step.name, place = step.place, effect = step.effect, parent = step.parent, args = step.args, key = key, undo = step.undo, state = state } }
    assert(tx:query([[INSERT INTO steps (run, seq, place, parent, name, effect, key, args, args_hash, undo, state, attempts, started_at)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12)]], run, step.seq, step.place, opt(step.parent), step.name, step.effect, key, args, args_hash, opt(step.undo), state, at))
  end, undisturbed)
end

--- Records that a step which was begun before begins again.
---@return true?, table? err
function Journal:step_again(run, row, why)
  local state = row.effect == "pure" and "running" or "intent"
  return change(self, run, true, function(tx, _, append)
    append { kind = "step_again", step = row.seq, data = { name = row.name, state = state, attempt = row.attempts + 1, why = why } }
    assert(tx:query("UPDATE steps SET state = $1, attempts = $2 WHERE run = $3 AND seq = $4", state, row.attempts + 1, run, row.seq))
  end)
end

--- Records how a step ended.
---@param state "done"|"failed"|"canceled"
---@param result any plain data
---@param problem? table
---@return true?, table? err
function Journal:step_end(run, seq, state, result, problem, seconds)
  return change(self, run, true, function(tx, _, append)
    local at = append { kind = "step_end", step = seq, data = { state = state, result = result, error = problem, seconds = seconds } }
    assert(tx:query("UPDATE steps SET state = $1, ended_at = $2, seconds = $3, result = $4, error = $5 WHERE run = $6 AND seq = $7",
      state, at, opt(seconds), opt(result ~= nil and encode(result) or nil), opt(problem and encode(problem) or nil), run, seq))
  end)
end

--- Records a value that the run found: a reading of the world, the time, a random number.
---@param value { seq: integer, place: string, parent?: integer, name: string, state: "done"|"failed", result?: any, error?: table }
---@return true?, table? err
function Journal:value(run, value)
  return change(self, run, true, function(tx, _, append) insert_value(tx, run, value, append_value(append, value)) end)
end

--- Records an event.
---@param data table plain data
---@param step? integer
---@param place? string of an event that stands outside of steps
---@return true?, table? err
function Journal:event(run, kind, data, step, place)
  return change(self, run, true, function(_, _, append) append { kind = kind, step = step, place = place, data = data } end)
end

--- Records something about a run from outside: a process that does not hold its lease.
---@return true?, table? err
function Journal:note(run, kind, data)
  return self.store:write(function(tx, now)
    chain.append(tx, now, { run = run, kind = kind, data = data })
    return true
  end)
end

--- Asks something of a run, from another process: "rollback".
---@param signal { kind: string, data?: table, by: string, reason?: string }
---@return true?, table? err
function Journal:signal(run, signal)
  return self.store:write(function(tx, now)
    assert(tx:query("INSERT INTO signals (run, kind, data, by, reason, at) VALUES ($1, $2, $3, $4, $5, $6)", run, signal.kind, encode(signal.data or {}), signal.by, opt(signal.reason), now.utc))
    chain.append(tx, now, { run = run, kind = "signal", data = { signal = signal.kind, data = signal.data, by = signal.by, reason = signal.reason } })
    return true
  end)
end

--- Puts a question that needs a person's answer.
---@param question { place: string, question: string, evidence?: table }
---@return integer? seq, table? err
function Journal:ask(run, question)
  local seq = assert(self.db:value("SELECT coalesce(max(seq), 0) + 1 FROM approvals WHERE run = $1", run))
  return change(self, run, seq, function(tx, _, append)
    local evidence = encode(question.evidence or {})
    local hash = files.sha256_text(evidence)
    local at = append { kind = "ask", data = { seq = seq, question = question.question, evidence_hash = hash } }
    assert(tx:query("INSERT INTO approvals (run, seq, place, asked_at, question, evidence, evidence_hash) VALUES ($1, $2, $3, $4, $5, $6, $7)",
      run, seq, question.place, at, question.question, evidence, hash))
  end)
end

--- Answers a question. The answer comes from another process, which holds no lease.
---@param answer { answer: "yes"|"no", by: string, reason?: string }
---@return table? the question's row, table? err
function Journal:answer(run, seq, answer)
  return self.store:write(function(tx, now)
    local open = assert(tx:one("SELECT * FROM approvals WHERE run = $1 AND seq = $2", run, seq))
    if open.answer then error(core_err.new { code = "approval", message = ("answered already: %s by %s"):format(open.answer, open.by) }, 0) end
    local at = chain.append(tx, now, { run = run, kind = "answer", data = { seq = seq, answer = answer.answer, by = answer.by, reason = answer.reason } })
    assert(tx:query("UPDATE approvals SET answered_at = $1, answer = $2, by = $3, reason = $4 WHERE run = $5 AND seq = $6", at, answer.answer, answer.by, opt(answer.reason), run, seq))
    return tx:one("SELECT * FROM approvals WHERE run = $1 AND seq = $2", run, seq)
  end)
end

--- One question with its answer, if there is one yet.
function Journal:approval(run, seq) return self.db:one("SELECT * FROM approvals WHERE run = $1 AND seq = $2", run, seq) end

--- All questions of a run.
function Journal:approvals(run) return self.db:query("SELECT * FROM approvals WHERE run = $1 ORDER BY seq", run) end

--- The question that a run waits for.
function Journal:open_question(run) return self.db:one("SELECT * FROM approvals WHERE run = $1 AND answer IS NULL ORDER BY seq DESC LIMIT 1", run) end

local function decoded(rows, names)
  if not rows then return rows end
  for _, row in ipairs(rows) do
    for _, name in ipairs(names) do if row[name] then row[name] = json.decode(row[name]) end end
  end
  return rows
end

--- What was asked of a run, in order.
function Journal:signals(run)
  local disturbances = self.disturbances
  -- The head is known before the signals are read: whoever asks something later moves it, and the next change finds that out.
  local head = self.head or (self.held and self.store.dialect == "sqlite" and self.db:one "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")
  local rows, err = decoded(self.db:query("SELECT * FROM signals WHERE run = $1 ORDER BY id", run), { "data" })
  if rows and head and self.disturbances == disturbances then self.head, self.heard = self.head or head, disturbances end
  return rows, err
end

--- May something have been asked of the run that this journal has not read? Not as long as nobody else wrote; that somebody did is known
-- after the next change at the latest.
---@return boolean
function Journal:may_be_asked() return self.heard ~= self.disturbances end

--- Runs, the latest first.
---@param filter? { venture?: string, limit?: integer }
---@return table[]?, table? err
function Journal:runs(filter)
  filter = filter or {}
  if filter.venture then
    return decoded(self.db:query("SELECT * FROM runs WHERE venture = $1 ORDER BY seq DESC LIMIT $2", filter.venture, filter.limit or 20), { "args", "settings" })
  end
  return decoded(self.db:query("SELECT * FROM runs ORDER BY seq DESC LIMIT $1", filter.limit or 20), { "args", "settings" })
end

--- One run by its id or the beginning of it; the latest when none is given.
---@param id? string
---@return table? row, table? err code not_found
function Journal:run(id)
  local rows, err = self.db:query("SELECT * FROM runs WHERE substr(id, 1, CAST($1 AS INTEGER)) = $2 ORDER BY seq DESC LIMIT 2", #(id or ""), id or "")
  if not rows then return nil, err end
  if not rows[1] then return nil, core_err.new { code = "not_found", message = id and ("there is no run %s"):format(id) or "there is no run yet", next = "engine status" } end
  if id and rows[2] and rows[1].id ~= id then
    return nil, core_err.new { code = "usage", message = ("several runs begin with %s: %s, %s"):format(id, rows[1].id, rows[2].id) }
  end
  return decoded({ rows[1] }, { "args", "settings" })[1]
end

--- A run's steps in their order; values are left out unless they are asked for.
---@param run string
---@param with_values? boolean
function Journal:steps(run, with_values)
  return decoded(self.db:query(("SELECT * FROM steps WHERE run = $1%s ORDER BY seq"):format(with_values and "" or " AND effect <> 'value'"), run), { "args", "result", "error" })
end

--- A run's events in their order.
function Journal:events(run) return decoded(self.db:query("SELECT * FROM events WHERE run = $1 ORDER BY seq", run), { "data" }) end

--- The sources that a run is made of.
function Journal:sources(run)
  return self.db:query("SELECT s.name, s.path, s.hash, t.text FROM sources s JOIN texts t ON t.hash = s.hash WHERE s.run = $1 ORDER BY s.n", run)
end

--- Proves the chain of events whole, and that the rows say what the events say.
---@param run? string only from this run's beginning on, with its rows and sources
---@return { events: integer }?, table? err names the first link that is broken
function Journal:verify(run) return require("journal.proof").verify(self.db, run) end

return M
