--- journal.head: where the chain of events ends, as this engine left it.
--
-- As long as nobody else writes, a change reads nothing before: it is one batch, whose first statement is the condition that chain and lease
-- are as they were. A change that finds somebody else's event is a disturbance: that may have been a signal to the run.

local M = {}

local Head = {}
Head.__index = Head

--- Knows nothing yet.
---@param store table of journal.store
---@return table
function M.new(store) return setmetatable({ store = store, disturbances = 0 }, Head) end

local function disturbed(self) self.last, self.disturbances = nil, self.disturbances + 1 end

-- What looks like a transaction and only remembers what is to be written. What it reads is so if the condition holds.
local function new_plan(store)
  return {
    query = function(self, text, ...)
      self[#self + 1] = { text, ... }
      return true
    end,
    value = function(_, ...) return store:value(...) end,
  }
end

--- A change without reading.
---@param held { lease: string, run: string, epoch: integer }
---@param change { n?: integer, undisturbed?: boolean } its number; undisturbed: only if nothing may have been asked since the run's signals were read
---@param fn fun(tx: table, at: table): any its result is given; what it writes begins with an event; called again when another task was quicker
---@return any? done false: the end of the chain has to be read; table|"unknown"|nil err as of Store:batch; "unknown" (with false): nobody else is known to have written
function Head:change(held, change, fn)
  while self.last and not (change.undisturbed and self:may_be_asked()) do
    local last, plan, at = self.last, new_plan(self.store), self.store:estimate()
    at.seq, at.hash, at.run, at.epoch, at.n, at.only_with = last.seq, last.hash, held.run, held.epoch, change.n, held.lease
    local result = fn(plan, at)
    local done, err = self.store:batch(plan)
    if done == nil or err then return done, err end
    if done then
      self:left(at)
      return result == nil and true or result
    end
    -- Another task of this run was quicker, or somebody else.
    if self.last == last then disturbed(self) end
  end
  return false
end

--- A change has read where the chain ends.
---@param at { hash: string }
function Head:found(at)
  if not self.last or self.last.hash ~= at.hash then disturbed(self) end
end

--- A change of this engine is durable, and this is the end now, unless another one of its changes came after.
---@param at { seq: integer, hash: string }
function Head:left(at)
  if not self.last or self.last.seq < at.seq then self.last = { seq = at.seq, hash = at.hash } end
end

--- Reads the run's signals. The end of the chain is known before: whoever asks something later moves it, and the next change finds that out.
---@param read fun(): table[]?, table?
---@return table[]? rows, table? err
function Head:listen(read)
  local disturbances, last = self.disturbances, self.last
  if not last then
    local rows, err = self.store:query "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1"
    if not rows then return nil, err end
    last = rows[1]
  end
  local rows, err = read()
  if rows and self.disturbances == disturbances then self.last, self.heard = self.last or last, disturbances end
  return rows, err
end

--- May somebody have asked something since listen?
---@return boolean
function Head:may_be_asked() return self.heard ~= self.disturbances end

return M
