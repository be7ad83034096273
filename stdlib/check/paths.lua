--- check.paths: which files are examined, and in which folders each of them finds its modules.
--
-- A folder that holds venture.lua, or a part with the name of a built-in one, is a root of its own; so is a folder that is
-- named. A playbook that is named finds what stands beside it.

local core_err = require "core.err"
local core_search = require "core.search"
local files = require "files"

local M = {}

--- The path of a name in a folder; one in the present folder stays short.
---@param folder string
---@param name string
---@return string
---@usage assert(require("check.paths").join(".", "a.lua") == "a.lua")
function M.join(folder, name) return folder == "." and name or folder .. "/" .. name end
local function parent(path) return path:match "^(.*)/[^/]*$" or "." end

local function type_of(path)
  local stat = files.stat(path, { follow = true })
  return stat and stat.type
end

local function add(found, path, root)
  if found.seen[path] then return end
  found.seen[path] = true
  found[#found + 1] = { path = path, root = root }
end

local parts -- the built-in parts: "stage30/gates.lua" and the others that stand in a folder

local function is_root(folder)
  if type_of(M.join(folder, "venture.lua")) == "file" then return true end
  if not parts then
    parts = {}
    for _, path in ipairs(core_search.baked_paths()) do parts[#parts + 1] = path:match "^playbooks/(.+/.+)$" end
  end
  for _, part in ipairs(parts) do
    if type_of(M.join(folder, part)) == "file" then return true end
  end
  return false
end

local function walk(folder, root, found)
  local names, err = files.list(folder)
  if not names then return nil, err end
  if is_root(folder) then root = folder end
  for _, name in ipairs(names) do
    local path = M.join(folder, name)
    local kind = name:sub(1, 1) ~= "." and type_of(path)
    if kind == "directory" then
      local ok
      ok, err = walk(path, root, found)
      if not ok then return nil, err end
    elseif kind == "file" and name:find "%.lua$" then
      add(found, path, root)
    end
  end
  return true
end

-- The nearest folder from here upwards that is a root; nil when there is none.
local function root_around(folder)
  while not is_root(folder) do
    if folder == "." or folder == "/" or not folder:find "/" then return nil end
    folder = parent(folder)
  end
  return folder
end

-- The folder in which a single file finds its own modules: the venture or procedure around it, or its own when it is a playbook.
local function root_of(path)
  local folder = parent(path)
  local around = root_around(folder)
  if around then return around end
  local text = files.read(path)
  return text and text:find "%f[%w_]return%s+playbook%f[^%w_]" and folder or nil
end

--- Every .lua file under the paths, once, with the folder that is its root (nil for a file that stands alone).
---@param paths string[] files and folders
---@return { path: string, root?: string }[]? found, table? err code not_found
---@usage local none, err = require("check.paths").collect { "no/such" }  assert(not none and err.code == "not_found")
function M.collect(paths)
  local found = { seen = {} }
  for _, given in ipairs(paths) do
    local path = #given > 1 and given:gsub("/+$", "") or given
    local kind = type_of(path)
    if kind == "directory" then
      local ok, err = walk(path, root_around(path) or path, found)
      if not ok then return nil, err end
    elseif kind == "file" then
      add(found, path, root_of(path))
    else
      return nil, core_err.new { code = "not_found", op = "check", message = ("there is no file or folder %s"):format(given), next = "Give the path of a playbook, of a part, or of a folder with some." }
    end
  end
  return found
end

--- The name under which `require` finds a file in its root.
---@param path string
---@param root string
---@return string? module
---@usage assert(require("check.paths").module_name("v/stage30/gates.lua", "v") == "stage30.gates")
function M.module_name(path, root)
  local inner = root == "." and path or path:sub(1, #root + 1) == root .. "/" and path:sub(#root + 2)
  return inner and (inner:gsub("%.lua$", ""):gsub("/", "."))
end

return M
