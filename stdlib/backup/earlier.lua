--- backup.earlier: the backup that an incremental one starts from. One that does not verify is none.

local core = require "core.backup"
local files = require "files"
local manifests = require "backup.manifest"

local M = {}

-- Files that are taken over must be readable with the passphrase of the new backup; one that every take writes anew tells.
local function is_readable(manifest, path, passphrase)
  if (manifest.encryption ~= nil) ~= (passphrase ~= nil) then return false end
  if not passphrase then return true end
  local name = "sequences.sql.zst.enc"
  local one = manifest.files[name]
  return core.unpack(path .. "/" .. name, nil, one.sha256, one.raw_bytes, passphrase) ~= nil
end

local function why_not(manifest, path, origin, passphrase)
  if not manifest.database or not manifest.database.info.origin then return manifest.id .. " does not say what an incremental backup needs" end
  if manifest.database.info.origin ~= origin then return manifest.id .. " is of another database, or the server was started again since" end
  if not is_readable(manifest, path, passphrase) then return manifest.id .. " is not encrypted with the same passphrase" end
end

--- Finds it: the one that options.since names, or with `true` the latest in options.to that counts. Raises if the one that was named does
-- not verify.
---@param options { since: string|true, to: string, passphrase?: any }
---@param origin? string of the database, see backup.postgres_unchanged
---@return { path: string, manifest: table }? earlier
---@return string? why there is none: everything is copied
function M.find(options, origin)
  local verify, list = require("backup").verify, require("backup").list
  if not origin then return nil, "a standby proves nothing, nor does a role without pg_read_all_stats" end
  if options.since ~= true then
    local verified = assert(verify(options.since))
    local why = why_not(verified.manifest, options.since, origin, options.passphrase)
    if why then return nil, why end
    return { path = options.since, manifest = verified.manifest }
  end
  local first_why
  for _, one in ipairs(files.exists(options.to) and assert(list(options.to)) or {}) do
    local manifest = manifests.read(one.path)
    local why = manifest and why_not(manifest, one.path, origin, options.passphrase) or nil
    local verified, err
    if manifest and not why then
      verified, err = verify(one.path)
      if verified then return { path = one.path, manifest = verified.manifest } end
      why = err.message
    end
    first_why = first_why or why
  end
  return nil, first_why or "there is no earlier backup in " .. options.to
end

return M
