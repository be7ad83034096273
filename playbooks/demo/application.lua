-- The demo's application: users log in, create ventures, see their dashboard. Served by the engine's own
-- HTTP server; started once a colour as `engine application.lua --port N --database URL`.
-- Release 1.0 is this text; a later release is made from it by the changes in releases.lua.

local clock = require "clock"
local random = require "random"
local serve = require "serve"
local sql = require "sql"

local VERSION = "1.0"

local NEW_VENTURE = "INSERT INTO ventures (id, name, owner_id, budget_cents, updated_at) VALUES ($1, $2, $3, $4, $5)"

local counts = { requests = 0, errors = 0, buckets = { 0, 0, 0, 0 } }
local BUCKETS_S = { 0.05, 0.1, 0.5, 1 }

local function refuse(status, text) return serve.json({ error = text }, status) end

-- Every route goes through here, so that /metrics counts what really happened.
local function counted(handler)
  return function(request)
    local began = clock.now()
    counts.requests = counts.requests + 1
    local ok, response = pcall(handler, request)
    local seconds = clock.now() - began
    for i, bound in ipairs(BUCKETS_S) do if seconds <= bound then counts.buckets[i] = counts.buckets[i] + 1 end end
    if not ok or response.status and response.status >= 500 then counts.errors = counts.errors + 1 end
    if not ok then
      print("CRITICAL " .. request.method .. " " .. request.path .. ": " .. tostring(response))
      return refuse(500, "internal error")
    end
    return response
  end
end

local function routes(db)
  local function user_of(request)
    local token = (request.headers.authorization or ""):match "^Bearer (%x+)$"
    if not token then return nil end
    local row = db:one("SELECT user_id FROM sessions WHERE token = $1", token)
    return row and row.user_id
  end

  local function with_user(handler)
    return counted(function(request)
      local user = user_of(request)
      if not user then return refuse(401, "log in first") end
      return handler(request, user)
    end)
  end

  local function owned(request, user)
    return db:one("SELECT * FROM ventures WHERE id = $1 AND owner_id = $2", request.params.id, user)
  end

  return {
    ["GET /health"] = function()
      local one, err = db:value "SELECT 1"
      if one ~= 1 then return refuse(503, "database: " .. tostring(err)) end
      return serve.json { status = "ok", version = VERSION }
    end,

    ["GET /metrics"] = function()
      local lines = { "# TYPE http_requests_total counter", "http_requests_total " .. counts.requests,
        "# TYPE http_errors_total counter", "http_errors_total " .. counts.errors, "# TYPE http_request_duration_seconds histogram" }
      for i, bound in ipairs(BUCKETS_S) do lines[#lines + 1] = ("http_request_duration_seconds_bucket{le=\"%g\"} %d"):format(bound, counts.buckets[i]) end
      lines[#lines + 1] = ("http_request_duration_seconds_bucket{le=\"+Inf\"} %d"):format(counts.requests)
      return { status = 200, headers = { ["content-type"] = "text/plain; version=0.0.4" }, body = table.concat(lines, "\n") .. "\n" }
    end,

    ["POST /login"] = counted(function(request)
      local form = require("json").decode(request.body)
      if not form then return refuse(400, "JSON with email and password") end
      local user = db:one("SELECT id FROM users WHERE email = $1 AND password = $2", form.email, form.password)
      if not user then return refuse(401, "unknown user or wrong password") end
      local token = random.hex(16)
      assert(db:query("INSERT INTO sessions (token, user_id, created_at) VALUES ($1, $2, $3)", token, user.id, clock.utc()))
      return serve.json { token = token }
    end),

    ["POST /ventures"] = with_user(function(request, user)
      local form = require("json").decode(request.body)
      if not form or type(form.name) ~= "string" then return refuse(400, "a venture needs a name") end
      local id, budget = random.hex(8), math.tointeger(form.budget_cents) or 0
      assert(db:transaction(function(tx)
        assert(tx:query(NEW_VENTURE, id, form.name, user, budget, clock.utc()))
        assert(tx:query("INSERT INTO ledger (id, venture_id, amount_cents) VALUES ($1, $2, $3)", random.hex(8), id, budget))
        return true
      end))
      return serve.json({ id = id, name = form.name, budget_cents = budget }, 201)
    end),

    ["GET /ventures/:id"] = with_user(function(request, user)
      local row = owned(request, user)
      if not row then return refuse(404, "no such venture") end
      return serve.json { id = row.id, name = row.name, budget_cents = row.budget_cents }
    end),

    ["PUT /ventures/:id"] = with_user(function(request, user)
      local form = require("json").decode(request.body)
      if not form or type(form.name) ~= "string" then return refuse(400, "a venture needs a name") end
      if not owned(request, user) then return refuse(404, "no such venture") end
      assert(db:query("UPDATE ventures SET name = $1, updated_at = $2 WHERE id = $3", form.name, clock.utc(), request.params.id))
      return serve.json { id = request.params.id, name = form.name }
    end),

    ["DELETE /ventures/:id"] = with_user(function(request, user)
      if not owned(request, user) then return refuse(404, "no such venture") end
      assert(db:transaction(function(tx)
        assert(tx:query("DELETE FROM ledger WHERE venture_id = $1", request.params.id))
        assert(tx:query("DELETE FROM ventures WHERE id = $1", request.params.id))
        return true
      end))
      return { status = 204, body = "" }
    end),

    ["GET /dashboard"] = with_user(function(_, user)
      local rows = assert(db:query("SELECT name, budget_cents FROM ventures WHERE owner_id = $1 ORDER BY updated_at DESC LIMIT 20", user))
      local total = 0
      local items = {}
      for i, row in ipairs(rows) do
        total = total + row.budget_cents
        items[i] = ("<li>%s</li>"):format((row.name:gsub("[<>&]", "")))
      end
      local body = ("<h1>Dashboard</h1><p>%d ventures, %.2f in budgets</p><ul>%s</ul><footer>%s</footer>"):format(#rows, total / 100, table.concat(items), VERSION)
      return { status = 200, headers = { ["content-type"] = "text/html; charset=utf-8" }, body = body }
    end),
  }
end

return playbook {
  name = "demo-application",
  about = "The demo's application",
  args = {
    port = { type = "integer", required = true, about = "where it listens on 127.0.0.1" },
    database = { type = "string", required = true, about = "sqlite:/path or postgres://..." },
  },
  run = function(run)
    local db = expect(sql.open(run.args.database, { timeout = 20 }))
    local server = expect(serve.http { host = "127.0.0.1", port = run.args.port, routes = routes(db) })
    print(("demo application %s on port %d"):format(VERSION, server.port))
    local ok, why = pcall(server.wait, server)
    -- Asked to end: requests that are under way are answered first.
    shield(function() server:stop(10) end)
    db:close()
    if not ok then error(why, 0) end
  end,
}
