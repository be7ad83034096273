--- simulation.invariants.data: what must be true of the database, its backups and its copies.

local core_clock = require "core.clock"
local truth = require "simulation.truth"

local M = {}

local DROPPED_S = 60 -- copies are dropped that long before a run's end, or later

local function backup_first(world)
  local verified, drilled = false, false
  for _, note in ipairs(world.history) do
    verified, drilled = verified or note.kind == "verified", drilled or note.kind == "drilled"
    if note.kind == "migrated" or (note.kind == "weights" and note.green > 0) then
      local what = note.kind == "migrated" and "the database was migrated" or "green got traffic"
      if not verified then return what .. " before the backup was verified" end
      if not drilled then return what .. " before the backup was restored in staging" end
    end
  end
end

local function restored_when_back(world)
  for _, note in ipairs(world:notes "restored") do
    if note.green > 0 then return ("the database was restored while green had %d %% of the traffic"):format(note.green) end
  end
end

-- A step that was done again says it again: its last word counts.
local function loss_is_listed(world)
  local lost, listed, of_step = 0, 0, {}
  for _, note in ipairs(world:notes "restored") do lost = lost + note.lost end
  for _, event in ipairs(world:events "loss") do
    if event.data.problem then return end -- the report says that nobody could count them
    local rows = 0
    for _, one in ipairs(event.data.tables or {}) do rows = rows + one.inserted + one.updated + one.deleted end
    of_step[event.step or 0] = rows
  end
  for _, rows in pairs(of_step) do listed = listed + rows end
  if lost ~= listed then return ("%d rows were lost, the report lists %d"):format(lost, listed) end
end

local function lives_with_schema(world, result)
  if result.exit == 0 or result.exit == 5 or result.exit == 130 then return end
  if not world:lives_with_schema(world.old_version, world.database) then return ("%s was left with a schema that it does not live with"):format(world.old_version) end
  if world.database.damaged then return "the data was left damaged" end
end

local function failed(world, what)
  for _, note in ipairs(world:notes "failed") do if note.what == what and note.how ~= "slow" then return true end end
  return false
end

-- A server that is away drops no database.
local function was_away(world)
  local ends = core_clock.now()
  return truth.longest(world, ends - DROPPED_S, ends, function(at) return at:fault "database" ~= nil end) > 0
end

local function nothing_left(world, result)
  if result.exit == 5 or result.exit == 130 then return end
  if result.exit ~= 0 and world.colours.green and world.colours.green.release ~= world.scenario.former then return "green was left provisioned" end
  if world.colours.rehearsal then return "the rehearsal's colour was left provisioned" end
  for name in pairs(world.copies) do
    if not failed(world, "backup.drop_copy") and not was_away(world) then return ("%s of the database was left"):format(name) end
  end
  for path in pairs(world.needed) do return ("%s is still marked as needed"):format(path) end
end

M.all = {
  { "no migration and no traffic without a backup that was verified and restored", backup_first },
  { "the database is restored only when the old release has all traffic", restored_when_back },
  { "no row is lost that the report does not list", loss_is_listed },
  { "after a failure the old release serves a schema that it lives with", lives_with_schema },
  { "nothing is left locked or provisioned", nothing_left },
}

return M
