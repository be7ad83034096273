--- check.examine: all rules for all files of a command line. Reads files, and runs nothing but configurations in their sandbox.

local check_file = require "check.file"
local execute = require "execute"
local paths_module = require "check.paths"
local registry = require "check.registry"
local rules_configuration = require "check.rules_configuration"
local rules_grants = require "check.rules_grants"
local rules_parts = require "check.rules_parts"
local subject_module = require "check.subject"

local M = {}

local Examination = {}
Examination.__index = Examination

-- One registry for each order of folders.
function Examination:registry_for(root)
  local folders = {}
  if self.venture then folders[1] = self.venture end
  if root and root ~= self.venture then folders[#folders + 1] = root end
  local key = table.concat(folders, "\n")
  self.registries[key] = self.registries[key] or registry.new(folders)
  return self.registries[key]
end

-- venture.lua: its names are others, and its content is compared with the description of the keys.
function Examination:configuration(subject, root)
  subject.only_globals = rules_configuration.names()
  if not check_file.check(subject) or subject.findings[1] then return end
  local config = rules_configuration.check(subject, root)
  local granted = config and execute.granted(config, root .. "/.engine", root)
  if granted then
    self.granted[root] = granted
    rules_grants.check_configuration(subject, config, granted)
  end
end

function Examination:file(file)
  local subject, err = subject_module.open(file.path, self:registry_for(file.root))
  if not subject then return nil, err end
  self.subjects[#self.subjects + 1] = subject
  subject.root = file.root
  if file.root and file.path == paths_module.join(file.root, "venture.lua") then
    self:configuration(subject, file.root)
    subject.is_configuration = true
  else
    check_file.check(subject)
  end
  return subject
end

local function by_place(a, b)
  if a.path ~= b.path then return a.path < b.path end
  if a.line ~= b.line then return a.line < b.line end
  if a.column ~= b.column then return a.column < b.column end
  return a.message < b.message
end

-- A venture's simulation.lua says how its simulated worlds are; nobody requires it.
local function is_about_worlds(subject) return subject.path == paths_module.join(subject.root, "simulation.lua") end

-- The rules that look at several files, and at what the venture grants.
function Examination:together()
  local roots, overrides = {}, {}
  for _, subject in ipairs(self.subjects) do
    if subject.tree and not subject.is_configuration then
      local root = subject.root
      if root and not is_about_worlds(subject) then
        roots[root] = roots[root] or {}
        table.insert(roots[root], subject)
      end
      local granted = self.granted[self.venture or root or ""]
      if granted then rules_grants.check(subject, granted) end
    end
  end
  for root, subjects in pairs(roots) do
    for _, override in ipairs(rules_parts.check(subjects, function(subject) return paths_module.module_name(subject.path, root) end)) do
      overrides[#overrides + 1] = override
    end
  end
  table.sort(overrides, function(a, b) return a.path < b.path end)
  return overrides
end

--- Examines the files under the paths, with a venture whose folder comes first in the search order.
---@param paths string[]
---@param venture? string its folder; its files are examined too
---@return { findings: table[], overrides: table[], files: integer }? result, table? err not_found, io, permission
---@usage local result = assert(require("check.examine").examine { "playbooks/rollback" })  assert(result.findings[1] == nil)
function M.examine(paths, venture)
  local wanted = table.move(paths, 1, #paths, 1, {})
  if venture then
    venture = #venture > 1 and venture:gsub("/+$", "") or venture
    table.insert(wanted, 1, venture)
  end
  local found, err = paths_module.collect(wanted)
  if not found then return nil, err end
  local self = setmetatable({ venture = venture, registries = {}, subjects = {}, granted = {} }, Examination)
  for _, file in ipairs(found) do
    local subject
    subject, err = self:file(file)
    if not subject then return nil, err end
  end
  local result = { findings = {}, overrides = self:together(), files = #self.subjects }
  for _, subject in ipairs(self.subjects) do table.move(subject.findings, 1, #subject.findings, #result.findings + 1, result.findings) end
  table.sort(result.findings, by_place)
  return result
end

return M
