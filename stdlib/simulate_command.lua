--- `engine simulate PLAYBOOK --venture DIR --release X`: the playbook in many simulated worlds, each with faults of its own; what must be true of every one of them is asked of
-- every one, and for what was broken the smallest world that shows it is found.

local arguments = require "arguments"
local core_err = require "core.err"
local json = require "json"

local M = {}

--- Its options.
M.options = {
  venture = { value = "DIR", about = "the venture's folder (with venture.lua, and its own simulation.lua)" },
  release = { default = "next", about = "what the release is called; nothing of it needs to be there" },
  worlds = { type = "integer", default = 1000, about = "how many worlds" },
  seed = { type = "integer", default = 1, about = "the first world's seed; the others follow" },
  world = { value = "JSON", about = "one world, as JSON: what a failure prints" },
  log = { type = "boolean", about = "with --world: the run's event log, one event a line" },
  json = { type = "boolean", about = "the summary as JSON" },
  jobs = { type = "integer", about = "how many processes share the worlds; by default one a processor" },
  part = { type = "boolean", about = "the counts alone, as JSON: what the processes of --jobs tell the first" },
}

local SHOWN = 10 -- kinds of failures that are made small; more of them are only counted

local function usage(message, next_step) return core_err.new { code = "usage", op = "simulate", message = message, next = next_step or "engine simulate playbooks/stage30.lua --venture DIR" } end

local function shows(project, name)
  return function(scenario)
    for _, one in ipairs(project:run(scenario).broken) do if one.name == name then return true end end
    return false
  end
end

