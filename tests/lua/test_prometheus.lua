local counters = require "counters"
local net = require "net"
local t = require "test"

local function refused(code, value, err)
  t.err(value, err, code)
end

-- A stand-in for a server that exposes figures, and for Prometheus itself.
local function server(routes)
  local port = net.free_port()
  local handle = t.ok(serve.http { host = "127.0.0.1", port = port, routes = routes })
  return handle, "http://127.0.0.1:" .. port
end

local function text(body) return function() return { status = 200, body = body } end end

t.case("samples and sums", function()
  local samples, unreadable = prometheus.parse "# TYPE a counter\na{x=\"1\",y=\"p\"} 2\na{x=\"2\"} 3\nb 1e3\nbroken line here\n"
  t.eq(#samples, 3)
  t.eq(unreadable, 1)
  t.eq(prometheus.sum(samples, "a"), 5.0)
  t.eq(prometheus.sum(samples, "a", { x = "2" }), 3.0)
  t.eq(prometheus.sum(samples, "c"), nil)
  t.eq(#prometheus.parse("a 1\nb 2\n", { b = true }), 1)
end)

t.case("a scrape", function()
  local handle, url = server { ["GET /metrics"] = text "up 1\n", ["GET /html"] = text "<html>\n", ["GET /broken"] = function() return { status = 500, body = "" } end }
  t.eq(prometheus.sum(t.ok(prometheus.scrape { url = url .. "/metrics" }), "up"), 1.0)
  refused("protocol", prometheus.scrape { url = url .. "/html" })
  refused("protocol", prometheus.scrape { url = url .. "/broken" })
  handle:stop(1)
  t.ok(not prometheus.scrape { url = url .. "/metrics", timeout = 1 })
end)

t.case("the API", function()
  local asked
  local function api(body)
    return function(request)
      asked = request
      return { status = 200, body = body }
    end
  end
  local handle, url = server {
    ["GET /vector/api/v1/query"] = api '{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[1,"0.5"]},{"metric":{},"value":[1,"NaN"]}]}}',
    ["GET /scalar/api/v1/query"] = api '{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}',
    ["GET /refused/api/v1/query"] = api '{"status":"error","errorType":"bad_data","error":"parse error"}',
    ["GET /odd/api/v1/query"] = api '{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"x"]}]}}',
    ["GET /none/api/v1/query"] = api "not JSON",
    ["GET /range/api/v1/query_range"] = api '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"],[2,"3"]]}]}}',
  }
  local series = t.ok(prometheus.query { url = url .. "/vector", query = "rate(x[1m]) > 0" })
  t.eq(series[1].value, 0.5)
  t.eq(series[1].labels.job, "a")
  t.ok(series[2].value ~= series[2].value, "NaN stays NaN")
  t.ok(asked, "asked")
  t.eq(t.ok(prometheus.query { url = url .. "/scalar", query = "7" })[1].value, 7)
  for _, path in ipairs { "/refused", "/odd", "/none" } do refused("protocol", prometheus.query { url = url .. path, query = "x" }) end
  t.eq(t.ok(prometheus.range { url = url .. "/range", query = "x", from = 1, to = 2, step = 1 })[1].values[2].value, 3)
  handle:stop(1)
end)

t.case("counters of what the colours expose", function()
  local requests = 100
  local handle, url = server { ["GET /metrics"] = function()
    return { status = 200, body = ("r{code=\"200\"} %d\nr{code=\"500\"} 5\ne 5\nd_bucket{le=\"0.1\"} 80\nd_bucket{le=\"0.5\"} 95\nd_bucket{le=\"1\"} 99\nd_bucket{le=\"+Inf\"} %d\n"):format(requests, requests + 5) }
  end, ["GET /empty"] = text "x 1\n" }
  local read = counters.prometheus { urls = { blue = url .. "/metrics", green = url .. "/metrics" }, requests = "r", errors = { name = "r", labels = { code = "500" } }, duration = "d", slow_ms = 500 }
  local totals = t.ok(read())
  t.eq(totals.blue, { requests = 105, errors = 5, slow = 10, open = 0 })
  refused("no_data", counters.prometheus { urls = { blue = url .. "/empty" }, requests = "r", errors = "e" }())
  handle:stop(1)
end)
