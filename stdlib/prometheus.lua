--- prometheus: figures from an exposition (what a server shows at /metrics) and from Prometheus' HTTP API.

local core = require "core.exposition"
local core_err = require "core.err"

local M = {}

--- The samples of a text in the exposition format. A line that is not a whole sample is counted and is no value.
---@param text string
---@param names? table<string, boolean> only these
---@return { name: string, labels: table<string, string>, value: number }[] samples, integer unreadable
---@usage local samples, unreadable = prometheus.parse "up{job=\"a\"} 1\nbroken\n"  assert(samples[1].labels.job == "a" and unreadable == 1)
function M.parse(text, names) return core.parse(text, names) end

--- The sum of the samples of one name whose labels are at least these; nil when there is none.
---@param samples table[]
---@param name string
---@param labels? table<string, string>
---@return number?
---@usage assert(prometheus.sum(prometheus.parse "a{x=\"1\"} 2\na{x=\"2\"} 3\n", "a") == 5)
function M.sum(samples, name, labels)
  local sum
  for _, sample in ipairs(samples) do
    local fits = sample.name == name
    for key, value in pairs(labels or {}) do fits = fits and sample.labels[key] == value end
    if fits then sum = (sum or 0) + sample.value end
  end
  return sum
end

local function failed(message, cause) return nil, core_err.new { code = "protocol", op = "prometheus", message = message, cause = cause } end

--- Asks a server for its exposition.
---@param options { url: string, timeout?: number, names?: table<string, boolean>, headers?: table }
---@return table[]? samples, integer|table unreadable, or the error
---@usage assert(not prometheus.scrape { url = "http://127.0.0.1:1/metrics", timeout = 1 })
function M.scrape(options)
  local response, err = require("http").request { url = options.url, timeout = options.timeout or 5, headers = options.headers }
  if not response then return nil, err end
  if response.status ~= 200 then return failed(("%s answered %d"):format(options.url, response.status)) end
  local samples, unreadable = core.parse(response.body, options.names)
  if not samples[1] and unreadable > 0 then return failed(("%s answered with no readable sample; %d lines are none"):format(options.url, unreadable)) end
  return samples, unreadable
end

-- A value in an answer is { unix time, "number" }.
local function number_of(pair)
  local text = type(pair) == "table" and pair[2]
  if text == "NaN" then return 0 / 0 end
  if text == "+Inf" then return math.huge end
  if text == "-Inf" then return -math.huge end
  return tonumber(text)
end

local function encoded(text) return (tostring(text):gsub("[^%w_.~-]", function(c) return ("%%%02X"):format(c:byte()) end)) end

local function ask(options, path, arguments)
  local parts = {}
  for _, pair in ipairs(arguments) do if pair[2] then parts[#parts + 1] = pair[1] .. "=" .. encoded(pair[2]) end end
  local response, err = require("http").request { url = options.url .. path .. "?" .. table.concat(parts, "&"), timeout = options.timeout or 10, headers = options.headers }
  if not response then return nil, err end
  local document = response:json()
  if type(document) ~= "table" then return failed(("Prometheus answered %d, and no JSON"):format(response.status)) end
  if document.status ~= "success" or type(document.data) ~= "table" then
    return failed(("Prometheus refused the query: %s"):format(tostring(document.error or response.status)), document.errorType and tostring(document.errorType))
  end
  return document.data
end

--- An instant query.
---@param options { url: string, query: string, time?: number, timeout?: number, headers?: table } url: base address of Prometheus
---@return { labels: table<string, string>, value: number }[]? series, table? err
---@usage assert(not prometheus.query { url = "http://127.0.0.1:1", query = "up", timeout = 1 })
function M.query(options)
  local data, err = ask(options, "/api/v1/query", { { "query", options.query }, { "time", options.time } })
  if not data then return nil, err end
  if data.resultType == "scalar" then
    local value = number_of(data.result)
    if not value then return failed "the answer's scalar is no number" end
    return { { labels = {}, value = value } }
  end
  if data.resultType ~= "vector" or type(data.result) ~= "table" then return failed(("an instant vector was expected, not a %s"):format(tostring(data.resultType))) end
  local out = {}
  for i, series in ipairs(data.result) do
    local value = number_of(series.value)
    if not value then return failed(("series %d of the answer has no number"):format(i)) end
    out[i] = { labels = series.metric or {}, value = value }
  end
  return out
end

--- A range query.
---@param options { url: string, query: string, from: number, to: number, step: number, timeout?: number, headers?: table } times in seconds
---@return { labels: table<string, string>, values: { at: number, value: number }[] }[]? series, table? err
---@usage assert(not prometheus.range { url = "http://127.0.0.1:1", query = "up", from = 0, to = 60, step = 15, timeout = 1 })
function M.range(options)
  local data, err = ask(options, "/api/v1/query_range", { { "query", options.query }, { "start", options.from }, { "end", options.to }, { "step", options.step } })
  if not data then return nil, err end
  if data.resultType ~= "matrix" or type(data.result) ~= "table" then return failed(("a matrix was expected, not a %s"):format(tostring(data.resultType))) end
  local out = {}
  for i, series in ipairs(data.result) do
    local values = {}
    for j, pair in ipairs(series.values or {}) do
      local value = number_of(pair)
      if not value then return failed(("series %d of the answer has no number"):format(i)) end
      values[j] = { at = pair[1], value = value }
    end
    out[i] = { labels = series.metric or {}, values = values }
  end
  return out
end

return M
