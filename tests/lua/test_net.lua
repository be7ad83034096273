local net = require "net"
local t = require "test"

-- Both ends of a new connection.
local function pair(options)
  local listener = assert(net.listen(options))
  local where = options and options.path and { path = options.path } or { host = "127.0.0.1", port = listener.port }
  where.timeout = 5
  local here = assert(net.connect(where))
  return here, assert(listener:accept(5)), listener
end

t.case("lines, delimiters, pieces and the rest", function()
  local a, b = pair()
  t.ok(a:write "one\ntwo\r\nthree;;four")
  t.eq(b:read_line(), "one")
  t.eq(b:read_line(), "two")
  t.eq(b:read_until ";;", "three")
  t.eq(b:read(2), "fo")
  a:close()
  t.eq(b:read_all(), "ur")
  t.eq(b:read_all(), "")
  t.err(b:read_line(), select(2, b:read_line()), "closed")
  t.ok(not a:is_open())
  a:close()
  local value, err = a:write "more"
  t.err(value, err, "closed")
end)

t.case("a unix socket; its file goes with the listener", function()
  local path = "/tmp/engine-test-net-" .. net.free_port() .. ".sock"
  local a, b, listener = pair { path = path }
  t.eq(listener.port, 0)
  t.ok(a:write "ping\n")
  t.eq(b:read_line(), "ping")
  local again, in_use = net.listen { path = path }
  t.err(again, in_use, "exists")
  listener:close()
  local value, err = net.connect { path = path }
  t.err(value, err, "connect")
  t.has(err.message, path)
end)

t.case("a read out of time loses nothing; its error names the other side", function()
  local a, b, listener = pair()
  t.ok(b:write "half")
  local value, err = a:read_line(0.01)
  t.err(value, err, "timeout")
  t.has(err.op, tostring(listener.port))
  t.ok(b:write " and half\n")
  t.eq(a:read_line(), "half and half")
end)

t.case("a limit holds, and what came can still be read", function()
  local a, b = pair()
  t.ok(a:write(("x"):rep(100) .. "\n"))
  local value, err = b:read_until("\n", 5, 99)
  t.err(value, err, "limit")
  t.eq(b:read_until("\n", 5, 100), ("x"):rep(100))
end)

t.case("nobody listens, nobody comes, nobody is called so", function()
  local port = assert(net.free_port())
  local value, err = net.connect { host = "127.0.0.1", port = port }
  t.err(value, err, "connect")
  t.has(err.message, "127.0.0.1:" .. port)
  local listener <close> = net.listen()
  value, err = listener:accept(0.01)
  t.err(value, err, "timeout")
  value, err = net.connect { host = "no such host", port = 1 }
  t.ok(value == nil and (err.code == "resolve" or err.code == "usage"), tostring(err))
  value, err = net.connect { path = "/tmp/" .. ("x"):rep(200) }
  t.err(value, err, "limit")
end)

t.case("closing wakes who waits, on either kind of wait", function()
  local a, b, listener = pair()
  parallel {
    function() local v, err = a:read_line() t.err(v, err, "closed") end,
    function() local v, err = listener:accept() t.err(v, err, "closed") end,
    function() sleep(0.01) a:close() listener:close() end,
  }
  t.eq(b:read_all(), "")
end)

t.case("reading and writing side by side, a megabyte each way", function()
  local a, b = pair()
  local text = ("0123456789abcdef"):rep(65536)
  local got = parallel {
    function() a:write(text) return a:read_until("\n") end,
    function() b:write(text .. "\n") return true end,
    function() local n = 0 while n < #text do n = n + #assert(b:read(100000)) end return n end,
  }
  t.eq(#got[1], #text)
  t.eq(got[3], #text)
end)

t.case("a canceled wait ends, and scopes close", function()
  local listener = net.listen()
  t.raises(function() deadline(0.01, function() listener:accept(60) end) end, "deadline")
  local a
  do
    local c <close> = assert(net.connect { host = "localhost", port = listener.port })
    a = c
    t.ok(a:is_open())
  end
  t.ok(not a:is_open())
  t.ok(listener:accept(5))
end)

t.case("misuse raises", function()
  t.raises(function() net.connect {} end, "needs host and port, or path")
  t.raises(function() net.connect { path = "/x", port = 1 } end, "either path")
  t.raises(function() pair():read(0) end, "at least 1 byte")
  t.eq(net.address "nonsense", nil)
  t.eq(net.address "h:70000", nil)
  t.eq(net.address("/run/x").path, "/run/x")
  t.eq(net.address("h:80"), { host = "h", port = 80 })
end)
