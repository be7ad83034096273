--- `engine test [FILES...]`: runs tests of playbooks (see module trial): each in simulated worlds, with what of the playbooks they reached at the end.

local arguments = require "arguments"
local core_err = require "core.err"
local coverage = require "coverage"
local display = require "display"
local files = require "files"
local json = require "json"
local paths = require "check.paths"
local rollback = require "coverage.rollback"
local simulation = require "simulation"
local trial = require "trial"

local M = {}

--- Its options.
M.options = {
  venture = { value = "DIR", about = "the venture's folder: its tests are found, and worlds that name no venture have this one" },
  json = { type = "boolean", about = "one JSON object with everything, for machines" },
}

local STOCK = "playbooks"

local function has_file(path)
  local stat = files.stat(path, { follow = true })
  return stat and stat.type == "file"
end

-- The test files that are meant, each with the venture of its worlds.
local function find(options)
  local wanted = options.words
  if not wanted[1] then
    wanted = { options.venture }
    local stat = files.stat(STOCK, { follow = true })
    if stat and stat.type == "directory" then wanted[#wanted + 1] = STOCK end
  end
  local found, err = paths.collect(wanted)
  if not found then return nil, err end
  local is_given = {}
  for _, path in ipairs(options.words) do is_given[path] = true end
  local tests = {}
  for _, each in ipairs(found) do
    if is_given[each.path] or each.path:find "_test%.lua$" then
      local own = each.root and has_file(paths.join(each.root, "venture.lua")) and each.root
      tests[#tests + 1] = { path = each.path, venture = options.venture or own or nil }
    end
  end
  if tests[1] then return tests end
  return nil, core_err.new { code = "usage", op = "test", message = "there is no test: no file whose name ends in _test.lua" .. (wanted[1] and " under " .. table.concat(wanted, ", ") or ""),
    next = "Write one, as docs/playbooks.md shows, or give its path." }
end

local function first_line(text) return text:match "^[^\n]*" end

local function print_failure(result)
  local place = result.kind == "failed" and ("%s:%d: "):format(result.path, result.line) or ""
  print("    " .. place .. display.plain(result.text):gsub("\n", "\n    "))
  if result.story then
    print "    the steps that ran, by seconds since the beginning:"
    for _, line in ipairs(result.story) do print(("    %9.1f  %s %s"):format(line.at, line.kind == "done" and "✓" or "✗", display.plain(line.text):gsub("\n", "\n                "))) end
  end
  if result.next then print("    next   " .. result.next) end
end

-- Of a test, or of a file that could not be read.
local function tell(totals, result, is_silent)
  local list = totals.results
  list[#list + 1] = result
  totals[result.ok and "passed" or result.kind] = totals[result.ok and "passed" or result.kind] + 1
  if is_silent then return end
  display.line(result.ok and "done" or "failed", 1, result.name or "it cannot be read")
  if not result.ok then print_failure(result) end
end

local function run_file(each, totals, is_silent)
  if not is_silent then print(each.path) end
  local ok, file = pcall(trial.load, each.path, each.venture)
  if not ok then
    if not core_err.is(file) then error(file, 0) end
    tell(totals, { path = each.path, ok = false, kind = "mistake", text = file.message, next = file.next }, is_silent)
    return
  end
  for _, test in ipairs(file.tests) do
    local ended = trial.run(file, test)
    tell(totals, { path = each.path, name = test.name, line = ended.line or test.line, ok = ended.ok, kind = ended.kind, text = ended.text, next = ended.next, story = ended.seen and ended.seen:story() }, is_silent)
  end
end

local function plural(n, word) return ("%d %s%s"):format(n, word, n == 1 and "" or "s") end

--- Runs test files.
---@param found { path: string, venture?: string }[]
---@param is_silent? boolean nothing is printed
---@return table totals passed, failed, mistake, results, coverage
function M.run(found, is_silent)
  local totals = { passed = 0, failed = 0, mistake = 0, results = {} }
  coverage.start(simulation.is_tried)
  for _, each in ipairs(found) do run_file(each, totals, is_silent) end
  totals.coverage = coverage.report()
  return totals
end

local function as_json(totals)
  local report = totals.coverage
  return json.encode { passed = totals.passed, failed = totals.failed, mistakes = totals.mistake, tests = json.array(totals.results), coverage = report,
    rollback = { branches = #rollback.branches(report), never = json.array(rollback.never(report)) } }
end

local function print_totals(totals)
  print((coverage.text(totals.coverage):gsub("\n$", "")))
  print((rollback.text(totals.coverage, "test"):gsub("\n$", "")))
  for _, result in ipairs(totals.results) do
    if not result.ok then display.line("failed", 0, ("%s: %s: %s"):format(result.path, result.name or "it cannot be read", first_line(result.text))) end
  end
  if totals.mistake > 0 then print(plural(totals.mistake, "mistake") .. " in tests") end
  print(("%d passed, %d failed"):format(totals.passed, totals.failed))
end

--- `engine test [FILES...] [--venture DIR] [--json]`
---@param argv string[]
---@return integer exit 0 all passed, 1 one failed, 2 something is wrong with a test itself or with the command
function M.main(argv)
  local options, err = arguments.parse(argv, M.options, "engine test --help")
  local found
  if options then found, err = find(options) end
  if not found then
    display.failure(err)
    print("  next   " .. (err.next or "engine help"))
    return 2
  end
  local totals = M.run(found, options.json)
  if options.json then print(as_json(totals)) else print_totals(totals) end
  return totals.mistake > 0 and 2 or totals.failed > 0 and 1 or 0
end

return M
