--- papers.series: what happened over time in a run, from its recorded counts: the traffic of each colour, errors, latency. Pure.
--
-- A sample is { from, to, stage, green = counts, blue = counts }: times in seconds since 1970, counts { requests, errors, client_errors, slow };
-- stage counts the times that the weights had changed. A colour without requests has no rate: that is no data, and never zero.

local canary_record = require "canary.record"

local M = {}

local SLOT_S = 0.25
local JOIN_S = 1.5 -- between two stages some slots are nobody's
local NAMES = { "requests", "errors", "client_errors", "slow" }

local function other(colour) return colour == "green" and "blue" or "green" end

-- The slots of a record, the judged colour first, each with its stage; and the stage after it.
local function slots_of(words, stage)
  local slots = {}
  canary_record.play({
    slot = function(_, judged, baseline) slots[#slots + 1] = { judged, baseline, stage = stage } end,
    stage_start = function() stage = stage + 1 end, probe_blue = function() end,
  }, words)
  return slots, stage
end

-- Which colour the records judge that do not say so: that of the verdict which follows.
local function judged_of(events)
  local out, colour = {}, nil
  for i = #events, 1, -1 do
    local event = events[i]
    if event.kind == "metrics" then colour = event.data.colour elseif event.kind == "slots" then out[event] = event.data.judged or colour end
  end
  return out
end

local function add(sum, counts)
  for _, name in ipairs(NAMES) do sum[name] = (sum[name] or 0) + (counts[name] or 0) end
  return sum
end

local function sample(from, to, judged, slots)
  local one = { from = from, to = to, stage = slots[1] and slots[1].stage, [judged] = {}, [other(judged)] = {} }
  for _, slot in ipairs(slots) do
    add(one[judged], slot[1])
    add(one[other(judged)], slot[2])
  end
  return one
end

--- The samples of a run, and the p95 of both colours over time.
-- Slots in which nobody asked are not recorded: where some are missing, what is known is the sum of the record.
---@param events table[] of the run, with data and wall
---@param otherwise? string the judged colour, where neither the record nor a verdict names it
---@return table[] samples, { from: number, to: number, p95_ms: table<string, number> }[] latencies
---@usage local s = require("papers.series").samples({ { kind = "slots", wall = 10, data = { words = "s 4.1.0.0/-", judged = "green", from = 9.75, to = 10 } } })  assert(s[1].green.errors == 1 and s[1].blue.requests == 0)
function M.samples(events, otherwise)
  local samples, latencies = {}, {}
  local judged, stage = judged_of(events), 0
  for _, event in ipairs(events) do
    if event.kind == "slots" then
      local data, slots = event.data, nil
      slots, stage = slots_of(data.words, stage)
      local colour = judged[event] or otherwise or "green"
      local to = data.to or event.wall
      local from = data.from or to - SLOT_S * #slots
      if #slots > 0 and (to - from) / #slots < 1.5 * SLOT_S then
        local width = (to - from) / #slots
        for i, slot in ipairs(slots) do samples[#samples + 1] = sample(from + (i - 1) * width, from + i * width, colour, { slot }) end
      else
        samples[#samples + 1] = sample(from, to, colour, slots)
      end
      if data.p95_ms then latencies[#latencies + 1] = { from = from, to = to, p95_ms = data.p95_ms } end
    end
  end
  return samples, latencies
end

-- Joins entries that follow each other until each is as wide as that; take(last, one) adds one to the last.
local function joined(entries, seconds, copy, take)
  local out = {}
  for _, one in ipairs(entries) do
    local last = out[#out]
    if last and one.stage == last.stage and one.from - last.to < JOIN_S and last.to - last.from < seconds - SLOT_S / 2 then
      last.to = one.to
      take(last, one)
    else
      out[#out + 1] = copy(one)
      out[#out].from, out[#out].to, out[#out].stage = one.from, one.to, one.stage
    end
  end
  return out
end

--- Joins samples of a stage that follow each other until each is as wide as that.
---@param samples table[]
---@param seconds number
---@return table[]
---@usage local joined = require("papers.series").join({ { from = 0, to = 1, green = { requests = 1 }, blue = {} }, { from = 1, to = 2, green = { requests = 2 }, blue = {} } }, 2)  assert(#joined == 1 and joined[1].green.requests == 3)
function M.join(samples, seconds)
  return joined(samples, seconds, function(one) return { green = add({}, one.green), blue = add({}, one.blue) } end, function(last, one)
    add(last.green, one.green)
    add(last.blue, one.blue)
  end)
end

--- The same of latencies: of those that become one the highest counts.
---@param latencies table[] of samples
---@param seconds number
---@return table[]
---@usage local l = require("papers.series").highest({ { from = 0, to = 1, p95_ms = { green = 5 } }, { from = 1, to = 2, p95_ms = { green = 9 } } }, 2)  assert(#l == 1 and l[1].p95_ms.green == 9 and l[1].to == 2)
function M.highest(latencies, seconds)
  return joined(latencies, seconds, function(one) return { p95_ms = { green = one.p95_ms.green, blue = one.p95_ms.blue } } end, function(last, one)
    for colour, value in pairs(one.p95_ms) do last.p95_ms[colour] = math.max(value, last.p95_ms[colour] or 0) end
  end)
end

--- The share of both colours over time: one entry a change, the first as it was before anything moved.
---@param events table[] with kind, data, wall
---@return { at: number, green: integer, blue: integer }[]
function M.traffic(events)
  local out = {}
  for _, event in ipairs(events) do
    if event.kind == "traffic" then
      local data = event.data
      if not out[1] then out[1] = { at = event.wall, green = data.before.green, blue = data.before.blue } end
      local last = out[#out]
      if data.green ~= last.green or data.blue ~= last.blue then out[#out + 1] = { at = event.wall, green = data.green, blue = data.blue } end
    end
  end
  return out
end

--- From when to when there is something to draw: what moved and what was counted. Nil when nothing did.
---@param traffic table[] of traffic
---@param samples table[]
---@return number? from, number? to
function M.range(traffic, samples)
  local from, to = math.huge, -math.huge
  for _, one in ipairs(traffic) do from, to = math.min(from, one.at), math.max(to, one.at) end
  for _, one in ipairs(samples) do from, to = math.min(from, one.from), math.max(to, one.to) end
  if to >= from then return from, to end
end

return M
