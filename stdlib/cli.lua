--- cli: from a command line to a command of the table (module commands). Each returns its exit code.

local arguments = require "arguments"
local commands = require "commands"
local core_err = require "core.err"

local M = {}

-- options: those of a command that reads the journal, which the next one is told of too.
local function failure(err, code, options)
  require("display").failure(err)
  local advice = require("advice").next(err)
  print("  next   " .. (options and require("journal.option").named(advice, options) or advice))
  return code
end

local function usage(err) return failure(err, 2) end

--- `engine -e CHUNK`: an expression's value is printed; otherwise the chunk runs. With the options of the console it is a statement of it.
function M.evaluate(argv)
  if argv[2] and require("repl").is_statement(argv) then return require("repl").evaluate(argv) end
  local search = require "core.search"
  local inspect = require "inspect"
  local chunk = search.load_text("return " .. argv[1], "chunk")
  local err
  if not chunk then chunk, err = search.load_text(argv[1], "chunk") end
  if not chunk then return usage(err) end
  local results = table.pack(pcall(chunk, table.unpack(argv, 2)))
  if not results[1] then
    local raised = results[2]
    local name = tostring(core_err.is(raised) and raised.message or raised):match "there is no global '([%w_]+)'"
    if not name or not require("repl.names").is_word(name) then error(raised, 0) end
    return usage(core_err.new { code = "usage", message = ("'%s' is a word of the console, which needs to know whose"):format(name), next = ("engine -e '%s' --venture DIR"):format(argv[1]:gsub("\n.*", " ...")) })
  end
  table.remove(results, 1)
  results.n = results.n - 1
  for i = 1, results.n do print(inspect.display(results[i])) end
  return results[1] == nil and core_err.is(results[2]) and 1 or 0
end

local function asks_for_help(word) return word == "--help" or word == "-h" end

-- Was help asked for? What stands behind the first word of an open command is not the command's own.
local function wants_help(command, argv)
  if command.is_open then return asks_for_help(argv[1]) end
  for _, word in ipairs(argv) do if asks_for_help(word) then return true end end
  return command.parts ~= nil and argv[1] == "help"
end

local function part_of(command, name)
  for _, part in ipairs(command.parts and command.parts() or {}) do if part.name == name then return part end end
end

-- A command that reads the journal gets it.
local function with_journal(command, options)
  local journal, err = require("journal.option").existing(options)
  if not journal then return failure(err, err.code == "journal" and 1 or 2) end
  local code, problem = command.run(journal, options)
  journal:close()
  if not code then return failure(problem, problem.code == "journal" and 1 or 2, options) end
  return code
end

-- A command that goes on with a run does not end with the terminal that it is typed on, which only shows it. Nil when there is none to show it.
local function attended(command, argv)
  local display_attended = require "display.attended"
  local given = display_attended.options(argv)
  if given["dry-run"] or not display_attended.is_wanted() then return nil end
  return display_attended.start({ command.name, table.unpack(argv) }, { state = given.state, venture = given.venture, journal = given.journal })
end

local function call(command, argv)
  if wants_help(command, argv) then
    print(require("commands.help").text(command, part_of(command, argv[1])))
    return 0
  end
  if command.is_open then
    local err = not argv[1] and commands.check_words(command, {})
    if err then return usage(err) end
    return command.run({}, argv)
  end
  if command.parts then return command.run({}, argv) end -- it knows the words of its parts
  -- What tells a machine of the journal tells it of its errors too, also those of the command line.
  if command.journal and commands.options(command).json and require("display.attended").options(argv).json then require("display").use_json() end
  local options, err = arguments.parse(argv, commands.options(command), ("engine %s --help"):format(command.name))
  if not options then return usage(err) end
  err = commands.check_words(command, options.words)
  if err then return usage(err) end
  local code = command.is_attended and attended(command, argv)
  if code then return code end
  if command.journal then return with_journal(command, options) end
  return command.run(options, argv)
end

--- `engine help [COMMAND]`
---@param name? string
---@return integer exit
function M.help(name)
  local text = require "commands.help"
  if not name then
    print(text.list())
    return 0
  end
  local command = commands.find(name)
  if not command then return M.unknown(name) end
  print(text.text(command))
  return 0
end

--- Says that a word is no command, and which one it may mean.
---@param name string
---@return integer exit
function M.unknown(name)
  local known = {}
  for _, command in ipairs(commands.all) do known[command.name] = true end
  local near = require("schema").nearest(name, known)
  return usage(core_err.new { code = "usage", message = ("'%s' is neither a command nor a playbook%s"):format(name, near and ("; did you mean '%s'?"):format(near) or ""), next = near and ("engine %s --help"):format(near) or "engine help" })
end

-- The first word is a command or a playbook.
local function dispatch(argv)
  local name = argv[1]
  if name == "-e" then return usage(core_err.new { code = "usage", message = "-e needs a chunk", next = "engine -e '1 + 1', or engine -e 'status()' --venture DIR" }) end
  if name == nil or asks_for_help(name) then
    M.help()
    return name and 0 or 2
  end
  local command = commands.find(name)
  if command then return call(command, { table.unpack(argv, 2) }) end
  if name:match "%.lua$" or name:find("/", 1, true) then return require("execute").playbook(name, { table.unpack(argv, 2) }) end
  return M.unknown(name)
end

--- `engine ARGV`: an error that nobody else has told is told here.
---@param argv string[]
---@return integer exit
function M.main(argv)
  local ok, code = pcall(dispatch, argv)
  if ok then return code end
  if not core_err.is(code) or code.code == "internal" or code.code == "script" then error(code, 0) end
  return failure(code, require("execute").is_usage(code) and 2 or 1)
end

return M
