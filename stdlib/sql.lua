--- sql: PostgreSQL and SQLite, asked in the same way.
--
-- A connection carries out one query at a time; queries of other tasks wait their turn. Values are
-- always parameters ($1, $2, ...), never pasted into the text.
--
-- What comes back is typed: booleans, integers, floats, strings (also for dates, JSON and exact
-- numerics); NULL is an absent field. What goes in: boolean, integer, float, string, sql.blob(bytes),
-- sql.null. PostgreSQL sees integers as int4 or int8, floats as float8, strings without a type.
--
-- Errors: "sql" (the database refused; err.sqlstate says why, "23505" or "SQLITE_CONSTRAINT_UNIQUE"),
-- "connect", "resolve", "timeout", "closed" (the connection was lost: the next query connects anew),
-- "limit" (more than 256 MiB of rows), "not_found" (one, value).

local core = require "core.sql"
local core_err = require "core.err"
local task = require "task"

local M = {
  --- NULL as a parameter.
  null = core.null,
}

local DEFAULT_TIMEOUT = 30
local ROLLBACK_TIMEOUT = 10

---@class sql.rows: table[]
---@field columns string[] the columns' names in their order
---@field affected integer rows inserted, updated or deleted

---@class sql.db
local db_methods = {}
local db_meta = {
  __index = db_methods,
  __name = "sql.db",
  __tostring = function(self) return ("sql(%s)"):format(core.name(self.core)) end,
  __close = function(self) core.close(self.core) end,
}

local function new_db(handle, timeout, lease)
  return setmetatable({ core = handle, timeout = timeout, lease = lease }, db_meta)
end

local function check_seconds(seconds, level)
  if type(seconds) ~= "number" or not (seconds > 0 and seconds < 1e9) then
    error("timeout is a positive number of seconds", level + 1)
  end
  return seconds
end

local NOTHING = {} -- raised to roll a batch back

-- A batch over a connection that takes one statement at a time.
local function batch_by_turns(db, statements)
  local called, affected, err = pcall(db.transaction, db, function(tx)
    local sum = 0
    for i, statement in ipairs(statements) do
      sum = sum + assert(tx:query(table.unpack(statement))).affected
      if i == 1 and sum == 0 then error(NOTHING, 0) end
    end
    return sum
  end)
  if called then return affected, err end
  if affected == NOTHING then return 0 end
  error(affected, 0)
end

--- Connects to a database.
-- `postgres://user:password@host:port/database?sslmode=verify-full&...` (libpq's options; TLS is only
-- verified with sslmode=verify-full), or `sqlite:/path/file.db` (made if it is not there; `?mode=rw`
-- or `?mode=ro` never make one) or `sqlite::memory:`. SQLite enforces foreign keys; its journal mode
-- stays as it is.
---@param url string|userdata address, may be a secret; no error shows its password
---@param options? { timeout?: number } seconds for connecting and for each query, waiting included (30)
---@return sql.db? db, table? err
---@usage local db <close> = assert(sql.open("sqlite::memory:", { timeout = 5 }))
function M.open(url, options)
  local db, err = M.prepare(url, options)
  if not db then return nil, err end
  local ok
  ok, err = core.run(db.core, "connect", 0, db.timeout, "")
  if not ok then
    core.close(db.core)
    return nil, err
  end
  return db
end

--- As open, but only looks at the address: the first query connects. What a run's grants allow is checked here, not then.
---@param url string|userdata
---@param options? { timeout?: number }
---@return sql.db? db, table? err usage, capability
---@usage local db <close> = assert(sql.prepare "postgres://nowhere.invalid/db")
function M.prepare(url, options)
  local timeout = check_seconds(options and options.timeout or DEFAULT_TIMEOUT, 2)
  local handle, err = core.open(url)
  if not handle then return nil, err end
  return new_db(handle, timeout, 0)
end

--- Bytes as a parameter that is not text (bytea, BLOB).
---@param bytes string
---@return userdata
---@usage local db <close> = assert(sql.open "sqlite::memory:")  assert(db:value("SELECT length($1)", sql.blob "\0\1\2") == 3)
function M.blob(bytes) return core.blob(bytes) end

