--- journal: what runs did, durably: every change is committed before the call returns.
--
-- A step's beginning (for an effect its INTENT) is in the journal before anything happens, its outcome after. Each thing that a run does
-- has a place ("7", "7.2"), which is the same when the run is gone through again: journal and playbook meet there. Events
-- form a hash chain (journal.chain). One run a venture, by a lease with an epoch (journal.lease): a write of a holder whose lease was
-- taken over is refused. The tables are in SQLite, or in a PostgreSQL that several machines share (journal.store).

local chain = require "journal.chain"
local clock = require "core.clock"
local core_err = require "core.err"
local core_secret = require "core.secret"
local files = require "files"
local heads = require "journal.head"
local json = require "json"
local leases = require "journal.lease"
local plain = require "plain"
local random = require "core.random"
local sql = require "sql"
local stores = require "journal.store"

local M = {}

local Journal = {}
Journal.__index = Journal

--- Seconds after which a holder on another machine that has not renewed its lease is taken for dead.
M.LEASE_S = leases.EXPIRES_S

local LATE_S = 1

local function opt(value) return value == nil and sql.null or value end

local encode = chain.encode

--- Looks at where the journal is and opens nothing: what a run's grants allow is checked here.
---@param where any the path of a SQLite file, or postgres://..., which may be a secret
---@return table? journal to open, table? err code journal
---@usage local j = assert(journal.prepare("/tmp/engine-usage-" .. random.hex(4)))  assert(j:open())  j:close()
function M.prepare(where)
  local is_url = core_secret.is(where) or where:match "^postgres%w*://"
  local store, err = stores.prepare(is_url and where or "sqlite:" .. where)
  if not store then return nil, err end
  return setmetatable({ store = store, head = heads.new(store), path = not is_url and where or nil }, Journal)
end

--- Opens the journal, and makes it if it is not there.
---@param where any as for prepare
---@return table? journal, table? err code journal
---@usage local j = assert(journal.open("/tmp/engine-usage-" .. random.hex(4)))  j:close()
function M.open(where)
  local self, err = M.prepare(where)
  if not self then return nil, err end
  return self:open()
end

function Journal:open()
  local ok, err = self.store:open()
  if not ok then return nil, err end
  return self
end

function Journal:close() self.store:close() end

--- From here on a database that is away is waited for.
---@param patience number seconds that one question or change waits before it fails
---@param away fun(err: table) called when the database is found to be away
---@param back fun(seconds: number) called when it answers again
function Journal:hold(patience, away, back) self.store:hold(patience, away, back) end

-- What a run's lease is called: its venture, or itself.
local function lease_name(run) return run.venture or "run " .. run.id end

--- A new change's number. Whoever tries the same change twice gives the same number, and it is done once.
---@return integer
function M.number() return random.integer(1, math.maxinteger) end

-- Only a server's answer can get lost, so that somebody has to find out whether a change happened.
local function number_for(self) return self.store.dialect == "postgres" and M.number() or nil end

-- One durable change. fn(tx, at, append) writes it, unless it is there already; its result is that of the try that did it.
local function write(self, change, fn)
  local result
  change.n = change.n or number_for(self)
  return self.store:write(change, function(tx, at)
    local held = change.held
    if held then
      -- A change that is there already may have given the lease back.
      if not (at.happened and at.lease.epoch == held.epoch) then leases.check(tx, at.lease, held) end
      at.epoch = held.epoch
    end
    if not at.happened then result = fn(tx, at, function(event) return chain.append(tx, at, event) end) end
    return result == nil and true or result
  end)
end

-- A change that reads first where the chain ends. False: how.undisturbed, and somebody else has written meanwhile.
local function change_after_reading(self, held, fn, how)
  local head, last = self.head, nil
  local done, err = write(self, { run = held.run, lease = held.lease, held = held, n = how.n, once = how.once }, function(tx, at, append)
    head:found(at)
    if how.undisturbed and head:may_be_asked() then return false end
    last = at
    return fn(tx, at, append)
  end)
  if done ~= nil and last then head:left(last) end
  return done, err
