--- journal.lease: one run a venture. The lease names its holder and carries an epoch that only grows: whoever takes it over has a
-- higher one, and every write of the holder before is refused from then on.
--
-- Pure SQL inside a transaction that the journal opens.

local core_err = require "core.err"
local machine = require "host"
local process = require "process"

local M = {}

M.EXPIRES_S = 15 -- a holder on another machine that has not renewed for this long is taken for dead

-- On this machine the kernel knows whether the holder lives; of another one only its renewals are known.
local function holder_lives(lease, now)
  if not lease.run then return false end
  if lease.host == machine.name() then return process.alive { pid = lease.pid, started = lease.started } end
  return now.wall - lease.renewed_at < M.EXPIRES_S
end

--- The lease, and whether its holder lives.
---@param db table a connection or transaction
---@param venture string
---@param now { wall: number }
---@return table? row, boolean lives
function M.look(db, venture, now)
  local row = assert(db:query("SELECT * FROM leases WHERE venture = $1", venture))[1]
  return row, row ~= nil and holder_lives(row, now)
end

--- The error that names a holder.
---@param row table of look
---@return table err code lock_held
function M.held(row)
  return core_err.new { code = "lock_held", message = ("run %s holds %s since %s for %s (process %d on %s)"):format(row.run, row.venture, row.acquired_at, row.operation, row.pid, row.host),
    next = ("engine status %s"):format(row.run) }
end

--- Is the lease still the holder's? Raises lock_held when it was taken over or taken away. One that has expired and was not taken is.
---@param db table a connection or transaction
---@param row { epoch?: integer, run?: string } the lease as it is now
---@param held { lease: string, run: string, epoch: integer }
function M.check(db, row, held)
  if row.epoch == held.epoch and row.run == held.run then return end
  local now = assert(db:query("SELECT * FROM leases WHERE venture = $1", held.lease))[1] or {}
  local by = now.run and (", by run %s (process %d on %s)"):format(now.run, now.pid, now.host) or ""
  error(core_err.new { code = "lock_held", message = ("this run's lease (epoch %d) was taken over (epoch %s%s); nothing more is done by this engine"):format(
    held.epoch, tostring(now.epoch), by), next = "engine status " .. held.run }, 0)
end

--- Takes the lease inside tx. Raises lock_held when somebody alive has it.
---@param tx table
---@param now { wall: number, utc: string }
---@param venture string
---@param run string
---@param operation string
---@return integer epoch, string? taken_from the run of a dead holder
function M.acquire(tx, now, venture, run, operation)
  local row, lives = M.look(tx, venture, now)
  if lives then error(M.held(row), 0) end
  local me, epoch = process.self(), (row and row.epoch or 0) + 1
  assert(tx:query([[INSERT INTO leases (venture, run, operation, host, pid, started, acquired_at, renewed_at, epoch) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (venture) DO UPDATE SET run = excluded.run, operation = excluded.operation, host = excluded.host, pid = excluded.pid,
    started = excluded.started, acquired_at = excluded.acquired_at, renewed_at = excluded.renewed_at, epoch = excluded.epoch]],
    venture, run, operation, machine.name(), me.pid, me.started, now.utc, now.wall, epoch))
  return epoch, row and row.run or nil
end

--- Gives the lease up inside tx; its epoch stays, so that the next is higher.
---@param tx table
---@param venture string
function M.release(tx, venture) assert(tx:query("UPDATE leases SET run = NULL WHERE venture = $1", venture)) end

--- Takes the lease from whoever has it: the epoch grows, so that a holder that still lives is refused at its next write.
---@param tx table
---@param venture string
function M.revoke(tx, venture) assert(tx:query("UPDATE leases SET run = NULL, epoch = epoch + 1 WHERE venture = $1", venture)) end

return M
