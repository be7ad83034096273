--- backup.postgres_load: a backup's tables and schema into an empty PostgreSQL database, compared with the manifest.

local core = require "core.backup"
local core_err = require "core.err"
local core_postgres = require "core.backup_postgres"
local files = require "files"
local metered = require "backup.metered"
local process = require "process"
local random = require "random"
local tables_of = require "backup.postgres_tables"
local take = require "backup.postgres_take"
local task = require "task"

local M = {}

local TIMEOUT_S = 3600
local TEXT_BYTES = 256 << 20 -- of a schema
local HEAD_BYTES = 4096 -- of a dump: its settings
local BLOCK_BYTES = 8192
local FREEZE_BYTES = 4 << 20 -- below it, emptying a table takes longer than frozen rows save
local quoted = tables_of.quoted

-- The last COMMIT of a load waits for the disk, and with it all before it.
local BEGIN = "BEGIN; SET LOCAL synchronous_commit = off"

--- The name that a file of the backup has: with the ending of encrypted ones where it is.
---@param manifest table
---@param name string
---@return string? nil: the backup has no such file
function M.file(manifest, name)
  for _, full in ipairs { name .. ".zst", name .. ".zst.enc" } do if manifest.files[full] then return full end end
end

-- A value whose end removes files, however that comes.
local function removal(...)
  local paths = { ... }
  return setmetatable({}, { __close = function() shield(function() for _, path in ipairs(paths) do files.remove(path) end end) end })
end

-- Unpacks a file beside the backup, not in it, for fn.
local function unpacked(manifest, folder, name, passphrase, fn)
  local packed, plain = M.file(manifest, name), ("%s.%s.%s"):format(folder, name, random.hex(6))
  local one, closer <close> = manifest.files[packed], removal(plain)
  local ok, err
  if one.raw_bytes > TEXT_BYTES then
    err = core_err.new { code = "limit", op = "backup", message = ("%s/%s holds %d bytes, more than a schema may have"):format(folder, packed, one.raw_bytes) }
  else
    ok, err = core.unpack(folder .. "/" .. packed, plain, one.sha256, one.raw_bytes, passphrase)
  end
  if ok then ok, err = fn(plain) end
  return ok, err, closer and nil
end

-- Without what psql alone understands.
local function without_psql(text)
  local word = text:match "\n\\restrict (%w+)\n"
  return word and text:gsub("\n\\restrict " .. word .. "\n", "\n", 1):gsub("\n\\unrestrict " .. word .. "\n", "\n", 1) or text
end

--- A file of SQL as one text that may stand within a transaction: without what psql alone understands, and without a COMMIT of its
-- own. It is never given to psql, which would obey a shell command in it.
---@param manifest table
---@param folder string
---@param name string
---@param passphrase? any
---@return string? text nil: the backup has no such file
function M.script(manifest, folder, name, passphrase)
  if not M.file(manifest, name) then return nil end
  local text = without_psql(assert(unpacked(manifest, folder, name, passphrase, function(plain) return files.read(plain, TEXT_BYTES) end)))
  if name == "large-objects.sql" then text = text:gsub("\nBEGIN;\n", "\n"):gsub("\nCOMMIT;\n", "\n") end
  return text
end

local function pg_restore(...) return assert(process.run { argv = { "pg_restore", ... }, timeout = TIMEOUT_S, check = true }) end