end

-- One change of the run whose lease this journal holds. fn appends an event before it writes anything else.
-- how: n and once as of numbered_event; undisturbed: false is given and nothing is written when something may have been asked of the run.
local function change(self, run, fn, how)
  local held, began = self.held, clock.now()
  if not held or held.run ~= run then error("this journal does not hold run " .. tostring(run), 3) end
  how = how or {}
  local done, err = false, nil
  if not how.n then
    how.n = number_for(self)
    done, err = self.head:change(held, how, function(tx, at) return fn(tx, at, function(event) return chain.append(tx, at, event) end) end)
    if done == false and how.undisturbed and err ~= "unknown" then return false end
  end
  if done == false then done, err = change_after_reading(self, held, fn, how) end
  if done == nil then return nil, err end
  held.confirmed = math.max(held.confirmed, began)
  return done
end

local hash_of = chain.hash_of_sources

local function insert_sources(tx, run, sources, lines)
  for i, source in ipairs(sources) do
    local hash = lines[i]:sub(1, 64)
    assert(tx:query("INSERT INTO texts (hash, text) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING", hash, source.text))
    assert(tx:query("INSERT INTO sources (run, n, name, path, hash) VALUES ($1, $2, $3, $4, $5)", run, i, source.name, source.path, hash))
  end
end

local function append_value(append, value)
  append { kind = "value", step = value.seq, place = value.place, data = { name = value.name, parent = value.parent, state = value.state, result = value.result, error = value.error } }
end

-- A run whose engine is gone has not ended: what it did is to be gone on with or taken back before anything else begins.
local function unfinished(db, venture)
  local row = assert(db:query("SELECT id, release, started_at FROM runs WHERE venture = $1 AND ended_at IS NULL ORDER BY seq DESC LIMIT 1", venture))[1]
  return row and core_err.new { code = "lock_held", message = ("run %s of %s, which began at %s, has not ended, and its engine is gone"):format(row.id, venture, row.started_at),
    next = ("engine resume %s, or engine rollback %s"):format(row.id, row.id), run = row.id }
end

--- Begins a run: takes the venture's lease, stores the run, every source that it loaded, and the values that it has recorded so far.
---@param fields { venture?: string, playbook: string, path: string, args: table, release?: string, mode: string, actor: string, reason?: string, engine?: string, state_folder?: string, settings?: table, sources: table[], values?: table[] }
---@return string? id, table? err code lock_held or journal
function Journal:run_begin(fields)
  local id = random.hex(3)
  local hash, lines = hash_of(fields.sources)
  local began, lease = clock.now(), lease_name { id = id, venture = fields.venture }
  local held, err = write(self, { run = id, lease = lease }, function(tx, at, append)
    local left = fields.venture and unfinished(tx, fields.venture)
    local epoch, taken_from = leases.acquire(tx, at, lease, id, fields.playbook)
    if left then error(left, 0) end
    at.epoch = epoch
    local row = { id = id, venture = fields.venture, playbook = fields.playbook, path = fields.path, args = json.encode(fields.args), release = fields.release, mode = fields.mode,
      state_folder = fields.state_folder, settings = encode(fields.settings or {}) }
    assert(tx:query([[INSERT INTO runs (id, venture, playbook, path, hash, args, release, mode, actor, reason, engine, state_folder, settings, started_at, seq)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)]], id, opt(row.venture), row.playbook, row.path, hash, row.args, opt(row.release), row.mode,
      fields.actor, opt(fields.reason), opt(fields.engine), opt(row.state_folder), row.settings, at.utc, at.seq + 1))
    insert_sources(tx, id, fields.sources, lines)
    append { kind = "run_begin", data = { venture = fields.venture, playbook = fields.playbook, hash = hash, args = fields.args, mode = fields.mode,
      actor = fields.actor, reason = fields.reason, epoch = epoch, taken_over_from = taken_from, row = chain.hash_of_run(row) } }
    for _, value in ipairs(fields.values or {}) do append_value(append, value) end
    return { run = id, lease = lease, epoch = epoch, confirmed = began }
  end)
  if not held then return nil, err end
  self.held = held
  return id
