-- An application that asks the database at every request, for rollback.sh: a connection that was lost is opened again. GET /gap tells
-- how long no request was served, at most, and how many were refused.

local clock = require "clock"
local random = require "random"

return playbook {
  name = "rollback-app",
  about = "an application that asks the database at every request",
  args = { url = { type = "string", required = true }, port_file = { type = "string", required = true } },
  run = function(run)
    local args = run.args
    local connections, last, gap, refused = {}, nil, 0, 0
    local function answer()
      local db = table.remove(connections) or sql.open(args.url, { timeout = 2 })
      local value = db and db:value("SELECT abalance FROM pgbench_accounts WHERE aid = $1", random.integer(1, 100000))
      if not value then
        if db then db:close() end
        refused = refused + 1
        return { status = 503, body = "no database" }
      end
      connections[#connections + 1] = db
      local now = clock.now()
      if last then gap = math.max(gap, now - last) end
      last = now
      return "ok"
    end
    local server = expect(serve.http { routes = {
      ["GET /"] = answer,
      ["GET /gap"] = function()
        local text = ("%.1f %d"):format(gap * 1000, refused)
        gap, refused, last = 0, 0, nil
        return text
      end,
    } })
    expect(files.write(args.port_file, tostring(server.port)))
    server:wait()
  end,
}
