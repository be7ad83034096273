local t = require "test"
local task = require "task"

local function sh(text, options)
  options = options or {}
  options.argv = { "sh", "-c", text }
  return process.run(options)
end

t.case("a result has everything", function()
  local r = t.ok(sh "echo out; echo err >&2; exit 3")
  t.eq(r.code, 3)
  t.eq(r.stdout, "out\n")
  t.eq(r.stderr, "err\n")
  t.eq(r.signal, nil)
  t.eq(r.truncated, false)
  t.eq(math.type(r.seconds), "float")
  t.eq(t.ok(sh "kill -9 $$").signal, 9)
end)

t.case("arguments are not interpreted", function()
  local r = t.ok(process.run { argv = { "printf", "%s|", "a b", "$HOME", "*", 'q"', 7 } })
  t.eq(r.stdout, 'a b|$HOME|*|q"|7|')
end)

t.case("cwd, env, stdin", function()
  local r = t.ok(sh("pwd; echo $A-$B; cat", { cwd = "/usr", env = { A = "1", B = 2 }, stdin = "typed" }))
  t.eq(r.stdout, "/usr\n1-2\ntyped")
  t.eq(t.ok(process.run { argv = { "env" }, clean_env = true, env = { ONLY = "this" } }).stdout, "ONLY=this\n")
  t.eq(t.ok(process.run { argv = { "env" }, clean_env = true }).stdout, "")
  t.eq(t.ok(sh("echo ${HOME-none}", { env = { HOME = false } })).stdout, "none\n")
  t.eq(t.ok(sh("cat", { stdin = ("x"):rep(1000000) })).stdout, ("x"):rep(1000000))
  t.eq(t.ok(sh("true", { stdin = ("x"):rep(1000000) })).code, 0) -- it need not read
  t.eq(t.ok(sh "cat").stdout, "")
end)

t.case("what goes wrong", function()
  t.err(nil, select(2, process.run { argv = { "no-such-command" } }), "not_found")
  t.err(nil, select(2, process.run { argv = { "true" }, cwd = "/no/such" }), "not_found")
  local value, err = sh("sleep 100", { timeout = 0.02 })
  t.err(value, err, "timeout")
  t.eq(err.stdout, "")
  value, err = sh("echo why >&2; exit 2", { check = true })
  t.err(value, err, "process")
  t.has(err.message, "exit code 2: why")
  t.eq(err.exit, 2)
  t.raises(function() process.run { argv = {} } end, "argv")
  t.raises(function() process.run { argv = "ls -l" } end, "argv")
  t.raises(function() process.run { argv = { "ls" }, shell = true } end, "no option 'shell'")
  t.raises(function() process.run { argv = { "ls\0x" } } end, "zero byte")
  t.raises(function() process.run { argv = { "ls" }, env = { ["A=B"] = "x" } } end, "name")
end)

t.case("secrets go into env and stdin, not into argv", function()
  local s = secret.wrap("hunter22", "test")
  local r = t.ok(sh('test "$S" = hunter22 && cat | wc -c', { env = { S = s }, stdin = s }))
  t.eq(tonumber(r.stdout), 8)
  t.raises(function() process.run { argv = { "echo", s } } end, "visible to everybody")
  local value, err = sh('echo "bad password $S" >&2; exit 1', { env = { S = s }, check = true })
  t.err(value, err, "process")
  t.has(err.message, "bad password ********")
end)

