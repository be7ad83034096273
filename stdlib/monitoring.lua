--- monitoring: alert rules for Prometheus, and the proof that an alert arrives.

local clock = require "clock"
local core_err = require "core.err"
local effect = require "effect"
local files = require "files"
local http = require "http"
local task = require "task"

local M = {}

local POLL_S = 0.2

--- Prometheus alert rules for the procedure's four thresholds, as YAML text.
-- Metric names are those of HAProxy's exporter, of PostgreSQL's exporter and of node_exporter.
---@param venture table
---@return string
function M.rules(venture)
  local canary, backend = venture.canary, venture.traffic.backend or venture.name
  local rules = {
    { "ErrorRate", ("sum(rate(haproxy_backend_http_responses_total{proxy=%q,code=\"5xx\"}[1m])) / sum(rate(haproxy_backend_http_responses_total{proxy=%q}[1m])) > %g"):format(backend, backend, canary.target_error_rate),
      ("more than %g %% of the requests fail"):format(canary.target_error_rate * 100) },
    { "SlowResponses", ("histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{job=%q}[1m]))) > %g"):format(venture.name, canary.p95_ms / 1000),
      ("the 95th percentile of response times is above %g ms"):format(canary.p95_ms) },
    { "ConnectionPool", ("sum(pg_stat_activity_count{job=%q}) / max(pg_settings_max_connections{job=%q}) > %g"):format(venture.name, venture.name, canary.pool),
      ("more than %g %% of the database connections are in use"):format(canary.pool * 100) },
    { "Cpu", ("1 - avg(rate(node_cpu_seconds_total{mode=\"idle\"}[1m])) > %g"):format(canary.cpu),
      ("the machine's CPU is busier than %g %%"):format(canary.cpu * 100) },
  }
  local out = { "groups:", ("  - name: %s-deployment"):format(venture.name), "    rules:" }
  for _, rule in ipairs(rules) do
    out[#out + 1] = ("      - alert: %s%s"):format(venture.name:gsub("[^%w]", "_"), rule[1])
    out[#out + 1] = "        expr: '" .. rule[2] .. "'"
    out[#out + 1] = "        for: 1m"
    out[#out + 1] = "        labels:"
    out[#out + 1] = "          severity: page"
    out[#out + 1] = ("          venture: %q"):format(venture.name)
    out[#out + 1] = "        annotations:"
    out[#out + 1] = ("          summary: %q"):format(venture.name .. ": " .. rule[3])
  end
  return table.concat(out, "\n") .. "\n"
end

--- Writes the rules where Prometheus reads them, and reads them back.
---@return string? path, table? err
function M.write_rules(venture)
  local path, text = venture.monitoring.rules, M.rules(venture)
  local ok, err = effect.change("alert rules", function() return files.write(path, text) end)
  if not ok then return nil, err end
  local back
  back, err = files.read(path)
  if back ~= text then return nil, err or core_err.new { code = "io", message = path .. " does not hold what was written" } end
  return path
end

--- Fires a test alert at Alertmanager and waits until the receiver has it.
---@param venture table
---@param id string names this alert
---@return { seconds: number }? , table? err
function M.test_alert(venture, id)
  local monitoring = venture.monitoring
  local began = clock.now()
  local response, err = effect.change("test alert", function() return http.request {
    url = monitoring.alertmanager .. "/api/v2/alerts", method = "POST", timeout = monitoring.timeout,
    json = { {
      labels = { alertname = "DeploymentTestAlert", venture = venture.name, severity = "test", id = id },
      annotations = { summary = "Test alert of a deployment; nothing needs to be done." },
      startsAt = clock.utc(),
    } },
  } end)
  if not response then return nil, err end
  if response.status ~= 200 then
    return nil, core_err.new { code = "http", message = ("Alertmanager answered %d to the test alert: %s"):format(response.status, response.body:sub(1, 200)) }
  end
  local receiver = monitoring.receiver:gsub("{id}", id)
  local ok, why = task.scope("arrival of the test alert", monitoring.timeout, function()
    repeat
      local seen = http.request { url = receiver, timeout = monitoring.timeout }
      local there = seen and seen.status == 200
      if not there then task.sleep(POLL_S) end
    until there
  end)
  if not ok then
    if why.code ~= "deadline" then error(why, 0) end
    return nil, core_err.new { code = "timeout", message = ("the test alert was accepted but did not arrive at %s within %g s"):format(receiver, monitoring.timeout) }
  end
  return { seconds = clock.now() - began }
end

return M
