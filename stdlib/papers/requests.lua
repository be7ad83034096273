--- papers.requests: what clients got during a run, as blocks of a paper: traffic, errors and latency over time, and the evidence of every verdict.

local canary_record = require "canary.record"
local chart = require "papers.chart"
local clock = require "clock"
local series = require "papers.series"
local words = require "papers.words"

local M = {}

local POINTS = 100   -- at most so many in a chart
local POINT_S = 1    -- and none shorter: fewer requests say nothing
local AIR = 0.03     -- beside what is drawn, as a share of it
local COLOURS = { "green", "blue" }

local function policy_of(record) return (record:all "policy"[1] or { data = {} }).data end

-- The steps that began within a range, with their numbers in the table of steps.
local function marks_of(record, from, to)
  local out = {}
  for number, step in ipairs(record.steps) do
    local at = clock.of_utc(step.started_at)
    if at >= from and at <= to then out[#out + 1] = { at = at, number = number, name = step.name, state = step.state } end
  end
  return out
end

-- One line a colour; value(entry, colour) is nil where there is no data.
local function lines_of(entries, value)
  local out = {}
  for i, colour in ipairs(COLOURS) do
    local points = {}
    for j, entry in ipairs(entries) do points[j] = { at = (entry.from + entry.to) / 2, from = entry.from, to = entry.to, value = value(entry, colour) } end
    out[i] = { name = colour, class = colour, dashed = colour == "blue", points = points }
  end
  return out
end

local function rate(counts, name) return (counts.requests or 0) > 0 and counts[name] / counts.requests or nil end

-- The same in percent, for a chart.
local function rate_of(name)
  return function(one, colour)
    local share = rate(one[colour], name)
    return share and share * 100
  end
end

-- What the gaps of a chart's lines are, in words, so that they are in the text too.
local function gaps_in_words(spec, day)
  local out = {}
  for _, one in ipairs(spec.lines) do
    for _, gap in ipairs(chart.gaps(spec, one)) do
      out[#out + 1] = ("%s %s to %s"):format(one.name, words.time(gap.from, day), words.time(gap.to, day))
    end
  end
  return out[1] and "No data: " .. table.concat(out, "; ") .. "." or nil
end

-- What all charts of a run have in common, and their own.
local function spec_of(frame, own)
  for _, name in ipairs { "from", "to", "since", "till", "within", "marks" } do own[name] = frame[name] end
  return own
end

local function traffic_block(record, traffic, frame)
  local rows = {}
  for _, event in ipairs(record:all "traffic") do
    local change = event.data
    local later = change.late_s and (", recorded %s later"):format(words.seconds(change.late_s)) or ""
    rows[#rows + 1] = { words.time(event.wall, record.day), ("%d / %d"):format(change.before.blue, change.before.green), ("%d / %d"):format(change.blue, change.green),
      (change.verified and "read back from the proxy" or "not verified") .. later }
  end
  local moved = traffic[1] ~= nil
  return {
    kind = "chart", heading = "Traffic",
    spec = moved and spec_of(frame, { title = "Traffic by colour", about = "The share of all requests that each colour got, over time.", unit = "percent",
      shares = traffic }) or nil,
    note = not moved and "Traffic was not moved." or nil,
    fold = "Traffic in numbers", headings = { "UTC", "before: blue / green %", "after: blue / green %", "verified" }, rows = rows,
  }
end

local function errors_block(record, joined, frame, policy)
  local rows = {}
  for _, one in ipairs(joined) do
    local row = { words.time(one.from, record.day), words.seconds(one.to - one.from) }
    for _, colour in ipairs(COLOURS) do
      local counts = one[colour]
      local has = (counts.requests or 0) > 0
      row[#row + 1] = has and counts.requests or words.NO_DATA
      row[#row + 1] = has and ("%d (%s)"):format(counts.errors, words.percent(rate(counts, "errors"))) or words.NO_DATA
      row[#row + 1] = has and ("%d (%s)"):format(counts.slow, words.percent(rate(counts, "slow"))) or words.NO_DATA
    end
    rows[#rows + 1] = row
  end
  local spec = spec_of(frame, { title = "Error rate by colour", unit = "percent",
    about = "Failed requests as a share of all requests of a colour, over time, with the limits of the venture.",
    lines = lines_of(joined, rate_of "errors"), limits = {} })
  for _, limit in ipairs { { policy.error_rate, "limit" }, { policy.target_rate, "target" } } do
    if limit[1] then spec.limits[#spec.limits + 1] = { value = limit[1] * 100, label = ("%s %g %%"):format(limit[2], limit[1] * 100) } end
  end
  return { kind = "chart", heading = "Errors", spec = spec, note = gaps_in_words(spec, record.day), fold = "Errors and slow requests in numbers",
    headings = { "UTC", "for", "green requests", "green errors", "green slow", "blue requests", "blue errors", "blue slow" }, rows = rows }
end

-- Counters know no quantiles: the share of slow requests is what there is.
local function slow_block(record, joined, frame, policy)
  local limit = (policy.slow_share or 0.05) * 100
  local spec = spec_of(frame, { title = "Slow requests by colour", unit = "percent",
    about = "Requests over the limit as a share of all requests of a colour, over time.",
    lines = lines_of(joined, rate_of "slow"), limits = { { value = limit, label = ("limit %g %%"):format(limit) } } })
  return { kind = "chart", heading = "Slow requests", spec = spec, headings = {}, rows = {},
    note = "The p95 was not measured; the numbers are with those of the errors. " .. (gaps_in_words(spec, record.day) or "") }
end

local function latency_block(record, latencies, frame, policy)
  local shown, rows = series.highest(latencies, frame.width), {}
  for i, one in ipairs(shown) do
    rows[i] = { words.time(one.from, record.day), words.seconds(one.to - one.from), words.ms(one.p95_ms.green), words.ms(one.p95_ms.blue) }
  end
  local spec = spec_of(frame, { title = "Latency by colour", unit = "ms",
    about = "The time within which 95 of 100 requests of a colour were answered, over time, on a logarithmic axis.",
    lines = lines_of(shown, function(one, colour) return one.p95_ms[colour] end),
    limits = policy.slow_ms and { { value = policy.slow_ms, label = ("limit %g ms"):format(policy.slow_ms) } } or nil })
  return { kind = "chart", heading = "Latency, p95", spec = spec, note = gaps_in_words(spec, record.day), fold = "Latency in numbers",
    headings = { "UTC", "for", "green p95", "blue p95" }, rows = rows }
end

-- The numbers above the charts, and what they stand for.
local function key_block(marks)
  if not marks[1] then return nil end
  local rows = {}
  for i, mark in ipairs(marks) do rows[i] = { mark.number, mark.name, mark.state } end
  return { kind = "table", fold = "The steps that are marked on the charts", headings = { "#", "step", "state" }, rows = rows }
end

--- The charts of a run with their numbers.
---@param record table of papers.read
---@return table[] blocks
function M.charts(record)
  local samples, latencies = series.samples(record.events, record.colours.new)
  local traffic = series.traffic(record.events)
  local since, till = series.range(traffic, samples)
  if not since then return { { kind = "text", text = "Traffic was not moved, and no request was judged." } } end
  local width, air = math.max(POINT_S, (till - since) / POINTS), math.max(1, (till - since) * AIR)
  local frame = { from = since - air, to = till + air, since = since, till = till, width = width, within = math.max(1.5, 0.02 * (till - since)),
    marks = marks_of(record, since - air, till + air) }
  local blocks, policy = { traffic_block(record, traffic, frame) }, policy_of(record)
  if samples[1] then
    local joined = series.join(samples, width)
    blocks[#blocks + 1] = errors_block(record, joined, frame, policy)
    blocks[#blocks + 1] = latencies[1] and latency_block(record, latencies, frame, policy) or slow_block(record, joined, frame, policy)
  else
    blocks[#blocks + 1] = { kind = "text", text = "No request was counted: errors and latency have no data." }
  end
  blocks[#blocks + 1] = key_block(frame.marks)
  return blocks
end

--- How many requests of the release were judged while it was on trial, and how many of them failed.
---@param record table
---@return integer requests, integer errors
function M.judged(record)
  local requests, errors = 0, 0
  for _, event in ipairs(record:all "metrics") do
    local data = event.data
    local counts = data.verdict ~= "watched" and data.colour and data[data.colour]
    if counts then requests, errors = requests + (counts.requests or 0), errors + (counts.errors or 0) end
  end
  return requests, errors
end

local RULES = {
  { "R1", "R1: errors above the limit" }, { "R2", "R2: errors above the target and the other colour's" }, { "L1", "L1: slow requests" },
  { "L2", "L2: slower than the other colour (holds only)" },
}

local function readings_in_words(readings)
  local out = {}
  for i, name in ipairs { "pool", "cpu", "memory" } do out[i] = ("%s %s"):format(name, words.use(readings and readings[name])) end
  return table.concat(out, ", ")
end

-- What is said of one verdict: label and value, in an order that is the same for all.
local function verdict_rows(event, replayed, policy, record)
  local data, evidence = event.data, event.data.evidence or {}
  local rows = {
    { "verdict", { text = data.verdict, tone = data.verdict == "rollback" and "bad" or nil } }, { "reason", data.reason or "" }, { "UTC", words.time(event.wall, record.day) },
    { "watched for", words.seconds(data.seconds) }, { "green", words.figures(data.green) }, { "blue", words.figures(data.blue) }, { "requests judged", data.n or words.NO_DATA },
  }
  for _, rule in ipairs(RULES) do
    local is_off = (rule[1] == "L2" and policy.l2 == false) or (rule[1] == "R2" and policy.r2 == false)
    rows[#rows + 1] = { rule[2], is_off and "off" or words.evidence(tonumber(evidence[rule[1]])) }
  end
  for _, row in ipairs {
    { "mean, against the limit", data.evidence and ("%s of %g"):format(words.evidence(tonumber(evidence.mean)), data.limit) or words.NO_DATA },
    { "rule that decided", data.rule or (data.verdict == "rollback" and "none of them" or "-") },
    { "P(false alarm) of the deployment", data.false_alarm and ("<= %g"):format(data.false_alarm) or words.NO_DATA },
    { "pool and machine", readings_in_words(data.readings) },
    { "made again from the counts", not replayed and words.NO_DATA or replayed.same and "the same to the last digit" or { text = "DIFFERENT", tone = "bad" } },
  } do rows[#rows + 1] = row end
  return rows
end

-- Every verdict that was made of counts, made again, by its event.
local function replays_of(record)
  local out, replays, i = {}, canary_record.replay(record.events), 0
  for _, event in ipairs(record:all "metrics") do
    if event.data.evidence then
      i = i + 1
      out[event] = replays[i]
    end
  end
  return out
end

local MEANING = "An e-value is what a bet against the release has won. While the release is no worse than the limit, the mean of the rules reaches its limit "
  .. "in no more than the stated share of all deployments, however often it is looked at. engine explain %s makes each verdict again."

local function verdict_table(record)
  local events, replays, policy = record:all "metrics", replays_of(record), policy_of(record)
  local headings, rows = { "share of the release" }, {}
  for i, event in ipairs(events) do
    headings[i + 1] = event.data.stage or "?"
    for r, row in ipairs(verdict_rows(event, replays[event], policy, record)) do
      rows[r] = rows[r] or { row[1] }
      rows[r][i + 1] = row[2]
    end
  end
  return { kind = "table", headings = headings, rows = rows, wide = true }
end

-- Stages, holds, retreats.
local function states(record)
  local rows = {}
  for i, event in ipairs(record:all "canary") do rows[i] = { words.time(event.wall, record.day), event.data.from, event.data.state, event.data.reason } end
  return rows[1] and { kind = "table", fold = "What the canary went through", headings = { "UTC", "from", "to", "reason" }, rows = rows } or nil
end

--- The evidence of every verdict: figures, e-values against their limit, and whether the recorded counts give the same again; and what the
-- canary went through.
---@param record table
---@return table[] blocks
function M.verdicts(record)
  if not record:last "metrics" then return { { kind = "text", text = "No verdict on requests was made." }, states(record) } end
  return { verdict_table(record), { kind = "text", quiet = true, text = MEANING:format(record.run.id) }, states(record) }
end

return M
