--- run.later: events of a step that nobody waits for. Whatever watches over traffic must not stand still because the journal is away.
--
-- They are written in their order by a task beside the step, and all of them before anything else of the step is.

local chain = require "journal.chain"
local core_clock = require "core.clock"
local core_task = require "core.task"
local journal = require "journal"
local json = require "json"
local task = require "task"

local M = {}

local RETRY_S = 0.5

local Later = {}
Later.__index = Later

--- The events of one step.
---@param run table
---@param seq integer of the step
function M.new(run, seq) return setmetatable({ run = run, step = seq, waiting = {} }, Later) end

-- Writes the first of those that wait. Also when the step is being canceled; a try that is under way is brought to its end.
local function write_first(self, once)
  local event = self.waiting[1]
  local done, err
  pcall(task.shield, function() done, err = self.run.journal:numbered_event(self.run.id, event, once) end)
  if done and self.waiting[1] == event then table.remove(self.waiting, 1) end
  return done, err
end

local function keep_writing(self)
  local over <close> = setmetatable({}, { __close = function() self.is_writing = false end })
  while self.waiting[1] do
    local done, err = write_first(self, true)
    if not done then
      if not (err and err.away) then
        self.run.is_left = true
        error(err, 0)
      end
      task.sleep(RETRY_S)
    end
  end
end

--- Takes an event in, as it is now.
---@param kind string
---@param data table plain data
function Later:add(kind, data)
  self.waiting[#self.waiting + 1] = { kind = kind, data = json.decode(chain.encode(data)), step = self.step, n = journal.number(), since = core_clock.now() }
  if self.is_writing then return end
  self.is_writing = true
  core_task.spawn("background", keep_writing, self) -- not task.background: when it begins depends on the journal, so it takes no place in the run
end

--- Returns when all of them are written; waits as every write does.
---@return true?, table? err code journal or lock_held
function Later:drain()
  while self.waiting[1] do
    local done, err = write_first(self)
    if not done then return nil, err end
  end
  return true
end

return M
