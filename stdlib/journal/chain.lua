--- journal.chain: the audit trail. Every event carries the hash of the one before, so that a changed, removed or inserted one is found.

local core_err = require "core.err"
local core_secret = require "core.secret"
local files = require "files"
local json = require "json"
local sql = require "sql"

local M = {}

local GENESIS = ("0"):rep(64)
local PAGE = 1000

local function hash_of(row)
  return files.sha256_text(table.concat({ row.prev, row.seq, row.at, row.run, row.epoch or "", row.n or "", row.kind, row.step or "", row.place or "", row.data }, "\n"))
end

local function or_null(value) return value == nil and sql.null or value end

local INSERT = "INSERT INTO events (seq, run, epoch, n, at, kind, step, place, data, prev, hash)"
local PLAIN = INSERT .. " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
local IF_UNCHANGED = INSERT .. [[ SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
  WHERE (SELECT hash FROM events ORDER BY seq DESC LIMIT 1) = $10 AND EXISTS (SELECT 1 FROM leases WHERE venture = $12 AND epoch = $3 AND run = $2)]]

--- Appends an event inside tx. What it quotes of an answer or an error is redacted.
---@param tx table
---@param now { utc: string }
---@param event { run: string, epoch?: integer, n?: integer, kind: string, step?: integer, place?: string, data: table }
---@param head? { seq: integer, hash: string } the last event, if it is known; it becomes this one
---@param held? { lease: string } nothing is appended unless head is still the last event and the run has this lease
---@return string at
function M.append(tx, now, event, head, held)
  head = head or tx:one "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1"
  local row = { seq = (head and head.seq or 0) + 1, prev = head and head.hash or GENESIS, at = now.utc, run = event.run, epoch = event.epoch, n = event.n, kind = event.kind,
    step = event.step, place = event.place, data = core_secret.redact(json.encode(event.data)) }
  row.hash = hash_of(row)
  local values = { row.seq, row.run, or_null(row.epoch), or_null(row.n), row.at, row.kind, or_null(row.step), or_null(row.place), row.data, row.prev, row.hash, held and held.lease }
  assert(tx:query(held and IF_UNCHANGED or PLAIN, table.unpack(values)))
  if head then head.seq, head.hash = row.seq, row.hash end
  return row.at
end

local function broken(seq, why)
  error(core_err.new { code = "journal", op = "verify", message = ("event %d: %s"):format(seq, why), next = "The journal was changed from outside; treat what follows this event as unproved." }, 0)
end

-- What the events say of each step: its last state, result and error.
local function follow(steps, row)
  if row.kind ~= "step_begin" and row.kind ~= "step_end" and row.kind ~= "step_again" and row.kind ~= "value" then return end
  local data = json.decode(row.data)
  steps[row.run .. "/" .. row.step] = { state = data.state, result = data.result, error = data.error, event = row.seq }
end

local function same(text, value)
  if text == nil then return value == nil end
  return json.encode(json.decode(text)) == json.encode(value)
end

local function compare_rows(db, steps)
  for _, row in ipairs(assert(db:query "SELECT run, seq, state, result, error FROM steps")) do
    local told = steps[row.run .. "/" .. row.seq]
    if not told then broken(0, ("step %d of run %s has no event"):format(row.seq, row.run)) end
    if told.state ~= row.state then broken(told.event, ("step %d of run %s is '%s' in its row, but '%s' in its event"):format(row.seq, row.run, row.state, told.state)) end
    if not same(row.result, told.result) or not same(row.error, told.error) then broken(told.event, ("step %d of run %s has another result in its row than in its event"):format(row.seq, row.run)) end
  end
end

--- Proves the chain whole, and that the rows of steps say what the events say.
---@param db table
---@return { events: integer }?, table? err names the first link that is broken
function M.verify(db)
  local ok, problem = pcall(function()
    local prev, expected, steps = GENESIS, 1, {}
    while true do
      local rows = assert(db:query("SELECT * FROM events WHERE seq >= $1 ORDER BY seq LIMIT $2", expected, PAGE))
      for _, row in ipairs(rows) do
        if row.seq ~= expected then broken(expected, "it is missing") end
        if row.prev ~= prev then broken(row.seq, "it does not follow the one before") end
        if row.hash ~= hash_of(row) then broken(row.seq, "its content was changed") end
        follow(steps, row)
        prev, expected = row.hash, expected + 1
      end
      if #rows == 0 then break end
    end
    compare_rows(db, steps)
    return { events = expected - 1 }
  end)
  if ok then return problem end
  if core_err.is(problem) then return nil, problem end
  error(problem, 0)
end

return M
