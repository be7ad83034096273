--- coverage: which lines and branches of playbooks have run.
--
-- From `start` on, every source that is loaded and is not of the library itself is loaded with counters in it (see
-- coverage.instrument), for as long as the process lives or until `stop`. A file that is loaded again counts on. What was
-- loaded before, what `load` compiles, and a venture's configuration, which is data, are not counted.
--
-- Lines are those in which a statement begins, and those with the condition of an `elseif` or `until`. A line counts as
-- executed when its statement began. That is exact also where a statement raises or leaves before the end of its block, with
-- these exceptions: an `elseif` whose own condition raises does not count as executed; a statement of several lines is
-- one (the bodies of functions in it are not); and where a script is stopped from outside while it computes, or runs
-- out of memory, the rest of its present segment counts.
--
-- Branches are exact counts. Their kinds: "then" (of an `if` or `elseif`), "else" (also where none is written: no
-- condition was true), "loop" (its body, once for each turn), "loop skipped" (the loop had no turn), "function" (was
-- called). Loops that cannot be skipped, such as `while true`, have no such branch. The operands of `and` and `or` are no
-- branches: they are values more often than decisions, and to count them would take a call for each.
--
-- `instrument` is that of coverage.instrument, `merge` and `text` are those of coverage.summary.

local core_search = require "core.search"
local files = require "files"
local instrument = require "coverage.instrument"
local summary = require "coverage.summary"

local M = {}

M.instrument = instrument.instrument
M.merge = summary.merge
M.text = summary.text

-- What is counted since start: { map, hits } by path and text, and { path, why } of what could not be.
local measured, unmeasured = {}, {}

local function prepare(text, path)
  local key = path .. "\0" .. text
  local file = measured[key]
  if not file then
    local with_counters, map = instrument.instrument(text, path)
    if not with_counters then
      if map.code == "limit" then unmeasured[#unmeasured + 1] = { path = path, why = map.message } end
      return nil
    end
    local hits = {}
    for counter = 1, map.counters do hits[counter] = 0 end
    file = { text = with_counters, map = map, hits = hits }
    measured[key] = file
  end
  return file.text, file.hits
end

--- Counts from now on, from zero, in what is loaded from now on.
---@param predicate? fun(path: string): boolean which files; default: all that are not of the library
---@usage coverage.start(function(path) return path:find "rollback" ~= nil end)  coverage.stop()
function M.start(predicate)
  if predicate ~= nil and type(predicate) ~= "function" then error("coverage.start takes a function of a path", 2) end
  measured, unmeasured = {}, {}
  core_search.transform(function(text, path)
    if not predicate or predicate(path) then return prepare(text, path) end
  end)
end

--- Loads what comes as it is again. What has counters keeps counting.
---@usage coverage.start()  coverage.stop()  assert(#coverage.report().files == 0)
function M.stop() core_search.transform(nil) end

--- What was counted since `start`, as plain data.
---@return { files: table[], unmeasured: { path: string, why: string }[], lines: { executed: integer, total: integer }, branches: { executed: integer, total: integer } } report each file has path, hash, lines = { executed, total, missed = { from, to }[], list = { line, count }[] } and branches = { executed, total, list = { kind, line, count, text, inside?, undo? }[] }; inside is the place in the list of the branch around it; undo: it is the function that takes a step back
---@usage coverage.start()  coverage.stop()  assert(coverage.report().lines.total == 0)
function M.report()
  local found = {}
  for _, file in pairs(measured) do
    found[#found + 1] = summary.file(file.map, file.hits, files.sha256_text(file.map.text))
  end
  return summary.report(found, table.move(unmeasured, 1, #unmeasured, 1, {}))
end

return M
