--- journal: what runs did, durably, in SQLite: every change is committed before the call returns.
--
-- A step's beginning (its INTENT) is in the journal before anything happens, its outcome after. Events form a
-- hash chain: each carries the hash of the one before, so that a changed, removed or inserted one is found.
-- One run a venture: the lease names its holder and carries an epoch that only grows; a write of a holder
-- whose lease was taken over is refused.

local clock = require "clock"
local core_err = require "core.err"
local core_secret = require "core.secret"
local files = require "files"
local json = require "json"
local machine = require "host"
local process = require "process"
local random = require "random"
local sql = require "sql"

local M = {}

local SCHEMA = [[
CREATE TABLE leases (
  venture TEXT PRIMARY KEY, run TEXT, operation TEXT, host TEXT, pid INTEGER, started INTEGER,
  acquired_at TEXT, renewed_at REAL, epoch INTEGER NOT NULL
);
CREATE TABLE runs (
  id TEXT PRIMARY KEY, venture TEXT, playbook TEXT NOT NULL, path TEXT NOT NULL, hash TEXT NOT NULL, args TEXT NOT NULL, release TEXT,
  mode TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT, engine TEXT, epoch INTEGER NOT NULL,
  started_at TEXT NOT NULL, ended_at TEXT, outcome TEXT, exit_code INTEGER, summary TEXT
);
CREATE TABLE sources (
  run TEXT NOT NULL REFERENCES runs (id), name TEXT NOT NULL, path TEXT NOT NULL, hash TEXT NOT NULL, text TEXT NOT NULL
);
CREATE TABLE steps (
  run TEXT NOT NULL REFERENCES runs (id), seq INTEGER NOT NULL, parent INTEGER, name TEXT NOT NULL, kind TEXT NOT NULL,
  key TEXT NOT NULL, args TEXT NOT NULL, args_hash TEXT NOT NULL, undo TEXT, state TEXT NOT NULL,
  started_at TEXT NOT NULL, ended_at TEXT, seconds REAL, result TEXT, error TEXT, PRIMARY KEY (run, seq)
);
CREATE TABLE events (
  seq INTEGER PRIMARY KEY, run TEXT NOT NULL, at TEXT NOT NULL, kind TEXT NOT NULL, step INTEGER, data TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE TABLE approvals (
  run TEXT NOT NULL REFERENCES runs (id), seq INTEGER NOT NULL, asked_at TEXT NOT NULL, question TEXT NOT NULL, evidence TEXT NOT NULL, evidence_hash TEXT NOT NULL,
  answered_at TEXT, answer TEXT, by TEXT, reason TEXT, PRIMARY KEY (run, seq)
);
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT raise(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events BEGIN SELECT raise(ABORT, 'events are never removed'); END;
PRAGMA user_version = 1;
]]

local VERSION = 1
local LEASE_S = 15 -- a holder on another machine that has not renewed for this long is taken for dead
local GENESIS = ("0"):rep(64)

local Journal = {}
Journal.__index = Journal

local function failed(err, what)
  return nil, core_err.new { code = err.code == "lock_held" and "lock_held" or "journal", op = "journal", message = ("%s: %s"):format(what, err.message or tostring(err)) }
end

local function opt(value) return value == nil and sql.null or value end

--- Opens the journal at path, and makes it if it is not there.
---@param path string
---@return table? journal, table? err code journal
---@usage local j = assert(journal.open("/tmp/engine-usage-" .. random.hex(4)))  j:close()
function M.open(path)
  local db, err = sql.open("sqlite:" .. path, { timeout = 30 })
  if not db then return failed(err, "the journal cannot be opened") end
  local self = setmetatable({ db = db, path = path }, Journal)
  local ok
  ok, err = db:query "PRAGMA journal_mode = WAL"
  if ok then ok, err = db:query "PRAGMA synchronous = FULL" end
  if ok then
    ok, err = db:transaction(function(tx)
      local version = assert(tx:value "PRAGMA user_version")
      if version == 0 then assert(tx:execute(SCHEMA))
      elseif version ~= VERSION then
        error(core_err.new { code = "journal", message = ("version %d, but this engine knows %d"):format(version, VERSION) }, 0)
      end
      return true
    end)
  end
  if not ok then
    db:close()
    return failed(err, path .. " cannot be used as a journal")
  end
  return self
end

function Journal:close() self.db:close() end

local function hash_of(prev, seq, at, run, kind, step, data)
  return files.sha256_text(table.concat({ prev, seq, at, run, kind, step or "", data }, "\n"))
end

local function append(tx, run, kind, step, data)
  local last = tx:one "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1"
  local seq, prev, at = (last and last.seq or 0) + 1, last and last.hash or GENESIS, clock.utc()
  local text = core_secret.redact(json.encode(data)) -- also what an answer or an error may have quoted
  assert(tx:query("INSERT INTO events (seq, run, at, kind, step, data, prev, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    seq, run, at, kind, opt(step), text, prev, hash_of(prev, seq, at, run, kind, step, text)))
  return at
end

-- One durable change, made only while this run still holds its venture's lease.
function Journal:change(run, fn)
  local result, err = self.db:transaction(function(tx)
    local row = assert(tx:one("SELECT r.epoch, l.epoch AS held, l.run AS holder FROM runs r LEFT JOIN leases l ON l.venture = r.venture WHERE r.id = $1", run))
    if row.held and (row.held ~= row.epoch or (row.holder and row.holder ~= run)) then
      error(core_err.new { code = "lock_held", message = ("this run's lease (epoch %d) was taken over (epoch %d, run %s)"):format(row.epoch, row.held, tostring(row.holder)) }, 0)
    end
    return fn(tx)
  end)
  if result == nil then return failed(err, "nothing was recorded") end
  return result
end

local function holder_lives(lease, host)
  if not lease.run then return false end
  if lease.host == host then return process.alive { pid = lease.pid, started = lease.started } end
  return clock.wall() - lease.renewed_at < LEASE_S
end

-- The venture's lease, and an error that names its holder if somebody alive has it.
local function lease_of(db, venture, host)
  local lease = db:one("SELECT * FROM leases WHERE venture = $1", venture)
  if not lease or not holder_lives(lease, host) then return lease end
  return lease, core_err.new { code = "lock_held", message = ("run %s holds %s since %s for %s (process %d on %s)"):format(
    lease.run, venture, lease.acquired_at, lease.operation, lease.pid, lease.host) }
end

-- Takes the venture's lease inside tx; raises lock_held when somebody alive has it.
local function acquire(tx, venture, run, operation, host)
  local lease, held = lease_of(tx, venture, host)
  if held then error(held, 0) end
  local me = process.self()
  local epoch = (lease and lease.epoch or 0) + 1
  assert(tx:query([[INSERT INTO leases (venture, run, operation, host, pid, started, acquired_at, renewed_at, epoch) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (venture) DO UPDATE SET run = excluded.run, operation = excluded.operation, host = excluded.host, pid = excluded.pid,
    started = excluded.started, acquired_at = excluded.acquired_at, renewed_at = excluded.renewed_at, epoch = excluded.epoch]],
    venture, run, operation, host, me.pid, me.started, clock.utc(), clock.wall(), epoch))
  return epoch, lease and lease.run
end

--- Begins a run: takes the venture's lease, stores the run and every source that it loaded.
---@param fields { venture?: string, playbook: string, path: string, args: table, release?: string, mode: string, actor: string, reason?: string, engine?: string, sources: table[] }
---@return string? id, table? err code lock_held or journal
function Journal:run_begin(fields)
  local id, host = random.hex(3), machine.name()
  local hashes = {}
  for i, source in ipairs(fields.sources) do hashes[i] = files.sha256_text(source.text) .. "  " .. source.name end
  local hash = files.sha256_text(table.concat(hashes, "\n"))
  local ok, err = self.db:transaction(function(tx)
    local epoch, taken_from = 0, nil
    if fields.venture then epoch, taken_from = acquire(tx, fields.venture, id, fields.playbook, host) end
    assert(tx:query([[INSERT INTO runs (id, venture, playbook, path, hash, args, release, mode, actor, reason, engine, epoch, started_at)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)]], id, opt(fields.venture), fields.playbook, fields.path, hash, json.encode(fields.args),
      opt(fields.release), fields.mode, fields.actor, opt(fields.reason), opt(fields.engine), epoch, clock.utc()))
    for i, source in ipairs(fields.sources) do
      assert(tx:query("INSERT INTO sources (run, name, path, hash, text) VALUES ($1, $2, $3, $4, $5)", id, source.name, source.path, hashes[i]:sub(1, 64), source.text))
    end
    append(tx, id, "run_begin", nil, { venture = fields.venture, playbook = fields.playbook, hash = hash, args = fields.args, mode = fields.mode,
      actor = fields.actor, reason = fields.reason, epoch = epoch, taken_over_from = taken_from })
    return true
  end)
  if not ok then
    if err.code == "lock_held" then return nil, err end
    return failed(err, "the run could not begin")
  end
  return id
end

--- The error that says who holds a venture, or nil when nobody alive does.
---@param venture string
---@return table? err code lock_held
function Journal:holder(venture)
  local _, held = lease_of(self.db, venture, machine.name())
  return held
end

--- Ends a run and gives its lease back.
---@return true?, table? err
function Journal:run_end(run, outcome, exit_code, summary)
  return self:change(run, function(tx)
    local at = append(tx, run, "run_end", nil, { outcome = outcome, exit_code = exit_code, summary = summary })
    assert(tx:query("UPDATE runs SET ended_at = $1, outcome = $2, exit_code = $3, summary = $4 WHERE id = $5", at, outcome, exit_code, opt(summary), run))
    assert(tx:query("UPDATE leases SET run = NULL WHERE run = $1", run))
    return true
  end)
end

--- Says that the holder is alive, for engines on other machines.
---@return true?, table? err
function Journal:renew(run)
  return self:change(run, function(tx)
    assert(tx:query("UPDATE leases SET renewed_at = $1 WHERE run = $2", clock.wall(), run))
    return true
  end)
end

--- Records that a step begins; durable when it returns. For an effect this is its INTENT.
---@param run string
---@param step { name: string, parent?: integer, kind: "step"|"effect", args?: table, undo?: string }
---@return integer? seq, table? err
function Journal:step_begin(run, step)
  return self:change(run, function(tx)
    local seq = assert(tx:value("SELECT coalesce(max(seq), 0) + 1 FROM steps WHERE run = $1", run))
    local args = json.encode(step.args or {})
    local args_hash = files.sha256_text(args)
    local key = files.sha256_text(table.concat({ run, step.name, args_hash, seq }, "\n")):sub(1, 32)
    local state = step.kind == "effect" and "intent" or "running"
    local at = append(tx, run, "step_begin", seq, { name = step.name, kind = step.kind, parent = step.parent, args = step.args, key = key, undo = step.undo, state = state })
    assert(tx:query([[INSERT INTO steps (run, seq, parent, name, kind, key, args, args_hash, undo, state, started_at)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)]], run, seq, opt(step.parent), step.name, step.kind, key, args, args_hash, opt(step.undo), state, at))
    return seq
  end)
end

--- Records how a step ended.
---@param state "done"|"failed"|"canceled"
---@param result any plain data
---@param problem? table
---@return true?, table? err
function Journal:step_end(run, seq, state, result, problem, seconds)
  local result_text = result ~= nil and core_secret.redact(json.encode(result)) or nil
  return self:change(run, function(tx)
    local at = append(tx, run, "step_end", seq, { state = state, result = result, error = problem, seconds = seconds })
    assert(tx:query("UPDATE steps SET state = $1, ended_at = $2, seconds = $3, result = $4, error = $5 WHERE run = $6 AND seq = $7",
      state, at, opt(seconds), opt(result_text), opt(problem and core_secret.redact(json.encode(problem))), run, seq))
    return true
  end)
end

--- Records an event.
---@param data table plain data
---@param step? integer
---@return true?, table? err
function Journal:event(run, kind, data, step)
  return self:change(run, function(tx)
    append(tx, run, kind, step, data)
    return true
  end)
end

--- Puts a question that needs a person's answer.
---@return integer? seq, table? err
function Journal:ask(run, question)
  return self:change(run, function(tx)
    local seq = assert(tx:value("SELECT coalesce(max(seq), 0) + 1 FROM approvals WHERE run = $1", run))
    local evidence = json.encode(question.evidence or {})
    local hash = files.sha256_text(evidence)
    local at = append(tx, run, "ask", nil, { seq = seq, question = question.question, evidence_hash = hash })
    assert(tx:query("INSERT INTO approvals (run, seq, asked_at, question, evidence, evidence_hash) VALUES ($1, $2, $3, $4, $5, $6)", run, seq, at, question.question, evidence, hash))
    return seq
  end)
end

--- Answers a question. The answer comes from another process, which holds no lease.
---@param answer { answer: "yes"|"no", by: string, reason?: string }
---@return table? the question's row, table? err
function Journal:answer(run, seq, answer)
  local row, err = self.db:transaction(function(tx)
    local open = assert(tx:one("SELECT * FROM approvals WHERE run = $1 AND seq = $2", run, seq))
    if open.answer then error(core_err.new { code = "approval", message = ("answered already: %s by %s"):format(open.answer, open.by) }, 0) end
    local at = append(tx, run, "answer", nil, { seq = seq, answer = answer.answer, by = answer.by, reason = answer.reason })
    assert(tx:query("UPDATE approvals SET answered_at = $1, answer = $2, by = $3, reason = $4 WHERE run = $5 AND seq = $6", at, answer.answer, answer.by, opt(answer.reason), run, seq))
    return tx:one("SELECT * FROM approvals WHERE run = $1 AND seq = $2", run, seq)
  end)
  return row, err
end

--- One question with its answer, if there is one yet.
function Journal:approval(run, seq) return self.db:one("SELECT * FROM approvals WHERE run = $1 AND seq = $2", run, seq) end

--- The question that a run waits for.
function Journal:open_question(run) return self.db:one("SELECT * FROM approvals WHERE run = $1 AND answer IS NULL ORDER BY seq DESC LIMIT 1", run) end

local function decoded(rows, names)
  if not rows then return rows end
  for _, row in ipairs(rows) do
    for _, name in ipairs(names) do if row[name] then row[name] = json.decode(row[name]) end end
  end
  return rows
end

--- Runs, the latest first.
---@param filter? { venture?: string, limit?: integer }
---@return table[]?, table? err
function Journal:runs(filter)
  filter = filter or {}
  if filter.venture then
    return decoded(self.db:query("SELECT * FROM runs WHERE venture = $1 ORDER BY started_at DESC LIMIT $2", filter.venture, filter.limit or 20), { "args" })
  end
  return decoded(self.db:query("SELECT * FROM runs ORDER BY started_at DESC LIMIT $1", filter.limit or 20), { "args" })
end

--- One run by its id or the beginning of it; the latest when none is given.
---@param id? string
---@return table? row, table? err code not_found
function Journal:run(id)
  local rows = assert(self.db:query("SELECT * FROM runs WHERE substr(id, 1, length($1)) = $1 ORDER BY started_at DESC LIMIT 2", id or ""))
  if not rows[1] then return nil, core_err.new { code = "not_found", message = id and ("there is no run %s"):format(id) or "there is no run yet" } end
  if id and rows[2] and rows[1].id ~= id then
    return nil, core_err.new { code = "usage", message = ("several runs begin with %s: %s, %s"):format(id, rows[1].id, rows[2].id) }
  end
  return decoded({ rows[1] }, { "args" })[1]
end

--- A run's steps in their order.
function Journal:steps(run) return decoded(self.db:query("SELECT * FROM steps WHERE run = $1 ORDER BY seq", run), { "args", "result", "error" }) end

--- A run's events in their order.
function Journal:events(run) return decoded(self.db:query("SELECT * FROM events WHERE run = $1 ORDER BY seq", run), { "data" }) end

--- The sources that a run loaded.
function Journal:sources(run) return self.db:query("SELECT name, path, hash, text FROM sources WHERE run = $1", run) end

--- Proves the chain of events whole, and that the rows of runs and steps say what the events say.
---@return { events: integer }?, table? err names the first link that is broken
function Journal:verify()
  local prev, expected_seq, states = GENESIS, 1, {}
  local function broken(seq, why)
    return nil, core_err.new { code = "journal", op = "verify", message = ("event %d: %s"):format(seq, why), next = "The journal was changed from outside; treat what follows this event as unproved." }
  end
  while true do
    local rows, err = self.db:query("SELECT * FROM events WHERE seq >= $1 ORDER BY seq LIMIT 1000", expected_seq)
    if not rows then return nil, err end
    for _, row in ipairs(rows) do
      if row.seq ~= expected_seq then return broken(expected_seq, "it is missing") end
      if row.prev ~= prev then return broken(row.seq, "it does not follow the one before") end
      if row.hash ~= hash_of(row.prev, row.seq, row.at, row.run, row.kind, row.step, row.data) then return broken(row.seq, "its content was changed") end
      local data = json.decode(row.data)
      if row.kind == "step_begin" or row.kind == "step_end" then states[row.run .. "/" .. row.step] = { data.state, row.seq } end
      prev, expected_seq = row.hash, row.seq + 1
    end
    if #rows == 0 then break end
  end
  for _, row in ipairs(assert(self.db:query "SELECT run, seq, state FROM steps")) do
    local told = states[row.run .. "/" .. row.seq]
    if not told then return broken(0, ("step %d of run %s has no event"):format(row.seq, row.run)) end
    if told[1] ~= row.state then return broken(told[2], ("step %d of run %s is '%s' in its row, but '%s' in its event"):format(row.seq, row.run, row.state, told[1])) end
  end
  return { events = expected_seq - 1 }
end

return M
