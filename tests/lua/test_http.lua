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

t.case("an unexpected status shows neither password nor query", function()
  with_server({}, function(base)
    local value, err = http.get(base:gsub("://", "://user:hunter2@") .. "/p?token=abc", { expect = { 201, 204 } })
    err = t.err(value, err, "http")
    t.ok(not tostring(err):find("hunter2", 1, true) and not tostring(err):find("abc", 1, true), tostring(err))
    t.has(tostring(err), "/p")
    t.eq(err.status, 200)
  end)
end)

t.case("a POST after See Other becomes a GET, and its body has no invented type", function()
  with_server({ handler = function(r)
    if r.path == "/form" then return { status = 303, headers = { location = "/page" } } end
    return r.method .. " " .. tostring(r.headers["content-type"])
  end }, function(base)
    t.eq(http.post(base .. "/form", "x", { max_redirects = 2 }).body, "GET nil\n")
    t.eq(http.post(base .. "/page", "x").body, "POST nil\n")
    t.eq(http.request { url = base .. "/page", method = "POST", json = { a = 1 } }.body, "POST application/json\n")
  end)
end)

t.case("resolve sends one request elsewhere", function()
  with_server({ handler = function(r) return r.headers.host end }, function(base)
    local port = base:match "%d+$"
    t.eq(http.get("http://shop.test/", { resolve = { ["shop.test"] = "127.0.0.1:" .. port } }).body, "shop.test\n")
    local value, err = http.get("http://shop.test/", { resolve = { ["shop.test:80"] = "127.0.0.1:1" } })
    t.err(value, err, "connect")
    t.raises(function() http.get("http://a/", { resolve = { ["a b"] = "x" } }) end, "neither")
  end)
end)

t.case("values of a repeated header", function()
  with_server({}, function(base)
    local r = t.ok(http.get(base))
    t.eq(r:values "Content-Type", { "text/plain; charset=utf-8" })
    t.eq(r:values "x-none", {})
  end)
end)

t.case("misuse is raised", function()
  t.raises(function() http.request {} end, "needs a url")
  t.raises(function() http.get("http://a/", { timeout = 0 }) end, "timeout")
  t.raises(function() http.get("http://a/", { max_response = -1 }) end, "max_response")
  t.raises(function() http.request { url = "http://a/", method = "GET / X" } end, "method")
end)

-- nginx with TLS and HTTP/2 behind a Unix socket, which needs no port.
t.case("TLS verifies, HTTP/2 is spoken, Unix sockets work", function()
  local folder = t.ok(files.mkdtemp "/tmp/engine-tls-")
  local function made(argv)
    local r = t.ok(process.run { argv = argv, cwd = folder })
    t.eq(r.code, 0, r.stderr)
  end
  made { "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=shop.test",
    "-addext", "subjectAltName=DNS:shop.test", "-keyout", "key.pem", "-out", "cert.pem" }
  t.ok(files.write(folder .. "/nginx.conf", ([[
daemon off; master_process off; pid DIR/pid; error_log DIR/error.log;
events {}
http { access_log off; client_body_temp_path DIR/a; proxy_temp_path DIR/b; fastcgi_temp_path DIR/c; uwsgi_temp_path DIR/d; scgi_temp_path DIR/e;
server { listen unix:DIR/socket ssl http2; ssl_certificate DIR/cert.pem; ssl_certificate_key DIR/key.pem; location / { return 200 "secure"; } } }
]]):gsub("DIR", folder)))
  local nginx = t.ok(process.spawn { argv = { "nginx", "-c", folder .. "/nginx.conf", "-e", folder .. "/error.log" }, log = folder .. "/log" })
  local function get(host, options)
    options.unix_socket = folder .. "/socket"
    return http.get("https://" .. host .. "/", options)
  end
  deadline(20, function() while not files.stat(folder .. "/socket") do sleep(0.01) end end)
  local r, err
  deadline(20, function()
    repeat r, err = get("shop.test", { ca_file = folder .. "/cert.pem" }) until r or err.code ~= "connect" or sleep(0.01)
  end)
  t.ok(r, err)
  t.eq(r and { r.status, r.version, r.body }, { 200, 20, "secure" })
  r, err = get("shop.test", {})
  t.err(r, err, "tls")
  r, err = get("other.test", { ca_file = folder .. "/cert.pem" })
  t.err(r, err, "tls")
  process.stop(nginx, { grace = 2 })
  files.remove_tree(folder)
end)

t.case("a mail is one message, whatever stands in it", function()
  local function compose(changes)
    local message = { from = "a@x.test", to = { "b@x.test", "c@x.test" }, subject = "s", text = "line\n.dot\n" }
    for key, value in pairs(changes) do message[key] = value end
    return mail.compose(message)
  end
  local plain = compose { headers = { ["X-Run"] = "7" } }
  t.has(plain, "\r\nTo: b@x.test,\r\n c@x.test\r\n")
  t.has(plain, "\r\nX-Run: 7\r\n\r\nline\r\n.dot\r\n")
  t.ok(not plain:gsub("\r\n", ""):find "[\r\n]", "only CRLF")
  t.has(compose { subject = "Prüfung" }, "\r\nSubject: =?utf-8?B?UHLDvGZ1bmc=?=\r\n")
  for line in compose({ subject = ("ü"):rep(400), text = ("x"):rep(5000) .. "\r.\r" }):gmatch "(.-)\r\n" do
    t.ok(#line <= 998 and not line:find "[\r\n]", #line)
  end
  for _, bad in ipairs { { subject = "s\r\nBcc: d@x" }, { subject = "s\nBcc: d@x" }, { from = "a@x\r\nBcc: d@x" }, { to = { "b@x>, <d@x" } }, { to = { "b@x,d@x" } },
    { to = {} }, { from = "nobody" }, { headers = { ["Bcc: d@x\r\nX"] = "" } }, { headers = { X = "a\r\nBcc: d@x" } }, { headers = { From = "d@x" } } } do
    t.raises(function() compose(bad) end)
  end
end)

t.case("a mail server that is not there is an error", function()
  local ok, err = mail.send { server = "smtp://127.0.0.1:1", from = "a@x.test", to = { "b@x.test" }, subject = "s", text = "t", timeout = 10 }
  t.err(ok, err, "connect")
  t.raises(function() mail.send { server = "http://127.0.0.1:1", from = "a@x.test", to = { "b@x.test" } } end, "smtp://")
end)
