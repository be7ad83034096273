--- simulation.drivers.store: stands in for backup.s3.

local world = require("simulation.current").world

local M = {}

local Store = {}
Store.__index = Store

function M.open() return setmetatable({}, Store) end

function Store:put(path)
  local here = world()
  return here:operation("store.put", here.scenario.backup_s, function()
    here:note("stored", { path = path })
    return { files = 8, sent_bytes = 1000 }
  end)
end

return M
