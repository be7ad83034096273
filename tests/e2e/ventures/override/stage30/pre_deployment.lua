-- A venture's own 30.1: it adds a step before the stock one's health checks and leaves out the files.

local backup = require "backup"

return function(run, d)
  step("30.1.0 our own freeze check", function() run:say "nobody is deploying the warehouse today" end)
  step("30.1.1 health checks", function() return d:check(d.venture.health, d.old, "health check") end)
  -- What a step finds is what it returns: when the run is gone through again, the step is not, and gives what it gave.
  d.backup = step { "30.1.3 backup", effect = "idempotent", run = function()
    local taken = expect(backup.take { database = d.venture.database.url, to = d.venture.backup.to })
    local drill = expect(backup.drill { backup = taken.path, database = d.venture.database.url })
    local found = { id = taken.id, path = taken.path, checksum = taken.checksum, size_bytes = taken.size_bytes, seconds = taken.seconds, drill_seconds = drill.seconds }
    run:event("backup", found)
    return found
  end }
end
