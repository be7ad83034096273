-- Outputs: the deployment log always; the rollback report when something was taken back; the handoff when
-- the release was promoted. Every figure comes from the journal.

local files = require "files"
local papers = require "papers"

return function(run, d)
  local data = { run = run:row(), steps = run:steps(), events = run:events(), result = run.result, version = { before = d.old_version, release = d.release.version }, owner = d.venture.owner }
  local function write(name, text)
    local path = run.folder .. "/" .. name
    expect(files.write(path, text))
    run:say(name .. ": " .. path)
    run.outputs[name] = path
  end
  write("deployment-log.md", papers.deployment_log(data))
  if run.result.outcome == "promoted" then
    write("handoff.md", papers.handoff(data))
  else
    write("rollback-report.md", papers.rollback_report(data))
  end
end
