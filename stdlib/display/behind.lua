--- display.behind: the side of the engine that runs a deployment behind a terminal: it says which run it is, keeps what it prints with the
-- run, and says how far long work is.

local clock = require "clock"
local core_clock = require "core.clock"
local files = require "files"
local json = require "json"

local M = {}

local PROGRESS_S = 1

local folder          -- where a terminal waits to be told; nil: nobody does
local run_folder
local told_at = -math.huge

--- From here on a terminal is told in this folder. It has our output in the file "output".
---@param path string
function M.begin(path) folder = path end

-- Each engine that goes on with a run has an output of its own.
local function keep_output(to)
  local number = 1
  while files.exists(("%s/output-%d.log"):format(to, number)) do number = number + 1 end
  return files.hard_link(folder .. "/output", ("%s/output-%d.log"):format(to, number))
end

--- The run is known: it has an id and a folder. What a terminal is not told harms no run.
---@param run { id: string, folder?: string }
function M.run_known(run)
  run_folder = run.folder
  if not folder or not run.folder then return end
  keep_output(run.folder)
  files.write(folder .. "/run", run.id)
end

--- The file with the output of the last engine that ran a run behind a terminal of this machine; nil when none did.
---@param of string the run's folder
---@return string?
---@usage assert(not require("display.behind").output "/nowhere")
function M.output(of)
  local last
  for _, name in ipairs(files.list(of) or {}) do
    local number = tonumber(name:match "^output%-(%d+)%.log$")
    if number and (not last or number > last) then last = number end
  end
  return last and ("%s/output-%d.log"):format(of, last) or nil
end

-- Work in pieces tells of them side by side: one of them writes, and what is over by then is not left behind.
local is_writing, is_over = false, false

local function write(progress)
  is_writing = true
  local _ <close> = setmetatable({}, { __close = function() is_writing = false end })
  files.write(run_folder .. "/progress.json", json.encode(progress))
  if is_over then files.remove(run_folder .. "/progress.json") end
end

--- How far long work is, for whoever looks. Returns false when there is no run whose folder it could be left in.
---@param progress table of display.progress
---@return boolean
function M.progress(progress)
  if not run_folder then return false end
  is_over = progress.all ~= nil and progress.done ~= nil and progress.done >= progress.all
  if is_writing then return true end
  local now = clock.now()
  if is_over then
    files.remove(run_folder .. "/progress.json")
  elseif now - told_at >= PROGRESS_S then
    told_at = now
    progress.at = clock.utc(core_clock.wall())
    write(progress)
  end
  return true
end

return M
