--- display.attach: `engine attach`: a run that is under way, from any terminal, as whoever began it sees it.

local clock = require "clock"
local core_err = require "core.err"
local display = require "display"
local follow = require "repl.follow"
local task = require "task"

local M = {}

local POLL_S = 0.5

-- Off a terminal: a line an event, from now on.
local function tell(journal, row)
  local last = assert(journal:last_event(row.id))
  display.line("note", 0, ("run %s of %s, release %s, began at %s by %s"):format(row.id, row.venture or "no venture", row.release or "none", row.started_at, row.actor))
  while true do
    for _, event in ipairs(assert(journal:events(row.id, last))) do
      last = event.seq
      local line = follow.line(event)
      if line then print(display.plain(line)) end
      if event.kind == "run_end" then return event.data.exit_code end
    end
    task.sleep(POLL_S)
  end
end

--- `engine attach`. Returns the run's exit code when it ended meanwhile, 0 when somebody left.
---@param journal table
---@param options { words: string[] }
---@return integer? exit, table? err
function M.command(journal, options)
  local row, err = journal:run(options.words[1])
  if not row then return nil, err end
  if row.ended_at then
    return nil, core_err.new { code = "usage", message = ("run %s has ended at %s: %s"):format(row.id, row.ended_at, row.outcome), next = ("engine status %s, or engine report %s"):format(row.id, row.id) }
  end
  if require("display.attended").is_wanted() then return require("display.viewer").run { journal = journal, row = row } end
  local ok, code = task.interruptible(tell, journal, row)
  if ok then return code end
  if not core_err.is(code) or code.code ~= "interrupted" then error(code, 0) end
  print(("  next   run %s goes on; engine attach %s   (%s)"):format(row.id, row.id, clock.utc()))
  return 0
end

return M
