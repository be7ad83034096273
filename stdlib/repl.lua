--- repl: the console. A Lua console with every module, in the same sandbox as a playbook, for somebody who has to see what is going on and
-- may have to change it: read-only until it is armed, everything shown before it is done, everything recorded.
--
-- Its parts are below repl/: session (what a console knows), gate, arming and record (what stands between a statement and the world), names and
-- words/ (what can be said), statement, terminal and script (from text to values), show, figures, help, complete, prompt, follow, history, export.

local arguments = require "arguments"
local core_err = require "core.err"

local M = {}

--- Its options.
M.options = {
  venture = { value = "DIR", about = "the venture's folder" },
  state = { value = "DIR", about = "the folder with the journal (default: .engine in the venture's folder)" },
  journal = { value = "URL", about = "postgres://... or env:NAME: a journal that several machines share" },
  attach = { value = "RUN", about = "a run: its state is in the prompt, its events are told between the prompts" },
  reason = { value = "TEXT", about = "why, for the journal; arming needs one" },
  e = { value = "STATEMENTS", about = "what to do in place of asking: like a script on standard input" },
  yes = { value = "NAME", about = "the venture's name: what effects are confirmed by where nobody is there to type it" },
}

local function failure(err, code)
  require("display").failure(err)
  print("  next   " .. (err.next or "engine help"))
  return code
end

-- The session of a command line. What its options name is looked at later.
local function session_of(argv, interactive)
  local options, err = arguments.parse(argv, M.options, "engine repl --help")
  if not options then return nil, err end
  if options.words[1] then return nil, core_err.new { code = "usage", message = ("'%s' is not expected here"):format(options.words[1]), next = "engine repl --venture DIR" } end
  options.interactive = interactive
  return require("repl.session").new(options)
end

--- `engine repl [--venture DIR] [--attach RUN] [--reason TEXT] [-e STATEMENTS]`
---@param argv string[]
---@return integer exit
function M.main(argv)
  local on_terminal = require("core.terminal").interactive(0)
  local session, err = session_of(argv, on_terminal)
  if not session then return failure(err, 2) end
  local text = session.options.e
  session.interactive = on_terminal and not text
  if session.interactive then return require("repl.terminal").run(session) end
  return require("repl.script").run(session, text)
end

--- Is this the command line of a statement for the console, and no chunk with arguments of its own?
---@param argv string[] the text, and what follows it
---@return boolean
---@usage local repl = require "repl"  assert(repl.is_statement { "status()", "--venture", "shop" } and not repl.is_statement { "print(...)", "a" })
function M.is_statement(argv)
  local name = (argv[2] or ""):match "^%-%-([%w-]+)"
  return name ~= nil and M.options[name] ~= nil
end

--- `engine -e STATEMENT --venture DIR ...`: one text of statements, as if it came from standard input.
---@param argv string[]
---@return integer exit
function M.evaluate(argv)
  local session, err = session_of({ table.unpack(argv, 2) }, false)
  if not session then return failure(err, 2) end
  return require("repl.script").run(session, argv[1])
end

return M
