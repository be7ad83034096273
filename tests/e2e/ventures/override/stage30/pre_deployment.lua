-- A venture's own 30.1: it adds a step before the stock one's health checks and leaves out the files.

local backup = require "backup"

return function(run, d)
  step("30.1.0 our own freeze check", function() run:say "nobody is deploying the warehouse today" end)
  step("30.1.1 health checks", function() return d:check(d.venture.health, d.old, "health check") end)
  step("30.1.3 backup", function()
    local taken = expect(backup.take { database = d.venture.database.url, to = d.venture.backup.to })
    d.backup = { id = taken.id, path = taken.path, checksum = taken.checksum, size_bytes = taken.size_bytes, seconds = taken.seconds }
    local drill = expect(backup.drill { backup = taken.path, database = d.venture.database.url })
    d.backup.drill_seconds = drill.seconds
    run:event("backup", d.backup)
  end)
end
