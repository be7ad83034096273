--- canary.record: the counts that a verdict was made from, written so that it can be made again from them.
--
-- A slot is one word: "g/b", each side "requests.errors.client_errors.slow" and, unless all are 0, ".o1.o2.o3.o4.o5"; "-" is a
-- colour without requests. "p0" and "p1" are probes of the baseline that passed or failed, "s" is the begin of a stage.

local verdict = require "verdict"

local M = {}

local EMPTY = { requests = 0 }

local function side(counts)
  if counts.requests == 0 then return "-" end
  local text = ("%d.%d.%d.%d"):format(counts.requests, counts.errors, counts.client_errors, counts.slow)
  local over = counts.over and table.concat(counts.over, ".") or ""
  return over:find "[1-9]" and text .. "." .. over or text
end

--- One slot as a word.
---@param green table counts
---@param blue table counts
---@return string
---@usage assert(require("canary.record").slot({ requests = 3, errors = 1, client_errors = 0, slow = 0 }, { requests = 0 }) == "3.1.0.0/-")
function M.slot(green, blue) return side(green) .. "/" .. side(blue) end

local function counts_of(text)
  if text == "-" then return EMPTY end
  local numbers = {}
  for number in text:gmatch "%d+" do numbers[#numbers + 1] = math.tointeger(tonumber(number)) end
  return { requests = numbers[1], errors = numbers[2], client_errors = numbers[3], slow = numbers[4], over = { table.unpack(numbers, 5) } }
end

--- Does to a policy what the words say.
---@param policy table verdict.policy
---@param words string words between blanks
---@usage local p = verdict.policy {}  require("canary.record").play(p, "s 3.1.0.0/- p0")  assert(p:evidence().green.errors == 1)
function M.play(policy, words)
  for word in words:gmatch "%S+" do
    if word == "s" then
      policy:stage_start()
    elseif word == "p0" or word == "p1" then
      policy:probe_blue(word == "p1")
    else
      local green, blue = word:match "^([^/]+)/([^/]+)$"
      if not green then error(("'%s' is no recorded slot"):format(word), 0) end
      policy:slot(counts_of(green), counts_of(blue))
    end
  end
end

-- E-values are written with all their digits: equal text is the equal number.
local FIELDS = { "R1", "R2", "L1", "L2", "mean" }

--- The evidence as text, to the last digit.
---@param evidence table of verdict.policy
---@return table<string, string>
---@usage assert(require("canary.record").digits(verdict.policy({}):evidence()).R1 == "1")
function M.digits(evidence)
  local out = {}
  for _, name in ipairs(FIELDS) do out[name] = ("%.17g"):format(evidence[name]) end
  return out
end

--- Gives a new policy everything that a run has counted so far.
---@param policy table verdict.policy
---@param events table[] of the run
---@usage require("canary.record").count_on(verdict.policy {}, {})
function M.count_on(policy, events)
  for _, event in ipairs(events) do
    if event.kind == "slots" then M.play(policy, event.data.words) end
  end
end

--- Makes every verdict of a run again from its recorded counts.
---@param events table[] of the run: kind, step, data
---@return { step?: integer, stage: string, verdict: string, reason: string, recorded: table, replayed: table, evidence: table, same: boolean }[]
---@usage assert(#require("canary.record").replay {} == 0)
function M.replay(events)
  local policy
  local verdicts = {}
  for _, event in ipairs(events) do
    local data = event.data
    if event.kind == "policy" then
      policy = verdict.policy(data)
    elseif event.kind == "slots" and policy then
      M.play(policy, data.words)
    elseif event.kind == "metrics" and data.evidence and policy then
      local evidence = policy:evidence()
      local replayed, same = M.digits(evidence), true
      for _, name in ipairs(FIELDS) do same = same and replayed[name] == data.evidence[name] end
      verdicts[#verdicts + 1] = { step = event.step, stage = data.stage, verdict = data.verdict, reason = data.reason, recorded = data.evidence, replayed = replayed,
        evidence = evidence, same = same }
    end
  end
  return verdicts
end

return M
