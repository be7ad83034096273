--- journal.chain: the audit trail. The hash of every event is over its content and the hash of the one before, so that a changed, removed or
-- inserted one is found. And the other hashes that the journal keeps. What they prove: journal.proof.

local core_secret = require "core.secret"
local files = require "files"
local json = require "json"
local plain = require "plain"
local sql = require "sql"

local M = {}

--- What stands in for the hash before the first event's.
M.GENESIS = ("0"):rep(64)

--- The hash of an event's row.
---@param prev string the hash of the one before
---@param row table
---@return string
function M.hash_of(prev, row)
  return files.sha256_text(table.concat({ prev, row.seq, row.at, row.run, row.epoch or "", row.n or "", row.kind, row.step or "", row.place or "", row.data }, "\n"))
end

--- The hash of everything that a run is made of, and the lines that it is over, one a source.
---@param sources { name: string, text: string }[]
---@return string hash, string[] lines
---@usage assert(#require("journal.chain").hash_of_sources { { name = "main", text = "return 1" } } == 64)
function M.hash_of_sources(sources)
  local lines = {}
  for i, source in ipairs(sources) do lines[i] = files.sha256_text(source.text) .. "  " .. source.name end
  return files.sha256_text(table.concat(lines, "\n")), lines
end

--- The hash of what stays the same of a run's row.
---@param row table of runs, with args and settings as text
---@return string
function M.hash_of_run(row)
  return files.sha256_text(table.concat({ row.id, row.venture or "", row.playbook, row.path, row.args, row.release or "", row.mode, row.state_folder or "", row.settings }, "\n"))
end

--- The key of an effect: the same whenever this run does this, so that whoever is asked twice can see that it is the same.
---@return string 32 hexadecimal digits
function M.key(run, place, name, args_hash) return files.sha256_text(table.concat({ run, place, name, args_hash }, "\n")):sub(1, 32) end

local function or_null(value) return value == nil and sql.null or value end

--- Plain data as it is recorded: without secrets, and whatever the encoding of what somebody else said.
---@param data table
---@return string
function M.encode(data)
  local ok, text = pcall(json.encode, data)
  if not ok then
    if not tostring(text):find("not UTF-8", 1, true) then error(text, 0) end
    text = json.encode(plain.readable(data))
  end
  return core_secret.redact(text)
end

local INSERT = "INSERT INTO events (seq, run, epoch, n, at, kind, step, place, data, hash)"
local PLAIN = INSERT .. " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
local IF_UNCHANGED = INSERT .. [[ SELECT $1, $2, $3, CAST($4 AS BIGINT), $5, $6, CAST($7 AS BIGINT), $8, $9, $10
  WHERE (SELECT hash FROM events ORDER BY seq DESC LIMIT 1) = $11 AND EXISTS (SELECT 1 FROM leases WHERE venture = $12 AND epoch = $3 AND run = $2)]]

--- Appends an event inside tx. What it quotes of an answer or an error is redacted. The first one of a change carries its number.
---@param tx table
---@param at { utc: string, seq: integer, hash?: string, run: string, epoch?: integer, n?: integer, only_with?: string, condition?: string } where the chain ends, and whose change this is; goes on with it. only_with: the first one is appended only if the chain still ends there and the run has this lease; condition: SQL that is true
---@param event { kind: string, step?: integer, place?: string, data: table }
---@return string utc
function M.append(tx, at, event)
  local row = { seq = at.seq + 1, at = at.utc, run = at.run, epoch = at.epoch, n = at.n, kind = event.kind, step = event.step, place = event.place,
    data = M.encode(event.data) }
  local prev = at.hash or M.GENESIS
  row.hash = M.hash_of(prev, row)
  local text, condition = PLAIN, {}
  if at.only_with then text, condition = at.condition and ("%s AND %s"):format(IF_UNCHANGED, at.condition) or IF_UNCHANGED, { prev, at.only_with } end
  assert(tx:query(text, row.seq, row.run, or_null(row.epoch), or_null(row.n), row.at, row.kind, or_null(row.step), or_null(row.place), row.data, row.hash, table.unpack(condition)))
  at.seq, at.hash, at.n, at.only_with = row.seq, row.hash, nil, nil
  return at.utc
end

return M
