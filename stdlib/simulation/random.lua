--- simulation.random: random numbers that are the same each time, from a seed. Streams of different names are independent, so that one more draw
-- in one place changes nothing in another.
--
-- The generator is SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).

local M = {}

local Stream = {}
Stream.__index = Stream

local function mixed(z)
  z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
  z = (z ~ (z >> 27)) * 0x94D049BB133111EB
  return z ~ (z >> 31)
end

--- A stream of random numbers.
---@param seed integer
---@param name string
---@return table stream
---@usage local r = require("simulation.random")  assert(r.stream(1, "a"):integer(1, 1000000) == r.stream(1, "a"):integer(1, 1000000))
function M.stream(seed, name)
  local state = mixed(seed + 0x9E3779B97F4A7C15)
  for i = 1, #name do state = mixed(state ~ name:byte(i)) end
  return setmetatable({ state = state }, Stream)
end

local function next_bits(self)
  local state = self.state + 0x9E3779B97F4A7C15
  self.state = state
  return mixed(state)
end

--- From 0 up to 1, without 1.
function Stream:unit() return (next_bits(self) >> 11) * 0x1p-53 end

--- An integer from a to b.
function Stream:integer(a, b) return a + (next_bits(self) >> 1) % (b - a + 1) end

--- Between a and b.
function Stream:between(a, b) return a + (b - a) * self:unit() end

--- Between a and b, so that each power of ten is as likely: for rates and durations.
function Stream:scale(a, b) return math.exp(self:between(math.log(a), math.log(b))) end

--- true with probability p.
function Stream:chance(p) return self:unit() < p end

--- One of a list.
function Stream:pick(list) return list[self:integer(1, #list)] end

--- From the standard normal distribution (Box and Muller).
function Stream:normal() return math.sqrt(-2 * math.log(1 - self:unit())) * math.cos(2 * math.pi * self:unit()) end

local function rounded(x, low, high)
  local n = math.floor(x + 0.5)
  return n < low and low or n > high and high or n
end

--- How many events there are of which `mean` are to be expected. Exact up to 30, from there on by the normal distribution.
function Stream:poisson(mean)
  if mean <= 0 then return 0 end
  if mean > 30 then return rounded(mean + math.sqrt(mean) * self:normal(), 0, math.maxinteger) end
  local limit, product, n = math.exp(-mean), self:unit(), 0
  while product > limit do
    product, n = product * self:unit(), n + 1
  end
  return n
end

--- How many of n there are when each is with probability p. Exact where few are to be expected either way, else by the normal distribution.
function Stream:binomial(n, p)
  if p <= 0 or n == 0 then return 0 end
  if p >= 1 then return n end
  if n <= 24 then
    local k = 0
    for _ = 1, n do if self:unit() < p then k = k + 1 end end
    return k
  end
  if n * p < 10 then return math.min(n, self:poisson(n * p)) end
  return rounded(n * p + math.sqrt(n * p * (1 - p)) * self:normal(), 0, n)
end

return M
