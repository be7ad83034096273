-- Against a real Alertmanager and promtool: the rules are valid, and a test alert arrives at its receiver.

local monitoring = require "monitoring"

return playbook {
  name = "monitoring-test",
  args = { folder = { required = true }, port = { type = "integer", required = true } },
  run = function(run)
    local arrived = {}
    local receiver = expect(serve.http { routes = {
      ["POST /webhook"] = function(request)
        for _, alert in ipairs(json.decode(request.body).alerts) do arrived[alert.labels.id or "none"] = true end
        return "ok"
      end,
      ["GET /alerts/:id"] = function(request) return serve.json({}, arrived[request.params.id] and 200 or 404) end,
    } })
    local folder = run.args.folder
    expect(files.write(folder .. "/alertmanager.yml", ([[
route: { receiver: hook, group_by: [id], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }
receivers: [ { name: hook, webhook_configs: [ { url: "http://127.0.0.1:%d/webhook", send_resolved: false } ] } ]
]]):format(receiver.port)))
    local handle = expect(process.spawn { log = folder .. "/alertmanager.log", argv = { "prometheus-alertmanager", "--config.file=" .. folder .. "/alertmanager.yml",
      "--storage.path=" .. folder .. "/data", "--cluster.listen-address=", "--web.listen-address=127.0.0.1:" .. run.args.port } })
    local stop <close> = setmetatable({}, { __close = function() shield(function() process.stop(handle, { grace = 5 }) end) end })
    local base = "http://127.0.0.1:" .. run.args.port
    deadline(30, function()
      repeat
        local ready = http.get(base .. "/-/ready", { timeout = 2 })
        if not ready then sleep(0.1) end
      until ready and ready.status == 200
    end)
    local venture = { name = "shop", traffic = { backend = "app" }, canary = { target_error_rate = 0.01, p95_ms = 500, pool = 0.8, cpu = 0.7 },
      monitoring = { rules = folder .. "/rules.yml", alertmanager = base, receiver = ("http://127.0.0.1:%d/alerts/{id}"):format(receiver.port), timeout = 20 } }

    print("rules: " .. process.run { argv = { "promtool", "check", "rules", expect(monitoring.write_rules(venture)) } }.stdout:match "%a+: %d+ rules found")
    local result = expect(monitoring.test_alert(venture, "test-" .. random.hex(4)))
    print(("arrived after %.1f s"):format(result.seconds))
    venture.monitoring.receiver, venture.monitoring.timeout = ("http://127.0.0.1:%d/alerts/{id}-never"):format(receiver.port), 1
    local none, err = monitoring.test_alert(venture, "lost")
    print("not arrived: " .. tostring(none == nil and err.code))
    process.stop(handle, { grace = 5 })
    none, err = monitoring.test_alert(venture, "down")
    print("down: " .. tostring(none == nil and err.code), stop and nil)
    receiver:stop(1)
  end,
}
