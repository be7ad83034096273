--- backup.place: backups by what the operator calls them: a folder, or s3://BUCKET/PREFIX/ID?... in a store. What is in a store is
-- brought to a scratch folder of TMPDIR (or /tmp), which is gone at the end.

local backup = require "backup"
local core_err = require "core.err"
local core_secret = require "core.secret"
local files = require "files"
local metered = require "backup.metered"
local s3 = require "backup.s3"

local M = {}

--- Is this an address in a store, and no folder?
---@param text string
---@return boolean
---@usage assert(require("backup.place").is_store "s3://shop/backups" and not require("backup.place").is_store "/var/backups")
function M.is_store(text) return text:find "^s3://" ~= nil end

--- The store and the id that the address of a backup in a store names.
---@param address string
---@return string? store, string id_or_err
---@usage local store, id = require("backup.place").split "s3://shop/backups/20261124T1-a1?region=x"  assert(store == "s3://shop/backups?region=x" and id == "20261124T1-a1")
function M.split(address)
  local path, query = address:match "^([^?]*)(.*)$"
  local store, id = path:match "^(s3://[^/].*)/([^/]+)/*$"
  if store then return store .. query, id end
  return nil, core_err.new { code = "usage", op = "s3", message = ("'%s' names no backup; s3://bucket/prefix/ID?region=eu-central-1 does"):format(address) }
end

--- The address of a backup in a store.
---@param store string
---@param id string
---@return string
---@usage assert(require("backup.place").join("s3://shop/backups/?region=x", "a1") == "s3://shop/backups/a1?region=x")
function M.join(store, id)
  local path, query = store:match "^([^?]-)/*(%??[^?]*)$"
  return path .. "/" .. id .. query
end

local function in_scratch(fn)
  local folder = assert(files.mkdtemp((core_secret.environment "TMPDIR" or "/tmp") .. "/engine-backup-"))
  local closer <close> = setmetatable({}, { __close = function() shield(function() files.remove_tree(folder) end) end })
  return fn(folder), closer and nil
end

--- Calls fn with the folder of a backup; one in a store is fetched first, and removed afterwards. Raises what fails.
---@generic T
---@param name string a folder, or s3://BUCKET/PREFIX/ID?...
---@param fn fun(path: string): T
---@param progress? fun(at: table) of the fetch, as of backup.metered
---@return T
---@usage assert(require("backup.place").with("/var/backups/x", function(path) return path end) == "/var/backups/x")
function M.with(name, fn, progress)
  if not M.is_store(name) then return fn(name) end
  local address, id = M.split(name)
  if not address then error(id, 0) end
  local store = assert(s3.open(address))
  return in_scratch(function(folder) return fn(assert(store:fetch(id, folder, metered.part(progress, "fetching")))) end)
end

--- Takes a backup into a store, and verifies it before it is sent; the store's own list says at the end that all of it is there. Raises what fails.
---@param options table of backup.take; to is the store's address
---@return { taken: table, verified: table, sent: { files: integer, sent_bytes: integer } }
function M.take(options)
  local store = assert(s3.open(options.to))
  return in_scratch(function(folder)
    local here = {}
    for name, value in pairs(options) do here[name] = value end
    here.to = folder
    local taken = assert(backup.take(here))
    local verified = assert(backup.verify(taken.path, taken.checksum, metered.part(options.progress, "reading it again")))
    return { taken = taken, verified = verified, sent = assert(store:put(taken.path, taken.id, metered.part(options.progress, "sending"))) }
  end)
end

return M
