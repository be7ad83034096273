--- simulation.many: a playbook in many worlds, one seed after the other, and what they amount to. Several processes can share the seeds; what comes of all
-- of them is the same.

local core_err = require "core.err"
local json = require "json"

local M = {}

--- Worlds whose run does not end; each takes seconds, and more of them say no more.
M.MOST_ENDLESS = 3

local LEAST = 50 -- worlds for which a process of their own is worth it
local PART_S = 6 * 3600

local function empty() return { worlds = 0, outcomes = {}, faults = {}, steps = {}, seconds = 0, resumed = 0, endless = 0, failures = {} } end

local function bump(counts, name, by) counts[name] = (counts[name] or 0) + (by or 1) end

-- What a world of a run adds to what was met so far.
local function count(totals, outcome)
  totals.worlds = totals.worlds + 1
  bump(totals.outcomes, ("%s, exit %s"):format(outcome.result.outcome, tostring(outcome.result.exit)))
  totals.seconds = totals.seconds + outcome.result.seconds
  totals.resumed = totals.resumed + outcome.result.tries - 1
  for _, one in ipairs(outcome.world.armed or {}) do
    if one.met > 0 then bump(totals.faults, one.fault.kind == "operation" and one.fault.name .. " " .. one.fault.how or one.fault.kind) end
  end
  if outcome.world.journal then
    for _, step in ipairs(outcome.world.journal:steps()) do bump(totals.steps, step.name) end
  end
end

local function fail_in(totals, name, worlds, seed)
  local known = totals.failures[name]
  if not known then
    totals.failures[name] = { name = name, worlds = worlds, seed = seed }
    return
  end
  known.worlds, known.seed = known.worlds + worlds, math.min(known.seed, seed)
end

-- What scenarios of this project are drawn from: its checks, and the places at which an engine can die when all goes well.
local function subject_of(project, release)
  local well = project:run(require("simulation.scenario").of { migrations = { "002_new" } }, { effects = true })
  return { release = release, checks = project.checks, boundaries = well.boundaries, effects = well.world.effects }
end

--- The scenario of a seed, for this project.
---@param project table of simulation.open
---@param release string
---@param seed integer
---@return table scenario
function M.scenario(project, release, seed)
  project.subject = project.subject or subject_of(project, release)
  return require("simulation.scenario").draw(seed, project.subject)
end

--- Runs a playbook in the worlds of some seeds.
---@param project table of simulation.open
---@param options { worlds: integer, seed: integer, release: string }
---@return table totals worlds, outcomes, faults, steps (all by name), seconds, resumed, endless, failures by the invariant's name { name, worlds, seed }
function M.run(project, options)
  local totals = empty()
  for seed = options.seed, options.seed + options.worlds - 1 do
    local outcome = project:run(M.scenario(project, options.release, seed))
    count(totals, outcome)
    for _, one in ipairs(outcome.broken) do fail_in(totals, one.name, 1, seed) end
    if outcome.is_endless then totals.endless = totals.endless + 1 end
    if totals.endless >= M.MOST_ENDLESS then break end
  end
  return totals
end

--- What several parts amount to.
---@param parts table[] totals
---@return table totals
---@usage assert(require("simulation.many").sum({}).worlds == 0)
function M.sum(parts)
  local totals = empty()
  for _, part in ipairs(parts) do
    for _, name in ipairs { "worlds", "seconds", "resumed", "endless" } do totals[name] = totals[name] + part[name] end
    for _, name in ipairs { "outcomes", "faults", "steps" } do
      for key, n in pairs(part[name]) do bump(totals[name], key, n) end
    end
    for name, failure in pairs(part.failures) do fail_in(totals, name, failure.worlds, failure.seed) end
  end
  return totals
end

--- In how many processes some worlds are best run.
---@param worlds integer
---@param processors integer
---@return integer
---@usage assert(require("simulation.many").jobs(1000, 4) == 4 and require("simulation.many").jobs(60, 4) == 1)
function M.jobs(worlds, processors) return math.max(1, math.min(processors, worlds // LEAST)) end

-- How many worlds each of some processes has.
local function shares(worlds, jobs)
  local out = {}
  for i = 1, jobs do out[i] = worlds // jobs + (i <= worlds % jobs and 1 or 0) end
  return out
end

--- Runs the worlds in processes of their own, side by side. Must be called before the simulation is entered.
---@param options { path: string, venture: string, release: string, worlds: integer, seed: integer }
---@param jobs integer
---@return table totals, table coverage report
function M.side_by_side(options, jobs)
  local process, task = require "process", require "task"
  local me, seed, parts = process.self().exe, options.seed, {}
  for i, worlds in ipairs(shares(options.worlds, jobs)) do
    parts[i] = { me, "simulate", options.path, "--venture", options.venture, "--release", options.release, "--worlds", tostring(worlds), "--seed", tostring(seed), "--part" }
    seed = seed + worlds
  end
  local answers = task.map(parts, function(argv) return assert(process.run { argv = argv, timeout = PART_S }) end)
  local totals, reports = {}, {}
  for i, answer in ipairs(answers) do
    local ok, part = pcall(json.decode, answer.stdout)
    if answer.code ~= 0 or not ok or type(part) ~= "table" then
      error(core_err.new { code = "process", op = "simulate", message = (answer.stdout .. answer.stderr):gsub("\n$", ""):sub(1, 2000) }, 0)
    end
    totals[i], reports[i] = part.totals, part.coverage
  end
  return M.sum(totals), require("coverage").merge(reports)
end

return M
