--- serve: a small HTTP server. Every request runs its handler as a task of its own, which may wait.

local core = require "core.serve"
local core_task = require "core.task"
local json = require "json"

local M = {}

local TEXT = { ["content-type"] = "text/plain; charset=utf-8" }

--- An answer in JSON.
---@param value any
---@param status? integer default 200
---@return table
---@usage assert(serve.json({ ok = true }).body == '{"ok":true}')
function M.json(value, status)
  return { status = status or 200, headers = { ["content-type"] = "application/json" }, body = json.encode(value) }
end

local function text(status, body) return { status = status, headers = TEXT, body = body .. "\n" } end

-- "GET /ventures/:id" -> method, a pattern, the names in it
local function compile(routes)
  local compiled = {}
  for route, handler in pairs(routes) do
    local method, path = route:match "^(%u+) (/.*)$"
    if not method then error(("'%s' is not a route such as \"GET /health\""):format(route), 3) end
    local names = {}
    local pattern = path:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub(":([%w_]+)", function(name)
      names[#names + 1] = name
      return "([^/]+)"
    end)
    compiled[#compiled + 1] = { method = method, pattern = "^" .. pattern .. "$", names = names, handler = handler, path = path }
  end
  -- Fixed paths come before those with names in them.
  table.sort(compiled, function(a, b)
    if #a.names ~= #b.names then return #a.names < #b.names end
    return a.path < b.path
  end)
  return compiled
end

local function route(compiled, request)
  local allowed = {}
  for _, candidate in ipairs(compiled) do
    local found = { request.path:match(candidate.pattern) }
    if found[1] then
      if candidate.method == request.method or (candidate.method == "GET" and request.method == "HEAD") then
        request.params = {}
        for i, name in ipairs(candidate.names) do request.params[name] = found[i] end
        return candidate.handler
      end
      allowed[#allowed + 1] = candidate.method
    end
  end
  if #allowed == 0 then return nil, text(404, "not found") end
  local answer = text(405, "method not allowed")
  return nil, { status = 405, headers = { ["content-type"] = TEXT["content-type"], allow = table.concat(allowed, ", ") }, body = answer.body }
end

local function complain(request, problem) core.log(("serve: %s %s: %s"):format(request.method, request.path, problem)) end

-- What a handler gave, as status, headers, body; or nil, what is wrong with it.
local function normal(answer)
  if type(answer) == "string" then answer = text(200, answer) end
  if type(answer) ~= "table" then return nil, "the handler gave no answer" end
  local status, headers, body = answer.status or 200, answer.headers or {}, answer.body or ""
  if math.type(status) ~= "integer" or status < 200 or status > 599 then return nil, "the answer's status is not from 200 to 599" end
  if type(headers) ~= "table" then return nil, "the answer's headers are no table" end
  if type(body) ~= "string" and type(body) ~= "number" then return nil, "the answer's body is a " .. type(body) end
  return status, headers, body
end

-- A failure in here must not reach the acceptor, whose task this one belongs to.
local function respond(token, handler, request)
  local ok, answer = pcall(handler, request)
  local status, headers, body
  if not ok then
    complain(request, tostring(answer))
    local late = type(answer) == "table" and answer.code == "deadline"
    status, headers, body = late and 503 or 500, TEXT, late and "took too long\n" or "internal error\n"
  else
    status, headers, body = normal(answer)
    if not status then
      complain(request, headers)
      status, headers, body = 500, TEXT, "internal error\n"
    end
  end
  if not token:answer(status, headers, body) then complain(request, "a header of the answer is no line of text") end
end

local Server = {}
Server.__index = Server

--- Starts a server. It lives as long as the task that started it, at most.
-- options: host ("127.0.0.1"), port (0: a free one), handler(request) or routes = { ["GET /x/:id"] = handler },
-- max_body (bytes, default 1 MiB; more is answered 413), idle_timeout (seconds that an open connection may be
-- unused, default 60), handler_timeout (seconds that a handler may take, default 60; then 503 is answered).
-- A request has method, path, query, headers (names in lower case), body, params, remote (the client's
-- address). A handler returns text or { status =, headers =, body = }; one that raises gives 500 and a line in
-- the log, and harms nobody else.
---@param options table
---@return table? server with server.port, server:stop(seconds), server:wait(); table? err
---@usage local s = serve.http { handler = function() return "hi" end }  assert(http.get("http://127.0.0.1:" .. s.port).body == "hi\n")  s:stop(1)
function M.http(options)
  local compiled = options.routes and compile(options.routes)
  if not compiled and type(options.handler) ~= "function" then error("serve.http needs a handler or routes", 2) end
  local server, err = core.start(options.host or "127.0.0.1", options.port or 0, options.max_body or 1 << 20, options.idle_timeout or 60)
  if not server then return nil, err end
  local self = setmetatable({ server = server, port = server:port() }, Server)
  self.acceptor = background(function()
    while true do
      local token, request = server:next()
      if not token then return end
      if request.too_large then
        token:answer(413, TEXT, "too large\n")
      else
        local handler, refusal = options.handler, nil
        if compiled then handler, refusal = route(compiled, request) end
        if handler then core_task.deadline(background(respond, token, handler, request).task, options.handler_timeout or 60, "handler")
        else token:answer(refusal.status, refusal.headers, refusal.body) end
      end
    end
  end)
  return self
end

--- Waits until the server has stopped.
function Server:wait() self.acceptor:join() end

--- Takes no more connections, lets requests under way be answered for at most `seconds`, then closes.
-- May be called by several tasks at once; each waits for the end.
---@param seconds number
---@return true?, table? err code timeout when some were not answered in time
function Server:stop(seconds)
  if self.closed then return true end
  self.stopping = (self.stopping or 0) + 1
  -- Closes also when the stop itself is canceled; the last who waits does it.
  local closing <close> = setmetatable({}, { __close = function()
    self.stopping = self.stopping - 1
    if self.stopping > 0 or self.closed then return end
    self.closed = true
    self.acceptor:cancel "the server was stopped"
    self.server:close()
  end })
  return self.server:stop(seconds)
end

return M
