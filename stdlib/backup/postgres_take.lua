--- backup.postgres_take: one snapshot of a PostgreSQL database as COPY text of every table, and the schema by pg_dump.

local core = require "core.backup"
local core_postgres = require "core.backup_postgres"
local files = require "files"
local host = require "host"
local json = require "json"
local earlier_of = require "backup.earlier"
local process = require "process"
local tables_of = require "backup.postgres_tables"
local task = require "task"
local unchanged = require "backup.postgres_unchanged"

local M = {}

local TIMEOUT_S, LOCK_TIMEOUT_S = 3600, 30
local LEVEL = 1 -- of zstd: the server's COPY is the limit, compression must not make it wait

local literal = tables_of.literal

--- Connections that copy at the same time. The worker threads are four.
---@return integer
function M.workers() return math.max(2, math.min(4, assert(host.sample()).processors)) end

--- The environment in which PostgreSQL's own programs reach a database. They put the role's statement timeout off, but not before they
-- have asked for this and that.
---@param url any
---@return table<string, any>
function M.tool_environment(url)
  local env = core_postgres.environment(url)
  env.PGOPTIONS = (env.PGOPTIONS and env.PGOPTIONS .. " " or "") .. "-c statement_timeout=0"
  return env
end

--- Which server this is, and which database of it; nil when the role may not ask.
---@param url any
---@return string?
function M.system_of(url)
  local db = assert(tables_of.open(url, 30))
  local closer <close> = db
  local id = db:value "SELECT system_identifier::text || '/' || (SELECT oid FROM pg_database WHERE datname = current_database()) FROM pg_control_system()"
  return id, closer and nil
end

local FACTS = [[SELECT current_setting('server_version') AS server_version, pg_current_snapshot()::text AS current_snapshot,
  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS lsn,
  pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, datctype AS ctype,
  coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') AS provider, coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale, to_jsonb(d) ->> 'daticurules' AS icu_rules
  FROM pg_database d WHERE datname = current_database()]]

-- What the parts of a take need, and the files that it made.
local Take = {}
Take.__index = Take

function Take:tool(argv) return process.run { argv = argv, env = M.tool_environment(self.url), timeout = TIMEOUT_S, check = true } end

-- Compresses a file, and encrypts it, and removes the plain one.
function Take:pack(name)
  local plain, packed_name = self.folder .. "/" .. name, name .. ".zst" .. self.suffix
  local packed = assert(core.pack(plain, self.folder .. "/" .. packed_name, 3, self.passphrase))
  assert(files.remove(plain))
  self.files[packed_name] = packed
end

-- The schema once as pg_restore reads it, which restores indexes side by side, and as SQL, which needs psql alone.
function Take:schema()
  local dump = self.folder .. "/schema.dump"
  assert(self:tool { "pg_dump", "-Fc", "-Z0", "--section=pre-data", "--section=post-data", "--snapshot=" .. self.snapshot, "--encoding=" .. self.encoding, ("--lock-wait-timeout=%d"):format(self.lock_timeout_ms), "--file=" .. dump })
  for _, section in ipairs { "pre", "post" } do
    local name = ("schema-%s.sql"):format(section)
    assert(self:tool { "pg_restore", ("--section=%s-data"):format(section), ("--file=%s/%s"):format(self.folder, name), dump })
    self:pack(name)
  end
  self:pack "schema.dump"
end

-- Large objects' contents; that they exist, and whose they are, is in the schema.
function Take:large_objects()
  local name = "large-objects.sql"
  assert(self:tool { "pg_dump", "--section=data", "--blobs", "--exclude-table-data=*.*", "--snapshot=" .. self.snapshot, "--encoding=" .. self.encoding, ("--file=%s/%s"):format(self.folder, name) })
  self:pack(name)
end

function Take:sequences(tx)
  local lines = {}
  for i, one in ipairs(tables_of.sequences(tx)) do lines[i] = ("SELECT pg_catalog.setval(%s, %d, %s);"):format(literal(one.name), one.last_value, one.is_called) end
  assert(files.write(self.folder .. "/sequences.sql", table.concat(lines, "\n") .. "\n"))
  self:pack "sequences.sql"
end

-- A file's name for a piece of a table. The number keeps names apart that differ only in characters which a file's name cannot have.
function Take:piece_name(number, piece)
  local one = piece.table
  local part = one.pieces > 1 and (".%03d"):format(piece.index) or ""
  return ("data/%03d-%s.%s%s.copy.zst%s"):format(number, one.schema:gsub("[^%w_]", "_"):sub(1, 60), one.name:gsub("[^%w_]", "_"):sub(1, 60), part, self.suffix)
end