end

--- Takes up a run whose engine has ended, or one that has ended and is to be taken back: its lease is acquired anew, with a higher epoch.
---@param row table of run()
---@param fields { operation: string, actor: string, reason?: string }
---@return integer? epoch, table? err code lock_held or journal
function Journal:take_up(row, fields)
  local began, lease = clock.now(), lease_name(row)
  local held, err = write(self, { run = row.id, lease = lease }, function(tx, at, append)
    at.epoch = leases.acquire(tx, at, lease, row.id, fields.operation)
    assert(tx:query("UPDATE runs SET ended_at = NULL, outcome = NULL, exit_code = NULL, summary = NULL WHERE id = $1", row.id))
    append { kind = fields.operation, data = { actor = fields.actor, reason = fields.reason, epoch = at.epoch } }
    return { run = row.id, lease = lease, epoch = at.epoch, confirmed = began }
  end)
  if not held then return nil, err end
  self.held = held
  return held.epoch
end

--- From here on the run is made of other sources than before.
---@param run string
---@param sources table[]
---@return true?, table? err
function Journal:rebase(run, sources)
  local hash, lines = hash_of(sources)
  return change(self, run, function(tx, _, append)
    append { kind = "rebase", data = { hash = hash } }
    assert(tx:query("DELETE FROM sources WHERE run = $1", run))
    insert_sources(tx, run, sources, lines)
    assert(tx:query("UPDATE runs SET hash = $1 WHERE id = $2", hash, run))
  end)
end

--- Who holds a venture (or, by "run ID", a run without one).
---@param lease string
---@return table? row of the lease, boolean lives
function Journal:holder(lease) return leases.look(self.store, lease, self.store:now()) end

--- The error that says why no run of a venture may begin: somebody alive holds it, or a run of it has not ended. Nil when one may.
---@param venture string
---@return table? err code lock_held
function Journal:held_by(venture)
  local row, lives = self:holder(venture)
  return lives and leases.held(row) or unfinished(self.store, venture) or nil
end

--- A console that changes something holds its venture beside itself: no run begins meanwhile, and what it records is refused once
-- somebody took the venture over.
---@param venture string
---@param over? string a run that has not ended and whose engine is gone, in spite of which it is held
---@return true?, table? err code lock_held or journal
function Journal:hold_venture(venture, over)
  local own, began = self.held, clock.now()
  local held, err = write(self, { run = own.run, lease = venture }, function(tx, at, append)
    local left = unfinished(tx, venture)
    at.epoch = leases.acquire(tx, at, venture, own.run, "console") -- whoever lives comes first
    if left and left.run ~= over then error(left, 0) end
    append { kind = "hold", data = { venture = venture, epoch = at.epoch, over = over } }
    return { run = own.run, lease = venture, epoch = at.epoch, confirmed = began, own = own }
  end)
  if not held then return nil, err end
  self.held = held
  return true
end

--- The venture is free again.
---@return true?, table? err
function Journal:release_venture()
  local held = self.held
  if not held.own then return true end
  local done, err = change(self, held.run, function(tx, _, append)
    append { kind = "release", data = { venture = held.lease } }
    leases.release(tx, held.lease)
  end)
  self.held = held.own
  return done and true, err
end

--- The lease of a run's row.
---@param row table
---@return string
function Journal:lease_of(row) return lease_name(row) end

