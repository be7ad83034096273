--- coverage.summary: from counters to a report, from several reports to one, and a report as text. Pure functions.

local M = {}

local function totals(list)
  local executed = 0
  for _, each in ipairs(list) do
    if each.count > 0 then executed = executed + 1 end
  end
  return { executed = executed, total = #list, list = list }
end

-- A range ends where the next line that could run did.
local function missed(list)
  local ranges, open = {}, nil
  for _, each in ipairs(list) do
    if each.count > 0 then
      open = nil
    elseif open then
      open.to = each.line
    else
      open = { from = each.line, to = each.line }
      ranges[#ranges + 1] = open
    end
  end
  return ranges
end

local function file_of(path, hash, lines, branches)
  local file = { path = path, hash = hash, lines = totals(lines), branches = totals(branches) }
  file.lines.missed = missed(lines)
  return file
end

--- One file of a report.
---@param map table of coverage.instrument
---@param hits integer[] its counters
---@param hash string of its text
---@return table
---@usage local text, map = coverage.instrument("return 1", "x.lua")  assert(require("coverage.summary").file(map, { 0 }, "").lines.total == 1)
function M.file(map, hits, hash)
  local counts, lines, branches = {}, {}, {}
  for _, place in ipairs(map.lines) do
    local count = 0
    for _, counter in ipairs(place.counters) do count = count + hits[counter] end
    counts[place.line] = math.max(counts[place.line] or 0, count)
  end
  for line, count in pairs(counts) do lines[#lines + 1] = { line = line, count = count } end
  table.sort(lines, function(a, b) return a.line < b.line end)
  for index, branch in ipairs(map.branches) do
    branches[index] = { kind = branch.kind, line = branch.line, text = branch.text, inside = branch.inside, undo = branch.undo, count = hits[branch.counter] }
  end
  return file_of(map.path, hash, lines, branches)
end

--- A report of files.
---@param found table[]
---@param unmeasured { path: string, why: string }[]
---@return table report as coverage.report gives it
function M.report(found, unmeasured)
  table.sort(found, function(a, b)
    if a.path ~= b.path then return a.path < b.path end
    return a.hash < b.hash
  end)
  local report = { files = found, unmeasured = unmeasured, lines = { executed = 0, total = 0 }, branches = { executed = 0, total = 0 } }
  for _, file in ipairs(found) do
    for _, what in ipairs { "lines", "branches" } do
      report[what].executed = report[what].executed + file[what].executed
      report[what].total = report[what].total + file[what].total
    end
  end
  return report
end

-- Two counts of the same text are lists of the same places.
local function added(a, b)
  local sum = {}
  for index, each in ipairs(a) do
    sum[index] = { kind = each.kind, line = each.line, text = each.text, inside = each.inside, undo = each.undo, count = each.count + b[index].count }
  end
  return sum
end

--- Adds reports, such as those of several processes. A file is the same when its path and its text are.
---@param reports table[]
---@return table report
---@usage coverage.start()  coverage.stop()  assert(coverage.merge({ coverage.report(), coverage.report() }).lines.total == 0)
function M.merge(reports)
  local by_key, found, unmeasured, is_known = {}, {}, {}, {}
  for _, report in ipairs(reports) do
    for _, file in ipairs(report.files) do
      local key = file.path .. "\0" .. file.hash
      local earlier = by_key[key]
      by_key[key] = earlier and file_of(file.path, file.hash, added(earlier.lines.list, file.lines.list), added(earlier.branches.list, file.branches.list)) or file
    end
    for _, each in ipairs(report.unmeasured) do
      if not is_known[each.path] then unmeasured[#unmeasured + 1] = each end
      is_known[each.path] = true
    end
  end
  for _, file in pairs(by_key) do found[#found + 1] = file end
  return M.report(found, unmeasured)
end

local WORDS = {
  ["then"] = "line %d then of `%s`",
  ["else"] = "line %d else of `%s`",
  loop = "line %d body of `%s`",
  ["loop skipped"] = "line %d no turn of `%s`",
  ["function"] = "line %d call of `%s`",
}

--- A branch in words.
---@param branch { kind: string, line: integer, text: string }
---@return string
---@usage assert(require("coverage.summary").branch_text { kind = "else", line = 7, text = "if a" } == "line 7 else of `if a`")
function M.branch_text(branch) return WORDS[branch.kind]:format(branch.line, branch.text) end

--- The branches of a file that were never taken. One inside another that was never taken says nothing new and is left out.
---@param file table of a report
---@return table[] branches
---@usage assert(#require("coverage.summary").never { branches = { list = { { count = 1 }, { count = 0, inside = 1 } } } } == 1)
function M.never(file)
  local list, found = file.branches.list, {}
  for _, branch in ipairs(list) do
    if branch.count == 0 and not (branch.inside and list[branch.inside].count == 0) then found[#found + 1] = branch end
  end
  return found
end

local function ranges_text(ranges)
  local words = {}
  for index, range in ipairs(ranges) do words[index] = range.from == range.to and range.from or range.from .. "-" .. range.to end
  local is_one = #ranges == 1 and ranges[1].from == ranges[1].to
  return (is_one and "line " or "lines ") .. table.concat(words, ", ")
end

local function share_text(of)
  return ("%d/%d%s"):format(of.executed, of.total, of.total > 0 and (" (%.1f %%)"):format(100 * of.executed / of.total) or "")
end

local function counts_text(of) return ("lines %s  branches %s"):format(share_text(of.lines), share_text(of.branches)) end

--- A report as text: a line for each file, below it what never ran, and at the end the sum.
---@param report table
---@return string
---@usage coverage.start()  coverage.stop()  assert(coverage.text(coverage.report()) == "0 files  lines 0/0  branches 0/0\n")
function M.text(report)
  local out = {}
  for _, file in ipairs(report.files) do
    out[#out + 1] = file.path .. "  " .. counts_text(file)
    if file.lines.missed[1] then out[#out + 1] = "  never: " .. ranges_text(file.lines.missed) end
    for _, branch in ipairs(M.never(file)) do out[#out + 1] = "  never: " .. M.branch_text(branch) end
  end
  for _, each in ipairs(report.unmeasured) do out[#out + 1] = ("%s  not measured: %s"):format(each.path, each.why) end
  out[#out + 1] = ("%d file%s  %s"):format(#report.files, #report.files == 1 and "" or "s", counts_text(report))
  return table.concat(out, "\n") .. "\n"
end

return M