-- Notes a piece that is in the backup: its file, what is in it, and its place in the table.
function Take:add(piece, file, rows, checksum)
  local entry = piece.entry
  local from, to = tables_of.blocks_of(piece.table, piece.index)
  self.files[piece.name] = { bytes = file.bytes, raw_bytes = file.raw_bytes, sha256 = file.sha256 }
  entry.rows, entry.checksum = entry.rows + rows, tables_of.add(entry.checksum, checksum)
  entry.pieces[#entry.pieces + 1] = { file = piece.name, rows = rows, checksum = checksum, from_block = from, to_block = to }
end

-- A second name for a file of the earlier backup, or a copy of it on another file system.
function Take:link(piece, candidate)
  local from, to = self.earlier.path .. "/" .. candidate.file, self.folder .. "/" .. piece.name
  if not (files.hard_link(from, to) or files.copy(from, to)) then return false end
  self:add(piece, self.earlier.files[candidate.file], candidate.rows, candidate.checksum)
  return true
end

-- Takes what is proven unchanged over from the earlier backup. Returns the pieces that are left to be copied out.
function Take:reuse(pieces)
  if not self.earlier then return pieces end
  local asked, left = {}, {}
  for _, piece in ipairs(pieces) do
    piece.candidate = unchanged.candidate(self.earlier, piece)
    local list = piece.candidate and asked or left
    list[#list + 1] = piece
  end
  task.map(tables_of.batches(asked, M.workers()), function(batch)
    local steps = {}
    for i, piece in ipairs(batch) do steps[i] = { out = unchanged.question(piece, piece.candidate, self.earlier.oldest), name = piece.table.full_name } end
    for i, answer in ipairs(assert(core_postgres.run(self.url, self.begin, steps))) do
      local piece = batch[i]
      if not (answer.rows == 1 and self:link(piece, piece.candidate)) then left[#left + 1] = piece end
    end
  end, { limit = M.workers() })
  return left
end

function Take:rows(tables, progress)
  local entries, pieces, by_table = {}, tables_of.pieces(tables), {}
  for number, one in ipairs(tables) do
    entries[number] = { name = one.full_name, schema = one.schema, table_name = one.name, columns = one.columns or "", identity = one.identity, condition = one.condition,
      rows = 0, checksum = ("0"):rep(32), files = json.array {}, pieces = json.array {} }
    by_table[one] = number
  end
  for _, piece in ipairs(pieces) do piece.entry, piece.name = entries[by_table[piece.table]], self:piece_name(by_table[piece.table], piece) end
  local left = self:reuse(pieces)
  self.linked, self.copied = #pieces - #left, #left
  local at = { done = self.linked, all = #pieces, bytes = 0 }
  task.map(tables_of.batches(left), function(batch)
    local steps = {}
    for i, piece in ipairs(batch) do steps[i] = { out = tables_of.copy_out(piece.table, piece.index), to = self.folder .. "/" .. piece.name, name = piece.table.full_name } end
    for i, copied in ipairs(assert(core_postgres.run(self.url, self.begin, steps, { level = LEVEL, passphrase = self.passphrase }))) do
      self:add(batch[i], copied, copied.rows, copied.checksum)
      at.done, at.bytes = at.done + 1, at.bytes + copied.raw_bytes
    end
    if progress then progress(at) end
  end, { limit = M.workers() })
  for _, entry in ipairs(entries) do
    table.sort(entry.pieces, function(a, b) return a.from_block < b.from_block end)
    for i, piece in ipairs(entry.pieces) do entry.files[i] = piece.file end
  end
  return entries
end

--- Takes a backup of one snapshot into the folder. With since, pieces that are proven unchanged come from an earlier backup.
---@param url any
---@param folder string
---@param options { to: string, since?: string|true, chunk_blocks?: integer, passphrase?: any, lock_timeout?: number, progress?: fun(at: table) }
---@return { tables: table[], files: table<string, table>, info: table, incremental?: table }?, table? err
function M.take(url, folder, options)
  -- Verifying the earlier backup may take long: before anything is locked.
  local earlier, why
  if options.since then earlier, why = earlier_of.find(options, unchanged.origin(url)) end
  local db, err = tables_of.open(url, TIMEOUT_S)
  if not db then return nil, err end
  local closer <close> = db
  local ok
  ok, err = files.mkdir(folder .. "/data")
  if not ok then return nil, err, closer and nil end
  local take = setmetatable({ url = url, folder = folder, passphrase = options.passphrase, suffix = options.passphrase and ".enc" or "", files = {},
    lock_timeout_ms = math.floor((options.lock_timeout or LOCK_TIMEOUT_S) * 1000) }, Take)
  return db:transaction(function(tx)
    assert(tx:execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL row_security = off; SET LOCAL lock_timeout = " .. take.lock_timeout_ms))
    take.snapshot = assert(tx:value "SELECT pg_export_snapshot()")
    take.begin = tables_of.begin_within(take.snapshot)
    local info = assert(tx:one(FACTS))
    take.encoding = info.encoding == "SQL_ASCII" and info.encoding or "UTF8" -- as the sessions that copy have it
    local tables = tables_of.list(tx, options.chunk_blocks)
    local lock = tables_of.lock(tables, "ACCESS SHARE") -- so that nobody changes what is being read; ends after lock_timeout when somebody already does
    if lock then assert(tx:execute(lock)) end
    info.origin = unchanged.identify(url, tables)
    if earlier then
      take.earlier, why = unchanged.earlier(earlier.manifest, info)
      if take.earlier then take.earlier.path, take.earlier.files = earlier.path, earlier.manifest.files end
    end
    local entries = parallel { function() return take:rows(tables, options.progress) end, function() take:schema() end }[1]
    local large = tables_of.large_objects(tx)
    if large.count > 0 then take:large_objects() end
    take:sequences(tx)
    info.format, info.snapshot, info.system, info.large_objects = "postgres", take.snapshot, M.system_of(url), large
    return { tables = entries, files = take.files, info = info,
      incremental = options.since and { since = take.earlier and earlier.manifest.id, linked = take.linked, copied = take.copied, why = why } or nil }
  end)
end

return M
