--- journal.store: where the journal's tables are: a SQLite file, or a PostgreSQL database that several machines share.
--
-- A write is one transaction, durable when it returns. Writers of a PostgreSQL stand in line by a lock; one that knows where the chain ends (journal.head)
-- needs none, because no two events can have the same number. A PostgreSQL that is away is waited for. Every change has a number, which is
-- in the journal when it happened: a commit whose answer was lost is found there, and not done twice.

local advice = require "advice"
local core_boundary = require "core.boundary"
local core_clock = require "core.clock"
local core_err = require "core.err"
local core_sql = require "core.sql"
local core_task = require "core.task"
local schema = require "journal.schema"
local sql = require "sql"

local M = {}

local TIMEOUT_S = 10 -- of one statement; what it had to do is tried again
local RETRY_S = 0.5
local MAKING_S = 5 -- somebody who makes the database has done so by then
local PATIENCE_S = 10 -- of a command for a database that is away; a run has more, see hold

-- SQLite's WAL grows until its first checkpoint, and a commit that makes a file longer takes twice as long as one that does not: the file
-- system has to record that, too. After so many pages it begins again at its start.
local CHECKPOINT_PAGES = 100

-- The lock makes writers stand in line. It and the transaction go when the engine's machine is gone, so that the others go on.
local OPENING = [[SET LOCAL synchronous_commit = on; SET LOCAL idle_in_transaction_session_timeout = 5000;
  SELECT pg_advisory_xact_lock(7310293, 'events'::regclass::oid::int4)]]

-- What every write goes by, in one question: where the chain ends, who has the lease, and whether this change is there already.
local STANDING = [[SELECT seq, hash, (SELECT epoch FROM leases WHERE venture = $1) AS epoch, (SELECT run FROM leases WHERE venture = $1) AS run,
  (SELECT 1 FROM events WHERE n = $2) AS happened%s FROM events ORDER BY seq DESC LIMIT 1]]
local CLOCK = "extract(epoch FROM clock_timestamp())::float8"
-- A statement that is a transaction by itself is durable when it returns, whatever the server's default is.
local DURABLE = "set_config('synchronous_commit', 'on', true) = 'on'"
local standing_of = { sqlite = STANDING:format "", postgres = STANDING:format(", " .. CLOCK .. " AS wall") }

local Store = {}
Store.__index = Store

local AWAY = { connect = true, closed = true, timeout = true, resolve = true }
-- The server ends, ended badly, starts, takes no writes (yet), or stood still within a transaction of ours.
local UNABLE = { ["57P01"] = true, ["57P02"] = true, ["57P03"] = true, ["25006"] = true, ["25P03"] = true }

local function is_away(self, err)
  if self.dialect ~= "postgres" or not core_err.is(err) then return false end
  local state = err.sqlstate or ""
  return AWAY[err.code] or UNABLE[state] or state:sub(1, 2) == "53" or false -- 53: out of connections, disk, memory
end

-- What to do about a disk, by SQLite's name of the problem.
local NEXT = {
  SQLITE_FULL = "Make room on the disk of the state folder; what was recorded stays, and nothing else was begun.",
  SQLITE_IOERR = "Check the disk of the state folder, and whether it was mounted read-only.",
  SQLITE_READONLY = "Let the engine write to the state folder: check its owner, its mode and its mount.",
  SQLITE_CANTOPEN = "Let the engine write to the state folder: check its owner, its mode and its mount.",
  SQLITE_CORRUPT = "The journal's file is damaged: keep a copy of it, check the disk, and begin a new journal (--state DIR).",
  SQLITE_NOTADB = "That file is no journal: name another state folder (--state DIR).",
}

local function failed(err, what)
  return nil, core_err.new { code = "journal", op = "journal", message = ("%s: %s"):format(what, err.message or tostring(err)), cause = err.cause and tostring(err.cause) or nil,
    next = NEXT[err.sqlstate] or (core_err.is(err) and advice.next(err)) or err.next }
end

local function checked(value, err)
  if err then error(err, 0) end
  return value
end

local function version_of(tx, dialect)
  if dialect == "sqlite" then return checked(tx:value "PRAGMA user_version") end
  if checked(tx:value "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema AND table_name = 'journal_version'") == 0 then return 0 end
  return checked(tx:value "SELECT version FROM journal_version")
end

