--- backup.sqlite: the SQLite driver of backup: one file through SQLite's online backup API.

local clock = require "clock"
local core = require "core.backup"
local core_err = require "core.err"
local diff = require "backup.diff"
local files = require "files"
local metered = require "backup.metered"
local sql = require "sql"

local M = {}

--- The kind of database, as it stands in the manifest.
M.FORMAT = "sqlite"

-- Higher levels make the file a few percent smaller and take twice the time.
local LEVEL = 1

-- SQLite itself says which file an address means; so a secret address need not be read.
local function path_of(url)
  local db, err = sql.open(url, { timeout = 30 })
  if not db then return nil, err end
  local closer <close> = db
  local path = db:value "SELECT file FROM pragma_database_list WHERE name = 'main'"
  if not path or path == "" then return nil, core_err.new { code = "backup", op = "backup", message = "a database in memory cannot be backed up" } end
  return path, closer and nil
end

--- Copies the database into the backup's folder. A damaged database is no backup: the copy is checked, not the database as well.
-- The copy has the pages of one read transaction, byte by byte, so that damage in one is damage in the other; a check of the
-- database before would be of an earlier state, and cost as much as everything else together.
function M.take(url, folder, options)
  local copy = folder .. "/database.sqlite"
  local path, err = path_of(url)
  if not path then return nil, err end
  local ok
  ok, err = metered.run(metered.part(options.progress, "copying"), function(meter) return core.sqlite_copy(path, copy, 60, true, meter) end)
  if not ok then return nil, err end
  -- All three only read the copy, which nobody writes any more.
  local name = "database.sqlite.zst" .. (options.passphrase and ".enc" or "")
  local results = metered.run(metered.part(options.progress, "packing"), function(meter)
    return parallel {
      function() return { core.sqlite_check(copy) } end,
      function() return { core.sqlite_sums(copy, meter) } end,
      function() return { core.pack(copy, folder .. "/" .. name, LEVEL, options.passphrase, meter) } end,
    }
  end)
  for _, result in ipairs(results) do
    if not result[1] then return nil, result[2] end
  end
  for _, suffix in ipairs { "", "-wal", "-shm" } do assert(files.remove(copy .. suffix)) end
  return { tables = results[2][1], files = { [name] = results[3][1] }, info = { format = "sqlite" } }
end

local function compare(tables, path, meter)
  local sums, err = core.sqlite_sums(path, meter)
  if not sums then return nil, err end
  local found = {}
  for _, one in ipairs(sums) do found[one.name] = one end
  for _, wanted in ipairs(tables) do
    local one = found[wanted.name]
    if not one or one.rows ~= wanted.rows or one.checksum ~= wanted.checksum then
      return nil, core_err.new { code = "backup_mismatch", op = "compare", message = ("table %s: %s rows, checksum %s; the backup has %d rows, checksum %s"):format(
        wanted.name, one and one.rows or "no", one and one.checksum or "none", wanted.rows, wanted.checksum) }
    end
    found[wanted.name] = nil
  end
  local extra = next(found)
  if extra then return nil, core_err.new { code = "backup_mismatch", op = "compare", message = ("table %s is not in the backup"):format(extra) } end
  return true
end

