--- simulation.drivers.papers: stands in for the modules papers and papers.read: that a paper is made is what matters, and what it would say is in the journal.

local files = require "files"
local world = require("simulation.current").world

local M = {}

--- As papers.read.run: what there is to write about.
function M.run(_, id, result) return { run = { id = id }, result = result or {} } end

--- As papers.write: the report of every run, and the handoff of one that was promoted.
function M.write(record, folder)
  local here, written = world(), {}
  local names = record.result.outcome == "promoted" and { "report", "handoff" } or { "report" }
  for _, name in ipairs(names) do
    local path = ("%s/%s-%s.md"):format(folder, name, record.run.id)
    local ok, err = files.write(path, name .. "\n")
    if not ok then return nil, err end
    here:note("paper", { name = name, stage = here.database.stage, green = here.weights.green })
    written[#written + 1] = { name = ("%s-%s.md"):format(name, record.run.id), path = path, sha256 = files.sha256_text(path) }
  end
  return written
end

return M
