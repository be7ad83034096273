-- For simulation_same.sh: the SHA-256 of everything that the worlds of some seeds gave, one line a seed, in the order in which they are named.
--
--   engine -e "$(cat tests/e2e/simulation_same.lua)" VENTURE SEED...            digests
--   engine -e "$(cat tests/e2e/simulation_same.lua)" VENTURE SEED... --worlds   what --world of engine simulate takes for them, and the digest of its log

local core_search = require "core.search"
local json = require "json"
local scenarios = require "simulation.scenario"
local shrink = require "simulation.shrink"

local venture, arguments = ..., { select(2, ...) }
local as_worlds = arguments[#arguments] == "--worlds" and table.remove(arguments) ~= nil

local sha256 = core_search.genuine("files").sha256_text
local project = require("simulation").open { path = "playbooks/stage30.lua", venture = venture, args = { release = "1.1" } }
local subject = { release = "1.1", checks = project.checks, boundaries = project:run(scenarios.of { migrations = { "002_new" } }).boundaries }

for _, seed in ipairs(arguments) do
  local scenario = scenarios.draw(math.tointeger(tonumber(seed)), subject)
  local outcome = project:run(scenario, { tell = true })
  local log = outcome.world.journal and outcome.world.journal:text() or ""
  if as_worlds then
    print(sha256(log) .. " " .. json.encode(shrink.said(scenario)))
  else
    local result = outcome.result
    local all = { log, outcome.boundaries, result.outcome, result.exit, result.tries, ("%.17g"):format(result.seconds), json.encode(json.array(outcome.broken)) }
    for _, line in ipairs(outcome.world.lines) do all[#all + 1] = ("%.17g %s %d %s"):format(line.at, line.kind, line.depth, line.text) end
    for i = 1, #all do all[i] = tostring(all[i]) end
    print(("%s %s %s"):format(seed, sha256(table.concat(all, "\n")), result.outcome))
  end
end
