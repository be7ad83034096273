-- Outputs: the report of the run, which is the deployment log, and the rollback report when something was taken back; the handoff
-- when the release was promoted. Each as one HTML file and as Markdown, from the journal alone.

local papers = require "papers"
local read = require "papers.read"

return function(run)
  local record = expect(read.run(run.journal, run.id, run.result))
  for _, paper in ipairs(expect(papers.write(record, run.folder))) do
    run:say(paper.name .. ": " .. paper.path)
    run.outputs[paper.name] = paper.path
    -- Whoever takes the release over accepts what stands in this.
    if paper.name:find "^handoff.*%.md$" then run:event("handoff", { path = paper.path, sha256 = paper.sha256 }) end
  end
end
