--- simulation.invariants: what must be true of every world when its run has ended, whatever went wrong. A team adds its own.
--
-- An invariant is a function(world, result) that returns nil, or a sentence that says what is wrong. It judges by what truly happened
-- (world.history, the state of the world) and not by what the run says.

local M = {}

local sorted_keys = require("traffic").sorted_keys

local SEEN_S = require("simulation.world").SEEN_S

local function was_met(world, fits)
  for _, one in ipairs(world.armed or {}) do
    if one.met > 0 and fits(one.fault, one) then return true end
  end
  return false
end

-- Something of what a rollback needs is itself broken.
local STANDS_IN_THE_WAY = { operation = true, database = true, disk = true, corrupt = true, down = true, hung = true, errors = true, check = true, start = true, slow = true, kill = true, lease = true }

local function rollback_was_hindered(world)
  local damaged = world.scenario.migration ~= "safe"
  return was_met(world, function(fault) return STANDS_IN_THE_WAY[fault.kind] or (fault.kind == "asked" and fault.type == "traffic" and damaged) end)
end

local function events(world, kind) return world.journal and world.journal:events(nil, kind) or {} end

local function failed_step(world, pattern)
  for _, step in ipairs(world.journal and world.journal:steps() or {}) do
    if step.state ~= "done" and step.name:find(pattern) then return true end
  end
  return false
end

-- Whether it answers is only the run's doing when the run says that it verified it.
local function old_is_well(world, answers)
  return world.weights.blue == 100 and world.colours.blue ~= nil and world.colours.blue.release == world.old_version and (not answers or world:answers "blue" ~= nil)
end

