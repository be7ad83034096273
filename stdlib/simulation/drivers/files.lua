--- simulation.drivers.files: stands in for module files. What is written is kept in the world and touches no disk; what was not written there is read from the real
-- files, which are never changed.
--
-- Not simulated: modes, links, folders by themselves (one is there when a file is in it), and what grants refuse.

local core_err = require "core.err"
local core_search = require "core.search"
local current = require "simulation.current"
local traffic = require "traffic"

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

function M.read_tail(path, limit)
  local text, err = M.read(path)
  if not text or #text <= limit then return text, err end
  return text:sub(-limit):match "\n(.*)$" or text:sub(-limit)
end

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
  if M.exists(to) then return nil, core_err.new { code = "exists", op = "rename", message = to .. " exists" } end
  local text, err = M.read(from)
  if not text then return nil, err end
  kept()[to], kept()[from] = text, GONE
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

function M.sha256(path, offset, size_bytes)
  local text = kept()[path]
  if not text or text == GONE then return genuine.sha256(path, offset, size_bytes) end
  local part = text:sub((offset or 0) + 1, size_bytes and (offset or 0) + size_bytes)
  if size_bytes and #part < size_bytes then return nil, core_err.new { code = "io", op = "read", message = path .. " is shorter" } end
  return genuine.sha256_text(part)
end

--- The names in a folder: those that are written here, and those of the real folder that were not removed here.
function M.list(path)
  local all, found = kept(), {}
  local real, err = genuine.list(path)
  for _, name in ipairs(all[path] ~= GONE and real or {}) do found[name] = all[path .. "/" .. name] ~= GONE or nil end
  local is_there = real ~= nil and all[path] ~= GONE
  for name, text in pairs(all) do
    local first = text ~= GONE and name:sub(1, #path + 1) == path .. "/" and name:match("^[^/]+", #path + 2)
    if first then found[first], is_there = true, true end
  end
  if not is_there then return nil, err or core_err.new { code = "not_found", op = "list", message = path .. " does not exist" } end
  return traffic.sorted_keys(found)
end

function M.exists(path) return M.stat(path) ~= nil end

return setmetatable(M, { __index = genuine })
