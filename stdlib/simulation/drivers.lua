--- simulation.drivers: which modules are replaced in a simulated world, and by what. Everything else, above all the playbooks, the run, the deployment and
-- the canary, is what runs in production.

local core_clock = require "core.clock"
local core_search = require "core.search"

local M = {}

M.stand_ins = {
  ["core.boundary"] = "simulation.drivers.boundary",
  ["core.random"] = "simulation.drivers.random",
  approval = "simulation.drivers.approval",
  backup = "simulation.drivers.backup",
  ["backup.s3"] = "simulation.drivers.store",
  counters = "simulation.drivers.counters",
  display = "simulation.drivers.display",
  ["environment.command"] = "simulation.drivers.environment",
  ["environment.process"] = "simulation.drivers.environment",
  files = "simulation.drivers.files",
  health = "simulation.drivers.health",
  host = "simulation.drivers.host",
  http = "simulation.drivers.http",
  journal = "simulation.journal",
  mail = "simulation.drivers.mail",
  metrics = "simulation.drivers.metrics",
  ["metrics.counter_feed"] = "simulation.drivers.metrics",
  net = "simulation.drivers.net",
  papers = "simulation.drivers.papers",
  ["papers.read"] = "simulation.drivers.papers",
  process = "simulation.drivers.process",
  release = "simulation.drivers.release",
  sql = "simulation.drivers.sql",
  ["traffic.command"] = "simulation.drivers.traffic",
  ["traffic.haproxy"] = "simulation.drivers.traffic",
}

M.BEGINS = 1893456000 -- every world begins at 2030-01-01T00:00:00Z

--- From now on this process is in simulated worlds. There is no way back.
function M.enter()
  core_search.stand_in(M.stand_ins)
  core_clock.simulate(M.BEGINS)
end

return M