M.all = {
  { "the exit code is true", function(world, result)
    local code = result.exit
    if code == 0 then
      if world.weights.green ~= 100 then return ("exit 0, but green has %d %%"):format(world.weights.green) end
      if not world.colours.green or world.colours.green.release ~= world.release then return "exit 0, but green does not have the release" end
    elseif code == 1 or code == 3 or code == 4 then
      if not old_is_well(world, code == 4) then return ("exit %d, but blue has %d %%, with release %s"):format(code, world.weights.blue, tostring(world.colours.blue and world.colours.blue.release)) end
    elseif code == 5 and not rollback_was_hindered(world) then
      return "exit 5, and nothing stood in the rollback's way"
    end
    if code ~= 0 and code ~= 1 and code ~= 3 and code ~= 4 and code ~= 5 and code ~= 130 then return ("exit %s is none that a run can have"):format(tostring(code)) end
  end },

  { "after a failure the old release serves a schema that it lives with", function(world, result)
    if result.exit == 0 or result.exit == 5 or result.exit == 130 then return end
    if not world:lives_with_schema(world.old_version, world.database) then return ("%s was left with a schema that it does not live with"):format(world.old_version) end
    if world.database.damaged then return "the data was left damaged" end
  end },

  { "the release is promoted by all of its stages, and on data", function(world)
    local stages, position = world.venture.canary.stages, 0
    for _, entry in ipairs(world.history) do
      if entry.kind == "weights" then
        if entry.green > entry.before.green then
          local allowed = stages[position + 1]
          if entry.green ~= allowed and entry.green ~= stages[position] then return ("green went from %d to %d %%; the next stage is %s %%"):format(entry.before.green, entry.green, tostring(allowed)) end
          if entry.green == allowed then
            local has_feed = world.venture.metrics.driver ~= "none"
            if has_feed and entry.before.green > 0 and entry.seen == 0 then return ("green went from %d to %d %% and not one request was seen meanwhile"):format(entry.before.green, entry.green) end
            if has_feed and entry.before.green > 0 and entry.seen < world.venture.canary.min_requests then
              return ("green went from %d to %d %% after %d requests; a stage needs %d"):format(entry.before.green, entry.green, entry.seen, world.venture.canary.min_requests)
            end
            position = position + 1
          end
        end
      end
    end
  end },

  { "an unhealthy green gets no more, and loses what it has", function(world)
    for _, entry in ipairs(world.history) do
      if entry.kind == "weights" and entry.green > entry.before.green and entry.bad_s > SEEN_S / 3 then
        return ("green went from %d to %d %% after it had failed for %d s"):format(entry.before.green, entry.green, entry.bad_s)
      end
      if entry.kind == "bad" then return ("green failed for more than %d s and kept %d %%"):format(SEEN_S, entry.green) end
    end
  end },

  { "green gets traffic only after it proved healthy", function(world)
    for _, entry in ipairs(world.history) do
      if entry.kind == "weights" and entry.green > 0 and entry.before.green == 0 then
        if not entry.provisioned then return "green got traffic before it was provisioned" end
        if not entry.healthy then return "green got traffic before its health was asked for" end
      end
    end
  end },

  { "no migration and no traffic without a backup that was verified and restored", function(world)
    local verified, drilled = false, false
    for _, entry in ipairs(world.history) do
      if entry.kind == "verified" then verified = true end
      if entry.kind == "drilled" then drilled = true end
      if entry.kind == "migrated" or (entry.kind == "weights" and entry.green > 0) then
        local what = entry.kind == "migrated" and "the database was migrated" or "green got traffic"
        if not verified then return what .. " before the backup was verified" end
        if not drilled then return what .. " before the backup was restored in staging" end
      end
    end
  end },

  { "the database is restored only when the old release has all traffic", function(world)
    for _, entry in ipairs(world.history) do
      if entry.kind == "restored" and entry.green > 0 then return ("the database was restored while green had %d %% of the traffic"):format(entry.green) end
    end
  end },

  { "no row is lost that the report does not list", function(world)
    local lost, listed = 0, 0
    for _, entry in ipairs(world.history) do if entry.kind == "restored" then lost = lost + entry.lost end end
    for _, event in ipairs(events(world, "loss")) do
      if event.data.problem then return end -- the report says that nobody could count them
      for _, one in ipairs(event.data.tables or {}) do listed = listed + one.inserted + one.updated + one.deleted end
    end
    if lost ~= listed and not (was_met(world, function(fault) return fault.kind == "kill" or fault.kind == "lease" or fault.kind == "operation" end) and listed >= lost) then
      return ("%d rows were lost, the report lists %d"):format(lost, listed)
    end
  end },

  { "nothing is left locked or provisioned", function(world, result)
    if result.exit == 5 or result.exit == 130 then return end
    if result.exit ~= 0 and world.colours.green and world.colours.green.release ~= world.scenario.former then return "green was left provisioned" end
    if world.colours.rehearsal then return "the rehearsal's colour was left provisioned" end
    for _, name in ipairs(sorted_keys(world.copies)) do
      if not failed_step(world, "backup is released") and not was_met(world, function(fault) return fault.kind == "operation" or fault.kind == "database" or fault.kind == "kill" or fault.kind == "lease" end) then return ("%s of the database was left"):format(name) end
    end
    for _, path in ipairs(sorted_keys(world.needed)) do
      if not was_met(world, function(fault) return fault.kind == "disk" end) then return ("%s is still marked as needed"):format(path) end
    end
  end },

  { "every failure ends with a reason", function(world, result)
    if result.exit == 0 then return end
    if not result.id then
      if result.err and #result.err.message > 0 then return end
      return "it ended before it began, without a reason"
    end
    for _, event in ipairs(events(world, "reason")) do if event.data.text and #event.data.text > 0 then return end end
    if result.err and result.err.message then return end
    return "the run failed and the journal has no reason"
  end },

  { "the venture moves on exactly when it is promoted", function(world, result)
    if result.exit == 0 and world.database.stage ~= world.venture.exit.stage then return ("promoted, but the venture is at stage %s"):format(tostring(world.database.stage)) end
    if (result.exit == 1 or result.exit == 3 or result.exit == 4) and world.database.stage ~= world.scenario.stage then return ("not promoted, but the venture is at stage %s"):format(tostring(world.database.stage)) end
  end },

  { "a handoff is made only of what was promoted", function(world, result)
    local handed
    for _, entry in ipairs(world.history) do
      if entry.kind == "paper" and entry.name == "handoff" then handed = true end
    end
    if handed and result.exit ~= 0 and result.exit ~= 5 and world.revived_for ~= "rollback" and not was_met(world, function(fault) return fault.kind == "asked" end) then return "a handoff was made of a release that is not promoted" end
    for _, entry in ipairs(world.history) do
      if entry.kind == "paper" and entry.name == "handoff" and entry.stage ~= world.venture.exit.stage then return "a handoff was made before the venture's row had moved on" end
    end
  end },

  { "what is made by its key is made once", function(world)
    local made = {}
    for _, key in ipairs(sorted_keys(world.ledger)) do
      local what, name = key:match "^(test %a+) %x+ (.*)$"
      if what then
        local id = what .. " " .. name
        made[id] = (made[id] or 0) + 1
        if made[id] > 1 then return ("%s of '%s' was made %d times"):format(what, name, made[id]) end
      end
    end
  end },

  { "no mistake of the script itself", function(world, result)
    for _, row in ipairs(world.journal and world.journal:steps() or {}) do
      if row.error and row.error.code == "script" then return ("step '%s': %s"):format(row.name, row.error.message) end
    end
    if result.err and result.err.code == "script" then return result.err.message end
  end },

  { "the run ends", function(_, result)
    if result.err and result.err.code == "deadline" and result.seconds > 2 * 86400 then return "the run did not end within three days" end
  end },
}

--- What is wrong in a world whose run has ended.
---@param world table
---@param result table of simulation.engine
---@param more? { [1]: string, [2]: fun(world: table, result: table): string? }[] a team's own
---@return { name: string, text: string }[]
function M.judge(world, result, more)
  local broken = {}
  for _, list in ipairs { M.all, more or {} } do
    for _, invariant in ipairs(list) do
      local text = invariant[2](world, result)
      if text then broken[#broken + 1] = { name = invariant[1], text = text } end
    end
  end
  return broken
end

return M