--- The run that a process holds.
---@param who { host: string, pid: integer, started: integer }
---@return string? run
function Journal:run_held_by(who)
  local row = assert(self.store:query("SELECT run FROM leases WHERE pid = $1 AND started = $2 AND host = $3 AND run IS NOT NULL", who.pid, who.started, who.host))[1]
  return row and row.run
end

--- Takes a lease away from whoever holds it, with who and why in the journal.
---@return true?, table? err
function Journal:unlock(row, by, reason)
  local lease = lease_name(row)
  return write(self, { run = row.id, lease = lease }, function(tx, at, append)
    local held = tx:one("SELECT * FROM leases WHERE venture = $1", lease)
    leases.revoke(tx, lease)
    append { kind = "unlock", data = { by = by, reason = reason, epoch = held and held.epoch, host = held and held.host, pid = held and held.pid } }
  end)
end

--- Ends a run and gives its lease back.
---@return true?, table? err
function Journal:run_end(run, outcome, exit_code, summary)
  return change(self, run, function(tx, _, append)
    local at = append { kind = "run_end", data = { outcome = outcome, exit_code = exit_code, summary = summary } }
    assert(tx:query("UPDATE runs SET ended_at = $1, outcome = $2, exit_code = $3, summary = $4 WHERE id = $5", at, outcome, exit_code, opt(summary), run))
    leases.release(tx, self.held.lease)
  end)
end

--- Says that the holder is alive, for engines on other machines. Not waited for: whoever calls it does so again soon.
---@param timeout number seconds
---@return true?, table? err code lock_held, or as of sql
function Journal:renew(timeout)
  local held, began = self.held, clock.now()
  local renewed, err = self.store:renew(held, timeout)
  if not renewed then return nil, err end
  if renewed.affected ~= 1 then
    return nil, core_err.new { code = "lock_held", message = ("this run's lease (epoch %d) was taken over; nothing more is done by this engine"):format(held.epoch), next = "engine status " .. held.run }
  end
  held.confirmed = math.max(held.confirmed, began)
  return true
end

--- Makes sure that the lease is this engine's before an effect begins. Asks the database only when the last answer is so old that
-- another machine may have taken the run over since.
---@return true?, table? err code lock_held or journal
function Journal:confirm()
  local held, began = self.held, clock.now()
  if began - held.confirmed < leases.EXPIRES_S then return true end
  local row, err = self.store:query("SELECT epoch, run FROM leases WHERE venture = $1", held.lease)
  if not row then return nil, err end
  local ok, problem = pcall(leases.check, self.store, row[1] or {}, held)
  if not ok then return nil, problem end
  held.confirmed = began
  return true
end

--- Gives the lease back without ending the run: it can be taken up at once. A database that is away is not waited for.
---@return true?, table? err as of sql
function Journal:let_go()
  local held = self.held
  if not held then return true end
  self.held = nil
  local done, err = self.store.db:query("UPDATE leases SET run = NULL WHERE venture = $1 AND epoch = $2", held.lease, held.epoch)
  return done and true, err
end

--- The key of an effect: the same whenever this run does this, so that whoever is asked twice can see that it is the same.
M.key = chain.key

--- Arguments as they are compared: their JSON and its hash.
---@return string text, string hash
function M.args(args)
  local text = json.encode(args or {})
  return text, files.sha256_text(text)
end

-- A step that changes the world is in doubt until it has an outcome.
local function state_of_begun(effect) return effect == "pure" and "running" or "intent" end

--- Records that a step begins; durable when it returns. For an effect this is its INTENT.
---@param run string
---@param step { seq: integer, place: string, name: string, parent?: integer, effect: string, args?: table, undo?: string, key?: string } key: what key() gives
---@param undisturbed? boolean only if nobody else has written since the run's signals were read
---@return boolean? begun false: something may have been asked, which signals() tells; table? err
function Journal:step_begin(run, step, undisturbed)
  local key = step.key or M.key(run, step.place, step.name, select(2, M.args(step.args)))
  return change(self, run, function(_, _, append)
    append { kind = "step_begin", step = step.seq, place = step.place,
      data = { name = step.name, effect = step.effect, parent = step.parent, args = step.args, key = key, undo = step.undo, state = state_of_begun(step.effect) } }
  end, { undisturbed = undisturbed })