--- Runs one statement and gives its rows.
---@param text string with $1, $2, ... for the parameters
---@param ... boolean|number|string|userdata parameters; sql.null for NULL, nil is a mistake
---@return sql.rows? rows, table? err
---@usage local db <close> = assert(sql.open "sqlite::memory:")  assert(assert(db:query("SELECT $1 AS id, $2 AS name", 7, "acme"))[1].name == "acme")
function db_methods:query(text, ...)
  return core.run(self.core, "query", self.lease, self.timeout, text, ...)
end

--- Runs one statement and gives its first row.
---@return table? row, table? err "not_found" when there is none
---@usage local db <close> = assert(sql.open "sqlite::memory:")  assert(assert(db:one("SELECT $1 AS id", 7)).id == 7)
function db_methods:one(text, ...)
  local rows, err = self:query(text, ...)
  if not rows then return nil, err end
  if rows[1] then return rows[1] end
  return nil, core_err.new { code = "not_found", op = "sql", message = ("%s: the query gave no row: %s"):format(core.name(self.core), text) }
end

--- Runs one statement and gives the first column of its first row.
-- A NULL gives nil without an error; no row gives nil and "not_found".
---@return any value, table? err
---@usage local db <close> = assert(sql.open "sqlite::memory:")  assert(assert(db:value("SELECT $1 + 1", 41)) == 42)
function db_methods:value(text, ...)
  local rows, err = self:query(text, ...)
  if not rows then return nil, err end
  if rows[1] then return rows[1][rows.columns[1]] end
  return nil, core_err.new { code = "not_found", op = "sql", message = ("%s: the query gave no row: %s"):format(core.name(self.core), text) }
end

--- Runs a script of several statements without parameters, up to the first that fails.
-- PostgreSQL takes back the whole script then; SQLite keeps what went before, unless inside
-- db:transaction. The error names the statement (err.statement, from 1).
---@param script string
---@return true? ok, table? err
---@usage local db <close> = assert(sql.open "sqlite::memory:")  assert(db:execute "CREATE TABLE a (x integer); INSERT INTO a VALUES (1)")
function db_methods:execute(script)
  local ok, err = core.run(self.core, "script", self.lease, self.timeout, script)
  if not ok then return nil, err end
  return true
end

--- Runs statements in one transaction: all of them, or none. None too when the first affects no row, so it can be a condition of the
-- others. On SQLite it is a single turn of a worker, several times as quick as db:transaction.
---@param statements any[][] each the text and its parameters; $1 of each is its own first
---@return integer? affected rows by all of them; 0: nothing was done; table? err
---@usage local db <close> = assert(sql.open "sqlite::memory:")  db:execute "CREATE TABLE t (x integer)"  assert(db:batch { { "INSERT INTO t VALUES ($1)", 7 }, { "UPDATE t SET x = x + $1", 1 } } == 2)
function db_methods:batch(statements)
  if self.lease ~= 0 then error("a batch is a transaction of its own", 2) end
  if #statements == 1 then -- is a transaction by itself
    local rows, err = self:query(table.unpack(statements[1]))
    return rows and rows.affected, err
  end
  if core.driver(self.core) ~= "sqlite" then return batch_by_turns(self, statements) end
  local texts, values, n = {}, {}, 0
  for i, statement in ipairs(statements) do
    texts[i] = statement[1]
    for k = 2, #statement do
      n = n + 1
      values[n] = statement[k]
    end
  end
  local rows, err = core.run(self.core, "batch", 0, self.timeout, table.concat(texts, ";\n"), table.unpack(values, 1, n))
  if not rows then return nil, err end
  return rows.affected
end

--- The same connection with another time limit.
---@param seconds number
---@return sql.db
---@usage local db <close> = assert(sql.open "sqlite::memory:")  assert(db:within(600):execute "CREATE TABLE big (x integer)")
function db_methods:within(seconds)
  return new_db(self.core, check_seconds(seconds, 2), self.lease)
end

-- Rolled back for certain, whatever has been canceled: if waiting for it fails, abandon has it done
-- before the connection does anything else.
local function roll_back(handle, lease)
  pcall(task.shield, function() core.run(handle, "end", lease, ROLLBACK_TIMEOUT, "ROLLBACK") end)
  core.abandon(handle, lease)
