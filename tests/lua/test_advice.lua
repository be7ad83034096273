-- What to do about an error: its own advice first, then what is known of its words, then what its code says.

local core_err = require "core.err"
local t = require "test"

t.case("own advice, known words, the code's default", function()
  t.eq(advice.next(core_err.new { code = "io", message = "No space left on device", next = "Own." }), "Own.")
  t.has(advice.next(core_err.new { code = "io", message = "write: No space left on device" }), "Make room on that disk")
  t.has(advice.next(core_err.new { code = "backup", message = "could not be made", cause = "permission denied to create database" }), "CREATEDB")
  t.eq(advice.next(core_err.new { code = "io", message = "something else" }), "Check the disk, the path and its permissions.")
  t.eq(advice.next { code = "io", message = "no error of ours" }, "engine help")
end)

t.case("what is particular stands before what is general", function()
  t.has(advice.of 'connection to server at "h" failed: FATAL:  database "x" does not exist', "Create that database")
  t.has(advice.of 'relation "x" does not exist', "its migration")
  t.has(advice.of "permission denied for table x", "GRANT")
  t.has(advice.of "/run/x.sock: Permission denied", "ls -l")
  t.eq(advice.of "nothing of the kind", nil)
end)