--- The pre-data section as such a text, without some entries of the dump's list of contents.
---@param manifest table
---@param folder string
---@param unwanted string[] as they stand in the list, up to the owner: "SCHEMA - extensions"
---@param passphrase? any
---@return string text
function M.pre_data_without(manifest, folder, unwanted, passphrase)
  return without_psql(assert(unpacked(manifest, folder, "schema.dump", passphrase, function(dump)
    local list, plain, lines = dump .. ".list", dump .. ".sql", {}
    local closer <close> = removal(list, plain)
    pg_restore("--list", "--file=" .. list, dump)
    for line in assert(files.read(list, TEXT_BYTES)):gmatch "[^\n]+" do
      local entry, skipped = line:match "^%d+; %d+ %d+ (.*)$", false
      for _, words in ipairs(unwanted) do skipped = skipped or (entry and entry:sub(1, #words + 1) == words .. " ") end
      if not skipped then lines[#lines + 1] = line end
    end
    assert(files.write(list, table.concat(lines, "\n") .. "\n"))
    pg_restore("--section=pre-data", "--use-list=" .. list, "--file=" .. plain, dump)
    return files.read(plain, TEXT_BYTES), closer and nil
  end)))
end

--- The steps that run a text of pg_dump. A database in which backslashes are special within quotes has them so in its dump, and the
-- server reads the whole text before it obeys the SET within it.
---@param text string
---@param name string
---@return table[] steps
function M.text_steps(text, name)
  if not text:sub(1, HEAD_BYTES):find("\nSET standard_conforming_strings = off;\n", 1, true) then return { { sql = text, name = name } } end
  return { { sql = "SET standard_conforming_strings = off" }, { sql = text, name = name }, { sql = "SET standard_conforming_strings = on" } }
end

local function run_sql(manifest, folder, name, url, passphrase)
  local text = M.script(manifest, folder, name, passphrase)
  if text then assert(core_postgres.run(url, BEGIN, M.text_steps(text, name))) end
end

-- Indexes side by side, foreign keys after them: pg_restore knows the order.
local function post_data(manifest, folder, url, passphrase)
  return unpacked(manifest, folder, "schema.dump", passphrase, function(plain)
    local database = core_postgres.environment(url).PGDATABASE
    return process.run { argv = { "pg_restore", "--section=post-data", "--exit-on-error", "--jobs=" .. take.workers(), "--dbname=dbname='" .. database:gsub("[\\']", "\\%0") .. "'", plain },
      env = take.tool_environment(url), timeout = TIMEOUT_S, check = true }
  end)
end

--- The steps that fill an empty table from a file. A large one that is all of its table comes with its rows already frozen, which
-- needs a table that was emptied in the same transaction.
---@param manifest table
---@param folder string
---@param one table of the manifest
---@param name string of the file
---@return table[] steps
function M.steps(manifest, folder, one, name)
  local from = ("%s.%s"):format(quoted(one.schema), quoted(one.table_name))
  local alone = #one.files == 1
  local freeze = alone and not one.condition and manifest.files[name].raw_bytes >= FREEZE_BYTES
  local step = {
    into = ("COPY %s (%s) FROM STDIN%s"):format(from, one.columns, freeze and " WITH (FREEZE)" or ""), name = one.name,
    from = folder .. "/" .. name, sha256 = manifest.files[name].sha256, raw_bytes = manifest.files[name].raw_bytes, rows = alone and one.rows or nil,
  }
  return freeze and { { sql = "TRUNCATE ONLY " .. from }, step } or { step }
end

local function load_rows(manifest, folder, url, options)
  local pieces, came = {}, {}
  for _, one in ipairs(manifest.database.tables) do
    came[one] = 0
    for _, name in ipairs(one.files) do pieces[#pieces + 1] = { table = one, name = name, blocks = manifest.files[name].raw_bytes // BLOCK_BYTES } end
  end
  local at, progress = { done = 0, all = #pieces, bytes = 0 }, metered.part(options.progress, "loading")
  task.map(tables_of.batches(pieces), function(batch)
    local steps, whose = {}, {}
    for _, piece in ipairs(batch) do
      for _, step in ipairs(M.steps(manifest, folder, piece.table, piece.name)) do
        steps[#steps + 1], whose[#steps + 1] = step, step.into and piece or nil
      end
    end
    for i, done in ipairs(assert(core_postgres.run(url, BEGIN, steps, { passphrase = options.passphrase }))) do
      local piece = whose[i]
      if piece then
        came[piece.table] = came[piece.table] + done.rows
        at.done, at.bytes = at.done + 1, at.bytes + manifest.files[piece.name].raw_bytes
      end
    end
    if progress then progress(at) end
  end, { limit = take.workers() })
  for one, rows in pairs(came) do
    if rows ~= one.rows then
      error(core_err.new { code = "backup_mismatch", op = "load", message = ("table %s: %d rows came in, the backup has %d"):format(one.name, rows, one.rows) }, 0)
    end
  end
end

-- Without statistics the first queries after a rollback would be planned blindly.
local function analyze(url, tables)
  task.map(tables_of.batches(tables), function(batch)
    local names = {}
    for i, one in ipairs(batch) do names[i] = tables_of.from(one) end
    assert(core_postgres.run(url, BEGIN, { { sql = "ANALYZE " .. table.concat(names, ", ") } }))
  end, { limit = take.workers() })
end

local function compare(manifest, url, options)
  local db = assert(tables_of.open(url, TIMEOUT_S))
  local closer <close> = db
  tables_of.compare(manifest, db, url, take.workers(), metered.part(options.progress, "comparing"))
  if options.analyze then analyze(url, tables_of.list(db)) end
  return true, closer and nil
end

--- Fills an empty database and compares every table of it with the manifest.
---@param manifest table
---@param folder string the backup
---@param url any
---@param options { passphrase?: any, analyze?: boolean, progress?: fun(at: table) }
---@return true ok; raises: backup_mismatch names the table
function M.load(manifest, folder, url, options)
  local key = options.passphrase
  run_sql(manifest, folder, "schema-pre.sql", url, key)
  load_rows(manifest, folder, url, options)
  if options.progress then options.progress { phase = "indexes and constraints" } end -- pg_restore does not say how far it is
  for _, name in ipairs { "large-objects.sql", "sequences.sql" } do run_sql(manifest, folder, name, url, key) end
  assert(post_data(manifest, folder, url, key))
  return compare(manifest, url, options)
end

return M