local function sorted(counts)
  local names = {}
  for name in pairs(counts) do names[#names + 1] = name end
  table.sort(names, function(a, b) return counts[a] > counts[b] or (counts[a] == counts[b] and a < b) end)
  return names
end

local function list(counts, limit)
  local parts = {}
  for i, name in ipairs(sorted(counts)) do
    if limit and i > limit then
      parts[#parts + 1] = ("and %d more"):format(#sorted(counts) - limit)
      break
    end
    parts[i] = ("%s %d"):format(name, counts[name])
  end
  return table.concat(parts, ", ")
end

--- The command that has a world again.
---@param options { path: string, venture: string, release: string }
---@param scenario table
---@return string
function M.command(options, scenario)
  local function quoted(text) return text:find "[^%w_./:%-]" and "'" .. text:gsub("'", "'\\''") .. "'" or text end
  local world = json.encode(require("simulation.shrink").said(scenario))
  return ("engine simulate %s --venture %s --release %s --world %s"):format(quoted(options.path), quoted(options.venture), quoted(options.release), quoted(world))
end

-- The smallest world that shows what is wrong.
local function made_small(project, options, failure)
  local shrink, many = require "simulation.shrink", require "simulation.many"
  local smallest, tries = shrink.shrink(many.scenario(project, options.release, failure.seed), shows(project, failure.name))
  local text
  for _, one in ipairs(project:run(smallest).broken) do if one.name == failure.name then text = one.text end end
  return { name = failure.name, text = text, worlds = failure.worlds, seed = failure.seed, tries = tries, world = shrink.said(smallest), next = M.command(options, smallest) }
end

local function print_failure(failure)
  print(("✗ %s: %s"):format(failure.name, failure.text))
  print(("  in %d worlds, the first of seed %d; the smallest that shows it (%d tries):"):format(failure.worlds, failure.seed, failure.tries))
  local names, faults = {}, failure.world.faults or {}
  for name, value in pairs(failure.world) do
    if name ~= "faults" and name ~= "seed" then names[#names + 1] = ("%s = %s"):format(name, type(value) == "table" and json.encode(value) or tostring(value)) end
  end
  table.sort(names)
  for _, name in ipairs(names) do print("    " .. name) end
  for _, fault in ipairs(faults) do print("    fault: " .. require("simulation.scenario").fault_text(fault)) end
  if #faults + #names == 0 then print "    a world in which all is well" end
  print("  next   " .. failure.next)
end

-- One world, told as an operator would see it.
local function replay(project, options)
  local scenarios = require "simulation.scenario"
  local ok, said = pcall(json.decode, options.world)
  if not ok or type(said) ~= "table" then error(usage("--world is no JSON: " .. options.world, "Give what a failure printed."), 0) end
  local built, scenario = pcall(scenarios.of, said, project.checks)
  if not built then
    if not core_err.is(scenario) then error(scenario, 0) end
    error(usage("--world: " .. scenario.message, scenario.next), 0)
  end
  local outcome = project:run(scenario, { tell = not options.log })
  if options.log then
    if outcome.world.journal then print((outcome.world.journal:text():gsub("\n$", ""))) end
    return #outcome.broken == 0 and 0 or 1
  end
  local genuine = require("core.search").genuine "display"
  for _, line in ipairs(outcome.world.lines) do genuine.line(line.kind, line.depth, ("%8.1f s  %s"):format(line.at, line.text)) end
  print(("· %s, exit %s, after %.0f simulated seconds"):format(outcome.result.outcome, tostring(outcome.result.exit), outcome.result.seconds))
  for _, one in ipairs(outcome.broken) do print(("✗ %s: %s"):format(one.name, one.text)) end
  return #outcome.broken == 0 and 0 or 1
end

-- What was found wrong, each in its smallest world; more than a few are only counted.
local function failures_of(project, options, totals)
  local names, found = {}, {}
  for name in pairs(totals.failures) do names[#names + 1] = name end
  table.sort(names)
  for i = 1, math.min(#names, SHOWN) do found[i] = made_small(project, options, totals.failures[names[i]]) end
  return found, #names
end

local function print_totals(totals)
  print(("%d worlds, %.0f simulated hours: %s"):format(totals.worlds, totals.seconds / 3600, list(totals.outcomes)))
  print(("met: %s"):format(list(totals.faults)))
  print(("engines that died and were followed by another: %d; steps that were reached: %d"):format(totals.resumed, #sorted(totals.steps)))
end

local function as_json(totals, failures, broken, report, rollback)
  return json.encode { worlds = totals.worlds, simulated_hours = totals.seconds / 3600, outcomes = totals.outcomes, faults = totals.faults, steps = totals.steps, resumed = totals.resumed,
    broken = broken, failures = json.array(failures), coverage = report, rollback = { branches = #rollback.branches(report), never = json.array(rollback.never(report)) } }
end

-- Runs all worlds, here or in processes of their own; gives what came of them and the project, which is opened by then.
local function run_all(options)
  local simulation, coverage, many = require "simulation", require "coverage", require "simulation.many"
  local jobs = options.part and 1 or options.jobs or many.jobs(options.worlds, assert(require("host").sample()).processors)
  local totals, report
  if jobs > 1 then totals, report = many.side_by_side(options, jobs) else coverage.start(simulation.is_tried) end
  local project = simulation.open { path = options.path, venture = options.venture, args = { release = options.release } }
  if not totals then
    totals = require("simulation.many").run(project, options)
    report = coverage.report() -- of these worlds, and not of those that only make a failure small
  end
  return totals, report, project
end

local function simulate(options)
  local rollback, coverage = require "coverage.rollback", require "coverage"
  if options.world then return replay(require("simulation").open { path = options.path, venture = options.venture, args = { release = options.release } }, options) end
  local totals, report, project = run_all(options)
  if options.part then
    print(json.encode { totals = totals, coverage = report })
    return 0
  end
  local failures, broken = failures_of(project, options, totals)
  if options.json then
    print(as_json(totals, failures, broken, report, rollback))
    return broken == 0 and 0 or 1
  end
  print_totals(totals)
  print((coverage.text(report):gsub("\n$", "")))
  print((rollback.text(report, "world"):gsub("\n$", "")))
  for _, failure in ipairs(failures) do print_failure(failure) end
  print(("%d invariants broken"):format(broken))
  return broken == 0 and 0 or 1
end

--- `engine simulate`.
---@param argv string[]
---@return integer exit
function M.main(argv)
  local display = require "display"
  local options, err = arguments.parse(argv, M.options, "engine simulate --help")
  if options and (options.worlds < 1 or (options.jobs or 1) < 1) then options, err = nil, usage "--worlds and --jobs are at least 1" end
  if options and (#options.words ~= 1 or not options.venture) then
    options, err = nil, usage(options and #options.words ~= 1 and "simulate needs one playbook" or "simulate needs a venture: --venture DIR")
  end
  if not options then
    display.failure(err)
    print("  next   " .. (err.next or "engine help"))
    return 2
  end
  options.path = options.words[1]
  local ok, code = pcall(simulate, options)
  if ok then return code end
  if not core_err.is(code) then error(code, 0) end
  display.failure(code)
  print("  next   " .. (code.next or "engine help"))
  return 2
end

return M
