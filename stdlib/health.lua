--- health: checks that are declared, not programmed: HTTP, SQL, command, TCP, mail, payments, vault, ...
--
-- A check is a table (see configuration_schema.check); its kind is the one of the known kinds that it has
-- as a key. A target says what it is asked of: { base = "http://...", database = url, run = run }.
-- A kind is a function(check, target) that returns a short text of evidence, or nil and an error.

local clock = require "clock"
local core_err = require "core.err"
local effect = require "effect"
local task = require "task"

local M = {}

M.kinds = {}

local function failed(message, cause)
  return nil, core_err.new { code = "check", message = message, cause = cause and tostring(cause.message or cause) or nil }
end

local function filled(text, values)
  if type(text) ~= "string" then return text end
  return (text:gsub("{([%w_]+)}", function(name) return values[name] ~= nil and tostring(values[name]) or nil end))
end

local function filled_table(value, values)
  if type(value) == "string" then return filled(value, values) end
  if type(value) ~= "table" then return value end
  local out = {}
  for key, item in pairs(value) do out[key] = filled_table(item, values) end
  return out
end

local function status_matches(status, expected)
  if type(expected) == "table" then
    for _, one in ipairs(expected) do if one == status then return true end end
    return false
  end
  return status == expected
end

local function address(url, target)
  if type(url) == "string" and url:sub(1, 1) == "/" then
    if not target.base then error("a relative address needs a target with a base address", 0) end
    return target.base .. url
  end
  return url
end

local function field_of(document, path)
  for key in path:gmatch "[^.]+" do
    if type(document) ~= "table" then return nil end
    document = document[math.tointeger(tonumber(key)) or key]
  end
  return document
end

-- One HTTP exchange, compared with what the check expects. Returns the response too.
local function exchange(check, target, values)
  local http = require "http"
  local url = address(filled(check.http, values), target)
  local response, err = effect.look(function() return http.request {
    url = url, method = check.method or ((check.json ~= nil or check.body) and "POST" or "GET"),
    headers = filled_table(check.headers, values), body = filled(check.body, values),
    json = check.json ~= nil and filled_table(check.json, values) or nil, timeout = check.timeout,
  } end)
  if not response then return failed(("%s did not answer: %s"):format(tostring(url), err.message), err.cause) end
  if not status_matches(response.status, check.expect or 200) then
    return failed(("%s answered %d: %s"):format(tostring(url), response.status, response.body:sub(1, 200)))
  end
  if check.contains and not response.body:find(filled(check.contains, values), 1, true) then
    return failed(("%s answered %d without the text '%s'"):format(tostring(url), response.status, check.contains))
  end
  if check.field then
    local document = response:json()
    for path, wanted in pairs(check.field) do
      local value, expected = field_of(document, path), filled(wanted, values)
      if value ~= expected then
        return failed(("%s answered %s = %s, expected %s"):format(tostring(url), path, tostring(value), tostring(expected)))
      end
    end
  end
  return ("%d in %.0f ms"):format(response.status, response.total_s * 1000), nil, response
end

function M.kinds.http(check, target)
  local evidence, err = exchange(check, target, target.values or {})
  return evidence, err
end

--- Does a flow change something, by what its steps ask?
---@param check { flow: table[] }
---@return boolean
---@usage assert(health.changes_something { flow = { { http = "/login", json = {} } } })
function M.changes_something(check)
  for _, one in ipairs(check.flow) do
    local method = one.method or ((one.json ~= nil or one.body) and "POST" or "GET")
    if method ~= "GET" and method ~= "HEAD" then return true end
  end
  return false
end

