--- journal.store: where the journal's tables are: a SQLite file, or a PostgreSQL database that several machines share.
--
-- A write is one transaction, durable when it returns. A PostgreSQL that is away is waited for: a run holds meanwhile. Whether a
-- write whose answer was lost had happened is asked before it is tried again.

local core_boundary = require "core.boundary"
local core_clock = require "core.clock"
local core_err = require "core.err"
local core_task = require "core.task"
local schema = require "journal.schema"
local sql = require "sql"

local M = {}

local TIMEOUT_S = 30
local RETRY_S = 0.5
local PATIENCE_S = 600 -- for a database that is away; a run whose lease is taken over meanwhile ends at its next write

local Store = {}
Store.__index = Store

local AWAY = { connect = true, closed = true, timeout = true, resolve = true }
local STARTING = { ["57P01"] = true, ["57P02"] = true, ["57P03"] = true, ["53300"] = true } -- ends, ended badly, starts, is full

local function is_away(err) return AWAY[err.code] or STARTING[err.sqlstate] or false end

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
    next = NEXT[err.sqlstate] or err.next }
end

local function version_of(tx, dialect)
  if dialect == "sqlite" then return assert(tx:value "PRAGMA user_version") end
  if not assert(tx:value "SELECT to_regclass('journal_version') IS NOT NULL") then return 0 end
  return assert(tx:value "SELECT version FROM journal_version")
end

-- Two engines that make the same journal at once: the second waits for the first.
local function make_tables(db, dialect)
  return db:transaction(function(tx)
    if dialect == "postgres" then assert(tx:query "SELECT pg_advisory_xact_lock(7310293)") end
    local version = version_of(tx, dialect)
    if version == 0 then
      assert(tx:execute(schema.script(dialect)))
    elseif version ~= schema.VERSION then
      error(core_err.new { code = "journal", message = ("it is of version %d, but this engine writes version %d"):format(version, schema.VERSION),
        next = "Use the engine that made it, or begin a new journal: --state DIR or --journal URL." }, 0)
    end
    return true
  end)
end

--- Opens the journal's database and makes its tables if they are not there.
---@param url any sqlite:PATH or postgres://...; may be a secret
---@param name string for messages
---@return table? store, table? err code journal
function M.open(url, name)
  local db, err = sql.open(url, { timeout = TIMEOUT_S })
  if not db then return failed(err, ("the journal %s cannot be opened"):format(name)) end
  local self = setmetatable({ db = db, name = name, dialect = db:dialect() }, Store)
  local ok = true
  if self.dialect == "sqlite" then
    ok, err = db:query "PRAGMA journal_mode = WAL"
    if ok then ok, err = db:query "PRAGMA synchronous = FULL" end
  end
  if ok then ok, err = make_tables(db, self.dialect) end
  if ok then return self end
  db:close()
  return failed(err, ("%s cannot be used as a journal"):format(name))
end

function Store:close() self.db:close() end

-- Machines have clocks of their own; the database's is the one that all of them see.
function Store:now(tx)
  if self.dialect == "sqlite" then return { wall = core_clock.wall(), utc = core_clock.utc() } end
  local wall = assert(tx:value "SELECT extract(epoch FROM clock_timestamp())::float8")
  return { wall = wall, utc = core_clock.utc(wall) }
end

-- One attempt. The second result of the chain's writers is the row that they wrote last.
local function attempt(self, fn)
  return self.db:transaction(function(tx)
    if self.dialect == "postgres" then assert(tx:execute "SET LOCAL synchronous_commit = on; LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE") end
    local result = fn(tx, self:now(tx))
    core_boundary.pass "journal: before the commit"
    return result == nil and true or result
  end)
end

-- What a caller sees of an error: those of the journal's own as they are.
local function told(err)
  if core_err.is(err) and (err.code == "lock_held" or err.code == "approval" or err.code == "journal" or err.code == "usage") then return nil, err end
  return failed(err, "nothing was recorded")
end

--- Carries out statements as one transaction, if the first of them changes a row.
---@param statements any[][]
---@return boolean? done false: the first changed none, and nothing was done; table? err
function Store:batch(statements)
  core_boundary.pass "journal: before the commit"
  local affected, err = self.db:batch(statements)
  if not affected then return told(err) end
  if affected > 0 then core_boundary.pass "journal: after the commit" end
  return affected > 0
end

--- Runs fn(tx, now) in one transaction; its result, when that is durable.
---@param fn fun(tx: table, now: { wall: number, utc: string }): any
---@param happened? fun(tx: table): any? after a lost answer: what the write gave, if it happened after all
---@return any result, table? err code lock_held as fn raised it, or journal
function Store:write(fn, happened)
  local began, result, err = core_clock.now(), nil, nil
  while true do
    result, err = attempt(self, fn)
    if result ~= nil then
      core_boundary.pass "journal: after the commit"
      return result
    end
    if self.dialect ~= "postgres" or not is_away(err) or core_clock.now() - began > PATIENCE_S then break end
    if self.on_wait then self.on_wait(err) end
    core_task.sleep(RETRY_S)
    local before = happened and self.db:transaction(happened)
    if before ~= nil and before ~= false then return before end
  end
  return told(err)
end

return M
