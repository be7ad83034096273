--- simulation.drivers.http: stands in for module http. Colours, the public address and the alert manager answer as the world is; any other address as the
-- venture's simulation.lua says (`http`), or 200 with an empty object.
--
-- Not simulated: what is sent, headers, redirects, TLS, files that are sent or received, `expect`, and what grants refuse.

local answers = require "simulation.answers"
local core_err = require "core.err"
local core_search = require "core.search"
local json = require "json"
local world = require("simulation.current").world

local M = {}

local ALERT_S = 1.5

-- The body is only made when somebody reads it.
local Response = { __index = function(response, name)
  if name == "json" then return function() return response.value end end
  if name == "body" then
    response.body = json.encode(response.value)
    return response.body
  end
end }

local function answer(status, value) return setmetatable({ status = status, value = value, headers = {}, total_s = 0.003 }, Response) end

local function no_answer(url, seconds)
  return nil, core_err.new { code = "timeout", op = url, message = ("simulated: no answer within %g s"):format(seconds), retryable = true }
end

local function of_colour(here, colour, url, timeout)
  if not here.colours[colour] then return nil, core_err.new { code = "connect", op = url, message = "simulated: connection refused" } end
  local errors = here:answers(colour, true)
  if errors == nil then
    require("task").sleep(timeout)
    return no_answer(url, timeout)
  end
  if not here:alive(colour) then return nil, core_err.new { code = "connect", op = url, message = "simulated: connection refused" } end
  if errors > 0 and here:stream("probes"):chance(errors) then return answer(500, { error = "simulated" }) end
  return answer(200, { status = "ok", version = here.colours[colour].release })
end

local function starts_with(text, prefix) return prefix and text:sub(1, #prefix) == prefix end

-- Is a URL one of what serves at an address? "http://a:8080/" is not at "http://a:80".
local function is_at(url, address) return starts_with(url, address) and (url == address or url:find("^[/?]", #address + 1) ~= nil) end

-- The test alert: accepted once, and there a moment later.
local function alert(here, options)
  local monitoring = here.venture.monitoring
  if starts_with(options.url, monitoring.alertmanager) then
    here.alerted_at = here.alerted_at or require("core.clock").now()
    here:touch "test alert"
    return here:operation("alert", 0, function() return answer(200, {}) end)
  end
  if monitoring.receiver and starts_with(options.url, monitoring.receiver:match "^[^{]*") then
    local there = here.alerted_at and not here:fault "alert" and require("core.clock").now() - here.alerted_at >= ALERT_S
    return answer(there and 200 or 404, {})
  end
end

function M.request(options)
  local here = world()
  here:check_alive()
  local url, timeout = tostring(options.url), options.timeout or 30
  local found, err = alert(here, options)
  if found or err then return found, err end
  for _, colour in ipairs { "rehearsal", "blue", "green" } do
    if is_at(url, here:base(colour)) then return of_colour(here, colour, url, timeout) end
  end
  if is_at(url, here.venture.traffic.public) then
    local colour = here:stream("public"):chance(here.weights.green / 100) and "green" or "blue"
    local response, problem = of_colour(here, colour, url, timeout)
    if response and response.status == 200 and here.colours[colour].release == here.release and here.weights[colour] == 100 then here.served = true end
    return response, problem
  end
  for name, key in pairs(options.headers or {}) do
    if name:lower() == "idempotency-key" then
      -- Whoever sends a key wants something made: the engine can die before that, and after.
      here:boundary "request: before"
      here:make("request", url .. " " .. tostring(options.body), tostring(key))
      here:boundary "request: after"
    end
  end
  local said = answers.find(here.scenario.answers and here.scenario.answers.http, url) or {}
  return answer(said.status or 200, said.json or {})
end

function M.get(url, options) return M.request(setmetatable({ url = url, method = "GET" }, { __index = options })) end
function M.post(url, body, options) return M.request(setmetatable({ url = url, method = "POST", body = body }, { __index = options })) end

return setmetatable(M, { __index = core_search.genuine "http" })