end

--- Records that a step which was begun before begins again.
---@return true?, table? err
function Journal:step_again(run, row, why)
  return self:event(run, "step_again", { name = row.name, state = state_of_begun(row.effect), attempt = row.attempts + 1, why = why }, row.seq)
end

--- Records how a step ended.
---@param state "done"|"failed"|"canceled"
---@param result any plain data
---@param problem? table
---@return true?, table? err
function Journal:step_end(run, seq, state, result, problem, seconds)
  return self:event(run, "step_end", { state = state, result = result, error = problem, seconds = seconds }, seq)
end

--- Records a value that the run found: a reading of the world, the time, a random number.
---@param value { seq: integer, place: string, parent?: integer, name: string, state: "done"|"failed", result?: any, error?: table }
---@return true?, table? err
function Journal:value(run, value)
  return change(self, run, function(_, _, append) append_value(append, value) end)
end

--- Records an event.
---@param data table plain data
---@param step? integer
---@param place? string of an event that stands outside of steps
---@return true?, table? err
function Journal:event(run, kind, data, step, place)
  return change(self, run, function(_, _, append) append { kind = kind, step = step, place = place, data = data } end)
end

--- Records an event that has its number already, so that it can be tried several times.
---@param run string
---@param event { kind: string, data: table, step?: integer, n: integer, since: number } since: when it happened (core.clock); one that is written late says so by late_s
---@param once? boolean a database that is away is not waited for: err.away says that another try is worth it
---@return true?, table? err
function Journal:numbered_event(run, event, once)
  return change(self, run, function(_, _, append)
    local late = clock.now() - event.since
    if late >= LATE_S then event.data.late_s = late end
    append { kind = event.kind, step = event.step, data = event.data }
  end, { n = event.n, once = once })
end

--- Records something about a run from outside: a process that does not hold its lease.
---@return true?, table? err
function Journal:note(run, kind, data)
  return write(self, { run = run }, function(_, _, append) append { kind = kind, data = data } end)
end

--- Asks something of a run, from another process: "rollback".
---@param signal { kind: string, data?: table, by: string, reason?: string }
---@return true?, table? err
function Journal:signal(run, signal)
  return write(self, { run = run }, function(tx, at, append)
    assert(tx:query("INSERT INTO signals (run, kind, data, by, reason, at) VALUES ($1, $2, $3, $4, $5, $6)", run, signal.kind, encode(signal.data or {}), plain.readable(signal.by), opt(plain.readable(signal.reason)), at.utc))
    append { kind = "signal", data = { signal = signal.kind, data = signal.data, by = signal.by, reason = signal.reason } }
  end)
end

--- Puts a question that needs a person's answer.
---@param question { place: string, question: string, evidence?: table }
---@return integer? seq, table? err
function Journal:ask(run, question)
  return change(self, run, function(tx, _, append)
    local seq = assert(tx:value("SELECT coalesce(max(seq), 0) + 1 FROM approvals WHERE run = $1", run))
    local evidence = encode(question.evidence or {})
    local hash = files.sha256_text(evidence)
    local at = append { kind = "ask", data = { seq = seq, question = question.question, evidence_hash = hash } }
    assert(tx:query("INSERT INTO approvals (run, seq, place, asked_at, question, evidence, evidence_hash) VALUES ($1, $2, $3, $4, $5, $6, $7)",
      run, seq, question.place, at, question.question, evidence, hash))
    return seq
  end)
end