end

-- An expected failure is what fn raises through assert or expect; a programming error or a
-- cancellation goes on upwards.
local function is_expected(err) return core_err.is(err) and err.code ~= "script" and not task.canceled() end

local function finish(tx, timeout, ok, first, second, ...)
  local handle, lease = tx.core, tx.lease
  tx.lease = -1 -- a tx that is kept and used later belongs to nothing
  if ok and not (not first and core_err.is(second)) then
    local committed, commit_ok, err = pcall(core.run, handle, "end", lease, timeout, "COMMIT")
    core.abandon(handle, lease)
    if not committed then error(commit_ok, 0) end
    if not commit_ok then return nil, err end
    if first == nil then first = true end
    return first, second, ...
  end
  roll_back(handle, lease)
  if ok then return first, second end
  if is_expected(first) then return nil, first end
  error(first, 0)
end

--- Runs fn(tx) in a transaction: committed when fn returns, rolled back when it raises, returns
-- nil and an error, or is canceled. Other tasks' queries on this connection wait meanwhile; inside,
-- use tx (query, one, value, execute), not db.
---@param fn fun(tx: sql.db): any
---@param opening? string PostgreSQL: statements without parameters that begin the transaction, sent together with its BEGIN
---@return any results of fn (true if it gave none), or nil and the error
---@usage local db <close> = assert(sql.open "sqlite::memory:")  assert(db:transaction(function(tx) return tx:value("SELECT $1", 5) end) == 5)
function db_methods:transaction(fn, opening)
  if type(fn) ~= "function" then error("transaction takes a function", 2) end
  if self.lease ~= 0 then error("a transaction inside a transaction is not possible", 2) end
  local handle, lease = self.core, core.lease(self.core)
  local begin
  if core.driver(handle) == "sqlite" then
    begin = core.is_read_only(handle) and "BEGIN" or "BEGIN IMMEDIATE"
  else
    begin = (core.is_read_only(handle) and "BEGIN READ ONLY" or "BEGIN") .. (opening and "; " .. opening or "")
  end
  local called, began, err = pcall(core.run, handle, "begin", lease, self.timeout, begin)
  if not called or not began then
    core.abandon(handle, lease)
    if not called then error(began, 0) end
    return nil, err
  end
  local tx = new_db(handle, self.timeout, lease)
  return finish(tx, self.timeout, pcall(fn, tx))
end

--- Which SQL it speaks.
---@return "postgres"|"sqlite"
---@usage local db <close> = assert(sql.open "sqlite::memory:")  assert(db:dialect() == "sqlite")
function db_methods:dialect() return core.driver(self.core) end

--- Was it opened where the world may only be looked at (a console that is not armed)? Then the server refuses what writes.
---@return boolean
---@usage local db <close> = assert(sql.open "sqlite::memory:")  assert(not db:is_read_only())
function db_methods:is_read_only() return core.is_read_only(self.core) end

--- Closes the connection. What runs on it or waits for it fails with "closed". Also when the variable
-- is declared `local db <close>`.
---@usage local db = assert(sql.open "sqlite::memory:")  db:close()
function db_methods:close() core.close(self.core) end

local POOL_USE = [[
SELECT (SELECT count(*) FROM pg_stat_activity
         WHERE datid IS NOT NULL AND (backend_type IS NULL OR backend_type = 'client backend')) AS used,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true)::int, 0) AS max]]

--- How many of the server's connections are in use. max leaves out those that are reserved for
-- superusers. Other roles' connections are counted without special rights.
---@param db sql.db
---@return { used: integer, max: integer }? use, table? err "not_found" for SQLite, which has no pool
---@usage local db <close> = assert(sql.open "sqlite::memory:")  local use, err = sql.pool_use(db)  assert(not use and err.code == "not_found")
function M.pool_use(db)
  if core.driver(db.core) ~= "postgres" then
    return nil, core_err.new { code = "not_found", op = "sql", message = core.name(db.core) .. " is a file: there is no pool of connections" }
  end
  return db:one(POOL_USE)
end

return M
