--- repl.script: the console without anybody at it: statements from standard input or the command line, results without a prompt.
--
-- It ends at the first statement that fails, so that nothing is done on a false assumption. Effects need `arm` and `confirm` (or --yes).

local core_err = require "core.err"
local execute = require "execute"
local files = require "files"
local show = require "repl.show"
local statement = require "repl.statement"
local task = require "task"

local M = {}

local EXITS = { lock_held = 6, interrupted = 130, approval = 3 }

-- The exit code of a statement that failed.
local function exit_of(session, err)
  if session.exit ~= 0 then return session.exit end
  if not core_err.is(err) then return 1 end
  return EXITS[err.code] or (execute.is_usage(err) and err.code ~= "not_found" and err.code ~= "connect" and 2) or 1
end

-- Is nothing left after a line?
local function rest_is_empty(text, number)
  local at = 1
  for _ = 1, number do at = (text:find("\n", at, true) or #text) + 1 end
  return not text:find("%S", at)
end

local function run_lines(session, text)
  local open
  local number, begins = 0, 1
  for line in (text:gsub("\n?$", "\n")):gmatch "(.-)\n" do
    number = number + 1
    if not open and line:match "^%s*exit%s*$" then return 0 end
    local all = open and open .. "\n" .. line or line
    if not open then begins = number end
    open = nil
    if all:match "%S" then
      if statement.is_open(all, session.environment) then
        open = all
      else
        local ok, err = statement.run(session, all, begins)
        if not ok and not rest_is_empty(text, number) then print(("  the statement of line %d ended it; what follows was not done"):format(begins)) end
        if not ok then return exit_of(session, err) end
      end
    end
  end
  if open then return exit_of(session, select(2, statement.run(session, open, begins))) end
  return session.exit
end

local function load(session)
  session:load()
  if not session.problem then return true end
  print(show.safe(show.failure(session.problem)))
  return false
end

--- Runs a text's statements, one after the other. Returns the exit code.
---@param session table
---@param text? string standard input without it
---@return integer
function M.run(session, text)
  if not load(session) then return execute.is_usage(session.problem) and 2 or 1 end
  local ok, code = task.scope("the statements", nil, function()
    task.background(function() pcall(session.keep, session) end)
    return run_lines(session, text or assert(files.read "/dev/stdin"))
  end)
  session.exit = ok and code or 1
  session:close()
  if not ok then error(code, 0) end
  return code
end

return M
