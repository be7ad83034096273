--- simulation.drivers.backup: stands in for module backup. A backup remembers what the database was; restoring says which rows are lost by it.
--
-- Not simulated: files beside the database, encryption, retention and the list of backups, which is empty; restoring in place; how much of an
-- incremental backup is taken over.

local core_err = require "core.err"
local core_search = require "core.search"
local effect = require "effect"
local files = require "files"
local task = require "task"
local world = require("simulation.current").world

local M = { reuse_text = core_search.genuine("backup").reuse_text }

local SWAP_S = 0.05
local UPDATED, DELETED = 0.3, 0.02 -- of what clients write: the rest are new rows

local function error_of(code, message) return core_err.new { code = code, op = "backup", message = "simulated: " .. message } end
local function failed(code, message) return nil, error_of(code, message) end

local function copied(database)
  local applied = {}
  for version in pairs(database.applied) do applied[version] = true end
  return { applied = applied, stage = database.stage, written = database.written, damaged = database.damaged }
end

-- Why nothing can be done with the database now; nil when it can.
---@param needs_room? boolean something is written to the disk
local function hindrance(here, needs_room)
  if here:fault "database" then return error_of("connect", "the database does not answer") end
  if needs_room and here:fault "disk" then return error_of("io", "no space left on device") end
end

function M.take(options)
  local here = world()
  local limit = options.timeout or 3600
  if here.scenario.backup_s > limit then
    task.sleep(limit)
    here:check_alive()
    return failed("deadline", ("the backup took more than %g s"):format(limit))
  end
  return here:operation("backup.take", here.scenario.backup_s, function()
    local problem = hindrance(here, true)
    if problem then return nil, problem end
    here:clients_write()
    local id = ("simulated-%d"):format(#here.history)
    local path = options.to .. "/" .. id
    effect.change("backup", function()
      here.backups[path] = { id = id, content = copied(here.database), corrupt = here:fault "corrupt" ~= nil, checksum = files.sha256_text(path) }
      here:note("backup", { path = path, corrupt = here.backups[path].corrupt })
    end)
    return { id = id, path = path, checksum = here.backups[path].checksum, size_bytes = 1000 + here.database.written, seconds = here.scenario.backup_s, tables = {} }
  end)
end

-- The backup at a path, if it is whole and the one with this checksum.
local function whole(here, path, checksum)
  local one = here.backups[path]
  if not one then return failed("backup_corrupt", path .. " has no COMPLETE: it is no finished backup") end
  if checksum and checksum ~= one.checksum then return failed("backup_corrupt", path .. " is another backup than the one that was taken") end
  if one.corrupt then return failed("backup_corrupt", path .. "/data-001.zst is not the file that was written") end
  return one
end

function M.verify(path, checksum)
  local here = world()
  return here:operation("backup.verify", here.scenario.backup_s / 4, function()
    local one, err = whole(here, path, checksum)
    if not one then return nil, err end
    here:note("verified", { path = path })
    return { files = 8, bytes = 1000, manifest = {} }
  end)
end

local function new_copy(here, database)
  here.copy_count = (here.copy_count or 0) + 1
  local name = ("copy-%d"):format(here.copy_count)
  here.copies[name] = database
  return { name = name }
end

function M.drill(options)
  local here = world()
  return here:operation("backup.drill", here.scenario.backup_s, function()
    local one, err = whole(here, options.backup, options.checksum)
    if not one then return nil, err end
    local problem = hindrance(here, true)
    if problem then return nil, problem end
    local mismatch = here:fault "mismatch"
    if mismatch then return failed("backup_mismatch", "table ventures has another checksum in the copy") end
    here:note("drilled", { path = options.backup })
    local copy = effect.change("restored copy", function() return options.keep and new_copy(here, copied(one.content)) or nil end)
    return { seconds = here.scenario.backup_s, tables = 3, rows = 200 + one.content.written, copy = copy }
  end)
end

function M.scratch(copy)
  local here = world()
  local kept = here.copies[copy.name]
  if not kept then return failed("not_found", "the copy is not there") end
  local problem = hindrance(here, true)
  if problem then return nil, problem end
  local made = effect.change("scratch database", function() return new_copy(here, copied(kept)) end)
  return { url = made.name, name = made.name, address = function() return made.name end }
end

function M.drop_copy(copy)
  local here = world()
  return here:operation("backup.drop_copy", 0, function()
    local problem = hindrance(here)
    if problem then return nil, problem end
    return effect.change("dropped copy", function()
      here.copies[copy.name] = nil
      return true
    end)
  end)
end

-- What clients wrote since the backup was taken, as the report counts it.
local function loss_between(here, before, now)
  local written = now.written - before.written
  local how = here.scenario.loss
  if how == "unknown" then return { tables = {}, problem = "simulated: the database of before cannot be read" } end
  if written == 0 then return { tables = {}, approximate = how == "approximate" and "simulated" or nil } end
  local updated, deleted = math.floor(written * UPDATED), math.floor(written * DELETED)
  return { tables = { { name = "ventures", inserted = written - updated - deleted, updated = updated, deleted = deleted } },
    approximate = how == "approximate" and "simulated" or nil }
end

-- A swap that had happened is not made again; the backup is restored beside, to count what was lost.
local function count_again(here, options)
  return here:operation("backup.restore", here.scenario.backup_s, function()
    local one, err = whole(here, options.backup, options.checksum)
    err = err or hindrance(here, true)
    if err and err.retryable then return nil, err end
    if one and not err then effect.change("restored copy", function() end) end
    local loss = err and { tables = {}, problem = err.message } or here.swapped.loss
    return { seconds = here.scenario.backup_s, downtime_s = 0, loss = loss, old = "before", warm = false, had_happened = true }
  end)
end

function M.restore(options)
  local here = world()
  if options.key and here.swapped and here.swapped.key == options.key then return count_again(here, options) end
  local warm = options.copy and here.copies[options.copy.name]
  if options.copy and not warm then return failed("not_found", "the copy is gone") end
  return here:operation(warm and "backup.swap" or "backup.restore", warm and SWAP_S or here.scenario.backup_s, function()
    local one, err = whole(here, options.backup, options.checksum)
    if not one and not warm then return nil, err end
    local problem = hindrance(here, not warm)
    if problem then return nil, problem end
    if not warm then effect.change("restored copy", function() end) end
    here:clients_write()
    local content = warm or copied(one.content)
    local loss = loss_between(here, content, here.database)
    effect.change("database swap", function()
      here:note("restored", { lost = here.database.written - content.written, warm = warm ~= nil, green = here.weights.green })
      here.swapped = { key = options.key, loss = loss }
      here.database = { applied = content.applied, stage = content.stage, written = content.written, damaged = content.damaged, name = "live" }
      if options.copy then here.copies[options.copy.name] = nil end
    end)
    return { seconds = warm and SWAP_S or here.scenario.backup_s, downtime_s = SWAP_S, loss = loss, old = "before", warm = warm ~= nil }
  end)
end

function M.forget() return true end

function M.need(path, by)
  local problem = world():fault "disk" and error_of("io", "no space left on device")
  if problem then return nil, problem end
  world().needed[path] = by
  return true
end

function M.release_needs(_, by)
  local needed = world().needed
  for path, who in pairs(needed) do if who == by then needed[path] = nil end end
  return true
end

function M.list() return {} end

return M
