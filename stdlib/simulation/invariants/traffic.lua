--- simulation.invariants.traffic: what must be true of who got requests, and when.

local truth = require "simulation.truth"

local M = {}

local SEEN_S = 180    -- a colour that is bad, and can be seen to be, has lost its traffic within that
local GROWS_S = 60    -- and gets no more traffic after that
local NOTICED_S = 20  -- a run that somebody paused knows it by then
local PATIENCE = 5    -- times the evidence that the best of all tests would need

local function stages_in_order(world)
  local stages, position = world.venture.canary.stages, 0
  local needed = world.venture.metrics.driver == "none" and 0 or world.venture.canary.min_requests
  for _, note in ipairs(world:notes "weights") do
    local from, to = note.before.green, note.green
    if to > from then
      if to ~= stages[position + 1] and to ~= stages[position] then return ("green went from %d to %d %%; the next stage is %s %%"):format(from, to, tostring(stages[position + 1])) end
      if to == stages[position + 1] then
        if from == 0 and position > 0 then return ("green went on to %d %% after its traffic had been taken back"):format(to) end
        if from > 0 and note.seen < needed then return ("green went from %d to %d %% after %d requests that were looked at; a stage needs %d"):format(from, to, note.seen, needed) end
        position = position + 1
      end
    end
  end
end

-- The end of the last stage is no change of weights, but what follows it.
local function last_stage_watched(world, result)
  if result.exit ~= 0 or world.venture.metrics.driver == "none" then return end
  if world.seen.requests < world.venture.canary.min_requests then
    return ("promoted after %d requests that were looked at with %d %%; a stage needs %d"):format(world.seen.requests, world.weights.green, world.venture.canary.min_requests)
  end
end

-- How many requests the best of all tests needs to tell a share of bad ones from the limit, at the false alarm that is allowed.
local function evidence(share, limit, false_alarm)
  local information = share >= 1 and math.log(1 / limit) or share * math.log(share / limit) + (1 - share) * math.log((1 - share) / (1 - limit))
  return math.log(1 / false_alarm) / information
end

-- The share of requests to green that are bad, when that is twice the limit and everything is there to see it.
local function visibly_bad(at, config)
  local errors, slow = at:answers "green"
  local others, others_slow = at:answers "blue"
  if not others or others >= config.error_rate / 2 or others_slow >= config.error_rate / 2 then return nil end
  local share = errors == nil and 1 or math.max(errors, slow)
  return share >= 2 * config.error_rate and share or nil, errors == nil
end

local function unhealthy_goes(world, result)
  local config = world.venture.canary
  if world.venture.metrics.driver == "none" or result.exit == 5 then return end
  local bad_s, requests, worst, before, problem = 0, 0, 1, 0, nil
  truth.each(world, function(at, seconds)
    if problem then return end
    local share, is_hung = visibly_bad(at, config)
    local seen = is_hung or requests >= PATIENCE * evidence(worst, config.error_rate, config.false_alarm)
    if at.weights.green > before and bad_s > GROWS_S and seen then problem = ("green got %d %% after it had failed for %.0f s"):format(at.weights.green, bad_s) end
    before = at.weights.green
    local errors, slow = at:answers "green"
    if at.weights.green == 0 or (errors and math.max(errors, slow) < 2 * config.error_rate) then
      bad_s, requests, worst = 0, 0, 1
    elseif share and at.alive and not at:fault "silent" and not at:fault "mismatch_lines" then
      bad_s, requests, worst = bad_s + seconds, requests + seconds * at.scenario.rps * at.weights.green / 100, math.min(worst, share)
      if bad_s > SEEN_S and (is_hung or requests >= PATIENCE * evidence(worst, config.error_rate, config.false_alarm)) then
        problem = ("green failed %.0f %% of its requests for %.0f s, which could be seen, and kept %d %%"):format(worst * 100, bad_s, at.weights.green)
      end
    end
  end)
  return problem
end

local function proved_before(world)
  for _, note in ipairs(world:notes "weights") do
    if note.green > 0 and note.before.green == 0 then
      if not note.there.green then return "green got traffic before it was provisioned" end
      if not note.healthy then return "green got traffic before its health was asked for" end
      if note.modes.green ~= "ready" then return "green got traffic before the proxy had it ready" end
    end
  end
end

local function colours_are_there(world)
  for _, note in ipairs(world.history) do
    if note.kind == "weights" then
      for _, colour in ipairs { "blue", "green" } do
        if note[colour] > 0 and not note.there[colour] then return ("%s got %d %% and is not there"):format(colour, note[colour]) end
      end
    elseif (note.kind == "destroyed" or note.kind == "maintenance" or note.kind == "drain") and note.share and note.share > 0 then
      return ("%s, which served %d %%, was %s"):format(note.colour, note.share, note.kind == "destroyed" and "destroyed" or "taken out of the proxy")
    end
  end
end

local function way_back_stays(world)
  for _, note in ipairs(world:notes "destroyed") do
    if note.colour == "blue" then return ("blue with %s, the way back, was destroyed"):format(note.release) end
  end
end

local function is_pause(fault) return fault.what == "pause" end

-- Coming back from a retreat to the stage's own share is no more than it had.
local function waits_while_paused(world)
  local highest, paused_s, problem = 0, 0, nil
  truth.each(world, function(at, seconds)
    local green = at.weights.green
    if paused_s > NOTICED_S and green > highest then problem = problem or ("green got %d %% when the run had been paused for %.0f s"):format(green, paused_s) end
    paused_s = at.alive and at:fault("asked", is_pause) and paused_s + seconds or 0
    highest = paused_s == 0 and 0 or math.max(highest, green)
  end)
  return problem
end

M.all = {
  { "the release is promoted by all of its stages, and on data", function(world, result) return stages_in_order(world) or last_stage_watched(world, result) end },
  { "an unhealthy green gets no more, and loses what it has", unhealthy_goes },
  { "green gets traffic only after it proved healthy", proved_before },
  { "who has traffic is there", colours_are_there },
  { "the old colour stays as the way back", way_back_stays },
  { "a paused run gives green no more", waits_while_paused },
}

return M
