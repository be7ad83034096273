local t = require "test"

local function with_server(options, fn)
  options.handler = options.handler or (not options.routes and function() return "ok" end) or nil
  local server = t.ok(serve.http(options))
  fn("http://127.0.0.1:" .. server.port, server)
  t.ok(server:stop(5))
end

t.case("a request comes back as it was sent", function()
  with_server({ handler = function(r)
    return serve.json { method = r.method, path = r.path, a = r.query.a, body = r.body, header = r.headers["x-test"] }
  end }, function(base)
    local r = t.ok(http.request { url = base .. "/p/q?a=1%202", method = "PUT", body = "bytes\0here", headers = { ["X-Test"] = "yes" } })
    t.eq(r.status, 200)
    t.eq(r:json(), { method = "PUT", path = "/p/q", a = "1 2", body = "bytes\0here", header = "yes" })
    t.eq(r.headers["content-type"], "application/json")
  end)
end)

t.case("routes, names, unknown paths and methods", function()
  with_server({ routes = {
    ["GET /v/:id"] = function(r) return r.params.id end,
    ["GET /v/all"] = function() return "all" end,
    ["POST /v"] = function() return { status = 201 } end,
  } }, function(base)
    t.eq(http.get(base .. "/v/all").body, "all\n")
    t.eq(http.get(base .. "/v/a.b").body, "a.b\n")
    t.eq(http.get(base .. "/nothing").status, 404)
    t.eq(http.get(base .. "/v").status, 405)
    t.eq(http.post(base .. "/v").status, 201)
  end)
end)

t.case("a handler that raises gives 500 and the server goes on", function()
  with_server({ handler = function(r) if r.path == "/bad" then error "broken" end return "fine" end }, function(base)
    t.eq(http.get(base .. "/bad").status, 500)
    t.eq(http.get(base .. "/good").status, 200)
  end)
end)

t.case("handlers wait side by side", function()
  with_server({ handler = function() sleep(0.05) return "ok" end }, function(base)
    local urls = {}
    for i = 1, 50 do urls[i] = base .. "/" .. i end
    local results = task.map(urls, function(url) return http.get(url).status end)
    for i = 1, 50 do t.eq(results[i], 200) end
  end)
end)

t.case("connections are used again", function()
  with_server({}, function(base)
    http.get(base)
    t.eq(http.get(base).reused, true)
  end)
end)

t.case("limits on both sides", function()
  with_server({ max_body = 1000, handler = function() return ("x"):rep(5000) end }, function(base)
    t.eq(http.post(base, ("x"):rep(2000)).status, 413)
    local value, err = http.get(base, { max_response = 100 })
    t.err(value, err, "limit")
  end)
end)

t.case("timeouts, refusals and unexpected answers are told apart", function()
  with_server({ handler = function(r) if r.path == "/slow" then sleep(0.5) end return "ok" end }, function(base)
    local value, err = http.get(base .. "/slow", { timeout = 0.1 })
    t.err(value, err, "timeout")
    value, err = http.get(base .. "/", { expect = 204 })
    t.err(value, err, "http")
  end)
  local value, err = http.get("http://127.0.0.1:1/secret?token=abc")
  err = t.err(value, err, "connect")
  t.ok(not tostring(err):find("abc", 1, true), "no query in an error")
  value, err = http.get "file:///etc/passwd"
  t.err(value, err, "usage")
end)

t.case("redirects are only followed when asked for", function()
  with_server({ handler = function(r)
    if r.path == "/a" then return { status = 302, headers = { location = "/b" } } end
    if r.path == "/loop" then return { status = 302, headers = { location = "/loop" } } end
    return "there"
  end }, function(base)
    t.eq(http.get(base .. "/a").status, 302)
    t.eq(http.get(base .. "/a", { max_redirects = 3 }).body, "there\n")
    local value, err = http.get(base .. "/loop", { max_redirects = 3 })
    t.err(value, err, "http")
  end)
end)

t.case("headers cannot smuggle headers", function()
  with_server({ handler = function() return { status = 200, headers = { x = "a\r\ny: b" } } end }, function(base)
    t.raises(function() http.get(base, { headers = { x = "a\r\ny: b" } }) end, "not a line")
    t.eq(http.get(base).status, 500)
  end)
end)

t.case("a graceful stop answers what is under way", function()
  local server = t.ok(serve.http { handler = function() sleep(0.1) return "late" end })
  local answer
  local asking = background(function() answer = http.get("http://127.0.0.1:" .. server.port) end)
  sleep(0.05)
  t.ok(server:stop(5))
  asking:join()
  t.eq(answer and answer.status, 200)
  local value, err = http.get("http://127.0.0.1:" .. server.port, { timeout = 1 })
  t.err(value, err, "connect")
end)
