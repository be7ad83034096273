--- check_command: `engine check`: says what is wrong with playbooks and ventures before they run.

local arguments = require "arguments"
local core_err = require "core.err"
local core_secret = require "core.secret"
local core_terminal = require "core.terminal"
local display = require "display"
local json = require "json"

local M = {}

--- Its options.
M.options = {
  strict = { type = "boolean", about = "warnings count as errors; with --venture its playbooks are also tried in simulated worlds, and all of their rollback code must be reached" },
  venture = { value = "DIR", about = "the venture's folder: its files come first, as in a run" },
  json = { type = "boolean", about = "one JSON object a finding, for machines" },
}

local COLOURS = { error = "31", warning = "33", note = "2" }

-- As long as it was: what stands under the line keeps its place.
local function without_password(text)
  return (text:gsub("(://[^:/@%s\"']*:)([^@/%s\"']+)@", function(before, password) return before .. ("*"):rep(#password) .. "@" end))
end

local function coloured(text, colour)
  if core_terminal.colour(1) then return ("\27[%sm%s\27[0m"):format(colour, text) end
  return text
end

--- A finding as people read it: place and message, the line, the place under it, what to do.
---@param finding { path: string, line: integer, column: integer, message: string, fix: string, severity: string, excerpt: string, carets: string }
---@return string
---@usage local f = { path = "a.lua", line = 1, column = 3, message = "m", fix = "F.", severity = "error", excerpt = "x y", carets = "  ^" }  assert(require("check_command").text(f) == "a.lua:1:3: m\n  x y\n    ^\n  fix: F.")
function M.text(finding)
  local colour = COLOURS[finding.severity]
  local mark = finding.severity == "error" and "" or finding.severity .. ": "
  return core_secret.redact(("%s:%d:%d: %s\n  %s\n  %s\n  fix: %s"):format(finding.path, finding.line, finding.column, coloured(mark .. finding.message, colour),
    without_password(finding.excerpt), coloured(finding.carets, colour), finding.fix))
end

local function count(findings, severity)
  local n = 0
  for _, finding in ipairs(findings) do
    if finding.severity == severity then n = n + 1 end
  end
  return n
end

local function plural(n, word) return ("%d %s%s"):format(n, word, n == 1 and "" or "s") end

local function print_result(result, tried)
  for _, finding in ipairs(result.findings) do print(M.text(finding)) end
  for _, override in ipairs(result.overrides) do
    print(("%s takes the place of %s (%s)"):format(override.path, override.replaces, override.module))
  end
  if tried then print(("tried: %s, %s, %d branches of rollback code"):format(plural(tried.worlds, "world"), plural(tried.tests, "test"), tried.branches)) end
  print(("%s checked: %s, %s"):format(plural(result.files, "file"), plural(count(result.findings, "error"), "error"), plural(count(result.findings, "warning"), "warning")))
end

local function print_json(result)
  for _, finding in ipairs(result.findings) do
    print(json.encode { path = finding.path, line = finding.line, column = finding.column, severity = finding.severity, message = finding.message, fix = finding.fix })
  end
end

local function usage(err)
  display.failure(err)
  print("  next   " .. (err.next or "engine help"))
  return 2
end

--- `engine check PATH... [--strict] [--venture DIR] [--json]`; with --strict and --venture playbooks are also tried in simulated worlds (see check.tried).
---@param argv string[]
---@return integer exit 0 when nothing is wrong, 2 when something is: what a run with it would end with
function M.main(argv)
  local options, err = arguments.parse(argv, M.options, "engine check --help")
  if not options then return usage(err) end
  if not options.words[1] and not options.venture then
    return usage(core_err.new { code = "usage", op = "command line", message = "check needs a playbook, a part or a folder", next = "engine check playbooks/stage30.lua --venture DIR" })
  end
  local result
  result, err = require("check.examine").examine(options.words, options.venture)
  if not result then return usage(err) end
  -- What is wrong on its face is put right before worlds are asked.
  local tried
  if options.strict and options.venture and count(result.findings, "error") == 0 then
    tried = require("check.tried").try(options.words, options.venture, not options.json and function(text) display.line("note", 0, text) end or nil)
    if tried then table.move(tried.findings, 1, #tried.findings, #result.findings + 1, result.findings) end
  end
  if options.json then print_json(result) else print_result(result, tried) end
  local bad = count(result.findings, "error") + (options.strict and count(result.findings, "warning") or 0)
  return bad > 0 and 2 or 0
end

return M
