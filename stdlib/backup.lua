--- backup: backups that are proven: written whole or not at all, verified file by file, restored and compared.
--
-- A backup is a folder: manifest.json, SHA256SUMS, the data, RESTORE.md and restore.sh (which need no engine),
-- and COMPLETE, written last. It is made as <id>.partial and renamed; without COMPLETE it is no backup.
-- The databases are drivers: backup.sqlite and backup.postgres.

local clock = require "clock"
local core = require "core.backup"
local core_err = require "core.err"
local core_secret = require "core.secret"
local effect = require "effect"
local files = require "files"
local host = require "host"
local json = require "json"
local manifests = require "backup.manifest"
local metered = require "backup.metered"
local process = require "process"
local random = require "random"
local restore_script = require "backup.restore_script"
local sql = require "sql"
local task = require "task"

local M = {}

local EXECUTABLE = tonumber("700", 8)
local HASHERS = 4 -- files that are read at the same time: as many as there are worker threads

local function failed(code, message, cause)
  return nil, core_err.new { code = code, op = "backup", message = message, cause = cause and (cause.message or tostring(cause)) or nil }
end

-- The driver of a database. A secret address is only asked what dialect it speaks.
local function driver_of(url)
  local scheme = not core_secret.is(url) and tostring(url):match "^(%a+):"
  if not scheme then
    local db, err = sql.open(url, { timeout = 30 })
    if not db then return nil, err end
    scheme = db:dialect()
    db:close()
  end
  return require(scheme == "sqlite" and "backup.sqlite" or "backup.postgres")
end

local function new_id() return clock.utc():gsub("[-:]", ""):gsub("%.%d+Z", "Z") .. "-" .. random.hex(3) end

-- Every file below folder, by its relative name. A link or other thing is named as such: none belongs there.
local function tree(folder, prefix, found)
  local names, err = files.list(folder)
  if not names then return nil, err end
  for _, name in ipairs(names) do
    local stat
    stat, err = files.stat(folder .. "/" .. name)
    if not stat then return nil, err end
    if stat.type == "directory" then
      local ok
      ok, err = tree(folder .. "/" .. name, prefix .. name .. "/", found)
      if not ok then return nil, err end
    else
      found[prefix .. name] = stat
    end
  end
  return found
end

