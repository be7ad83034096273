--- repl: a Lua console with every module, in the same sandbox as a playbook.
--
-- An expression needs no `return`; a statement that is not finished goes on in the next line; Ctrl-C cancels what
-- is waited for, or the line, and not the console; Ctrl-D or `exit` ends it. Off a terminal it reads standard
-- input to its end and prints results without a prompt.

local arguments = require "arguments"
local core_err = require "core.err"
local core_search = require "core.search"
local core_secret = require "core.secret"
local core_terminal = require "core.terminal"
local files = require "files"
local inspect = require "inspect"
local task = require "task"

local M = {}

local HISTORY_LINES = 1000

-- Names that are assigned in the console stay in the console.
local function new_environment() return setmetatable({}, { __index = _G }) end

-- The function of a piece of text; nil, "incomplete" when it only lacks its end; nil, err.
local function compile(text, environment)
  local chunk = core_search.load_text("return " .. text, "console", environment)
  if chunk then return chunk end
  local err
  chunk, err = core_search.load_text(text, "console", environment)
  if chunk then return chunk end
  if err.code == "playbook" and err.message:find "near <eof>$" then return nil, "incomplete" end
  return nil, err
end

local function show(ok, ...)
  local first, second = ...
  if not ok then
    print(tostring(first))
  elseif first == nil and core_err.is(second) then
    print("nil, " .. tostring(second))
  else
    for i = 1, select("#", ...) do print(inspect.display((select(i, ...)))) end
  end
end

-- Collects lines until they are a whole, runs it, shows its values. Returns the lines that are still open.
local function feed(open, line, environment)
  local text = open and open .. "\n" .. line or line
  if not open and line:match "^%s*$" then return nil end
  local chunk, problem = compile(text, environment)
  if problem == "incomplete" then return text end
  if chunk then show(task.interruptible(chunk)) else print(tostring(problem)) end
  return nil
end

local function from_input(environment)
  local text = assert(files.read "/dev/stdin")
  local open
  for line in (text:gsub("\n?$", "\n")):gmatch "(.-)\n" do
    if not open and line:match "^%s*exit%s*$" then return 0 end
    open = feed(open, line, environment)
  end
  if open then
    print(tostring(select(2, core_search.load_text(open, "console", environment))))
    return 1
  end
  return 0
end

local function from_terminal(environment)
  local editor = require "core.line_editor"
  local home = core_secret.environment "HOME"
  local history = home and home .. "/.engine_history"
  if history then editor.load_history(history, HISTORY_LINES) end
  print "engine console: every module is there (http, sql, traffic, ...); exit or Ctrl-D ends it"
  local open
  while true do
    local ok, line, err = task.interruptible(editor.read, open and "      > " or "engine> ")
    if not ok then
      open = nil -- Ctrl-C: the line is given up
    elseif not line then
      if err then error(err, 0) end
      return 0
    elseif not open and line:match "^%s*exit%s*$" then
      return 0
    else
      if history and line:match "%S" and not line:lower():find("secret", 1, true) then editor.add_history(line, history) end
      open = feed(open, line, environment)
    end
  end
end

--- `engine repl [--venture DIR]`: with a venture, its configuration is the global `venture`.
---@param argv string[]
---@return integer exit
function M.main(argv)
  local options, err = arguments.parse(argv, { venture = { about = "the venture's folder" } })
  local environment = new_environment()
  if options and options.venture then
    core_search.add_folder(options.venture)
    environment.venture, err = require("configuration").load(options.venture)
  end
  if err then
    require("display").failure(err)
    print("  next   " .. (err.next or "engine help"))
    return 2
  end
  if core_terminal.interactive(0) then return from_terminal(environment) end
  return from_input(environment)
end

return M
