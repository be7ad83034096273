--- journal.steps: a run's steps, as its events tell of them. There is no other record of a step: what an event says cannot be changed, and what
-- is made of it here each time is as true as the chain.

local M = {}

--- The kinds of events that tell of steps and values.
M.KINDS = { step_begin = true, step_again = true, step_end = true, value = true }

local function ended(row, event)
  local data = event.data
  row.state, row.result, row.error, row.seconds, row.ended_at, row.ended_by = data.state, data.result, data.error, data.seconds, event.at, event.seq
end

local tell = {}

function tell.step_begin(rows, event)
  local data = event.data
  local row = { run = event.run, seq = event.step, place = event.place, name = data.name, effect = data.effect, parent = data.parent, args = data.args or {}, key = data.key,
    undo = data.undo, state = data.state, attempts = 1, started_at = event.at }
  rows[#rows + 1], rows.by_seq[row.seq] = row, row
end

function tell.step_again(rows, event)
  local row = rows.by_seq[event.step]
  row.state, row.attempts = event.data.state, event.data.attempt
  row.result, row.error, row.seconds, row.ended_at, row.ended_by = nil, nil, nil, nil, nil
end

function tell.step_end(rows, event) ended(rows.by_seq[event.step], event) end

-- A value that could not be found is looked for anew when its run is taken back again.
function tell.value(rows, event)
  local row = rows.by_seq[event.step]
  if not row then
    row = { run = event.run, seq = event.step, place = event.place, name = event.data.name, effect = "value", parent = event.data.parent, attempts = 0, started_at = event.at }
    rows[#rows + 1], rows.by_seq[row.seq] = row, row
  end
  row.attempts = row.attempts + 1
  ended(row, event)
  row.seconds = 0
end

--- What events say of steps; other events are left aside.
---@param events table[] of one run, in their order, with their data decoded
---@return table[] rows seq, place, parent, name, effect ("value" of a value), args, key, undo, state, attempts, started_at, ended_at, ended_by (the event's seq), seconds, result, error; in the order in which they began
---@usage assert(#require("journal.steps").of {} == 0)
function M.of(events)
  local rows = { by_seq = {} }
  for _, event in ipairs(events) do
    local fn = tell[event.kind]
    if fn then fn(rows, event) end
  end
  rows.by_seq = nil
  return rows
end

--- The same with the values that the run found taken out, by their names.
---@param events table[]
---@return table[] steps, table<string, any> values
---@usage assert(#require("journal.steps").and_values {} == 0)
function M.and_values(events)
  local steps, values = {}, {}
  for _, row in ipairs(M.of(events)) do
    if row.effect == "value" then values[row.name] = row.result else steps[#steps + 1] = row end
  end
  return steps, values
end

return M
