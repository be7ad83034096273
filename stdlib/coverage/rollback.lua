--- coverage.rollback: the branches of rollback code in a report: what nobody wants to run for the first time in an incident.
--
-- Rollback code is what stands in a file of a folder `rollback`, or in `rollback.lua`, and the functions that steps have as
-- their `undo`. Pure functions.

local summary = require "coverage.summary"

local M = {}

local function is_rollback_file(path) return path:find "%f[^/\0]rollback/" or path:find "%f[^/\0]rollback%.lua$" end

local function is_in_undo(list, branch)
  while branch do
    if branch.undo then return true end
    branch = branch.inside and list[branch.inside]
  end
  return false
end

local function each(report, branches_of)
  local found = {}
  for _, file in ipairs(report.files) do
    local whole = is_rollback_file(file.path)
    for _, branch in ipairs(branches_of(file)) do
      if whole or is_in_undo(file.branches.list, branch) then
        found[#found + 1] = { path = file.path, line = branch.line, kind = branch.kind, text = branch.text, count = branch.count, words = summary.branch_text(branch) }
      end
    end
  end
  return found
end

--- Every branch of rollback code.
---@param report table of coverage
---@return { path: string, line: integer, kind: string, text: string, count: integer, words: string }[]
---@usage coverage.start()  coverage.stop()  assert(#require("coverage.rollback").branches(coverage.report()) == 0)
function M.branches(report) return each(report, function(file) return file.branches.list end) end

--- Those that were never taken. One inside another that was never taken is left out.
---@param report table of coverage
---@return { path: string, line: integer, kind: string, text: string, count: integer, words: string }[]
---@usage coverage.start()  coverage.stop()  assert(#require("coverage.rollback").never(coverage.report()) == 0)
function M.never(report) return each(report, summary.never) end

--- How many branches of rollback code were taken, and by name those that were not.
---@param report table of coverage
---@param what string what could have taken them, such as "world"
---@return string
---@usage coverage.start()  coverage.stop()  assert(require("coverage.rollback").text(coverage.report(), "world") == "rollback code: every branch was reached, 0 of 0\n")
function M.text(report, what)
  local all, never, out, taken = M.branches(report), M.never(report), {}, 0
  for _, branch in ipairs(all) do if branch.count > 0 then taken = taken + 1 end end
  out[1] = ("rollback code: %s reached, %d of %d"):format(taken == #all and "every branch was" or "not every branch was", taken, #all)
  for _, branch in ipairs(never) do out[#out + 1] = ("  no %s reached %s:%d %s"):format(what, branch.path, branch.line, branch.words:gsub("^line %d+ ", "")) end
  return table.concat(out, "\n") .. "\n"
end

return M
