--- run.recorded: what a run that is gone through again has recorded, by place, and whether the playbook still does the same.

local core_err = require "core.err"
local json = require "json"
local places = require "run.places"
local steps = require "journal.steps"

local M = {}

local Recorded = {}
Recorded.__index = Recorded

-- "7.2" is the second place within "7"; "4[2].1" the first within the second branch of "4".
local function parts_of(place)
  local within, number = place:match "^(.*)%.(%d+)$"
  if within then return within, math.tointeger(tonumber(number)) end
  return "", math.tointeger(tonumber(place))
end

local function remember(self, place, entry)
  self.by_place[place] = entry
  local within, number = parts_of(place)
  self.last[within] = math.max(self.last[within] or 0, number or 0)
  -- Branches themselves record nothing, but that there were some is known from what they did.
  local branches = within:match "^(.*)%[%d+%]$"
  if branches and not self.by_place[branches] then remember(self, branches, { what = "work", name = "side by side" }) end
end

--- What a run has recorded.
---@param events table[] of the run, in their order
---@param approvals table[] the questions that it asked
---@return table recorded
function M.of(events, approvals)
  local self = setmetatable({ by_place = {}, last = {}, answers = {}, outputs = {}, events = events, steps = steps.of(events), next_seq = 1 }, Recorded)
  local by_seq = {}
  for _, row in ipairs(self.steps) do
    by_seq[row.seq] = { what = row.effect == "value" and "value" or "step", name = row.name, key = row.key, row = row }
    self.next_seq = math.max(self.next_seq, row.seq + 1)
  end
  -- Where two things stand at one place, the later one was done in place of the other.
  for _, event in ipairs(events) do
    if event.place then remember(self, event.place, steps.KINDS[event.kind] and by_seq[event.step] or { what = event.kind == "interrupt" and "interrupt" or "event", name = event.kind, row = event }) end
    if event.kind == "output" then self.outputs[event.data.name] = event.data.value end
  end
  for _, row in ipairs(approvals) do self.answers[row.place] = row end
  return self
end

local function stop(place, recorded, actual)
  error(core_err.new { code = "replay", op = "resume", message = ("at place %s the journal has %s, but the playbook now does %s; nothing was done"):format(place, recorded, actual) }, 0)
end

local function interrupted(entry) return { interrupt = entry.row.data.error, ended_by = entry.row.seq } end

local function described(entry) return ("%s '%s'"):format(entry.what, entry.name) end

--- Work begins side by side at a place: raises "replay" when the run has something else there.
---@param place string
---@return { interrupt: table, ended_by: integer }? ended what ended the playbook's way there, and the event that says so
function Recorded:branches(place)
  local entry = self.by_place[place]
  if entry and entry.what == "interrupt" then return interrupted(entry) end
  if entry and entry.what ~= "work" then stop(place, described(entry), "work 'side by side'") end
end

--- The playbook has ended: raises "replay" when the run has recorded more than it did.
---@param scope { place: string, count: integer } the outermost
function Recorded:ends(scope)
  if scope.count >= (self.last[scope.place] or 0) then return end
  local place = places.of(scope.place, scope.count + 1)
  local entry = self.by_place[place]
  stop(place, entry and described(entry) or "something that stood side by side", "nothing more")
end

--- What stands at a place: nil when the run did not come so far. Raises "replay" when the playbook does something else there.
---@param place string
---@param what "step"|"value"|"event"
---@param name string
---@param key? string of a step, by which it is told from the same with other arguments
---@param args_text? string its arguments, for the message
---@return table? row of the step, value or event; or an entry with interrupt
function Recorded:at(place, what, name, key, args_text)
  local entry = self.by_place[place]
  if not entry then
    local within, number = parts_of(place)
    if number and number <= (self.last[within] or 0) then stop(place, "nothing, and something after it", ("%s '%s'"):format(what, name)) end
    return nil
  end
  if entry.what == "interrupt" then return interrupted(entry) end
  if entry.what ~= what or entry.name ~= name then stop(place, described(entry), ("%s '%s'"):format(what, name)) end
  if key and entry.key ~= key then stop(place, ("%s with the arguments %s"):format(described(entry), json.encode(entry.row.args)), ("the same with the arguments %s"):format(args_text)) end
  return entry.row
end

--- Was the run taken up to be taken back, after this event?
---@param seq integer
---@return boolean
function Recorded:was_taken_back_after(seq)
  for i = #self.events, 1, -1 do
    local event = self.events[i]
    if event.seq <= seq then break end
    if event.kind == "rollback" then return true end
  end
  return false
end

--- How many steps are done.
---@return integer
function Recorded:done()
  local n = 0
  for _, row in ipairs(self.steps) do if row.state == "done" and row.effect ~= "value" then n = n + 1 end end
  return n
end

return M