t.case("lines are handed over while it runs, and may wait", function()
  local seen = {}
  local r = t.ok(sh("echo a; echo b >&2; sleep 0.05; printf c", { on_line = function(line, stream)
    sleep(0.001)
    seen[#seen + 1] = stream .. ":" .. line
  end }))
  table.sort(seen)
  t.eq(seen, { "stderr:b", "stdout:a", "stdout:c" })
  t.eq(r.stdout, "a\nc")
end)

t.case("an error in on_line stops the command", function()
  local err = t.raises(function()
    sh("echo $$; sleep 1000", { on_line = function(line) error("seen " .. line, 0) end })
  end, "seen")
  t.eq(process.identify(tonumber(tostring(err):match "seen (%d+)")), nil)
end)

t.case("100 MB of output stay within the limit", function()
  local lines, bytes = 0, 0
  local r = t.ok(sh("yes 123456789012345678901234567890123456789 | head -c 100000000", {
    max_output = 1000, timeout = 55, on_line = function(line) lines, bytes = lines + 1, bytes + #line + 1 end,
  }))
  t.eq(lines, 2500000)
  t.eq(bytes, 100000000)
  t.eq(r.truncated, true)
  t.ok(#r.stdout < 1100)
  t.has(r.stdout, "[... 99999000 bytes left out ...]")
end, 60)

t.case("a canceled task waits until its command is gone", function()
  local core_task = require "core.task"
  local folder = t.ok(files.mkdtemp())
  local ready = false
  local child = core_task.spawn("", function()
    sh("trap 'sleep 0.2; echo cleaned > " .. folder .. "/done; exit' TERM; echo ready; while :; do sleep 0.01; done",
      { on_line = function() ready = true end, grace = 30 })
  end)
  while not ready do sleep(0.001) end
  core_task.cancel(child, require("core.err").new { code = "canceled", message = "enough" })
  local ok, err = core_task.join(child)
  t.eq(ok, false)
  t.eq(err.message, "enough")
  t.eq(files.read(folder .. "/done"), "cleaned\n")
  files.remove_tree(folder)
end)

t.case("a script may open its own streams by name", function()
  t.eq(t.ok(sh "echo out > /dev/stdout; echo err > /dev/stderr").stderr, "err\n")
end)

t.case("a daemon that keeps the output open does not hold the command", function()
  local r = t.ok(sh("setsid sleep 1000 & echo $!", { timeout = 50 }))
  t.eq(r.code, 0)
  local daemon = t.ok(process.identify(tonumber(r.stdout)))
  t.ok(process.stop(daemon))
end)

t.case("output to a file", function()
  local folder = t.ok(files.mkdtemp())
  local r = t.ok(sh("echo a; echo b >&2", { log = folder .. "/log" }))
  t.eq(r.stdout, "")
  t.eq(files.read(folder .. "/log"), "a\nb\n")
  t.eq(files.stat(folder .. "/log").mode, tonumber("600", 8))
  files.remove_tree(folder)
end)

t.case("many at once", function()
  local items = {}
  for i = 1, 40 do items[i] = i end
  local results = task.map(items, function(i) return process.run({ argv = { "echo", i } }).stdout end)
  t.eq(results[40], "40\n")
end)

t.case("a detached process can be found again from JSON", function()
  local folder = t.ok(files.mkdtemp())
  local handle = t.ok(process.spawn { argv = { "sh", "-c", "echo up $X; exec sleep 1000" }, env = { X = "7" }, cwd = "/", log = folder .. "/log" })
  local kept = json.decode(json.encode(handle))
  t.ok(process.alive(kept))
  t.err(nil, select(2, process.wait(kept, 0.02)), "timeout")
  t.eq(process.alive { pid = kept.pid, started = kept.started - 1 }, false)
  t.ok(process.stop { pid = kept.pid, started = kept.started - 1 })
  while files.read(folder .. "/log") == "" do sleep(0.001) end
  t.ok(process.alive(kept))
  t.eq(process.stop(kept).signal, 15)
  t.eq(process.alive(kept), false)
  t.ok(process.stop(kept))
  t.eq(files.read(folder .. "/log"), "up 7\n")
  t.raises(function() process.alive { pid = 1 } end, "named by")
  t.err(nil, select(2, process.spawn { argv = { "no-such-command" } }), "not_found")
  files.remove_tree(folder)
end)

t.case("a detached process outlives its engine", function()
  local r = t.ok(process.run { argv = { process.self().exe, "-e", 'return json.encode(process.spawn { argv = { "sleep", "1000" } })' }, check = true })
  local handle = t.ok(json.decode(r.stdout))
  t.ok(process.alive(handle))
  t.ok(process.stop(handle, { grace = 5 }))
  t.eq(process.alive(handle), false)
end)

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
