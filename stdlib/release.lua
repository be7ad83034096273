--- release: a release candidate: its files, the digest that identifies them, its migrations.

local core_err = require "core.err"
local files = require "files"

local M = {}

local function hash_tree(folder, prefix, lines)
  local names, err = files.list(folder)
  if not names then return nil, err end
  table.sort(names)
  for _, name in ipairs(names) do
    local path = folder .. "/" .. name
    local stat
    stat, err = files.stat(path)
    if not stat then return nil, err end
    if stat.type == "directory" then
      local ok
      ok, err = hash_tree(path, prefix .. name .. "/", lines)
      if not ok then return nil, err end
    else
      local sum
      sum, err = files.sha256(path)
      if not sum then return nil, err end
      lines[#lines + 1] = sum .. "  " .. prefix .. name
    end
  end
  return true
end

--- The digest of a folder: SHA-256 over the lines "sha256  path" of its files, in the order of their paths.
---@param folder string
---@return string? digest "sha256:..." , table? err
function M.digest(folder)
  local lines = {}
  local ok, err = hash_tree(folder, "", lines)
  if not ok then return nil, err end
  return "sha256:" .. files.sha256_text(table.concat(lines, "\n") .. "\n")
end

--- The release's migrations: SQL files in the order of their names.
local function read_migrations(folder)
  local names, err = files.list(folder)
  if not names then
    if err.code == "not_found" then return {} end
    return nil, err
  end
  table.sort(names)
  local migrations = {}
  for _, name in ipairs(names) do
    local version = name:match "^(.+)%.sql$"
    if version then
      local text
      text, err = files.read(folder .. "/" .. name)
      if not text then return nil, err end
      migrations[#migrations + 1] = { version = version, sql = text, path = folder .. "/" .. name, checksum = files.sha256_text(text) }
    end
  end
  return migrations
end

-- The releases that are there, to choose from.
local function known(folder)
  local names = {}
  for _, name in ipairs(files.list(folder) or {}) do
    local stat = files.stat(folder .. "/" .. name, { follow = true })
    if stat and stat.type == "directory" then names[#names + 1] = name end
  end
  table.sort(names)
  if not names[1] then return (": %s has none yet."):format(folder) end
  return ("; there %s %s."):format(#names == 1 and "is" or "are", table.concat(names, ", ", math.max(1, #names - 9)))
end

--- Opens the release candidate of a venture.
---@param venture table its configuration
---@param version string
---@return { version: string, folder: string, digest: string, migrations: table[] }?, table? err
function M.open(venture, version)
  if not version:match "^[%w][%w._-]*$" then
    return nil, core_err.new { code = "usage", message = ("'%s' is not a release: letters, digits, dots and dashes"):format(version), next = "Name one with --release, such as --release 4.9.0; it is a folder in releases.folder." }
  end
  local folder = venture.releases.folder
  if folder:sub(1, 1) ~= "/" then folder = venture.folder .. "/" .. folder end
  folder = folder .. "/" .. version
  local stat = files.stat(folder)
  if not stat or stat.type ~= "directory" then
    return nil, core_err.new { code = "not_found", op = "open release", message = ("there is no release %s: %s does not exist"):format(version, folder),
      next = "Build the release there, or name another with --release" .. known(folder:match "^(.*)/") }
  end
  local digest, err = M.digest(folder)
  if not digest then return nil, err end
  local migrations
  migrations, err = read_migrations(folder .. "/" .. venture.migrations.folder)
  if not migrations then return nil, err end
  return { version = version, folder = folder, digest = digest, migrations = migrations }
end

return M
