-- A small server whose behaviour is switched while it runs: PUT /mode with "ok", "down", "failing", "errors", "slow" or "hang".
-- Only "down" and "hang" are seen by /health.

local random = require "random"
local serve = require "serve"

local mode = "ok"
local requests, errors = 0, 0

local function counted(handler)
  return function()
    local response = handler()
    requests = requests + 1
    if response.status >= 500 then errors = errors + 1 end
    return response
  end
end

local function answer()
  if mode == "down" or mode == "failing" then return { status = 503, body = "down" } end
  if mode == "errors" and random.integer(1, 5) == 1 then return { status = 500, body = "one in five" } end
  if mode == "slow" then sleep(0.9) end
  if mode == "hang" then sleep(25) end
  return { status = 200, body = "fine" }
end

return playbook {
  name = "switchable",
  about = "a server whose behaviour is switched while it runs",
  args = { port = { type = "integer", required = true } },
  run = function(run)
    local server = expect(serve.http { host = "127.0.0.1", port = run.args.port, routes = {
      ["GET /"] = counted(answer),
      ["GET /metrics"] = function()
        return { status = 200, headers = { ["content-type"] = "text/plain; version=0.0.4" },
          body = ("# TYPE http_requests_total counter\nhttp_requests_total %d\nhttp_errors_total %d\n"):format(requests, errors) }
      end,
      ["GET /health"] = function() return (mode == "down" or mode == "hang") and answer() or { status = 200, body = "fine" } end,
      ["PUT /mode"] = function(request)
        mode = request.body
        return { status = 204, body = "" }
      end,
    } })
    server:wait()
  end,
}
