-- 30.1 Pre-deployment validation. Any failure here aborts; nothing has been changed.

local backup = require "backup"
local display = require "display"

return function(run, d)
  local venture = d.venture

  step("30.1.1 health checks", function()
    return d:check(venture.health, d.old, "health check")
  end)

  -- A test payment and a test mail: each is known by the step's key, and is not made twice.
  step { "30.1.2 external dependencies", effect = "keyed", run = function()
    return d:check(venture.dependencies.external, d.old, "external dependency")
  end }

  step("30.1.2 internal dependencies", function()
    return d:check(venture.dependencies.internal, d.old, "internal dependency")
  end)

  d.backup_begun = true -- from here on a backup may be marked as this run's
  d.backup = step { "30.1.3 backup", effect = "idempotent", run = function()
    local taken = expect(backup.take { database = venture.database.url, files = venture.backup.files, to = venture.backup.to, since = venture.backup.incremental or nil, timeout = venture.backup.timeout, passphrase = venture.backup.passphrase, progress = display.progress_of "backup" })
    expect(backup.need(taken.path, "run " .. run.id))
    run:say(("%s, %d bytes in %s, SHA-256 %s"):format(taken.path, taken.size_bytes, display.duration(taken.seconds), taken.checksum:sub(1, 16)))
    if taken.incremental then run:say(backup.reuse_text(taken.incremental)) end
    return { id = taken.id, path = taken.path, checksum = taken.checksum, size_bytes = taken.size_bytes, seconds = taken.seconds }
  end }

  step("30.1.3 backup integrity", function()
    local verified = expect(backup.verify(d.backup.path, d.backup.checksum, display.progress_of "integrity"))
    run:say(("%d files read and compared with their SHA-256"):format(verified.files), "done")
    return { files = verified.files, bytes = verified.bytes }
  end)

  local drilled = step { "30.1.3 restoration tested in staging", effect = "idempotent", run = function()
    if not venture.backup.drill then fail("gate", "backup.drill is false: a backup that was never restored does not pass") end
    local drill = expect(backup.drill { backup = d.backup.path, checksum = d.backup.checksum, database = venture.database.url, keep = venture.backup.warm, passphrase = venture.backup.passphrase, progress = display.progress_of "restoration" })
    run:event("backup", { id = d.backup.id, path = d.backup.path, checksum = d.backup.checksum, size_bytes = d.backup.size_bytes, seconds = d.backup.seconds, drill_seconds = drill.seconds })
    run:say(("restored beside the live database and compared: %d tables, %d rows, %s; a database rollback takes %s"):format(drill.tables, drill.rows, display.duration(drill.seconds), drill.copy and "the time of a swap, as the copy is kept" or "as long"), "done")
    if drill.copy then run:say "the copy is kept until the run ends: a database rollback swaps it in" end
    return { seconds = drill.seconds, tables = drill.tables, rows = drill.rows, copy = drill.copy }
  end }
  d.backup.drill_seconds, d.warm_copy = drilled.seconds, drilled.copy

  if venture.backup.store then
    step { "30.1.3 backup in the store", effect = "idempotent", run = function()
      local store = expect(require("backup.s3").open(venture.backup.store))
      local sent = expect(store:put(d.backup.path, d.backup.id, display.progress_of "upload"))
      run:say(("%d files in %s, each as the store itself counts it"):format(sent.files, venture.backup.store:match "^[^?]*"), "done")
      return { files = sent.files, sent_bytes = sent.sent_bytes }
    end }
  end
end