-- Two engines that make the same journal at once: the second waits for the first.
local function make_tables(db, dialect)
  return db:transaction(function(tx)
    local version = version_of(tx, dialect)
    if version == 0 then
      checked(tx:execute(schema.script(dialect)))
    elseif version ~= schema.VERSION then
      error(core_err.new { code = "journal", message = ("it is of version %d, but this engine writes version %d"):format(version, schema.VERSION),
        next = "Use the engine that made it, or begin a new journal: --state DIR or --journal URL." }, 0)
    end
    return true
  end, "SELECT pg_advisory_xact_lock(7310293)")
end

--- What opens the database, once or never; its address is looked at now, before a run's grants are in force.
---@param url any sqlite:PATH or postgres://...; may be a secret
---@return table? store to open, table? err
function M.prepare(url)
  local db, err = sql.prepare(url, { timeout = TIMEOUT_S })
  if not db then return failed(err, "the journal cannot be opened") end
  local renewals = db
  if db:dialect() == "postgres" then
    renewals, err = sql.prepare(url, { timeout = TIMEOUT_S })
    if not renewals then return failed(err, "the journal cannot be opened") end
  end
  -- A console records what it only looks at, too, whenever its journal was opened.
  core_sql.for_records(db.core)
  core_sql.for_records(renewals.core)
  return setmetatable({ db = db, renewals = renewals, dialect = db:dialect(), patience = PATIENCE_S }, Store)
end

-- Whoever opens a database that somebody else is just making cannot be kept waiting by SQLite at this one point: it would be a deadlock.
local function use_wal(db)
  local last = core_clock.now() + MAKING_S
  while true do
    local ok, err = db:query "PRAGMA journal_mode = WAL"
    if ok or not err.message:find("SQLITE_BUSY", 1, true) or core_clock.now() > last then return ok, err end
    core_task.sleep(0.02)
  end
end

--- Connects, and makes the tables if they are not there.
---@return table? store, table? err code journal
function Store:open()
  local ok, err = self.db:query "SELECT 1"
  if ok and self.dialect == "sqlite" then
    ok, err = use_wal(self.db)
    if ok then ok, err = self.db:query "PRAGMA synchronous = FULL" end
    if ok then ok, err = self.db:query(("PRAGMA wal_autocheckpoint = %d"):format(CHECKPOINT_PAGES)) end
  end
  if not ok then
    self:close()
    return failed(err, "the journal cannot be opened")
  end
  ok, err = make_tables(self.db, self.dialect)
  if ok then return self end
  self:close()
  return failed(err, ("%s cannot be used as a journal"):format(tostring(self.db)))
end

function Store:close()
  self.db:close()
  self.renewals:close()
end

--- From here on a database that is away is waited for so long.
---@param patience number seconds
---@param away fun(err: table) called when it is found to be away
---@param back fun(seconds: number) called when it answers again
function Store:hold(patience, away, back) self.patience, self.on_away, self.on_back = patience, away, back end

local function note_away(self, err)
  if self.away_since then return end
  self.away_since = core_clock.now()
  if self.on_away then self.on_away(err) end
end

local function note_back(self)
  local since = self.away_since
  if not since then return end
  self.away_since = nil
  if self.on_back then self.on_back(core_clock.now() - since) end
end

-- Calls fn until the database has answered, in whatever way.
local function persist(self, patience, fn)
  local began = core_clock.now()
  while true do
    local result, err = fn()
    if result ~= nil or not is_away(self, err) then
      note_back(self)
      return result, err
    end
    note_away(self, err)
    local waited = core_clock.now() - began
    if waited >= patience then
      local _, problem = failed(err, ("the journal's database has been away for %.3g s"):format(core_clock.now() - self.away_since))
      problem.away = true
      return nil, problem
    end
    core_task.sleep(RETRY_S)
  end
end

-- Machines have clocks of their own; the database's is the one that all of them see.
local function clock_of(self, wall)
  if self.dialect == "sqlite" then return { wall = core_clock.wall(), utc = core_clock.utc() } end
  self.ahead = wall - core_clock.now()
  return { wall = wall, utc = core_clock.utc(wall) }
end

--- The time without asking the database: its clock as of its last answer, and what has passed since.
---@return { wall: number, utc: string, condition?: string } condition: what a statement has to say that is a change by itself
function Store:estimate()
  if self.dialect == "sqlite" then return clock_of(self) end
  local wall = core_clock.now() + self.ahead
  return { wall = wall, utc = core_clock.utc(wall), condition = DURABLE }
