--- check.subject: one file under examination, and the list of what was found in it.
--
-- A finding is { path, line, column, message, fix, severity, excerpt, carets }: an "error" would fail at run time or do
-- something else than what stands there; a "warning" is doubtful; a "note" only informs.

local core_err = require "core.err"
local files = require "files"
local module = require "check.module"
local parser = require "check.parser"
local prelude = require "prelude"
local scope = require "check.scope"
local source = require "check.source"

local M = {}

local Subject = {}
Subject.__index = Subject

--- Records a finding at a node, or at anything with `at` and `to`.
---@param severity "error"|"warning"|"note"
---@param place { at: integer, to: integer }
---@param message string
---@param fix string what to do
function Subject:report(severity, place, message, fix)
  local line, column = self.source:position(place.at)
  local excerpt, carets = self.source:excerpt(place.at, place.to)
  self.findings[#self.findings + 1] = { path = self.path, line = line, column = column, message = message, fix = fix, severity = severity, excerpt = excerpt, carets = carets }
end

--- Parses the text; what is wrong with it becomes a finding. True when it has a tree.
---@return boolean
function Subject:parse()
  local tree, err = parser.parse(self.source.text)
  local names
  if tree then names, err = scope.resolve(tree) end
  if err then
    self:report("error", err, err.message, err.fix)
    return false
  end
  -- Lua has limits of its own (200 locals a function, for one), and it has the last word.
  local chunk, message = load(self.source.text, "=source")
  if not chunk then
    local line = math.tointeger(tonumber(message:match "^source:(%d+):")) or 1
    local at = self.source:offset(line)
    self:report("error", { at = at, to = at }, (message:gsub("^source:%d+: ", "")), "Correct this line.")
    return false
  end
  self.tree, self.declarations, self.globals = tree, names.declarations, names.globals
  self.module = module.describe(tree, self.source.text)
  return true
end

--- A file to examine.
---@param path string
---@param registry table what it can name
---@return table? subject, table? err of reading it
function M.open(path, registry)
  local text, err = files.read(path)
  if not text then
    return nil, core_err.new { code = err.code, op = "check", message = ("%s cannot be read: %s"):format(path, err.message), next = "Give a .lua file or a folder." }
  end
  return M.of_text(path, text, registry)
end

--- The same for a text.
---@param path string what it is called
---@param text string
---@param registry table
---@return table subject
---@usage local s = require("check.subject").of_text("x.lua", "x = = 1", require("check.registry").new {})  assert(not s:parse() and s.findings[1].column == 5)
function M.of_text(path, text, registry)
  local words = path:find "_test%.lua$" and prelude.test_words or {} -- what this kind of file has beside the words of all
  return setmetatable({ path = path, source = source.new(path, text), registry = registry, words = words, findings = {} }, Subject)
end

return M