--- Answers a question. The answer comes from another process, which holds no lease.
---@param answer { answer: "yes"|"no", by: string, reason?: string }
---@return table? the question's row, table? err
function Journal:answer(run, seq, answer)
  return write(self, { run = run }, function(tx, _, append)
    local open = assert(tx:one("SELECT * FROM approvals WHERE run = $1 AND seq = $2", run, seq))
    if open.answer then error(core_err.new { code = "approval", message = ("answered already: %s by %s"):format(open.answer, open.by) }, 0) end
    local at = append { kind = "answer", data = { seq = seq, answer = answer.answer, by = answer.by, reason = answer.reason } }
    assert(tx:query("UPDATE approvals SET answered_at = $1, answer = $2, by = $3, reason = $4 WHERE run = $5 AND seq = $6", at, answer.answer, answer.by, opt(answer.reason), run, seq))
    return tx:one("SELECT * FROM approvals WHERE run = $1 AND seq = $2", run, seq)
  end)
end

--- Records that somebody takes a promoted run over. Like an answer it comes from a process that holds no lease.
---@param acceptance { by: string, reason?: string }
---@return true?, table? err code usage: the run has no handoff that holds; approval: somebody has accepted it already
function Journal:accept_handoff(run, acceptance)
  return write(self, { run = run }, function(tx, _, append)
    local outcome = tx:value("SELECT outcome FROM runs WHERE id = $1", run)
    local function last(kind)
      local row = tx:one("SELECT at, data FROM events WHERE run = $1 AND kind = $2 ORDER BY seq DESC LIMIT 1", run, kind)
      return row and { at = row.at, data = json.decode(row.data) }
    end
    local made, accepted = last "handoff", last "handoff_accepted"
    if accepted then
      error(core_err.new { code = "approval", message = ("the handoff of run %s was accepted already, by %s at %s"):format(run, accepted.data.by, accepted.at), next = "engine status " .. run }, 0)
    end
    if outcome ~= "promoted" or not made then
      local why = not made and "has no handoff" or outcome and ("has ended: %s; its handoff holds no longer"):format(outcome) or "has not ended"
      error(core_err.new { code = "usage", message = ("run %s %s"):format(run, why), next = "engine status " .. run }, 0)
    end
    append { kind = "handoff_accepted", data = { by = acceptance.by, reason = acceptance.reason, sha256 = made.data.sha256 } }
  end)
end

--- One question with its answer, if there is one yet.
function Journal:approval(run, seq) return self.store:one("SELECT * FROM approvals WHERE run = $1 AND seq = $2", run, seq) end

--- All questions of a run.
function Journal:approvals(run) return self.store:query("SELECT * FROM approvals WHERE run = $1 ORDER BY seq", run) end

--- The question that a run waits for.
function Journal:open_question(run) return self.store:one("SELECT * FROM approvals WHERE run = $1 AND answer IS NULL ORDER BY seq DESC LIMIT 1", run) end

-- Rows with what some of their columns have as JSON made into values; or the error.
local function decoded(names, rows, err)
  if not rows then return nil, err end
  for _, row in ipairs(rows) do
    for _, name in ipairs(names) do if row[name] then row[name] = json.decode(row[name]) end end
  end
  return rows
end

--- What was asked of a run, in order.
function Journal:signals(run)
  local function read() return self.store:query("SELECT * FROM signals WHERE run = $1 ORDER BY id", run) end
  if not self.held or self.held.run ~= run then return decoded({ "data" }, read()) end
  return decoded({ "data" }, self.head:listen(read))
end

--- May something have been asked of the run that this journal has not read? Not as long as nobody else wrote; that somebody did is known
-- after the next change at the latest.
---@return boolean
function Journal:may_be_asked() return self.head:may_be_asked() end

-- Not the consoles that only looked.
local CHANGED = "playbook <> 'console' OR EXISTS (SELECT 1 FROM events WHERE events.run = runs.id AND events.kind = 'step_begin')"

