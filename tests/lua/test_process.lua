local t = require "test"

t.case("run gives the exit code and both streams", function()
  local r = t.ok(process.run { argv = { "sh", "-c", "echo out; echo err >&2; exit 3" } })
  t.eq({ r.code, r.stdout, r.stderr }, { 3, "out\n", "err\n" })
end)

t.case("input, environment and folder", function()
  local r = t.ok(process.run { argv = { "sh", "-c", "cat; echo $X; pwd" }, stdin = "in\n", env = { X = "value" }, cwd = "/tmp" })
  t.eq(r.stdout, "in\nvalue\n/tmp\n")
end)

t.case("a missing program is named", function()
  local _, err = process.run { argv = { "/no/such/program" } }
  t.err(_, err, "not_found")
  t.has(err.message, "/no/such/program")
end)

t.case("a timeout ends the child and what it started, even if it ignores SIGTERM", function()
  local file = "/tmp/engine-test-" .. random.hex(6)
  local value, err = process.run { argv = { "sh", "-c", "trap '' TERM; echo $$ > " .. file .. "; while :; do sleep 1; done" }, timeout = 0.3, grace = 0.2 }
  t.err(value, err, "timeout")
  local pid = process.run { argv = { "cat", file } }.stdout:match "%d+"
  t.eq(process.run { argv = { "kill", "-0", pid } }.code, 1)
  process.run { argv = { "rm", file } }
end)

t.case("lines are given as they come", function()
  local lines = {}
  process.run { argv = { "sh", "-c", "echo one; echo two >&2; printf three" }, on_line = function(line) lines[#lines + 1] = line end }
  table.sort(lines)
  t.eq(lines, { "one", "three", "two" })
end)

t.case("a flood of output is kept within its limit", function()
  local r = t.ok(process.run { argv = { "sh", "-c", "head -c 20000000 /dev/zero | tr '\\0' x; echo end" }, max_output = 10000 })
  t.ok(#r.stdout < 12000, #r.stdout)
  t.has(r.stdout, "bytes left out")
  t.has(r.stdout, "end\n")
end)

t.case("a detached process lives until it is stopped, and only it is meant", function()
  local log = "/tmp/engine-test-" .. random.hex(6)
  local handle = t.ok(process.spawn { argv = { "sh", "-c", "echo started; exec sleep 100" }, log = log })
  t.ok(process.alive(handle))
  t.eq(process.alive { pid = handle.pid, started = handle.started + 1 }, false)
  t.ok(process.stop(handle, { grace = 2 }))
  t.eq(process.alive(handle), false)
  t.ok(process.stop(handle), "stopping again is no error")
  process.run { argv = { "rm", log } }
end)

t.case("an exec that fails is reported", function()
  local value, err = process.spawn { argv = { "/no/such/program" }, log = "/dev/null" }
  t.err(value, err, "not_found")
end)

t.case("a secret is refused in argv and passed in env", function()
  local secret = require("core.secret").wrap("s3cret-value", "test")
  t.raises(function() process.run { argv = { "echo", secret } } end, "is a secret")
  t.eq(process.run { argv = { "sh", "-c", "printf $S" }, env = { S = secret } }.stdout, "s3cret-value")
end)

t.case("a child has no descriptor of ours", function()
  t.eq(process.run { argv = { "sh", "-c", "ls /proc/self/fd | tr '\\n' ' '" } }.stdout, "0 1 2 3 ") -- 3 is ls's own
end)