local function write_sums(folder, manifest)
  local count = 0
  for _ in pairs(manifest.files) do count = count + 1 end
  -- manifest.json, RESTORE.md, restore.sh, SHA256SUMS and COMPLETE come on top of the data.
  assert(files.write(folder .. "/manifest.json", json.encode(manifest, { pretty = true }) .. "\n"))
  assert(files.write(folder .. "/RESTORE.md", restore_script.readme(manifest)))
  assert(files.write(folder .. "/restore.sh", restore_script.script(manifest, count + 5), EXECUTABLE))
  local lines = {}
  for name, one in pairs(manifest.files) do lines[#lines + 1] = one.sha256 .. "  " .. name end
  for _, name in ipairs { "manifest.json", "RESTORE.md", "restore.sh" } do lines[#lines + 1] = assert(files.sha256(folder .. "/" .. name)) .. "  " .. name end
  table.sort(lines, function(a, b) return a:sub(67) < b:sub(67) end)
  local sums = table.concat(lines, "\n") .. "\n"
  assert(files.write(folder .. "/SHA256SUMS", sums))
  assert(files.write(folder .. "/COMPLETE", files.sha256_text(sums) .. "\n" .. assert(files.sha256(folder .. "/manifest.json")) .. "\n"))
  return files.sha256_text(sums)
end

local function take_into(folder, options, id)
  local incremental = options.since and { linked = 0, copied = 0, why = "only tables of PostgreSQL are taken over from an earlier backup" } or nil
  local manifest = { version = manifests.VERSION, id = id, taken_at = clock.utc(), files = {}, trees = json.array {}, encryption = options.passphrase and manifests.ENCRYPTION or nil }
  if options.database then
    local driver = assert(driver_of(options.database))
    local taken = assert(driver.take(options.database, folder, options))
    manifest.database = { tables = json.array(taken.tables), info = taken.info }
    for name, one in pairs(taken.files) do manifest.files[name] = one end
    incremental = taken.incremental or incremental
  end
  for index, path in ipairs(options.files or {}) do
    local name = ("files-%03d.tar.zst%s"):format(index, options.passphrase and ".enc" or "")
    local packed = assert(metered.run(metered.part(options.progress, "packing files"), function(meter) return core.files_pack(path, folder .. "/" .. name, 1, options.passphrase, meter) end))
    manifest.files[name] = { bytes = packed.bytes, raw_bytes = packed.raw_bytes, sha256 = packed.sha256 }
    manifest.trees[index] = { path = path, file = name, entries = packed.entries, skipped = packed.skipped }
  end
  local checksum = write_sums(folder, manifest)
  return manifest, checksum, incremental
end

local NOTE_S = 60 -- a note is written in less

-- Removes what takes on this machine left that died. The note of who takes it lies beside the folder, so that it is there first and last.
local function sweep(to)
  for _, name in ipairs(files.list(to) or {}) do
    local id = name:match "^(.*)%.taking$"
    local who = id and json.decode(manifests.read_plain(to .. "/" .. name) or "")
    if type(who) == "table" and who.host == host.name() and math.type(who.pid) == "integer" and who.started and not process.alive { pid = who.pid, started = who.started } then
      assert(files.remove_tree(("%s/%s.partial"):format(to, id)))
      assert(files.remove(to .. "/" .. name))
    end
    local stat = name:match "%.taking%.%x+%.tmp$" and files.stat(to .. "/" .. name)
    if stat and clock.wall() - stat.modified > NOTE_S then assert(files.remove(to .. "/" .. name)) end -- died while it wrote its note
  end
end

--- Takes a backup. With a passphrase its data is encrypted, as `openssl enc` reads it; names and numbers in the manifest are not. What fails leaves nothing behind that could be taken for one.
---@param options { database?: any, files?: string[], to: string, since?: string|true, chunk_blocks?: integer, id?: string, timeout?: number, lock_timeout?: number, passphrase?: any, progress?: fun(at: table) }
-- lock_timeout: seconds (default 30) to wait for a schema change that is under way. PostgreSQL alone: since: an earlier backup, or
-- `true` for the latest in `to` that counts and verifies; its files of what is proven unchanged become files of this one, which is
-- still whole by itself. chunk_blocks: pages (default 8192, which is 64 MB) that a file of a large table is made of.
---@return { id: string, path: string, checksum: string, size_bytes: integer, seconds: number, tables: table[], incremental?: { since?: string, linked: integer, copied: integer, why?: string } }?, table? err codes backup, backup_corrupt, ...
-- checksum: proves later that a backup is this one, also where others could have changed it.
function M.take(options)
  if options.id and not manifests.is_id(options.id) then error("an id of a backup has letters, digits, '.', '_' and '-'", 2) end
  if not options.database and not (options.files and options.files[1]) then error("a backup needs a database or files", 2) end
  if options.chunk_blocks and not (math.type(options.chunk_blocks) == "integer" and options.chunk_blocks > 0) then error("chunk_blocks is a positive number of pages", 2) end
  local began, id = clock.now(), options.id or new_id()
  local partial, final = ("%s/%s.partial"):format(options.to, id), ("%s/%s"):format(options.to, id)
  local taking = ("%s/%s.taking"):format(options.to, id)
  local ok, err = files.mkdir(options.to)
  if not ok then return nil, err end
  local manifest, checksum, incremental
  ok, err = pcall(function()
    sweep(options.to)
    local me = process.self()
    assert(files.write(taking, json.encode { host = host.name(), pid = me.pid, started = me.started }))
    assert(files.mkdir(partial))
    deadline(options.timeout or 3600, function()
      manifest, checksum, incremental = take_into(partial, options, id)
      assert(files.sync_tree(partial))
    end)
    effect.change("backup", function() assert(files.rename(partial, final)) end)
    assert(files.remove(taking))
  end)
  if not ok then
    shield(function()
      files.remove_tree(partial)
      files.remove(taking)
    end)
    if core_err.is(err) then
      if err.code == "canceled" or err.code == "interrupted" then error(err, 0) end
      return nil, err
    end
    error(err, 0)
  end
  local size = 0
  for _, one in pairs(manifest.files) do size = size + one.bytes end
  return { id = id, path = final, checksum = checksum, size_bytes = size, seconds = clock.now() - began, tables = manifest.database and manifest.database.tables or {}, incremental = incremental }
end

--- One sentence on what an incremental take took over.
---@param incremental table of take
---@return string
---@usage assert(backup.reuse_text { since = "a", linked = 2, copied = 1 } == "2 of 3 pieces of tables are unchanged since a, 1 was copied")
function M.reuse_text(incremental)
  if not incremental.since then return "everything was copied: " .. incremental.why end
  return ("%d of %d pieces of tables are unchanged since %s, %d %s copied"):format(incremental.linked, incremental.linked + incremental.copied, incremental.since, incremental.copied, incremental.copied == 1 and "was" or "were")
end

--- Reads every file of a backup and compares it with what was written; says which are damaged, missing or extra.
---@param path string
---@param checksum? string of take: then it must be that backup. Without it somebody who can write to it may have written another
---@param progress? fun(at: table) as of backup.metered
---@return { files: integer, bytes: integer, manifest: table }?, table? err code backup_corrupt names every bad file
function M.verify(path, checksum, progress)
  local complete, err = manifests.read_plain(path .. "/COMPLETE")
  if not complete then return failed("backup_corrupt", path .. " has no COMPLETE: it is no finished backup", err) end
  local sums
  sums, err = manifests.read_plain(path .. "/SHA256SUMS")
  if not sums then return failed("backup_corrupt", path .. "/SHA256SUMS cannot be read", err) end
  local sums_hash, manifest_hash = complete:match "^(%x+)\n(%x+)\n$"
  if sums_hash ~= files.sha256_text(sums) then return failed("backup_corrupt", path .. "/SHA256SUMS or COMPLETE is not the one that was written") end
  if checksum and checksum:lower() ~= sums_hash then return failed("backup_corrupt", ("%s is another backup than the one that was taken: its checksum is %s, not %s"):format(path, sums_hash, checksum)) end
  local bad, bytes, listed, hashes, found = {}, 0, {}, {}, nil
  found, err = tree(path, "", {})
  if not found then return nil, err end
  found.COMPLETE, found.SHA256SUMS = nil, nil
  for expected, name in sums:gmatch "(%x+)  ([^\n]+)\n" do
    listed[#listed + 1] = { name = name, expected = expected, stat = found[name] }
    found[name] = nil
  end
  local size = 0
  for _, one in ipairs(listed) do size = size + (one.stat and one.stat.size or 0) end
  local read = metered.run(progress, function(meter)
    return task.map(listed, function(one)
      return one.stat and one.stat.type == "file" and { core.sha256(path .. "/" .. one.name, meter) } or {}
    end, { limit = HASHERS })
  end, size)
  for i, one in ipairs(listed) do
    local name, stat, actual, hash_err = one.name, one.stat, read[i][1], read[i][2]
    if not stat then
      bad[#bad + 1] = name .. " is missing"
    elseif stat.type ~= "file" then
      bad[#bad + 1] = name .. " is no plain file"
    else
      bytes = bytes + stat.size
      if actual ~= one.expected then bad[#bad + 1] = name .. (actual and " is not the file that was written" or ": " .. hash_err.message) end
      hashes[name] = actual
      if name == "manifest.json" and actual ~= manifest_hash then bad[#bad + 1] = "COMPLETE names another manifest.json" end
    end
  end
  for name in pairs(found) do bad[#bad + 1] = name .. " does not belong to it" end
  if bad[1] then
    table.sort(bad)
    return failed("backup_corrupt", ("%s: %s"):format(path, table.concat(bad, "; ")))
  end
  local manifest
  manifest, err = manifests.read(path, hashes)
  if not manifest then return nil, err end
  return { files = #listed, bytes = bytes, manifest = manifest }
end

--- The finished backups in a folder, the latest first.
---@param folder string
---@return { id: string, path: string, taken_at: string }[]?, table? err
function M.list(folder)
  local names, err = files.list(folder)
  if not names then return nil, err end
  local list = {}
  for _, name in ipairs(names) do
    local path = folder .. "/" .. name
    if not name:match "%.partial$" and files.stat(path .. "/COMPLETE") then
      local manifest = manifests.read(path)
      if manifest then list[#list + 1] = { id = manifest.id, path = path, taken_at = manifest.taken_at } end
    end
  end
  table.sort(list, function(a, b) return a.id > b.id end)
  return list
end

local function check_passphrase(manifest, options)
  if manifest.encryption and not options.passphrase then return failed("usage", manifest.id .. " is encrypted; the passphrase is missing") end
  if not manifest.encryption and options.passphrase then return failed("usage", manifest.id .. " is not encrypted, and a passphrase was given: is it the right backup?") end
  return true
end

-- What every restore of a database begins with: the backup is whole, of this kind of database, and can be read.
local function prepared(options)
  local verified, err = M.verify(options.backup, options.checksum, metered.part(options.progress, "reading the backup"))
  if not verified then return nil, err end
  local manifest = verified.manifest
  if not manifest.database then return failed("backup", options.backup .. " holds no database") end
  local driver
  driver, err = driver_of(options.database)
  if not driver then return nil, err end
  if driver.FORMAT ~= manifest.database.info.format then
    return failed("usage", ("%s is a backup of %s, the database is %s"):format(options.backup, manifest.database.info.format, driver.FORMAT))
  end
  local ok
  ok, err = check_passphrase(manifest, options)
  if not ok then return nil, err end
  return manifest, driver
end

local function totals(manifest)
  local rows = 0
  for _, one in ipairs(manifest.database.tables) do rows = rows + one.rows end
  return #manifest.database.tables, rows
end

-- Verifies, then restores beside the live database and compares. to_serve: the copy may become the live database.
local function restore_beside(options, to_serve)
  local manifest, driver = prepared(options)
  if not manifest then return nil, driver end
  local copy, err
  copy, err = effect.change("restored copy", function()
    return driver.restore_beside(manifest, options.backup, options.database, manifest.id .. "-" .. random.hex(2),
      { passphrase = options.passphrase, progress = options.progress, analyze = to_serve })
  end)
  if not copy then return nil, err end
  copy.id = manifest.id
  return copy, nil, driver, manifest
end

--- The staging drill: restores beside the live database, compares every table and measures. The copy is dropped again, or kept
-- closed to everybody: a rollback to it is the swap alone, at any size.
---@param options { backup: string, database: any, keep?: boolean, checksum?: string, passphrase?: any, progress?: fun(at: table) }
---@return { seconds: number, tables: integer, rows: integer, copy?: table }?, table? err code backup_mismatch names the table
function M.drill(options)
  local began = clock.now()
  local copy, err, driver, manifest = restore_beside(options, options.keep)
  if not copy then return nil, err end
  local seconds = clock.now() - began
  local ok
  if options.keep then ok, err = driver.keep(copy, options.database, options.progress) else ok, err = driver.drop(copy, options.database) end
  if not ok and options.keep then driver.drop(copy, options.database) end -- nobody would know of it
  if not ok then return nil, err end
  copy.seconds = seconds
  local tables, rows = totals(manifest)
  return { seconds = seconds, tables = tables, rows = rows, copy = options.keep and copy or nil }
end

--- A database with the content of a kept copy, in which anything may be tried. Drop it with drop_copy.
---@param copy table of drill with keep
---@param url any the live database's address
---@return { url: any, address: fun(other: any): any }? scratch, table? err address: the same database as another role's address reaches it
function M.scratch(copy, url)
  local driver, err = driver_of(url)
  if not driver then return nil, err end
  return effect.change("scratch database", function() return driver.scratch(copy, url) end)
end

--- Drops a copy that a drill kept.
---@param copy table
---@param url any the database's address
---@return true? ok, table? err
function M.drop_copy(copy, url)
  local driver, err = driver_of(url)
  if not driver then return nil, err end
  local ok
  ok, err = effect.change("dropped copy", function() return driver.drop(copy, url) end)
  if not ok then return nil, err end
  return true
end

--- Drops every copy of a database, also those that nobody knows of because the engine died that made them. For who holds the venture's lease.
---@param url any the database's address
---@return true? ok, table? err
function M.drop_copies(url)
  local driver, err = driver_of(url)
  if not driver then return nil, err end
  return effect.change("dropped copy", function() return driver.drop_all(url) end)
end

-- Into the live database itself. Another backup is taken first: nothing else keeps what was there.
local function restore_in_place(options, began)
  local manifest, driver = prepared(options)
  if not manifest then return nil, driver end
  local err
  if not driver.restore_in_place then return failed("usage", "this kind of database is always restored by putting the backup's pages into the live file; leave in_place out") end
  local safety
  if options.safety ~= false then
    safety, err = M.take { database = options.database, to = options.safety or options.backup:match "^(.*)/[^/]+/?$" or ".", passphrase = options.passphrase }
    if not safety then return nil, err end
  end
  local restored
  restored, err = driver.restore_in_place(manifest, options.backup, options.database, options)
  if not restored then return nil, err end
  restored.seconds, restored.warm, restored.safety = clock.now() - began, options.copy ~= nil and not restored.whole, safety and safety.path
  return restored
end

-- The copy that is to become the live database, and which backup it is.
local function copy_for(options)
  if not options.copy then return restore_beside(options, true) end
  local driver, err = driver_of(options.database)
  if not driver then return nil, err end
  return options.copy, nil, driver
end

-- What is lost by a swap that had happened: between the database of before and the backup.
local function loss_since(options, old)
  local copy, err, driver = restore_beside(options, false)
  if not copy then return nil, err end
  local diff = require "backup.diff"
  local loss
  loss, err = diff.compare(old.url, driver.url_of(copy, options.database), options.to, copy.snapshot)
  shield(function() driver.drop(copy, options.database) end)
  return loss, err
end

-- A swap whose end nobody saw: it is not made again, which would lose what was written since, but its loss is counted. The database is restored whether it can be or not:
-- only what may be so in a moment is asked for again.
local function count_again(options, old, began)
  local loss, err = loss_since(options, old)
  if not loss and err.retryable then return nil, err end
  loss = loss or { tables = json.array {}, inserted = 0, updated = 0, deleted = 0, problem = err.message }
  return { seconds = clock.now() - began, downtime_s = 0, loss = loss, old = old.name, warm = false, had_happened = true }
end

--- Restores the database: beside the live one, compared, then swapped in. Says which rows are lost by it. A copy that a drill
-- kept is swapped in as it is. in_place: into the live database, in one transaction, after a safety backup beside the one that is
-- restored (safety: another folder; false: none). With a copy only the rows that differ are exchanged, where they are few; else
-- everything is loaded, which announce is told before the tables are locked, and the loss is counted by rows written since, not told apart.
---@param options { backup: string, database: any, to?: string, copy?: table, in_place?: boolean, safety?: string|false, announce?: fun(text: string), checksum?: string, passphrase?: any, progress?: fun(at: table), key?: string } to: folder for the lost rows; key: of the effect, so that a swap that had happened before the engine died is not made again
---@return { seconds: number, downtime_s: number, loss: table, old?: string, safety?: string, warm: boolean, had_happened?: boolean }?, table? err
function M.restore(options)
  local began = clock.now()
  if options.to then
    local free, problem = require("backup.diff").check_folder(options.to)
    if not free then return nil, problem end
  end
  if options.in_place then return restore_in_place(options, began) end
  local swapped, err
  if options.key then
    local driver
    driver, err = driver_of(options.database)
    if not driver then return nil, err end
    local old
    old, err = driver.swapped(options.database, options.backup:match "([^/]+)/?$", options.key)
    if old then return count_again(options, old, began) end
    if err then return nil, err end
  end
  local copy, driver
  copy, err, driver = copy_for(options)
  if not copy then return nil, err end
  swapped, err = effect.change("database swap", function() return driver.swap(copy, options.database, options.backup:match "([^/]+)/?$", { to = options.to, key = options.key, progress = options.progress }) end)
  -- The copy's place is either the live database now (PostgreSQL) or no longer needed (SQLite).
  if not swapped or copy.path then shield(function() driver.drop(copy, options.database) end) end
  if not swapped then return nil, err end
  swapped.seconds, swapped.warm = clock.now() - began, options.copy ~= nil
  return swapped
end

--- A restore with a key is recorded as done: what was kept to find it again may go.
---@param url any the database's address
---@return true? ok, table? err
function M.forget(url)
  local driver, err = driver_of(url)
  if not driver then return nil, err end
  return not driver.forget and true or driver.forget(url)
end

--- Marks a backup as needed by a run in flight, so that retention leaves it; release_needs takes the mark away.
---@param path string
---@param by string
---@return true? ok, table? err
function M.need(path, by) return files.write(path .. ".needed", by .. "\n") end

--- Takes every mark away that this run made, also on a backup that it took before its engine died, and took again.
---@param folder string of the backups
---@param by string as of need
---@return true? ok, table? err
function M.release_needs(folder, by)
  local names, err = files.list(folder)
  if not names and err.code == "not_found" then return true end
  if not names then return nil, err end
  for _, name in ipairs(names) do
    local path = folder .. "/" .. name
    if name:match "%.needed$" and files.read(path) == by .. "\n" then
      local ok
      ok, err = files.remove(path)
      if not ok then return nil, err end
    end
  end
  return true
end

--- Restores file trees into a folder.
---@param options { backup: string, to: string, checksum?: string, passphrase?: any, progress?: fun(at: table) }
---@return integer? entries, table? err
function M.restore_files(options)
  local verified, err = M.verify(options.backup, options.checksum, metered.part(options.progress, "reading the backup"))
  local entries, ok = 0, nil
  if verified then ok, err = check_passphrase(verified.manifest, options) end
  if not ok then return nil, err end
  for index, one in ipairs(verified.manifest.trees) do
    local into = ("%s/%03d"):format(options.to, index)
    ok, err = files.mkdir(into)
    if not ok then return nil, err end
    local count
    local packed = verified.manifest.files[one.file]
    count, err = metered.run(metered.part(options.progress, "unpacking"), function(meter)
      return core.files_unpack(options.backup .. "/" .. one.file, into, packed.sha256, packed.raw_bytes, options.passphrase, meter)
    end)
    if not count then return nil, err end
    entries = entries + count
  end
  return entries
end

return M
