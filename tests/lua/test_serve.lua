local t = require "test"

local function with_server(options, fn)
  local server = t.ok(serve.http(options))
  fn("http://127.0.0.1:" .. server.port, server)
  t.ok(server:stop(10))
end

t.case("whatever a handler gives, the server goes on", function()
  local answers = {
    ["/nothing"] = function() end,
    ["/number"] = function() return 7 end,
    ["/body"] = function() return { body = {} } end,
    ["/status"] = function() return { status = "200" } end,
    ["/status-range"] = function() return { status = 42 } end,
    ["/headers"] = function() return { headers = "x" } end,
    ["/header"] = function() return { headers = { x = {} } } end,
    ["/raise"] = function() error "broken" end,
    ["/raise-table"] = function() error({}) end,
    ["/raise-nil"] = function() error(nil) end,
  }
  with_server({ handler = function(r) local answer = answers[r.path] return answer and answer() or r.path == "/good" and "fine" or nil end }, function(base)
    for path in pairs(answers) do
      t.eq(http.get(base .. path, { timeout = 10 }).status, 500, path)
    end
    t.eq(http.get(base .. "/good", { timeout = 10 }).body, "fine\n")
  end)
end)

t.case("what a request carries", function()
  with_server({ routes = { ["POST /ventures/:venture_id/runs/:run"] = function(r) return serve.json(r) end } }, function(base)
    local r = t.ok(http.post(base .. "/ventures/a%20b/runs/7?q=1%2B1&empty=", "body", { headers = { ["X-Mixed"] = "Case" } }))
    local seen = r:json()
    t.eq(seen.params, { venture_id = "a b", run = "7" })
    t.eq(seen.query, { q = "1+1", empty = "" })
    t.eq(seen.headers["x-mixed"], "Case")
    t.eq(seen.remote, "127.0.0.1")
    t.eq(seen.body, "body")
  end)
end)

t.case("a wrong method is told the right ones", function()
  with_server({ routes = { ["GET /a"] = function() return "a" end, ["PUT /a"] = function() return "a" end } }, function(base)
    local r = http.request { url = base .. "/a", method = "DELETE" }
    t.eq(r.status, 405)
    t.has(r.headers.allow, "GET")
    t.has(r.headers.allow, "PUT")
    t.eq(http.request { url = base .. "/a", method = "HEAD" }.status, 200)
  end)
end)

t.case("a handler that takes too long is ended", function()
  local after = false
  with_server({ handler_timeout = 0.05, handler = function(r)
    if r.path == "/slow" then sleep(3600) after = true end
    return "quick"
  end }, function(base)
    t.eq(http.get(base .. "/slow").status, 503)
    t.eq(http.get(base .. "/").status, 200)
  end)
  t.eq(after, false)
end)

t.case("long headers come through whole", function()
  with_server({ handler = function() return { headers = { ["x-long"] = ("y"):rep(10000) } } end }, function(base)
    t.eq(#http.get(base).headers["x-long"], 10000)
  end)
end)

t.case("several may stop it at once", function()
  local server = t.ok(serve.http { handler = function() sleep(0.05) return "late" end })
  local asking = background(function() return http.get("http://127.0.0.1:" .. server.port) end)
  sleep(0.02)
  local stopped = parallel { function() return server:stop(10) end, function() return server:stop(10) end }
  t.eq(stopped, { true, true })
  t.eq(asking:join().status, 200)
  t.eq(server:stop(1), true)
  server:wait()
end)

t.case("a stop that is too short says so", function()
  local seen = false
  local server = t.ok(serve.http { handler = function() seen = true sleep(3600) return "never" end })
  local asking = background(function() return http.get("http://127.0.0.1:" .. server.port) end)
  while not seen do sleep(0.002) end
  local ok, err = server:stop(0.05)
  t.err(ok, err, "timeout")
  asking:join()
end)

t.case("what cannot be listened on is an error", function()
  with_server({ handler = function() return "" end }, function(_, server)
    local other, err = serve.http { port = server.port, handler = function() return "" end }
    t.err(other, err, "connect")
  end)
  local server, err = serve.http { host = "example.org", handler = function() return "" end }
  t.err(server, err, "usage")
  t.raises(function() serve.http {} end, "a handler or routes")
  t.raises(function() serve.http { routes = { ["health"] = print } } end, "is not a route")
end)

t.case("every request is answered while it stops", function()
  local server = t.ok(serve.http { handler = function() sleep(0.001) return "ok" end })
  local base, answered, failed = "http://127.0.0.1:" .. server.port, 0, {}
  local clients = {}
  for i = 1, 20 do
    clients[i] = function()
      while true do
        local r, err = http.get(base, { timeout = 10 })
        if not r and err.code == "connect" then return end -- the server is gone, before anything was sent
        if r and r.status == 200 then answered = answered + 1 else failed[#failed + 1] = tostring(err or r.status) return end
      end
    end
  end
  clients[#clients + 1] = function()
    while answered < 200 do sleep(0.002) end
    t.ok(server:stop(10))
  end
  parallel(clients)
  t.eq(failed, {})
  t.ok(answered >= 200)
end)
