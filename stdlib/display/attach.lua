--- display.attach: `engine attach`: a run that is under way, from any terminal, as whoever began it sees it.

local behind = require "display.behind"
local clock = require "clock"
local core_err = require "core.err"
local display = require "display"
local files = require "files"
local follow = require "repl.follow"
local journal_option = require "journal.option"
local model = require "display.model"
local report_state = require "report.state"
local task = require "task"

local M = {}

local POLL_S = 0.5

-- How a run stands, as lines.
local function tell_state(view)
  local row, weights = view.row, view.weights
  display.line("note", 0, ("run %s of %s, release %s, began at %s by %s"):format(row.id, row.venture or "no venture", row.release or "none", row.started_at, row.actor))
  for _, step in ipairs(view:current()) do display.line("begin", 0, ("%s  since %s"):format(step.name, clock.utc(step.began):match "T(%d+:%d+:%d+)")) end
  display.line("note", 0, weights and ("traffic: blue %s %%, green %s %%"):format(tostring(weights.blue), tostring(weights.green)) or "traffic: not moved yet")
  if view:goes_back() then display.line("warn", 0, "it is going back" .. (view.reason and ": " .. view.reason.text or ""))
  elseif view:held() then display.line("warn", 0, view:held()) end
  if view.question then display.line("ask", 0, view.question.question) end
end

-- An engine that is gone is told once, and again when another one that took the run up is.
local function tell_engine(journal, row, view, where)
  local now = assert(journal:run(row.id))
  local is_gone = report_state.of(journal, now).gone
  if is_gone and not view.is_gone then
    display.line("warn", 0, ("its engine is gone; %s"):format(report_state.guardian(row)))
    print("  next   " .. report_state.after_engine(row, where))
  end
  view.is_gone = is_gone
end

local TAKEN_UP = { resume = true, rollback = true }

-- The file that the run's engine prints to, if it is of this machine and of the engine that has the run now, with what was read of it already.
local function output_of(row, taken_up_at)
  local folder = row.state_folder and row.state_folder .. "/runs/" .. row.id
  local path = folder and behind.output(folder)
  local stat = path and files.stat(path)
  if not stat or (taken_up_at and stat.modified < taken_up_at) then return nil end
  return { path = path, read = stat.size }
end

-- The lines that were printed since.
local function tell_output(output)
  local all = files.read(output.path) or ""
  local whole = all:sub(output.read + 1):match "^(.*\n)"
  if not whole then return end
  output.read = output.read + #whole
  for line in whole:gmatch "([^\n]*)\n" do print(display.plain(line)) end
end

-- Off a terminal: how it stands, and from then on the lines of its engine; from elsewhere a line an event.
local function tell(journal, row, view, where)
  local taken_up_at
  for _, event in ipairs(assert(journal:events(row.id))) do
    view:take(event)
    if TAKEN_UP[event.kind] then taken_up_at = clock.of_utc(event.at) end
  end
  tell_state(view)
  local output = output_of(row, taken_up_at)
  while true do
    local ended
    for _, event in ipairs(assert(journal:events(row.id, view.last_seq))) do
      view:take(event)
      if TAKEN_UP[event.kind] then output = nil end -- by another engine, which prints elsewhere
      local line = not output and follow.line(event)
      if line then print(display.plain(line)) end
      if event.kind == "run_end" then ended = event.data.exit_code end
    end
    if output then tell_output(output) end
    if ended then return ended end
    tell_engine(journal, row, view, where)
    task.sleep(POLL_S)
  end
end

--- `engine attach`. Returns the run's exit code when it ended meanwhile, 0 when somebody left.
---@param journal table
---@param options { words: string[], state?: string, venture?: string, journal?: string }
---@return integer? exit, table? err
function M.command(journal, options)
  local row, err = journal:run(options.words[1])
  if not row then return nil, err end
  local where = journal_option.text(options)
  if row.ended_at then
    return nil, core_err.new { code = "usage", message = ("run %s has ended at %s: %s"):format(row.id, row.ended_at, row.outcome), next = ("engine status %s%s, or engine report %s%s"):format(row.id, where, row.id, where) }
  end
  if require("display.attended").is_wanted() then return require("display.viewer").run { journal = journal, row = row, option = options } end
  local view = model.new(row)
  local ok, code = task.interruptible(tell, journal, row, view, where)
  if ok then return code end
  if not core_err.is(code) or code.code ~= "interrupted" then error(code, 0) end
  print(view.is_gone and ("  next   " .. report_state.after_engine(row, where)) or ("  next   run %s goes on; engine attach %s%s   (%s)"):format(row.id, row.id, where, clock.utc()))
  return 0
end

return M
