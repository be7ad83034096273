--- simulation.drivers.files: stands in for module files. What is written is kept in the world and touches no disk; what was not written there is read from the real
-- files, which are never changed.

local core_err = require "core.err"
local core_search = require "core.search"
local current = require "simulation.current"

local genuine = core_search.genuine "files"

local M = {}

local GONE = {}

local function kept()
  local here = current.maybe()
  if not here then return {} end
  here:check_alive()
  return here.files
end

local function full()
  local here = current.maybe()
  if here and here:fault "disk" then return nil, core_err.new { code = "io", op = "write", message = "simulated: no space left on device" } end
  return true
end

function M.write(path, text)
  local ok, err = full()
  if not ok then return nil, err end
  kept()[path] = text
  return true
end

function M.append(path, text)
  local ok, err = full()
  if not ok then return nil, err end
  local all = kept()
  all[path] = (all[path] and all[path] ~= GONE and all[path] or genuine.read(path) or "") .. text
  return true
end

function M.read(path, limit)
  local text = kept()[path]
  if text == GONE then return nil, core_err.new { code = "not_found", op = "read", message = path .. " does not exist" } end
  if text then return text end
  return genuine.read(path, limit)
end

M.read_tail = M.read

function M.remove(path)
  kept()[path] = GONE
  return true
end

function M.remove_tree(path)
  local all = kept()
  for name in pairs(all) do if name:sub(1, #path + 1) == path .. "/" then all[name] = GONE end end
  all[path] = GONE
  return true
end

function M.rename(from, to)
  local all = kept()
  all[to], all[from] = M.read(from), GONE
  return true
end

function M.copy(from, to)
  local text, err = M.read(from)
  if not text then return nil, err end
  return M.write(to, text)
end

function M.mkdir() return true end
function M.sync_tree() return true end
function M.realpath(path) return genuine.realpath(path) or path end
function M.mkdtemp(prefix) return (prefix or "/tmp/engine-") .. "simulated" end

function M.stat(path, options)
  local text = kept()[path]
  if text == GONE then return nil, core_err.new { code = "not_found", op = "stat", message = path .. " does not exist" } end
  if text then return { type = "file", size = #text, modified = 0 } end
  return genuine.stat(path, options)
end

function M.exists(path) return M.stat(path) ~= nil end

return setmetatable(M, { __index = genuine })
