--- simulation: a playbook in a simulated world: virtual time, simulated drivers, faults by seed. A deployment of two hours takes milliseconds, and what is tried is the real
-- playbook, run, deployment, canary and verdict.
--
-- A process that has entered stays: the modules behind playbooks are those of simulation.drivers.

local core_err = require "core.err"
local core_search = require "core.search"

local M = {}

local Project = {}
Project.__index = Project

-- Every check of a venture, by name, for faults to choose from.
local function names_of_checks(venture)
  local names, invariants = {}, {}
  local lists = { venture.gates, venture.health, venture.smoke, venture.flows, venture.invariants, venture.dependencies.external, venture.dependencies.internal, venture.monitoring.checks, venture.monitoring.business }
  for i = 1, 9 do
    for _, check in ipairs(lists[i] or {}) do names[#names + 1] = check.name end
  end
  for _, check in ipairs(venture.invariants or {}) do invariants[check] = true end
  return names, invariants
end

-- What a venture's simulation.lua says: its own invariants, and what the world answers to its own statements, addresses and commands.
local function own_rules(folder)
  local path = folder .. "/simulation.lua"
  if not core_search.genuine("files").exists(path) then return {} end
  local chunk, err = core_search.load_file(path)
  if not chunk then error(err, 0) end
  local rules = chunk()
  if type(rules) ~= "table" then error(core_err.new { code = "playbook", op = "simulate", message = path .. " must return a table" }, 0) end
  for name in pairs(rules) do
    if name ~= "invariants" and name ~= "sql" and name ~= "http" and name ~= "commands" then
      error(core_err.new { code = "playbook", op = "simulate", message = ("%s: there is no '%s'"):format(path, tostring(name)), next = "It may have invariants, sql, http and commands." }, 0)
    end
  end
  return rules
end

--- Opens a playbook with its venture, to be run in worlds. Enters the simulation.
---@param options { path: string, venture: string, args: table }
---@return table project
function M.open(options)
  require("simulation.drivers").enter()
  local execute = require "execute"
  core_search.add_folder(options.venture)
  core_search.add_folder(options.path:match "^(.*)/[^/]*$" or ".")
  local rules = own_rules(options.venture)
  local chunk, err = core_search.load_file(options.path)
  if not chunk then error(err, 0) end
  local project = setmetatable({ path = options.path, args = options.args, rules = rules }, Project)
  function project.load()
    core_search.forget()
    return assert(execute.load_playbook(options.path, chunk))
  end
  project.venture_folder = options.venture
  project.checks = names_of_checks(project:venture())
  return project
end

local function read_venture(folder)
  local venture = assert(require("configuration").load(folder, { environment = {}, simulated = true }))
  if venture.metrics.driver ~= "none" then venture.metrics = { driver = "haproxy_log", path = "simulated" } end
  venture.traffic.driver, venture.traffic.servers, venture.traffic.public = "haproxy", { blue = { "blue1" }, green = { "green1" } }, "http://public.simulated"
  venture.dependencies.external, venture.dependencies.internal = venture.dependencies.external or {}, venture.dependencies.internal or {}
  return venture
end

local function copied(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for key, item in pairs(value) do out[key] = copied(item) end
  return out
end

--- The venture's configuration, with what only the real world has replaced; another one each time, as a run may change its own.
---@return table
function Project:venture()
  self.read = self.read or read_venture(self.venture_folder)
  return copied(self.read)
end

--- Runs the playbook in the world of a scenario.
---@param scenario table of simulation.scenario
---@param options? { tell?: boolean } tell: keep what would be said to the operator
---@return table outcome result, world, broken
function Project:run(scenario, options)
  local current = require "simulation.current"
  require("core.clock").simulate(require("simulation.drivers").BEGINS)
  local venture = self:venture()
  scenario.answers = self.rules
  local world = require("simulation.world").new(scenario, venture, self.args.release)
  world.is_told = options and options.tell
  local _, invariants = names_of_checks(venture)
  world.is_invariant = invariants
  current.enter(world)
  local result = require("simulation.engine").run(world, self)
  local broken = require("simulation.invariants").judge(world, result, self.rules.invariants)
  current.enter(nil)
  return { result = result, world = world, broken = broken, boundaries = world.boundaries }
end

return M
