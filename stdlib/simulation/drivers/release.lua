--- simulation.drivers.release: stands in for module release. A scenario says which migrations the candidate brings; a release of the venture's own
-- folder is not needed.

local core_err = require "core.err"
local files = require "files"
local world = require("simulation.current").world

local M = {}

function M.digest(folder) return "sha256:" .. files.sha256_text(folder) end

local function migration(version)
  return { version = version, sql = "-- simulated migration " .. version, path = "releases/" .. version .. ".sql", checksum = files.sha256_text(version) }
end

function M.open(_, version)
  local here = world()
  local scenario = here.scenario
  if version ~= here.release and version ~= scenario.old_version then
    return nil, core_err.new { code = "not_found", op = "open release", message = ("simulated: there is no release %s"):format(version) }
  end
  local migrations = {}
  for _, name in ipairs(scenario.applied) do migrations[#migrations + 1] = migration(name) end
  if version == here.release then
    for _, name in ipairs(scenario.migrations) do migrations[#migrations + 1] = migration(name) end
  end
  return { version = version, folder = "releases/" .. version, digest = M.digest(version), migrations = migrations }
end

return M
