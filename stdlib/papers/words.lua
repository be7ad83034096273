--- papers.words: values of a run in words, the same in every paper. What was not measured is said to be so.

local clock = require "clock"
local display = require "display"

local M = {}

M.NO_DATA = "no data"
M.UNMEASURED = "not measured"

--- A time as UTC: the hour, and the date only if it is not that day.
---@param wall number seconds since 1970
---@param day? string "2026-11-23"
---@return string
---@usage assert(require("papers.words").time(0, "1970-01-01") == "00:00:00.000" and require("papers.words").time(0) == "1970-01-01 00:00:00.000")
function M.time(wall, day)
  local of_day, hour = clock.utc(wall):match "^(%S+)T(%S+)Z$"
  return of_day == day and hour or of_day .. " " .. hour
end

--- The same of a text such as "2026-11-23T18:07:20.123Z".
---@param at? string
---@param day? string
---@return string
---@usage assert(require("papers.words").at("2026-11-23T18:07:20.123Z", "2026-11-23") == "18:07:20.123")
function M.at(at, day) return at and M.time(clock.of_utc(at), day) or M.UNMEASURED end

--- A duration.
---@param seconds? number
---@return string
---@usage assert(require("papers.words").seconds(125) == "2:05" and require("papers.words").seconds(nil) == "not measured")
function M.seconds(seconds) return seconds and display.duration(seconds) or M.UNMEASURED end

--- A share of 1 as a percentage.
---@param share? number
---@return string
---@usage assert(require("papers.words").percent(0.0123) == "1.23 %" and require("papers.words").percent(nil) == "no data")
function M.percent(share) return share and ("%.2f %%"):format(share * 100) or M.NO_DATA end

--- How much of something is used, in whole percent.
---@param share? number of 1
---@return string
---@usage assert(require("papers.words").use(0.618) == "62 %" and require("papers.words").use(nil) == "no data")
function M.use(share) return share and ("%.0f %%"):format(share * 100) or M.NO_DATA end

--- A latency.
---@param ms? number
---@return string
---@usage assert(require("papers.words").ms(3.007) == "3 ms" and require("papers.words").ms(0.4) == "0.4 ms")
function M.ms(ms) return ms and ((ms < 1 and "%.1f ms" or "%.0f ms"):format(ms)) or M.NO_DATA end

--- What a bet has won: from far below 1 to far above.
---@param e? number
---@return string
---@usage assert(require("papers.words").evidence(0.4786) == "0.479" and require("papers.words").evidence(2.345e7) == "2.3e+07")
function M.evidence(e)
  if not e then return M.NO_DATA end
  return e >= 1e5 and ("%.1e"):format(e) or e >= 1000 and ("%.0f"):format(e) or ("%.3g"):format(e)
end

--- What a colour did.
---@param counts? { requests?: integer, errors?: integer, error_rate?: number, p95_ms?: number }
---@return string
---@usage assert(require("papers.words").figures { requests = 8, errors = 2, error_rate = 0.25 } == "8 requests, 2 errors (25.00 %), p95 no data")
function M.figures(counts)
  if not counts or (counts.requests or 0) == 0 then return M.NO_DATA end
  return ("%d requests, %d errors (%s), p95 %s"):format(counts.requests, counts.errors, M.percent(counts.error_rate or counts.errors / counts.requests), M.ms(counts.p95_ms))
end

--- A number with its noun.
---@param n integer
---@param one string
---@param many? string
---@return string
---@usage assert(require("papers.words").count(1, "row") == "1 row" and require("papers.words").count(2, "row") == "2 rows")
function M.count(n, one, many) return ("%d %s"):format(n, n == 1 and one or many or one .. "s") end

return M