end

--- Reads with sql's query, one or value.
function Store:query(...)
  local arguments = table.pack(...)
  return persist(self, self.patience, function() return self.db:query(table.unpack(arguments, 1, arguments.n)) end)
end
function Store:one(...)
  local arguments = table.pack(...)
  return persist(self, self.patience, function() return self.db:one(table.unpack(arguments, 1, arguments.n)) end)
end
function Store:value(...)
  local arguments = table.pack(...)
  return persist(self, self.patience, function() return self.db:value(table.unpack(arguments, 1, arguments.n)) end)
end

--- The time, as every engine of this journal sees it.
---@param db? table a transaction
---@return { wall: number, utc: string }
function Store:now(db) return clock_of(self, self.dialect == "postgres" and checked((db or self):value("SELECT " .. CLOCK)) or nil) end

--- The holder's sign of life. It has a connection of its own and waits for no lock, so that slow writes do not delay it.
---@param held { lease: string, epoch: integer, run: string }
---@param timeout number seconds
---@return sql.rows? rows, table? err as of sql
function Store:renew(held, timeout)
  local now, back = ("%.3f"):format(core_clock.wall()), ""
  if self.dialect == "postgres" then now, back = CLOCK, " RETURNING renewed_at AS wall" end
  local rows, err = self.renewals:within(timeout):query(("UPDATE leases SET renewed_at = %s WHERE venture = $1 AND epoch = $2 AND run = $3%s"):format(now, back), held.lease, held.epoch, held.run)
  if rows and rows[1] then clock_of(self, rows[1].wall) end
  return rows, err
end

-- One try of a write, in a transaction.
local function try(self, change, fn)
  return self.db:transaction(function(tx)
    local row = checked(tx:query(standing_of[self.dialect], change.lease or sql.null, change.n or sql.null))[1]
    local at = row and clock_of(self, row.wall) or self:now(tx)
    row = row or {}
    at.seq, at.hash, at.run, at.n, at.happened = row.seq or 0, row.hash, change.run, change.n, row.happened ~= nil
    at.lease = { epoch = row.epoch, run = row.run }
    local result = fn(tx, at)
    core_boundary.pass "journal: before the commit"
    return result == nil and true or result
  end, OPENING)
end

local PASSED_ON = { lock_held = true, approval = true, journal = true, usage = true }

-- What a caller sees of an error: those of the journal's own as they are.
local function told(err)
  if core_err.is(err) and PASSED_ON[err.code] then return nil, err end
  return failed(err, "nothing was recorded")
end

-- Somebody's event has the number that this one was to have: a change that did not stand in line was quicker.
local function was_overtaken(err) return err ~= nil and err.sqlstate == "23505" and err.message:find("events_pkey", 1, true) ~= nil end

--- Carries out statements as one transaction, if the first of them changes a row. PostgreSQL: a single one, or nothing is done.
---@param statements any[][]
---@return boolean? done false: the first changed none, and nothing was done; table|"unknown"|nil err code journal; "unknown": it is to be done by write, which finds out whether it happened
function Store:batch(statements)
  local is_shared = self.dialect == "postgres"
  if is_shared and (#statements > 1 or self.away_since) then return false, "unknown" end -- whoever reads first waits for it, and notes that it is back
  core_boundary.pass "journal: before the commit"
  local affected, err = self.db:batch(statements)
  if affected == nil then
    if is_away(self, err) then return false, "unknown" end
    if was_overtaken(err) then return false end
    return told(err)
  end
  if affected > 0 then core_boundary.pass "journal: after the commit" end
  return affected > 0
end

--- Runs fn(tx, at) in one transaction; its result, when that is durable. fn is called again when the answer to a commit was lost:
-- with at.happened, when the change is there.
---@param change { run: string, n?: integer, lease?: string, once?: boolean } once: without patience
---@param fn fun(tx: table, at: { wall: number, utc: string, seq: integer, hash?: string, lease: table, happened: boolean }): any
---@return any result, table? err code lock_held and others as fn raised it, or journal
function Store:write(change, fn)
  local result, err = persist(self, change.once and 0 or self.patience, function()
    local done, problem
    repeat done, problem = try(self, change, fn) until not was_overtaken(problem)
    return done, problem
  end)
  if result ~= nil then
    core_boundary.pass "journal: after the commit"
    return result
  end
  return told(err)
end

return M
