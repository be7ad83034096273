--- backup.metered: long work that measures itself, told of while it goes on.
--
-- A progress is a function that gets { done, all, unit, phase?, bytes? }: how much of what there is is done, in which part of the work; the last
-- one of a part has done = all. What is counted is bytes where the work can measure itself, pieces or tables where it cannot.

local core_meter = require "core.meter"
local task = require "task"

local M = {}

local EVERY_S = 0.5

--- What gets the progress of a part of the work.
---@param progress? fun(at: table)
---@param phase string
---@return fun(at: table)? of_part
---@usage local seen  require("backup.metered").part(function(at) seen = at.phase end, "checking") { done = 1, all = 2 }  assert(seen == "checking")
function M.part(progress, phase)
  if not progress then return nil end
  return function(at)
    at.phase = at.phase and phase .. ", " .. at.phase or phase
    progress(at)
  end
end

--- What counts bytes that others moved, and tells of each.
---@param progress? fun(at: table)
---@param all integer how many there are
---@return fun(bytes: integer) told so many more are done
---@usage local seen  require("backup.metered").count(function(at) seen = at.done end, 9)(4)  assert(seen == 4)
function M.count(progress, all)
  local done = 0
  return function(bytes)
    done = done + bytes
    if progress then progress { done = done, all = all, unit = "bytes" } end
  end
end

--- Runs fn with a meter for calls of core.backup, and tells now and then what it shows. Without a progress nothing is measured.
---@param progress? fun(at: table)
---@param fn fun(meter?: userdata): any
---@param bytes? integer how many there are, where the work does not know itself
---@return any what fn gives
---@usage assert(require("backup.metered").run(nil, function() return 7 end) == 7)
function M.run(progress, fn, bytes)
  if not progress then return fn(nil) end
  local meter = core_meter.new(bytes)
  -- Nothing that is told of work does harm to it.
  local function tell(is_over)
    local done, all = core_meter.read(meter)
    if all == 0 and not is_over then return end
    -- A meter that is full before its work has ended does not say that it has.
    pcall(progress, { done = is_over and all or math.min(done, all - 1), all = all, unit = "bytes" })
  end
  local ok, results = task.scope("metered work", nil, function()
    task.background(function()
      while true do
        task.sleep(EVERY_S)
        tell(false)
      end
    end)
    return table.pack(fn(meter))
  end)
  if not ok then error(results, 0) end
  tell(true)
  return table.unpack(results, 1, results.n)
end

return M