--- Runs, the latest first.
---@param filter? { venture?: string, playbook?: string, limit?: integer, changed?: boolean } playbook: of a venture, only those of this one; changed: without the consoles that only looked
---@return table[]?, table? err
function Journal:runs(filter)
  filter = filter or {}
  if filter.changed then
    return decoded({ "args", "settings" }, self.store:query(("SELECT * FROM runs WHERE %s ORDER BY seq DESC LIMIT $1"):format(CHANGED), filter.limit or 20))
  end
  if filter.venture and filter.playbook then
    return decoded({ "args", "settings" }, self.store:query("SELECT * FROM runs WHERE venture = $1 AND playbook = $2 ORDER BY seq DESC LIMIT $3", filter.venture, filter.playbook, filter.limit or 20))
  end
  if filter.venture then
    return decoded({ "args", "settings" }, self.store:query("SELECT * FROM runs WHERE venture = $1 ORDER BY seq DESC LIMIT $2", filter.venture, filter.limit or 20))
  end
  return decoded({ "args", "settings" }, self.store:query("SELECT * FROM runs ORDER BY seq DESC LIMIT $1", filter.limit or 20))
end

--- One run by its id or the beginning of it; when none is given the latest that is no console.
---@param id? string
---@return table? row, table? err code not_found
function Journal:run(id)
  local rows, err = self.store:query("SELECT * FROM runs WHERE substr(id, 1, CAST($1 AS INTEGER)) = $2 AND ($2 <> '' OR playbook <> 'console') ORDER BY seq DESC LIMIT 2", #(id or ""), id or "")
  if not rows then return nil, err end
  if not rows[1] then return nil, core_err.new { code = "not_found", message = id and ("there is no run %s"):format(id) or "there is no run yet", next = "engine status" } end
  if id and rows[2] and rows[1].id ~= id then
    return nil, core_err.new { code = "usage", message = ("several runs begin with '%s': %s, %s"):format(id, rows[1].id, rows[2].id), next = "Give more of its id; engine status lists the runs." }
  end
  return decoded({ "args", "settings" }, { rows[1] })[1]
end

--- A run's steps in the order in which they began.
---@param run string
---@return table[]? rows as of journal.steps, table? err
function Journal:steps(run)
  local events, err = decoded({ "data" }, self.store:query("SELECT * FROM events WHERE run = $1 AND kind IN ('step_begin', 'step_again', 'step_end') ORDER BY seq", run))
  if not events then return nil, err end
  return require("journal.steps").of(events)
end

--- A run's events in their order.
---@param run string
---@param after? integer only those after this one
function Journal:events(run, after) return decoded({ "data" }, self.store:query("SELECT * FROM events WHERE run = $1 AND seq > $2 ORDER BY seq", run, after or 0)) end

--- The number of a run's last event.
---@param run string
---@return integer? seq, table? err
function Journal:last_event(run) return self.store:value("SELECT max(seq) FROM events WHERE run = $1", run) end

--- Has a run an event of this kind?
---@param run string
---@param kind string
---@return boolean?, table? err
function Journal:has_event(run, kind)
  local rows, err = self.store:query("SELECT seq FROM events WHERE run = $1 AND kind = $2 LIMIT 1", run, kind)
  if not rows then return nil, err end
  return rows[1] ~= nil
end

--- The sources that a run is made of.
function Journal:sources(run)
  return self.store:query("SELECT s.name, s.path, s.hash, t.text FROM sources s JOIN texts t ON t.hash = s.hash WHERE s.run = $1 ORDER BY s.n", run)
end

--- Proves the chain of events whole, and that the rows say what the events say.
---@param run? string only from this run's beginning on, with its rows and sources
---@return { events: integer, of_run: table[] }?, table? err names the first link that is broken; of_run: the run's events as events() gives them
function Journal:verify(run) return require("journal.proof").verify(self.store, run) end

--- Proves what was written since, and adds it to the proof.
---@param proof table of verify
---@return table? proof, table? err
function Journal:verify_rest(proof) return require("journal.proof").go_on(self.store, proof) end

return M
