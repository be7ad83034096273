--- simulation: a playbook in a simulated world: virtual time, simulated drivers, faults by seed. A deployment of two hours takes milliseconds, and what is tried is the real
-- playbook, run, deployment, canary and verdict.
--
-- A process that has entered stays: the modules behind playbooks are those of simulation.drivers.
--
-- The same scenario gives the same bytes, whatever ran before it and whichever compiler built the engine (tests/e2e/simulation_same.sh). It is the C library that may
-- round a logarithm otherwise on another kind of processor: then the last digit of a figure is another.

local core_err = require "core.err"
local core_search = require "core.search"
local plain = require "plain"

local M = {}

local AN_INVARIANT = 'An invariant is { "what must be true", function(world, result) ... end }.'

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

--- Is this a file of what is tried, and not one that says how?
---@param path string
---@return boolean
---@usage assert(require("simulation").is_tried "venture/stage30/gates.lua" and not require("simulation").is_tried "venture/simulation.lua")
function M.is_tried(path) return not path:find "_test%.lua$" and not path:find "%f[^/\0]simulation%.lua$" end

-- What a venture's simulation.lua says: its own invariants, and what the world answers to its own statements, addresses and commands.
-- A function that gives them, anew for each world: what they remember of one is not known in the next.
local function own_rules(folder)
  local path = folder .. "/simulation.lua"
  if not core_search.genuine("files").exists(path) then return function() return {} end end
  local chunk, err = core_search.load_file(path)
  if not chunk then error(err, 0) end
  local loaded, rules = pcall(chunk)
  local function wrong(message, next_step) error(core_err.new { code = "playbook", op = "simulate", message = message, next = next_step }, 0) end
  if not loaded then wrong(tostring(core_err.is(rules) and rules.message or rules)) end
  if type(rules) ~= "table" then wrong(path .. " must return a table") end
  for name in pairs(rules) do
    if name ~= "invariants" and name ~= "sql" and name ~= "http" and name ~= "commands" then
      wrong(("%s: there is no '%s'"):format(path, tostring(name)), "It may have invariants, sql, http and commands.")
    end
  end
  if rules.invariants ~= nil and type(rules.invariants) ~= "table" then wrong(path .. ": invariants must be a list", AN_INVARIANT) end
  for i, one in ipairs(rules.invariants or {}) do
    if type(one) ~= "table" or type(one[1]) ~= "string" or type(one[2]) ~= "function" then wrong(("%s: invariants[%d] is none"):format(path, i), AN_INVARIANT) end
  end
  return chunk
end

local entered, in_use

--- Opens a playbook with its venture, to be run in worlds. Enters the simulation. Several can be open; they are run one after the other.
---@param options { path: string, venture: string, args: table }
---@return table project
function M.open(options)
  if not entered then require("simulation.drivers").enter() end
  entered = true
  local project = setmetatable({ path = options.path, venture_folder = options.venture, args = options.args }, Project)
  project.rules = own_rules(options.venture)
  project:use()
  project.checks = names_of_checks(project:venture())
  return project
end

--- From here on modules come from this project's folders.
function Project:use()
  if in_use == self then return end
  core_search.set_folders { self.venture_folder, self.path:match "^(.*)/[^/]*$" or "." }
  local chunk, err = core_search.load_file(self.path)
  if not chunk then error(err, 0) end
  self.chunk, in_use = chunk, self
end

--- The playbook, loaded anew.
---@return table
function Project:load()
  core_search.forget()
  local playbook, err = require("execute").load_playbook(self.path, self.chunk)
  return playbook or error(err, 0)
end

local function read_venture(folder)
  local venture = assert(require("configuration").load(folder, { environment = {}, simulated = true }))
  if venture.metrics.driver ~= "none" then venture.metrics = { driver = "haproxy_log", path = "simulated" } end
  venture.traffic.driver, venture.traffic.servers, venture.traffic.public = "haproxy", { blue = { "blue1" }, green = { "green1" } }, "http://public.simulated"
  venture.dependencies.external, venture.dependencies.internal = venture.dependencies.external or {}, venture.dependencies.internal or {}
  return venture
end

--- The venture's configuration, with what only the real world has replaced; another one each time, as a run may change its own.
---@param settings? table of a scenario
---@return table
function Project:venture(settings)
  self.read = self.read or read_venture(self.venture_folder)
  return settings and require("simulation.settings").apply(plain.copy(self.read), plain.copy(settings)) or plain.copy(self.read)
end

--- Runs the playbook in the world of a scenario.
---@param scenario table of simulation.scenario
---@param options? { tell?: boolean, effects?: boolean } tell: keep what would be said to the operator; effects: and which boundaries are those of changes
---@return table outcome result, world, broken
function Project:run(scenario, options)
  local current = require "simulation.current"
  require("core.clock").simulate(require("simulation.drivers").BEGINS)
  self:use()
  local venture = self:venture(scenario.settings)
  local rules = self.rules()
  scenario.answers = rules
  local world = require("simulation.world").new(scenario, venture, self.args.release)
  world.is_told = options and options.tell
  world.effects = options and options.effects and {}
  local _, invariants = names_of_checks(venture)
  world.is_invariant = invariants
  current.enter(world)
  local result = require("simulation.engine").run(world, self)
  local broken = require("simulation.invariants").judge(world, result, rules.invariants)
  current.enter(nil)
  return { result = result, world = world, broken = broken, boundaries = world.boundaries, is_endless = require("simulation.invariants.ending").is_endless(world, result) }
end

return M
