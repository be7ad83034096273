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

--- Every value of a header, in order: for headers that may come several times, such as set-cookie.
---@param name string
---@return string[]
function Response:values(name)
  local values, wanted = {}, name:lower()
  for key, value in self.header_lines:gmatch "([^:\n]+):[ \t]*([^\n]*)" do
    if key == wanted then values[#values + 1] = value end
  end
  return values
end

-- "host:443" or "[::1]:443" or without a port -> host, port or ""
local function split(text)
  local host, port = text:match "^(%[[%x:.]+%]):?(%d*)$"
  if not host then host, port = text:match "^([^:%s]+):?(%d*)$" end
  if not host then error(("resolve: '%s' is neither host:port nor address:port"):format(text), 4) end
  return host, port
end

local function connect_to(resolve)
  local lines = {}
  for name, address in pairs(resolve) do
    local host, port = split(name)
    local to, to_port = split(address)
    lines[#lines + 1] = table.concat({ host, port, to, to_port }, ":")
  end
  return lines
end

local function matches(status, expected)
  if type(expected) ~= "table" then return status == expected end
  for _, one in ipairs(expected) do if one == status then return true end end
  return false
end

--- Sends a request and waits for the whole answer.
-- options: url, method, headers (by name), body, json (a value sent as JSON), timeout (seconds, default 30),
-- connect_timeout (10), max_redirects (0: none followed), max_response (bytes, default 4 MiB), expect (a
-- status or a list of them; another one is err http), unix_socket, ca_file, user, password, resolve
-- ({ ["shop.example:443"] = "127.0.0.1:8443" }: connect there, while TLS and Host keep the name). Secrets may
-- stand wherever text may. body_file, body_offset, body_bytes: the body is this part of a file, read while it is sent.
-- to_file: the body of a good answer (200 to 299) goes into this new file and not into `body`; to_file_limit: bytes of it at most. sigv4 ("aws:amz:REGION:SERVICE"):
-- signed with AWS Signature Version 4, with user and password as access key and secret.
-- The response has status, headers (names in lower case; repeated ones joined with ", "), values(name), body,
-- json(), total_s, connect_s, first_byte_s, version (11, 20), reused, label ("GET http://host/path").
---@param options table
---@return table? response, table? err codes connect, resolve, tls, timeout, closed, protocol, limit, http
---@usage local r, err = http.request { url = "http://127.0.0.1:1/", timeout = 1 }  assert(r == nil and err.code == "connect")
function M.request(options)
  local sent = setmetatable({}, { __index = options })
  if options.json ~= nil then
    sent.body = json.encode(options.json)
    sent.headers = { ["content-type"] = "application/json" }
    for name, value in pairs(options.headers or {}) do sent.headers[name:lower()] = value end
  end
  if options.resolve then sent.connect_to = connect_to(options.resolve) end
  local response, err = core.request(sent)
  if not response then return nil, err end
  setmetatable(response, Response)
  if options.expect and not matches(response.status, options.expect) then
    return nil, core_err.new { code = "http", op = "http " .. response.label, status = response.status,
      message = ("%s answered %d: %s"):format(response.label, response.status, response.body:sub(1, 200)) }
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
