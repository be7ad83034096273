--- http: requests over HTTP and HTTPS. Connections are kept; TLS is always verified.

local core = require "core.http"
local core_err = require "core.err"
local json = require "json"

local M = {}

local Response = {}
Response.__index = Response

--- The body as JSON.
---@return any value, table? err
function Response:json() return json.decode(self.body) end

local function matches(status, expected)
  if type(expected) ~= "table" then return status == expected end
  for _, one in ipairs(expected) do if one == status then return true end end
  return false
end

--- Sends a request and waits for the whole answer.
-- options: url, method, headers (by name), body, json (a value sent as JSON), timeout (seconds, default 30),
-- connect_timeout (10), max_redirects (0: none followed), max_response (bytes, default 4 MiB), expect (a
-- status or a list of them; another one is err http), unix_socket, ca_file, user, password. Secrets may stand
-- wherever text may.
-- The response has status, headers (names in lower case), body, total_s, connect_s, first_byte_s, version
-- (11, 20), reused, and json().
---@param options table
---@return table? response, table? err codes connect, resolve, tls, timeout, closed, protocol, limit, http
---@usage local r, err = http.request { url = "http://127.0.0.1:1/", timeout = 1 }  assert(r == nil and err.code == "connect")
function M.request(options)
  local sent = options
  if options.json ~= nil then
    sent = setmetatable({}, { __index = options })
    sent.body = json.encode(options.json)
    sent.headers = { ["content-type"] = "application/json" }
    for name, value in pairs(options.headers or {}) do sent.headers[name:lower()] = value end
  end
  local response, err = core.request(sent)
  if not response then return nil, err end
  setmetatable(response, Response)
  if options.expect and not matches(response.status, options.expect) then
    return nil, core_err.new { code = "http", op = "http", status = response.status,
      message = ("%s answered %d: %s"):format(tostring(options.url):gsub("%?.*", ""), response.status, response.body:sub(1, 200)) }
  end
  return response
end

local function with(url, method, body, options)
  local all = { url = url, method = method, body = body }
  for key, value in pairs(options or {}) do all[key] = value end
  return M.request(all)
end

--- GET.
---@param url string
---@param options? table see request
---@return table? response, table? err
function M.get(url, options) return with(url, "GET", nil, options) end

--- POST.
---@param url string
---@param body? string
---@param options? table see request
---@return table? response, table? err
function M.post(url, body, options) return with(url, "POST", body or "", options) end

return M
