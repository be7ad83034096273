--- check.tried: a playbook is tried in simulated worlds, and by the tests that are found beside it and in the venture: what is wrong then, and which
-- branches of its rollback code nothing reaches. In processes of their own, as a process that was in a simulated world stays there.

local core_err = require "core.err"
local core_search = require "core.search"
local coverage_summary = require "coverage.summary"
local files = require "files"
local json = require "json"
local paths = require "check.paths"
local process = require "process"
local rollback = require "coverage.rollback"
local source = require "check.source"

local M = {}

--- So many worlds, from seed 1 on.
M.WORLDS = 300

local DEADLINE_S = 1800
local MOST_BYTES = 64 << 20

-- A finding about a whole line.
local function finding(path, line, severity, message, fix)
  local text = files.read(path) or core_search.baked(path) or ""
  local of = source.new(path, text)
  local at = of:offset(line) + #of:line(line):match "^%s*"
  local _, column = of:position(at)
  local excerpt, carets = of:excerpt(at, at + math.max(#of:line(line):match "^%s*(.-)%s*$" - 1, 0))
  return { path = path, line = line, column = column, severity = severity, message = message, fix = fix, excerpt = excerpt, carets = carets }
end

-- What a command of the engine says as JSON; nil and its words when it could not do it.
local function ask(...)
  local ended, err = process.run { argv = { process.self().exe, ... }, timeout = DEADLINE_S, max_output = MOST_BYTES }
  if not ended then return nil, err.message end
  local said = ended.code and ended.code <= 2 and json.decode(ended.stdout)
  if type(said) == "table" then return said end
  local words = ended.stdout:match "^%S+ ([^\n]+)" or (ended.stdout .. ended.stderr):match "[^\n]+" or "it said nothing"
  return nil, words
end

-- A playbook that needs no venture changes nothing of one.
local function is_for_ventures(path)
  local text = files.read(path) or ""
  return text:find "%f[%w_]return%s+playbook%f[^%w_]" and text:find "%f[%w_]needs_venture%s*=%s*true" and true or false
end

-- The folders that have tests of these playbooks.
local function folders_with_tests(playbooks, venture)
  local folders, found, is_known = { venture }, {}, {}
  for _, path in ipairs(playbooks) do folders[#folders + 1] = path:match "^(.*)/[^/]*$" or "." end
  for _, folder in ipairs(folders) do
    for _, each in ipairs(paths.collect { folder } or {}) do
      if each.path:find "_test%.lua$" and not is_known[folder] then
        found[#found + 1], is_known[folder] = folder, true
      end
    end
  end
  return found
end

local function add_simulated(result, path, said)
  for _, failure in ipairs(said.failures) do
    result.findings[#result.findings + 1] = finding(path, 1, "error", ("in %d of %d simulated worlds this is not true: %s: %s"):format(failure.worlds, said.worlds, failure.name, failure.text), ("Look at the smallest of them: %s."):format(failure.next))
  end
  result.worlds = result.worlds + said.worlds
end

local function add_tests(result, said)
  for _, test in ipairs(said.tests) do
    if not test.ok then
      result.findings[#result.findings + 1] = finding(test.path, test.line or 1, "error", ("the test '%s' fails: %s"):format(test.name or test.path, test.text:match "^[^\n]*"), ("Run engine test %s."):format(test.path))
    end
  end
  result.tests = result.tests + #said.tests
end

-- What worlds and tests reached of the files that this playbook has.
local function together(simulated, tested)
  local is_own, reports = {}, { simulated }
  for _, file in ipairs(simulated.files) do is_own[file.path .. file.hash] = true end
  if tested then
    local own = {}
    for _, file in ipairs(tested.files) do if is_own[file.path .. file.hash] then own[#own + 1] = file end end
    reports[2] = coverage_summary.report(own, {})
  end
  return coverage_summary.merge(reports)
end

local function add_never(result, report)
  for _, branch in ipairs(rollback.never(report)) do
    local words = branch.words:gsub("^line %d+ ", "")
    result.findings[#result.findings + 1] = finding(branch.path, branch.line, "warning", ("rollback code that no world and no test reaches: the %s"):format(words),
      "Say in a test which world reaches it (\"Trying a playbook\" in docs/playbooks.md), or remove it.")
  end
  result.branches = result.branches + #rollback.branches(report)
end

--- Tries the playbooks among the paths. Gives nothing when there is none that needs a venture.
---@param words string[] paths
---@param venture string folder
---@param on_begin? fun(text: string) is told what will take a while
---@return { findings: table[], worlds: integer, tests: integer, branches: integer }? result
function M.try(words, venture, on_begin)
  local playbooks = {}
  for _, path in ipairs(words) do if is_for_ventures(path) then playbooks[#playbooks + 1] = path end end
  if not playbooks[1] then return nil end
  if on_begin then on_begin(("%s in %d simulated worlds, seed 1"):format(table.concat(playbooks, ", "), M.WORLDS)) end
  local result = { findings = {}, worlds = 0, tests = 0, branches = 0 }
  local folders, tested = folders_with_tests(playbooks, venture), nil
  if folders[1] then
    local said, err = ask("test", "--json", "--venture", venture, table.unpack(folders))
    if not said then error(core_err.new { code = "playbook", op = "check", message = "the tests cannot be run: " .. err }, 0) end
    add_tests(result, said)
    tested = said.coverage
  end
  for _, path in ipairs(playbooks) do
    local said, err = ask("simulate", path, "--venture", venture, "--worlds", tostring(M.WORLDS), "--seed", "1", "--json")
    if said then
      add_simulated(result, path, said)
      add_never(result, together(said.coverage, tested))
    else
      result.findings[#result.findings + 1] = finding(path, 1, "error", "it cannot be simulated: " .. err, ("Run engine simulate %s --venture %s."):format(path, venture))
    end
  end
  return result
end

return M