-- Copies that a run left behind when it died. A run holds the venture's lease, so nobody uses them any more.
local function drop_leftovers(live)
  local folder, name = live:match "^(.*)/([^/]+)$"
  for _, found in ipairs(assert(files.list(folder))) do
    if found:sub(1, #name + 9) == name .. ".restore-" then assert(files.remove(folder .. "/" .. found)) end
  end
end

--- Restores beside the live database and compares every table. Returns a reference to the copy.
function M.restore_beside(manifest, folder, url, id, options)
  local live, err = path_of(url)
  if not live then return nil, err end
  local path = ("%s.restore-%s"):format(live, id)
  drop_leftovers(live)
  local name = "database.sqlite.zst" .. (manifest.encryption and ".enc" or "")
  local packed, ok = manifest.files[name], nil
  ok, err = metered.run(metered.part(options.progress, "unpacking"), function(meter)
    return core.unpack(folder .. "/" .. name, path, packed.sha256, packed.raw_bytes, options.passphrase, meter)
  end)
  if ok then
    local checked, compared = table.unpack(metered.run(metered.part(options.progress, "comparing"), function(meter)
      return parallel {
        function() return { core.sqlite_check(path) } end,
        function() return { compare(manifest.database.tables, path, meter) } end,
      }
    end))
    ok, err = checked[1] and compared[1], checked[2] or compared[2]
  end
  if not ok then
    M.drop { path = path }
    return nil, err
  end
  return { path = path }
end

--- The address of a copy.
---@param copy table
---@return string
function M.url_of(copy) return "sqlite:" .. copy.path end

local function sha256_of(copy, progress)
  local stat, err = files.stat(copy.path)
  if not stat then return nil, err end
  return metered.run(progress, function(meter) return core.sha256(copy.path, meter) end, stat.size)
end

--- A copy is a file that anybody can change: what it was when it had been compared is noted, and it is only put in place as that.
---@param copy table
---@param _url any
---@param progress? fun(at: table) as of backup.metered
---@return true? ok, table? err
function M.keep(copy, _url, progress)
  local err
  copy.sha256, err = sha256_of(copy, metered.part(progress, "noting its checksum"))
  return copy.sha256 and true, err
end

-- Is a kept copy still what was compared?
local function check_kept(copy, progress)
  local sha256, err = sha256_of(copy, metered.part(progress, "reading the copy"))
  if not sha256 then return nil, err end
  if sha256 == copy.sha256 then return true end
  return nil, core_err.new { code = "backup", op = "restore", message = ("the copy %s is not what was restored and compared: it has changed since"):format(copy.path) }
end

--- A second file with the same content, in which anything may be tried; removed like a copy.
function M.scratch(copy)
  local path = copy.path .. ".try"
  local ok, err = M.drop { path = path } -- of a run that died: its log would be taken for the new one's
  if ok then ok, err = files.copy(copy.path, path) end
  if not ok then return nil, err end
  return { path = path, url = "sqlite:" .. path, address = function() return "sqlite:" .. path end }
end

--- Removes every copy of the live database, also those that a run left when it died.
function M.drop_all(url)
  local live, err = path_of(url)
  if not live then return nil, err end
  drop_leftovers(live)
  return true
end

--- Removes what restore_beside made.
function M.drop(copy)
  for _, suffix in ipairs { "", "-wal", "-shm" } do
    local ok, err = files.remove(copy.path .. suffix)
    if not ok then return nil, err end
  end
  return true
end

-- A table that comes into the live file with the restored pages, in the same transaction, and goes when forget is called: by it a swap whose end
-- nobody saw is told from one that did not happen.
local MARK = "engine_restore_mark"

local function old_path(live, id, key) return key and ("%s.before-%s-%s"):format(live, id, key:sub(1, 8)) or ("%s.before-%s"):format(live, id) end

local function on(path, statement, ...)
  local db = assert(sql.open("sqlite:" .. path, { timeout = 60 }))
  local closer <close> = db
  return assert(db:query(statement, ...)), closer and nil
end

local function set_mark(path, key)
  on(path, ("CREATE TABLE IF NOT EXISTS %s (key TEXT)"):format(MARK))
  on(path, ("INSERT INTO %s VALUES ($1)"):format(MARK), key)
end

local function take_mark(path) on(path, ("DROP TABLE IF EXISTS %s"):format(MARK)) end

local function has_mark(path, key)
  if on(path, "SELECT count(*) AS n FROM sqlite_master WHERE name = $1", MARK)[1].n == 0 then return false end
  return on(path, ("SELECT count(*) AS n FROM %s WHERE key = $1"):format(MARK), key)[1].n > 0
end

--- The database of before, when the swap with this key happened, whoever saw its end; nil when it did not.
---@param url any the live database's address
---@param id string of the backup
---@param key string
---@return { name: string, url: any }? old, table? err
function M.swapped(url, id, key)
  local live, err = path_of(url)
  if not live then return nil, err end
  if not has_mark(live, key) then return nil end
  local old = old_path(live, id, key)
  return { name = old, url = "sqlite:" .. old }
end

--- Nobody will ask any more whether a swap happened: its mark goes.
---@param url any the live database's address
---@return true? ok, table? err
function M.forget(url)
  local live, err = path_of(url)
  if not live then return nil, err end
  take_mark(live)
  return true
end

-- Tables whose rows have the same checksum in both files, by name: reading them so takes a fraction of comparing them row by row.
local function same_tables(one, other)
  local sums = parallel { function() return assert(core.sqlite_sums(one)) end, function() return assert(core.sqlite_sums(other)) end }
  local by_name, same = {}, {}
  for _, sum in ipairs(sums[1]) do by_name[sum.name] = sum end
  for _, sum in ipairs(sums[2]) do
    local before = by_name[sum.name]
    same[sum.name] = before ~= nil and before.rows == sum.rows and before.checksum == sum.checksum
  end
  return same
end

--- Makes the copy the live database: page by page into the live file in one transaction, so that clients keep their
-- connections. The database of before is kept beside it, and the loss is counted from it. SQLite has no way to keep
-- writers out over both copies: what is written in the milliseconds between them is lost and not in the report.
-- Stop the writers first where that matters.
---@param options { to?: string, key?: string, progress?: fun(at: table) } to: folder for the lost rows; key: by which swapped() finds it
function M.swap(copy, url, id, options)
  local lost_to = options.to
  local live, err = path_of(url)
  if not live then return nil, err end
  -- SQLite makes a file that is not there, and an empty database must never become the live one.
  if not files.stat(copy.path) then return nil, core_err.new { code = "backup", op = "restore", message = ("the copy %s is gone"):format(copy.path) } end
  if copy.sha256 then
    local kept, problem = check_kept(copy, options.progress)
    if not kept then return nil, problem end
  end
  local old = old_path(live, id, options.key)
  for _, suffix in ipairs { "", "-wal", "-shm" } do assert(files.remove(old .. suffix)) end
  local ok
  ok, err = metered.run(metered.part(options.progress, "keeping what is there"), function(meter) return core.sqlite_copy(live, old, 60, false, meter) end)
  if not ok then return nil, err end
  if options.key then set_mark(copy.path, options.key) end
  local began = clock.now()
  ok, err = metered.run(metered.part(options.progress, "putting it in place"), function(meter) return core.sqlite_copy(copy.path, live, 60, false, meter) end)
  local downtime = clock.now() - began
  if ok then ok, err = core.sqlite_check(live) end
  if not ok then return nil, err end
  if options.key then take_mark(copy.path) end -- the live one's stays until the swap is recorded as done
  local loss
  loss, err = diff.compare("sqlite:" .. old, "sqlite:" .. copy.path, lost_to, nil, same_tables(old, copy.path))
  if not loss then return nil, err end
  return { downtime_s = downtime, loss = loss, old = old }
end

return M
