--- simulation.invariants: what must be true of every world when its run has ended, whatever went wrong. A team adds its own, in its venture's simulation.lua:
--
--   return { invariants = { { "nobody is asked at night", function(world, result) if #world:notes "asked" > 3 then return "it asked too often" end end } } }
--
-- An invariant is a function(world, result) that gives nil, or a sentence that says what is wrong. It judges by what truly happened and not by what the run says.
-- These fields stay as they are; whatever else is there may change:
--
--   result.outcome   "promoted", "rolled_back", "aborted", "failed", or what the playbook says; "left": nobody has taken the run up again
--   result.exit      the exit code                                        result.seconds   simulated, from the beginning to the end
--   result.tries     how many engines it took                             result.result    what the playbook returned: summary and its own fields
--   result.err, result.reason   what it ended by, and why it was taken back; code and message, or nil
--   world.scenario   how the world is (see simulation.scenario)           world.venture    the configuration
--   world.release, world.old_version                                      world.weights    { blue, green }: percent, now
--   world.colours    by "blue" (the old one), "green": { release }; nil: it is not there
--   world.database   { applied (set of migrations), stage, written (rows), damaged }
--   world:answers(colour)   the share of its requests that fail, and that are slow, now; nil: nothing comes back
--   world:notes(kind)       what happened, in order. Each has `at` (simulated seconds), and:
--     weights { blue, green, before }   provisioned, destroyed { colour, release }   backup, verified, drilled { path }   migrated { version }
--     restored { lost, green }   stage { stage }   paper { name }   made { what, name, key }   asked { question }   command { argv }   fault { fault }   failed { what, how, seconds }
--   world:events(kind)      what the run has recorded of a kind: each has `data`
--
-- A mistake in an invariant of a team ends the simulation with exit 2 and says its file and line.

local core_err = require "core.err"

local M = {}

M.all = {}
for _, name in ipairs { "ending", "traffic", "data", "work" } do
  for _, invariant in ipairs(require("simulation.invariants." .. name).all) do M.all[#M.all + 1] = invariant end
end

-- What a team's invariant says of a world.
local function asked(invariant, world, result)
  local ok, text = pcall(invariant[2], world, result)
  if ok and text and type(text) ~= "string" then ok, text = false, ("gives a %s; it may give nil or a sentence"):format(type(text)) end
  if ok then return text end
  error(core_err.new { code = "playbook", op = "simulate", message = ("the invariant '%s': %s"):format(invariant[1], core_err.is(text) and text.message or tostring(text)) }, 0)
end

--- What is wrong in a world whose run has ended.
---@param world table
---@param result table of simulation.engine
---@param more? { [1]: string, [2]: fun(world: table, result: table): string? }[] a team's own
---@return { name: string, text: string }[]
function M.judge(world, result, more)
  local broken = {}
  local function add(invariant, text) if text then broken[#broken + 1] = { name = invariant[1], text = text } end end
  for _, invariant in ipairs(M.all) do add(invariant, invariant[2](world, result)) end
  for _, invariant in ipairs(more or {}) do add(invariant, asked(invariant, world, result)) end
  return broken
end

return M
