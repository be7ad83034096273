local t = require "test"

local function one(check, target)
  check.name = check.name or "it"
  check.timeout = check.timeout or 2
  local result = health.run(check, target or {})
  return result.ok, result.detail
end

local function bad(part, check, target)
  local ok, detail = one(check, target)
  t.eq(ok, false)
  t.has(detail, part)
end

local function good(check, target) t.ok(one(check, target), select(2, one(check, target))) end

t.case("http: status, text, fields, a relative address", function()
  local server = t.ok(serve.http { routes = {
    ["GET /health"] = function() return serve.json { status = "ok", deep = { n = 1 } } end,
    ["POST /echo"] = function(r) return serve.json(json.decode(r.body), 201) end,
  } })
  local target = { base = "http://127.0.0.1:" .. server.port, values = { want = "ok" } }
  good({ http = "/health", field = { status = "{want}", ["deep.n"] = 1 } }, target)
  good({ http = "/echo", json = { a = "{want}" }, expect = { 200, 201 }, contains = '"a":"ok"' }, target)
  bad("answered 404", { http = "/nothing" }, target)
  bad("without the text 'nope'", { http = "/health", contains = "nope" }, target)
  bad("deep.n = 1, expected 2", { http = "/health", field = { ["deep.n"] = 2 } }, target)
  bad("did not answer", { http = "http://127.0.0.1:1/" })
  server:stop(2)
end)

t.case("flow: what one step saves, the next can use; the failing step is named", function()
  local server = t.ok(serve.http { routes = {
    ["POST /login"] = function() return serve.json { token = "t1" } end,
    ["GET /me"] = function(r) return serve.json({ who = r.headers.authorization }, r.headers.authorization == "Bearer t1" and 200 or 401) end,
  } })
  local target = { base = "http://127.0.0.1:" .. server.port }
  good({ flow = { { http = "/login", json = { u = 1 }, save = { token = "token" } }, { http = "/me", headers = { authorization = "Bearer {token}" } } } }, target)
  bad("step 2 (/me)", { flow = { { http = "/login", json = { u = 1 } }, { http = "/me" } } }, target)
  server:stop(2)
end)

t.case("sql, command, tcp, env, log", function()
  good { sql = "SELECT 1", expect = 1, database = "sqlite::memory:" }
  bad("gave 1, expected 2", { sql = "SELECT 1", expect = 2, database = "sqlite::memory:" })
  bad("expected at least 5", { sql = "SELECT 4", at_least = 5, database = "sqlite::memory:" })
  bad("no such table", { sql = "SELECT * FROM nowhere_at_all", database = "sqlite::memory:" })
  good { command = { "true" } }
  bad("ended with 1", { command = { "false" } })
  local listener = t.ok(net.listen { port = 0 })
  good { tcp = "127.0.0.1:" .. listener.port }
  listener:close()
  bad("127.0.0.1:1", { tcp = "127.0.0.1:1" })
  good { env = { "PATH" } }
  bad("not set: ENGINE_NO_SUCH", { env = { "PATH", "ENGINE_NO_SUCH" } })
  local path = "/tmp/engine-test-" .. random.hex(4)
  files.write(path, "fine\nCRITICAL it broke\n")
  bad("1 critical lines", { log = { path = path, pattern = "CRITICAL" } })
  good { log = { path = path, pattern = "FATAL" } }
  local check = { name = "log", log = { path = path, pattern = "CRITICAL" } }
  local known = { logs_from = health.log_sizes({ check }, {}) }
  t.ok(health.run(check, known).ok, "what was there before is excused")
  files.append(path, "CRITICAL again\n")
  t.ok(not health.run(check, known).ok, "what is new is not")
  files.remove(path)
end)

t.case("stripe: only a test key, and the payment is read back", function()
  local live, lost = false, false
  local server = t.ok(serve.http { routes = {
    ["POST /v1/payment_intents"] = function() return serve.json { id = "pi_1", status = "succeeded", livemode = live } end,
    ["GET /v1/payment_intents/:id"] = function() return serve.json({ status = "succeeded" }, lost and 404 or 200) end,
  } })
  local check = { stripe = { url = "http://127.0.0.1:" .. server.port, key = "sk_test_x", amount = 100, currency = "usd" } }
  good(check)
  lost = true
  bad("is not there when it is read back", check)
  live = true
  bad("not Stripe's test mode", check)
  server:stop(2)
end)

t.case("supabase and vault", function()
  local indicator, status = "none", 200
  local server = t.ok(serve.http { routes = {
    ["GET /status"] = function() return serve.json { status = { indicator = indicator, description = "text" } } end,
    ["GET /v1/secret/x"] = function() return serve.json({ data = {} }, status) end,
  } })
  local base = "http://127.0.0.1:" .. server.port
  good { supabase = { url = base .. "/status" } }
  indicator = "major"
  bad("reports 'major'", { supabase = { url = base .. "/status" } })
  good { vault = { url = base, token = "t", path = "secret/x" } }
  status = 503
  bad("the vault answered 503", { vault = { url = base, token = "t", path = "secret/x" } })
  server:stop(2)
end)

t.case("attempts, and all side by side in their order", function()
  local path = "/tmp/engine-test-" .. random.hex(4)
  local waiting = background(function() sleep(0.1) files.write(path, "") end)
  good { command = { "test", "-e", path }, attempts = 50, interval = 0.02 }
  waiting:join()
  files.remove(path)
  local results = health.all({ { name = "a", command = { "true" } }, { name = "b", command = { "false" }, critical = false } }, {})
  t.eq({ results[1].ok, results[2].ok, results[2].critical }, { true, false, false })
end)

t.case("a check has exactly one kind", function()
  t.raises(function() health.kind_of { name = "x" } end, "has no kind")
  t.raises(function() health.kind_of { name = "x", tcp = "a:1", sql = "b" } end, "two kinds")
end)
