--- simulation.engine: a run in a simulated world from its beginning to its end, also when its engine dies on the way: then somebody takes it up again, as by
-- `engine resume` or `engine rollback`.

local core_clock = require "core.clock"
local core_err = require "core.err"
local core_task = require "core.task"
local execute = require "execute"
local journal = require "journal"
local pause = require "run.pause"
local recorded = require "run.recorded"
local run_module = require "run"
local task = require "task"

local M = {}

local LIMIT_S = 86400 -- a run that has not ended by then never does: it is canceled
local OVER_S = 3600   -- and what has not ended so long after that is ended whatever it does
local ASK_S = 5
local MOST_TRIES = 6

local function has_signal(kept, kind)
  for _, signal in ipairs(kept:signals()) do if signal.kind == kind then return true end end
  return false
end

-- A run is paused as long as the fault lasts.
local function keep_paused(run, wanted)
  local paused = pause.of(run.journal:signals()) ~= nil
  if paused ~= wanted then run.journal:signal(run.id, { kind = wanted and "pause" or "go_on", by = "simulated" }) end
end

local function is_during(fault) return fault.anchor ~= "end" end

-- What somebody asks of the run from outside, at the fault's time.
local function ask(run, world)
  while true do
    task.sleep(ASK_S)
    local fault = run.id and not run.result and world:fault("asked", is_during)
    local pauses = fault ~= nil and fault ~= false and fault.what == "pause"
    if run.id and not run.result then
      keep_paused(run, pauses)
      run:asked()
    end
    if fault and not pauses then
      if fault.what == "interrupt" then error(core_err.new { code = "interrupted", message = "interrupted by Ctrl-C" }, 0) end
      if not has_signal(run.journal, "rollback") then run.journal:signal(run.id, { kind = "rollback", data = { type = fault.type }, by = "simulated" }) end
      local asked = run:asked()
      if asked then error(asked, 0) end
    end
  end
end

local function has_fault(world, kind)
  for _, fault in ipairs(world.scenario.faults) do if fault.kind == kind then return true end end
  return false
end

-- As execute.go does it, without what only a real engine needs: lease, guardian, signals from other processes.
local function go(run, world)
  core_clock.over(core_clock.now() + LIMIT_S + OVER_S)
  local ok, value = task.scope("simulated run", LIMIT_S, function()
    core_task.set_context { run = run }
    if has_fault(world, "asked") then background(ask, run, world) end
    return execute.play(run)
  end)
  core_clock.over()
  return ok, value
end

local function new_run(world, project, more)
  local fields = {
    playbook = project:load(), path = project.path, args = project.args, venture = world.venture, mode = world.scenario.mode, actor = "simulated", state_folder = "simulated", settings = {},
    open_journal = journal.open, folder_of = function(id) return "simulated/runs/" .. id end,
  }
  for key, value in pairs(more or {}) do fields[key] = value end
  return run_module.new(fields)
end

-- The same playbook again, from what is recorded.
local function taken_up(world, project, operation, kind)
  local kept = journal.open()
  local row = kept:run()
  kept:take_up(row, { operation = operation, actor = "simulated" })
  if operation == "rollback" and not has_signal(kept, "rollback") then kept:signal(row.id, { kind = "rollback", data = { type = kind }, by = "simulated" }) end
  return new_run(world, project, { id = row.id, journal = kept, recorded = recorded.of(kept:events(), kept:approvals()) })
end

local function conclude(run, ok, value)
  local outcome, code, result = execute.outcome_of(run, ok, value)
  if run.id then
    local ended, err = pcall(function() run:finish(outcome, code, result.summary or (not ok and value.message) or nil) end)
    if not ended then return nil, err end
  end
  return { outcome = outcome, exit = code, result = result, err = not ok and value or nil, reason = run.reason_of_failure, id = run.id }
end

-- Somebody takes back what was promoted, as by `engine rollback`. Gives the fault that says so.
local function asked_afterwards(world)
  world:anchor "end"
  for _, one in ipairs(world.by_kind and world.by_kind.asked or {}) do
    if one.fault.anchor == "end" and one.met == 0 then
      world:note "ended"
      task.sleep(one.fault.after or 0)
      world:note "revived"
      return world:fault("asked", function(fault) return fault == one.fault end)
    end
  end
end

--- Runs the project's playbook in a world.
---@param world table the present one
---@param project { path: string, args: table, load: fun(): table }
---@return { outcome: string, exit: integer, result: table, err?: table, reason?: table, id?: string, tries: integer, seconds: number }
function M.run(world, project)
  local worked = 0 -- seconds in which an engine was there
  local run, tries, ended, afterwards = nil, 0, nil, nil
  while not ended do
    tries = tries + 1
    local known = world.journal and world.journal.latest and world.journal:run()
    run = known and taken_up(world, project, world.revived_for or "resume", afterwards and afterwards.type) or new_run(world, project)
    world.run = run
    local began = core_clock.now()
    local ok, value = go(run, world)
    worked = worked + core_clock.now() - began
    local left = run.id and not ok and (run_module.stops(value) or (run.recorded and run.is_preparing))
    if not left and not world.death then ended = conclude(run, ok, value) end
    if not ended and world.death and tries < MOST_TRIES then
      local fault = world.death_fault
      local kept = world.journal and world.journal.latest and world.journal:run()
      task.sleep(fault.back_s or 30)
      world:revive()
      if kept and kept.ended_at then -- it died after its end was durable
        ended = { outcome = kept.outcome, exit = kept.exit_code, result = run.result or {}, reason = run.reason_of_failure, id = kept.id }
      else
        world.revived_for = fault["then"] or "resume"
      end
    elseif not ended then
      ended = { outcome = "left", exit = value.unanswered and 3 or 130, result = {}, err = value, id = run.id }
    end
    local asked = ended and ended.exit == 0 and asked_afterwards(world)
    if asked then
      ended, afterwards, world.revived_for = nil, asked, "rollback"
    end
  end
  ended.tries, ended.seconds = tries, worked
  return ended
end

return M
