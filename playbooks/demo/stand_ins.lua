-- Local stand-ins for what a venture depends on: Stripe, a vault, Supabase's status page, Alertmanager with a
-- receiver, and a mail server. They keep what they are given, so that it can be looked at.
-- Started as `engine stand_ins.lua --port N --mail-port M [--down stripe]`.

local json = require "json"
local net = require "net"
local random = require "random"
local serve = require "serve"

local mails, payments, alerts = {}, {}, {}
local made = { payments = 0, mails = 0, alerts = 0 } -- those that nobody had asked for before

local function form(body)
  local out = {}
  for key, value in body:gmatch "([^&=]+)=([^&]*)" do out[key] = value:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end) end
  return out
end

local function routes(down)
  local function up(name, handler)
    return function(request)
      if down == name then return serve.json({ error = name .. " is down" }, 503) end
      return handler(request)
    end
  end
  return {
    ["GET /health"] = function() return "ok" end,

    ["POST /stripe/v1/payment_intents"] = up("stripe", function(request)
      local fields = form(request.body)
      local key = (request.headers.authorization or ""):match "^Bearer (.+)$"
      if not key then return serve.json({ error = { message = "no API key" } }, 401) end
      if not tonumber(fields.amount) then return serve.json({ error = { message = "amount is missing" } }, 400) end
      local again = payments[request.headers["idempotency-key"] or ""]
      if not again then made.payments = made.payments + 1 end
      local intent = again or { id = "pi_" .. random.hex(8), amount = math.tointeger(tonumber(fields.amount)), currency = fields.currency,
        status = fields.confirm == "true" and "succeeded" or "requires_confirmation", livemode = key:sub(1, 8) == "sk_live_" }
      payments[intent.id], payments[request.headers["idempotency-key"] or intent.id] = intent, intent
      return serve.json(intent)
    end),
    ["GET /stripe/v1/payment_intents/:id"] = up("stripe", function(request)
      local intent = payments[request.params.id]
      return intent and serve.json(intent) or serve.json({ error = { message = "no such payment" } }, 404)
    end),

    ["GET /supabase/status"] = up("supabase", function() return serve.json { status = { indicator = "none", description = "All Systems Operational" } } end),

    ["GET /vault/v1/secret/data/demo"] = up("vault", function(request)
      if request.headers["x-vault-token"] ~= "demo-vault-token" then return serve.json({ errors = { "permission denied" } }, 403) end
      return serve.json { data = { data = { stripe_key = "sk_test_demo_0123456789" }, metadata = { version = 1 } } }
    end),

    ["POST /alertmanager/api/v2/alerts"] = up("alerts", function(request)
      local list = json.decode(request.body)
      if type(list) ~= "table" then return serve.json({ error = "a list of alerts" }, 400) end
      for _, alert in ipairs(list) do
        if not alerts[alert.labels.id or alert.labels.alertname] then made.alerts = made.alerts + 1 end
        alerts[alert.labels.id or alert.labels.alertname] = alert
      end
      return serve.json(json.array {})
    end),
    ["GET /alerts/:id"] = function(request)
      local alert = alerts[request.params.id]
      return alert and serve.json(alert) or serve.json({ error = "no such alert" }, 404)
    end,
    ["GET /mails"] = function() return serve.json { count = #mails } end,
    ["GET /made"] = function() return serve.json(made) end,
  }
end

-- Enough of RFC 5321 to accept a message from one client.
local function receive_mail(conn)
  local function say(text) assert(conn:write(text .. "\r\n")) end
  say "220 demo mail"
  while true do
    local line = conn:read_line()
    if not line then return end
    local verb = line:upper():match "^%u+"
    if verb == "EHLO" or verb == "HELO" then say "250 demo"
    elseif verb == "DATA" then
      say "354 go ahead"
      local text = {}
      repeat
        local part = assert(conn:read_line())
        if part:gsub("\r$", "") ~= "." then text[#text + 1] = part end
      until part:gsub("\r$", "") == "."
      local id = table.concat(text, "\n"):match "Message%-ID: (%S+)"
      if not mails[id] then made.mails = made.mails + 1 end
      mails[#mails + 1], mails[id] = table.concat(text, "\n"), true
      say "250 accepted"
    elseif verb == "QUIT" then
      say "221 bye"
      return
    else say "250 ok" end
  end
end

return playbook {
  name = "demo-stand-ins",
  about = "Stand-ins for Stripe, vault, Supabase, alerts and mail",
  args = {
    port = { type = "integer", required = true, about = "HTTP" },
    mail_port = { type = "integer", required = true, about = "SMTP" },
    down = { type = "string", about = "the one that is down" },
  },
  run = function(run)
    local listener = expect(net.listen { host = "127.0.0.1", port = run.args.mail_port })
    local server = expect(serve.http { host = "127.0.0.1", port = run.args.port, routes = routes(run.args.down) })
    background(function()
      while true do
        local conn = listener:accept(3600)
        if conn then
          background(function()
            pcall(receive_mail, conn)
            conn:close()
          end)
        end
      end
    end)
    server:wait()
  end,
}