local function run_flow(check, target)
  local values = setmetatable({ unique = require("random").hex(4) }, { __index = target.values })
  for index, one in ipairs(check.flow) do
    local step = setmetatable({ timeout = one.timeout or check.timeout }, { __index = one })
    local evidence, err, response = exchange(step, target, values)
    if not evidence then return failed(("step %d (%s): %s"):format(index, one.name or one.http, err.message)) end
    if one.save then
      local document, parse_err = response:json()
      if not document then return failed(("step %d: the answer is not JSON"):format(index), parse_err) end
      for name, path in pairs(one.save) do values[name] = field_of(document, path) end
    end
  end
  return ("%d steps"):format(#check.flow)
end

--- A flow: HTTP steps in order; `save = { token = "token" }` keeps fields of an answer for later steps.
function M.kinds.flow(check, target)
  if not M.changes_something(check) then return run_flow(check, target) end
  return effect.change("flow " .. check.name, function() return run_flow(check, target) end)
end

function M.kinds.sql(check, target)
  local sql = require "sql"
  local url = check.database or target.database
  local db, err = sql.open(url, { timeout = check.timeout })
  if not db then return failed("the database cannot be reached: " .. err.message) end
  local closer <close> = setmetatable({}, { __close = function() db:close() end })
  local value
  value, err = db:value(check.sql, table.unpack(filled_table(check.params or {}, target.values or {})))
  if err then return failed(("%s: %s"):format(check.sql, err.message)) end
  if check.at_least then
    if type(value) ~= "number" or value < check.at_least then
      return failed(("%s gave %s, expected at least %s"):format(check.sql, tostring(value), tostring(check.at_least)))
    end
  elseif check.expect ~= nil and value ~= check.expect and tostring(value) ~= tostring(check.expect) then
    return failed(("%s gave %s, expected %s"):format(check.sql, tostring(value), tostring(check.expect)))
  elseif check.expect == nil and (value == nil or value == false) then
    return failed(check.sql .. " gave nothing")
  end
  return ("value %s"):format(tostring(value)), nil, closer and nil
end

function M.kinds.command(check, target)
  local process = require "process"
  local result, err = effect.look(function() return process.run { argv = filled_table(check.command, target.values or {}), timeout = check.timeout, cwd = target.folder } end)
  if not result then return failed(("%s: %s"):format(check.command[1], err.message)) end
  if result.code ~= (check.expect or 0) then
    return failed(("%s ended with %s: %s"):format(table.concat(check.command, " "), tostring(result.code or result.signal), (result.stderr .. result.stdout):sub(1, 300)))
  end
  return ("exit %d"):format(result.code)
end

function M.kinds.tcp(check)
  local host, port = check.tcp:match "^(.*):(%d+)$"
  if not host then return failed(("'%s' is not host:port"):format(check.tcp)) end
  local conn, err = require("net").connect { host = host, port = tonumber(port), timeout = check.timeout }
  if not conn then return failed(("%s: %s"):format(check.tcp, err.message)) end
  conn:close()
  return "accepts connections"
end

--- A mail is really sent; the server must accept it for every recipient.
function M.kinds.smtp(check)
  local ok, err = require("mail").send {
    id = effect.key() .. "." .. check.name:gsub("%W+", "-"), server = check.smtp.server, from = check.smtp.from, to = check.smtp.to, subject = "Deployment check",
    text = "This message proves that mail can be sent before a deployment. Nothing needs to be done.", timeout = check.timeout,
  }
  if not ok then return failed("the test mail was not accepted: " .. err.message) end
  return ("accepted for %d recipients"):format(#check.smtp.to)
end

--- A payment in Stripe's test mode: created and confirmed with the test card, and read back.
function M.kinds.stripe(check)
  local http = require "http"
  local stripe = check.stripe
  local headers = { authorization = "Bearer " .. stripe.key, ["content-type"] = "application/x-www-form-urlencoded",
    ["idempotency-key"] = ("deployment-check-%s-%s"):format(effect.key(), check.name:gsub("%W+", "-")) }
  local response, err = effect.change("stripe test payment", function()
    return http.request {
      url = stripe.url .. "/v1/payment_intents", method = "POST", headers = headers, timeout = check.timeout,
      body = ("amount=%d&currency=%s&confirm=true&payment_method=pm_card_visa&return_url=https%%3A%%2F%%2Fexample.com%%2F"):format(stripe.amount, stripe.currency),
    }
  end)
  if not response then return failed("Stripe did not answer: " .. err.message) end
  if response.status ~= 200 then return failed(("Stripe answered %d: %s"):format(response.status, response.body:sub(1, 200))) end
  local intent = response:json()
  if not intent or intent.livemode ~= false then return failed "this is not Stripe's test mode: give a test key; nothing more was done" end
  if intent.status ~= "succeeded" then return failed(("the test payment is '%s', expected 'succeeded'"):format(tostring(intent.status))) end
  local again
  again, err = http.request { url = stripe.url .. "/v1/payment_intents/" .. intent.id, headers = { authorization = headers.authorization }, timeout = check.timeout }
  if not again then return failed("the test payment cannot be read back: " .. err.message) end
  local read_back = again:json()
  if again.status ~= 200 or not read_back or read_back.status ~= "succeeded" then return failed "the test payment is not there when it is read back" end
  return ("test payment %s succeeded"):format(intent.id)
end

--- The status page of a hosted Supabase: its indicator must be "none".
function M.kinds.supabase(check)
  local response, err = require("http").request { url = check.supabase.url, timeout = check.timeout }
  if not response then return failed("Supabase's status cannot be read: " .. err.message) end
  local document = response.status == 200 and response:json()
  local indicator = document and document.status and document.status.indicator
  if indicator ~= "none" then
    return failed(("Supabase reports '%s' (%s)"):format(tostring(indicator), tostring(document and document.status and document.status.description)))
  end
  return "all systems operational"
end

--- The vault answers, is unsealed, and gives the secret at path.
function M.kinds.vault(check)
  local http = require "http"
  local vault = check.vault
  local response, err = http.request { url = vault.url .. "/v1/" .. vault.path, headers = { ["x-vault-token"] = vault.token }, timeout = check.timeout }
  if not response then return failed("the vault did not answer: " .. err.message) end
  if response.status ~= 200 then return failed(("the vault answered %s for %s"):format(require("secret").vault_refusal(response), vault.path)) end
  local document = response:json()
  if not (document and document.data) then return failed(("the vault gave no data for %s"):format(vault.path)) end
  return "readable"
end

function M.kinds.env(check)
  local core_secret = require "core.secret"
  local missing = {}
  for _, name in ipairs(check.env) do if not core_secret.environment(name) then missing[#missing + 1] = name end end
  if missing[1] then return failed("not set: " .. table.concat(missing, ", ")) end
  return ("%d set"):format(#check.env)
end

--- No line of the log's tail may contain the pattern. What was written before target.logs_from[path] (bytes) is
-- known and excused: after a restore, the errors of the moment in which the database was away.
function M.kinds.log(check, target)
  local files = require "files"
  local path = filled(check.log.path, target.values or {})
  local tail, err = files.read_tail(path, 1 << 20)
  if not tail then return failed(("the log %s cannot be read: %s"):format(path, err.message)) end
  local from = target.logs_from and target.logs_from[path]
  if from then
    local now = files.stat(path)
    -- A log that has shrunk was rotated: all of it is new.
    if now and now.size >= from then tail = tail:sub(math.max(1, #tail - (now.size - from) + 1)) end
  end
  local count, seen = 0, 0
  for line in tail:gmatch "[^\n]+" do
    seen = seen + 1
    if line:find(check.log.pattern, 1, true) then
      count = count + 1
      if count == 1 then err = line end
    end
  end
  if count > 0 then return failed(("%d critical lines in %s, the first: %s"):format(count, path, err:sub(1, 200))) end
  return ("%d lines, none critical"):format(seen)
end

function M.kinds.migrations(_, target)
  if not target.pending_migrations then return failed "the target has no release whose migrations could be compared" end
  local pending, err = target.pending_migrations()
  if not pending then return failed("the applied migrations cannot be read: " .. err.message) end
  if #pending > 0 then return failed("not applied: " .. table.concat(pending, ", ")) end
  return "all applied"
end

--- The kind of a check; raises if it has none or several.
---@param check table
---@return string
---@usage assert(health.kind_of { name = "x", tcp = "127.0.0.1:1" } == "tcp")
function M.kind_of(check)
  local found
  for kind in pairs(M.kinds) do
    if check[kind] ~= nil then
      if found then error(("check '%s' has two kinds: %s and %s"):format(check.name, found, kind), 2) end
      found = kind
    end
  end
  if not found then error(("check '%s' has no kind (http, sql, command, tcp, ...)"):format(tostring(check.name)), 2) end
  return found
end

--- Runs one check, as often as its `attempts` allow.
---@param check table
---@param target table
---@return { name: string, kind: string, ok: boolean, detail: string, seconds: number, critical: boolean }
function M.run(check, target)
  local kind = M.kind_of(check)
  local began = clock.now()
  local evidence, err
  for attempt = 1, check.attempts or 1 do
    if attempt > 1 then task.sleep(check.interval or 0.5) end
    evidence, err = M.kinds[kind](check, target)
    if evidence then break end
  end
  return { name = check.name, kind = kind, ok = evidence ~= nil, detail = evidence or err.message .. (err.cause and ("; " .. tostring(err.cause)) or ""),
    seconds = clock.now() - began, critical = check.critical ~= false }
end

--- How long the logs of these checks are now: what `logs_from` of a target takes.
---@param checks table[]
---@param target table
---@return table<string, integer> bytes by path
---@usage assert(next(health.log_sizes({ { name = "x", tcp = "127.0.0.1:1" } }, {})) == nil)
function M.log_sizes(checks, target)
  local sizes = {}
  for _, check in ipairs(checks) do
    local path = check.log and filled(check.log.path, target.values or {})
    local found = path and require("files").stat(path)
    if found then sizes[path] = found.size end
  end
  return sizes
end

--- Runs all checks side by side.
---@param checks table[]
---@param target table
---@return table[] results in the order of the checks
function M.all(checks, target)
  return task.map(checks, function(check) return M.run(check, target) end)
end

return M
