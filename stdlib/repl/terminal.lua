--- repl.terminal: the console as a person types in it. The prompt is there at once; what it has to say comes as it is found out.

local core_err = require "core.err"
local core_task = require "core.task"
local history = require "repl.history"
local prompt = require "repl.prompt"
local statement = require "repl.statement"
local task = require "task"

local M = {}

local REDRAW_S = 0.5
local RUN_S = 2            -- between two looks for a run of the venture, when none was named
local LOOK_S = 5           -- between two looks at the proxy while nobody types a statement
local LOOK_COMMAND_S = 60  -- of a proxy that is asked by a command of the team's own

local ENDS = { usage = true, config = true, not_found = true, playbook = true, sandbox = true }

-- The prompt again, if it says something else by now.
local function redraw(session)
  local text = prompt.text(session)
  if not session.at_prompt or text == session.prompt then return end
  session.prompt = text
  session.editor.prompt(text)
end

-- What is collected while somebody reads the first prompt. A console whose options name nothing that is there ends; one whose vault or
-- database is away stays, for what can be seen without.
local function load(session, path)
  task.sleep(0) -- the prompt comes first
  for _, text in ipairs(path and history.read(path) or {}) do session.editor.remember(text, history.MOST) end
  session:load()
  local problem = session.problem
  if problem and ENDS[problem.code] then error(problem, 0) end
  if problem then session:say(require("repl.show").failure(problem)) end
  for _, one in ipairs(session:in_doubt()) do session:say(("! console %s (%s) ended in the middle of %s at %s: nobody knows whether it happened"):format(one.run, one.by, one.effect, one.at)) end
  session:look()
  require("repl.follow").look(session)
  redraw(session)
  require("repl.complete").learn(session)
end

-- Looks at the run, the time that is left and the proxy, as long as the console is open.
local function refresh(session)
  local looked, since_run = 0, 0
  while true do
    task.sleep(REDRAW_S)
    since_run = since_run + REDRAW_S
    if session.is_loaded then
      if session.attached or since_run >= RUN_S then
        since_run = 0
        require("repl.follow").look(session)
      end
      if session:expire() then session:say "read-only again: the time is over" end
      looked = looked + REDRAW_S
      local every = session.venture and session.venture.traffic.driver == "command" and LOOK_COMMAND_S or LOOK_S
      if session.at_prompt and looked >= every then
        looked = 0
        session:look()
      end
      redraw(session)
    end
  end
end

-- What was told while something else was on the screen.
local function flush(session)
  for _, line in ipairs(session.untold or {}) do session:say(line) end
  session.untold = nil
end

-- The first statement waits until the console knows what it was asked to know; Ctrl-C ends that.
local function await_load(session, loading)
  if session.is_loaded then return end
  core_task.interruptible(loading.task)
  pcall(loading.join, loading)
  session.is_loaded = true
end

local function remember(session, path, text)
  if not history.may_keep(text) then return end
  session.editor.remember(text, history.MOST)
  if path then history.add(path, text) end
end

local function read(session, open)
  flush(session)
  session.prompt = open and prompt.more(session) or prompt.text(session)
  session.at_prompt = not open
  local ok, line, err = task.interruptible(session.editor.read, session.prompt)
  session.at_prompt = false
  return ok, line, err
end

local function type_and_run(session, path, loading)
  local open
  while true do
    local ok, line, err = read(session, open)
    if not ok then
      open = nil -- Ctrl-C: the line is given up
    elseif not line then
      if err then error(err, 0) end
      return
    else
      local text = open and open .. "\n" .. line or line
      if text:match "^%s*exit%s*$" or text:match "^%s*quit%s*$" then return end
      if not text:match "%S" then
        open = nil
      elseif statement.is_open(text, session.environment) then
        open = text
      else
        open = nil
        remember(session, path, text)
        await_load(session, loading)
        statement.run(session, text)
      end
    end
  end
end

--- The console on a terminal. Returns its exit code.
---@param session table
---@return integer
function M.run(session)
  local editor = require "core.line_editor"
  session.editor = editor
  local path = history.path()
  assert(editor.complete_with(function(line, first, last) return require("repl.complete").words(session, line, first, last) end))
  print "engine console: ? lists the words, Tab completes, exit or Ctrl-D ends it"
  local ok, err = task.scope("console", nil, function()
    local loading = task.background(load, session, path)
    task.background(function() pcall(refresh, session) end)
    task.background(function() pcall(session.keep, session) end)
    core_task.outlive_ctrl_c(true)
    type_and_run(session, path, loading)
  end)
  core_task.outlive_ctrl_c(false)
  session:close()
  if ok then return 0 end
  if not core_err.is(err) then error(err, 0) end
  print(require("repl.show").safe(require("repl.show").failure(err)))
  return ENDS[err.code] and 2 or 1
end

return M
