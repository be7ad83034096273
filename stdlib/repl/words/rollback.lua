--- repl.words.rollback: the run is taken back, by the same code as `engine rollback`. A run that is under way is told to; for one whose engine
-- is gone, or that is promoted, an engine of its own does it, which goes on when the console is closed.

local core_err = require "core.err"
local effect = require "effect"
local follow = require "repl.follow"
local sessions = require "repl.session"
local task = require "task"

local rollback = {}

local POLL_S = 0.2

local function look(session, run, kind)
  local resume = require "resume"
  return resume.look(session:need_journal(), { words = { run or session.attached and session.attached.id }, type = kind })
end

--- How the run would be taken back: what is known of its traffic, its schema and its backup. Nothing is done.
---@param run? string its id; as without: the one that the console is attached to, or the latest
---@example rollback.plan()
function rollback.plan(run)
  local found, err = look(sessions.here(), run)
  if not found then return nil, err end
  for _, line in ipairs(found.lines) do print("· " .. line) end
end

-- Tells what the run records until it has ended, or its engine is gone. Gives its exit code.
local function wait_for_end(session, id, lives)
  local journal, after = session.journal, session.journal:last_event(id)
  session.is_waiting_for_run = true
  local waited <close> = setmetatable({}, { __close = function() session.is_waiting_for_run = false end })
  while true do
    local was_alive = lives()
    for _, event in ipairs(assert(journal:events(id, after))) do
      after = event.seq
      local line = follow.line(event)
      if line then session:say(line) end
    end
    local row = assert(journal:run(id))
    if row.ended_at then return row end
    if not was_alive then return nil, core_err.new { code = "rollback", message = ("the engine that took run %s back is gone"):format(id), next = "engine status " .. id } end
    task.sleep(POLL_S)
  end
end

local function reason_of(session) return ("%s (console %s)"):format(session.reason, session.id) end

-- An engine of its own, which nobody's Ctrl-C reaches.
local function spawn(session, id, kind)
  local journal_option, process = require "journal.option", require "process"
  local words, environment = journal_option.passed_on(session:journal_options())
  local argv = { process.self().exe, "rollback", id, "--reason", reason_of(session) }
  if kind then table.move({ "--type", kind }, 1, 2, #argv + 1, argv) end
  table.move(words, 1, #words, #argv + 1, argv)
  local log = ("%s/console-%s.log"):format(journal_option.absolute(journal_option.state_folder(session:journal_options())), session.id)
  session:say("· its output is in " .. log)
  return process.spawn { argv = argv, env = environment, log = log }
end

local function take_back(session, row, lives, kind)
  if lives then
    local asked, err = session.journal:signal(row.id, { kind = "rollback", data = { type = kind }, by = session:actor(), reason = reason_of(session) })
    if not asked then return nil, err end
    return wait_for_end(session, row.id, function() return select(2, session.journal:holder(session.journal:lease_of(row))) end)
  end
  local handle, err = spawn(session, row.id, kind)
  if not handle then return nil, err end
  local process = require "process"
  -- One that had ended before has not ended again until its engine took it up.
  while row.ended_at and process.alive(handle) and assert(session.journal:run(row.id)).ended_at do task.sleep(POLL_S) end
  return wait_for_end(session, row.id, function() return process.alive(handle) end)
end

local function run_back(kind, run)
  local session = sessions.here()
  local found, err = look(session, run, kind)
  if not found then return nil, err end
  local ended
  ended, err = effect.change("rollback." .. (kind or "auto"), function() return take_back(session, found.row, found.lives, kind) end, function()
    return { plan = ("run %s %s: %s"):format(found.row.id, found.lives and "takes itself back" or "is taken back by an engine of its own", found.lines[2]), class = "keyed",
      args = { run = found.row.id, type = kind }, verified = "verified by the run", by_run = true }
  end)
  if not ended or ended == require("plan").unknown then return nil, err end
  session.exit = ended.exit_code
  print(("  state  %s"):format(ended.summary or ended.outcome))
  if ended.exit_code ~= 4 and ended.exit_code ~= 1 then
    return nil, core_err.new { code = "rollback", message = ("run %s ended with exit %s: %s"):format(ended.id, tostring(ended.exit_code), ended.summary or ended.outcome), next = "engine status " .. ended.id }
  end
end

--- Takes the run back in the way that the evidence calls for; goes on with a rollback that had failed.
---@param run? string its id; as without: the one that the console is attached to, or the latest
---@effect keyed: the run does it once, however often it is asked
---@undo none: deploy again
---@example rollback.auto()
function rollback.auto(run) return run_back(nil, run) end

--- Takes the run back by its traffic: all of it to the old colour. Refused when the old release does not live with the schema.
---@param run? string
---@effect keyed: the run does it once, however often it is asked
---@undo none: deploy again
---@example rollback.traffic()
function rollback.traffic(run) return run_back("traffic", run) end

--- Takes the run back with its database, from the backup that was proven; what is lost is counted.
---@param run? string
---@effect keyed
---@undo none; the database of before is kept until it is dropped by hand
---@example rollback.database()
function rollback.database(run) return run_back("database", run) end

--- Takes the run back wholly: traffic, the database if it was migrated, and the new colour is destroyed.
---@param run? string
---@effect keyed
---@undo none: deploy again
---@example rollback.full()
function rollback.full(run) return run_back("full", run) end

return { rollback = rollback }
