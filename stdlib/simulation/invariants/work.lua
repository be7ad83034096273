--- simulation.invariants.work: what must be true of the steps themselves: what they do is declared, made once, and done in the procedure's order.

local M = {}

-- The first of what fn says of the notes of a kind.
local function first(world, kind, fn)
  for _, note in ipairs(world:notes(kind)) do
    local problem = fn(note)
    if problem then return problem end
  end
end

local function declared(world)
  return first(world, "undeclared", function(note) return ("%s was changed, and %s does not say so"):format(note.what, note.where) end)
end

local function with_its_lease(world)
  return first(world, "tried", function(note) return ("%s was tried after the lease was lost"):format(note.what) end)
end

local function made_once(world)
  for what, keys in pairs(world.ledger) do
    local count = 0
    for _ in pairs(keys) do count = count + 1 end
    if count > 1 then return ("%s was made %d times"):format(what, count) end
  end
end

local function not_done_again(world)
  return first(world, "provisioned", function(note)
    if note.over == note.release and note.colour ~= "rehearsal" then return ("%s with %s was provisioned where it was already"):format(note.colour, note.release) end
  end)
end

local function row_is_true(world, result)
  if result.exit == 0 and world.database.stage ~= world.venture.exit.stage then return ("promoted, but the venture is at stage %s"):format(tostring(world.database.stage)) end
  if (result.exit == 1 or result.exit == 3 or result.exit == 4) and world.database.stage ~= world.scenario.stage then return ("not promoted, but the venture is at stage %s"):format(tostring(world.database.stage)) end
end

-- The exit gate's own evidence, as the world saw it being looked for.
local function row_moves_last(world)
  local venture = world.venture
  return first(world, "stage", function(note)
    if note.stage ~= venture.exit.stage or note.stage == world.scenario.stage then return end
    if note.green ~= 100 then return ("the venture moved on while green had %d %%"):format(note.green) end
    if venture.traffic.public and not note.served then return "the venture moved on before a client was seen to get the release" end
    if not note.planned then return "the venture moved on before the rollback was tried as a dry run" end
    for _, list in ipairs { venture.smoke, venture.flows } do
      for _, check in ipairs(list) do
        if check.critical and not note.tested[check.name] then return ("the venture moved on before '%s' had passed with 100 %%"):format(check.name) end
      end
    end
  end)
end

local function handed_last(world)
  return first(world, "paper", function(note)
    if note.name ~= "handoff" then return end
    if note.green ~= 100 then return ("a handoff was made while green had %d %%"):format(note.green) end
    if note.stage ~= world.venture.exit.stage then return "a handoff was made before the venture's row had moved on" end
  end)
end

M.all = {
  { "what a step changes is declared", declared },
  { "nothing is done after the lease was lost", with_its_lease },
  { "what is made by its key is made once", made_once },
  { "what has happened is not done again", not_done_again },
  { "the venture moves on exactly when it is promoted", row_is_true },
  { "the venture moves on only after its exit gate", row_moves_last },
  { "a handoff is made only of what was promoted", handed_last },
}

return M
