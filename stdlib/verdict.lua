--- verdict: evidence for and against a release, for rules of a team's own.
--
-- An e-value is what a bet against a hypothesis has won. While the hypothesis holds, the probability that it ever
-- reaches 1/alpha is at most alpha, however often one looks. Counts are whole numbers, probabilities are above 0 and
-- below 1; anything else raises. The canary's own rules are `verdict.policy`.

local core = require "core.verdict"
local core_policy = require "core.verdict_policy"

local M = {}

--- A detector of "fails more often than p0". d:update(x) takes one observation from 0 to 1 (a request, or the share of
-- failures in a slot), d:batch(n, k) k failures of n independent requests, d:stage_start() rations the reserve anew.
-- Each gives the e-value, which is also d.e.
---@param options { p0: number }
---@return { e: number, p0: number, update: fun(self, x: number): number, batch: fun(self, n: integer, k: integer): number, stage_start: fun(self) }
---@usage local d = verdict.absolute { p0 = 0.05 }  for _ = 1, 4 do d:update(1) end  assert(d.e > 1e4)
function M.absolute(options) return core.absolute(options) end

--- A detector of "green fails more often than blue at the same moment": exact whatever both share.
-- r:block(kg, ng, kb, nb): kg of ng green and kb of nb blue requests of one block failed. Gives the e-value, also r.e.
---@param options { ratios: number[] } odds ratios that are bet on, at most 8
---@return { e: number, block: fun(self, kg: integer, ng: integer, kb: integer, nb: integer): number, stage_start: fun(self) }
---@usage local r = verdict.relative { ratios = { 2, 5, 20, 150 } }  assert(r:block(2, 2, 0, 18) > 38)
function M.relative(options) return core.relative(options) end

--- The factor of one block for one odds ratio: ratio^kg / sum over x of Hyp(x; ng+nb, ng, kg+kb) ratio^x.
---@param kg integer green's failures
---@param ng integer green's requests
---@param kb integer blue's failures
---@param nb integer blue's requests
---@param ratio number
---@return number e
---@usage assert(verdict.relative_factor(0, 25, 0, 225, 20) == 1)
function M.relative_factor(kg, ng, kb, nb, ratio) return core.relative_factor(kg, ng, kb, nb, ratio) end

--- Evidence against "the rate is p1 or more".
---@param n integer requests
---@param k integer failures among them
---@param p1 number
---@return number e
---@usage assert(verdict.promotion(540, 0, 0.01) >= 100)
function M.promotion(n, k, p1) return core.promotion(n, k, p1) end

--- How many requests with k failures that takes.
---@param k integer
---@param p1 number
---@param alpha number
---@return integer n
---@usage assert(verdict.promotion_requests(0, 0.05, 0.01) == 106)
function M.promotion_requests(k, p1, alpha) return core.promotion_requests(k, p1, alpha) end

--- The interval of the rate that holds at every n at once with probability 1 - alpha (Krichevsky and Trofimov).
---@param n integer requests
---@param k integer failures
---@param alpha number
---@return number low, number high
---@usage local low, high = verdict.interval(1000, 2, 0.01)  assert(low < 0.002 and high > 0.002)
function M.interval(n, k, alpha) return core.interval(n, k, alpha) end

--- Kayenta's judge: Mann and Whitney's test at 98 %, with the Hodges-Lehmann estimate of the shift.
---@param control number[] 1 to 4096 values
---@param experiment number[]
---@return { label: "pass"|"high"|"low", ci: number[], estimate: number, u: number, p: number }
---@usage assert(verdict.rank_sum({ 1, 2, 3, 4, 5, 6 }, { 101, 102, 103, 104, 105, 106 }).label == "high")
function M.rank_sum(control, experiment) return core.rank_sum(control, experiment) end

--- The canary's policy: rules R1, R2, L1 and L2 over slots, with one budget alpha for the whole deployment.
--   p:slot(green, blue)   the counts of a slot: { requests =, errors =, client_errors =, slow =, over = { five counts } }
--   p:stage_start()       the weights have changed
--   p:probe_blue(failed)  a probe of blue, which guards green from blame while blue has no requests
--   p:evidence()          { R1, R2, L1, L2, mean, limit, rollback, rule, hold_latency, blue_bad, both_bad, blue_errors,
--                         blue_slow, green, blue }; green and blue are the counts since the stage began
--   p:gate{...}           may the next stage begin? See gate_requests; { open, enough, errors_good, slow_good,
--                         difference_good, e_errors, e_slow, difference }
---@param options { alpha?: number, error_rate?: number, target_rate?: number, slow_share?: number, r2?: boolean, l2?: boolean }
---@return table
---@usage local p = verdict.policy {}  for _ = 1, 6 do p:slot({ requests = 2, errors = 2 }, { requests = 20 }) end  assert(p:evidence().rollback)
function M.policy(options) return core_policy.new(options) end

--- How many requests without a failure a gate needs at least; its part about the difference to blue is left out.
---@param gate { min_requests?: integer, error_rate?: number, error_alpha?: number, slow_share?: number, slow_alpha?: number, difference?: number, difference_alpha?: number }
---@return integer
---@usage assert(verdict.gate_requests { min_requests = 100, error_rate = 0.05, error_alpha = 0.01 } == 106)
function M.gate_requests(gate) return core_policy.gate_requests(gate) end

return M
