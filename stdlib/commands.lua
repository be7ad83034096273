--- commands: every command of the engine, once: its words, its options, what it does. Help, completion, the manual page and the reference
-- are made of this table; nothing else lists the commands.
--
-- A word in capitals stands for something (commands.words says for what), one in small letters for itself; [RUN] may be left out, FILE... may be several,
-- and CODE|RUN is either. Options are described as module arguments has them; `value` is what their value is called in help.

local core_err = require "core.err"
local schema = require "schema"

local M = {}

--- What the words in capitals stand for.
M.words = {
  PLAYBOOK = "a playbook", RUN = "a run", PATH = "a playbook, a part or a folder", FILE = "a file", DIR = "a folder", CODE = "an error code", STEP = "a step's name",
  COMMAND = "a command", FOLDER = "a folder", BACKUP = "the folder of a backup, or s3://BUCKET/PREFIX/ID", ID = "a backup's id", NAME = "a name", KEY = "a key of the configuration", WORD = "a word",
}

--- The exit codes of every command.
M.exits = {
  { 0, "done and verified" },
  { 1, "failed and nothing changed" },
  { 2, "usage: the command line, the playbook or the configuration is wrong; nothing changed" },
  { 3, "waiting for approval" },
  { 4, "rolled back and verified" },
  { 5, "rollback failed" },
  { 6, "lock held: another run of this venture is under way" },
  { 130, "interrupted: by Ctrl-C, or the engine left the run as it is and `engine resume` goes on with it" },
}

--- The variables of the environment that the engine reads.
M.environment = {
  { "ENGINE_JOURNAL", "postgres://...: the journal that every command means when none is given" },
  { "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY", "the keys of a store of backups" },
  { "NO_COLOR", "when it is set, nothing is coloured" },
  { "USER, LOGNAME", "who did it, for the journal" },
}

--- The files that it reads and keeps.
M.files = {
  { "venture.lua", "a venture's configuration; docs/reference/venture.md lists its keys" },
  { "simulation.lua", "beside it: what must be true of every world, and what the world answers to the venture's own statements" },
  { "stage30/, rollback/", "in the venture's folder: parts that take the place of the built-in ones" },
  { ".engine/journal.db", "in the venture's folder, or in --state: the journal of all runs" },
  { ".engine/runs/RUN/", "the papers of a run, and what its parts kept" },
}

--- How it is used, from the first look to the way back.
M.examples = {
  { "engine new venture shop", "makes a folder with everything that a venture needs" },
  { "engine check playbooks/stage30.lua --venture shop", "says what is wrong with it" },
  { "engine plan playbooks/stage30.lua --venture shop --release 4.9.0", "says what a run would do" },
  { "engine playbooks/stage30.lua --venture shop --release 4.9.0", "does it" },
  { "engine rollback --venture shop --dry-run", "says how it would be taken back; without --dry-run it is" },
}

local REASON = { value = "TEXT", about = "why, for the journal" }

-- A command that is a module of its own reads its command line itself; its options are M.options there.
local function of_module(name)
  return { options = function() return require(name).options end, run = function(_, argv) return require(name).main(argv) end }
end

local function entry(fields, module)
  for key, value in pairs(module and of_module(module) or {}) do fields[key] = value end
  return fields
end

local function of_playbook() return require("execute").options end

-- A plan takes what its playbook does, but for the plan that a run is bound to.
local function of_plan()
  local options = {}
  for _, list in ipairs { of_playbook(), require("plan").options } do for name, option in pairs(list) do options[name] = option end end
  options.plan = nil
  return options
end

--- The commands in the order in which they are listed. `run` gets the options, the words as they were given, and for one with `journal` first the journal.
M.all = {
  { name = "run", words = { "PLAYBOOK" }, is_open = true, options = of_playbook, about = "the same as engine PLAYBOOK",
    run = function(_, argv) return require("execute").playbook(argv[1], { table.unpack(argv, 2) }) end },
  { name = "plan", words = { "PLAYBOOK" }, is_open = true, options = of_plan, about = "what a run would do, with a hash that a run can be bound to; --diff: what the venture's own files change",
    run = function(_, argv) return require("plan").main(argv) end },
  entry({ name = "new", words = { "venture|playbook", "NAME" }, about = "a folder to begin with: configuration, a part of its own, tests, and what an editor needs to complete it" }, "scaffold"),
  entry({ name = "config", words = { "[KEY]" }, about = "a venture's configuration as it is in force, and where each value comes from" }, "configuration.command"),
  entry({ name = "check", words = { "[PATH...]" }, about = "what is wrong with playbooks and ventures, before they run" }, "check_command"),
  entry({ name = "test", words = { "[FILE...]" }, about = "tests of playbooks, in simulated worlds; without files all *_test.lua of the venture and of playbooks/" }, "test_command"),
  entry({ name = "simulate", words = { "PLAYBOOK" }, about = "the playbook in simulated worlds with faults; finds the smallest that breaks what must be true" }, "simulate_command"),
  { name = "status", words = { "[RUN]" }, journal = true, about = "the latest runs, or one run's steps",
    options = { all = { type = "boolean", about = "also the consoles that changed nothing" }, json = { type = "boolean", about = "an object a line, for machines" } },
    run = function(journal, options) return require("report").status(journal, options.words[1], options) end },
  { name = "log", words = { "[RUN]" }, journal = true, about = "what a run did, event by event",
    options = { verify = { type = "boolean", about = "proves the chain of events whole" }, json = { type = "boolean", about = "an object a line, as a run tells them with --json" } },
    run = function(journal, options) return require("report").log(journal, options.words[1], options) end },
  { name = "report", words = { "[RUN]" }, journal = true, about = "the papers of a run from the journal, as HTML and Markdown: report, and handoff when it was promoted",
    options = { to = { value = "DIR", about = "the folder (default: the run's own)" } },
    run = function(journal, options) return require("papers").command(journal, options) end },
  { name = "handoff", words = { "accept", "RUN" }, journal = true, about = "the next stage takes a promoted run over", options = { reason = REASON },
    run = function(journal, options) return require("papers").accept(journal, options) end },
  { name = "resume", words = { "[RUN]" }, journal = true, is_attended = true, about = "goes on with a run whose engine died",
    options = { rebase = { type = "boolean", about = "the playbook's files of now, after showing what changed" }, reason = REASON },
    run = function(journal, options) return require("resume").resume(journal, options) end },
  { name = "rollback", words = { "[RUN]" }, journal = true, is_attended = true, about = "takes a run back: one that is under way, one whose engine died, or one that is promoted",
    options = { type = { one_of = { "traffic", "database", "full" }, about = "by default the evidence decides" },
      dry_run = { type = "boolean", about = "only say what would be done" }, reason = REASON },
    run = function(journal, options) return require("resume").rollback(journal, options) end },
  { name = "attach", words = { "[RUN]" }, journal = true, about = "shows a run that is under way; d leaves it",
    run = function(journal, options) return require("display.attach").command(journal, options) end },
  { name = "pause", words = { "[RUN]" }, journal = true, about = "a run that is under way holds: a canary at its weights, anything else before its next change", options = { reason = REASON },
    run = function(journal, options) return require("run.pause").command(journal, options, "pause") end },
  { name = "go-on", words = { "[RUN]" }, journal = true, about = "a paused run goes on", options = { reason = REASON },
    run = function(journal, options) return require("run.pause").command(journal, options, "go_on") end },
  { name = "behind", words = { "FOLDER", "COMMAND..." }, is_open = true, about = "runs a command for a terminal that shows it; a terminal starts its own",
    run = function(_, argv)
      require("display").go_behind(argv[1])
      return require("cli").main { table.unpack(argv, 2) }
    end },
  { name = "approve", words = { "RUN" }, journal = true, about = "answers the question that a run waits for",
    options = { no = { type = "boolean", about = "the answer is no" }, reason = REASON },
    run = function(journal, options) return require("report").approve(journal, options) end },
  { name = "unlock", words = { "[RUN]" }, journal = true, about = "says whose lock it is and since when",
    options = { yes = { type = "boolean", about = "takes it away: that engine stops before it does or records anything more" }, reason = REASON },
    run = function(journal, options) return require("report").unlock(journal, options) end },
  { name = "guard", words = { "[RUN]" }, journal = true, about = "watches over a run's engine, and acts when it dies; a run starts its own",
    options = { engine = { value = "PID:STARTED", about = "an engine that may not hold a run yet" } },
    run = function(journal, options) return require("guardian").watch(journal, options) end },
  entry({ name = "backup", words = { "WORD", "[BACKUP]" }, about = "backups by hand and from cron",
    parts = function() return require("backup_command").parts end }, "backup_command"),
  entry({ name = "repl", words = {}, about = "the console: looks at a venture, and changes it when it is armed" }, "repl"),
  { name = "explain", words = { "[CODE|RUN]", "[STEP]" }, journal = true, is_open = true, about = "what an error code means and what to do; why the canary decided, from its recorded counts",
    run = function(_, argv) return require("explain.command").main(argv) end },
  { name = "test-file", words = { "FILE..." }, is_open = true, about = "runs Lua test files", run = function(_, argv) return require("test").main(argv) end },
  { name = "completion", words = { "bash|zsh|fish" }, is_open = true, about = "the shell's completion of this program, to be read by it",
    run = function(_, argv) return require("completion").main(argv) end },
  { name = "man", words = {}, about = "this program's manual page, for man -l -", run = function() return require("manual").main() end },
  { name = "version", words = {}, about = "the engine's version", run = function() print("engine " .. require("core.search").version()) return 0 end },
  { name = "help", words = { "[COMMAND]" }, about = "this list, or how one command is called", run = function(options) return require("cli").help(options.words[1]) end },
}

--- What the commands are for, in the order in which somebody needs them; the last ones are not typed by people.
M.groups = {
  { "a deployment", { "run", "plan", "approve", "status", "log", "report", "handoff" } },
  { "an incident", { "attach", "pause", "go-on", "rollback", "resume", "unlock", "repl", "explain" } },
  { "writing playbooks", { "new", "config", "check", "test", "simulate" } },
  { "backups", { "backup" } },
  { "this program", { "help", "man", "completion", "version" } },
  { "what it starts itself", { "guard", "behind", "test-file" } },
}

--- The command of this name.
---@param name string?
---@return table? command
---@usage assert(commands.find("status").journal)
function M.find(name)
  for _, command in ipairs(M.all) do if command.name == name then return command end end
end

--- The options of a command, or of one of its parts, as module arguments takes them.
---@param command table
---@param part? table of command.parts()
---@return table<string, table>
---@usage assert(commands.options(commands.find "log").state and commands.options(commands.find "log").verify)
function M.options(command, part)
  local all, own = {}, command.options or {}
  if type(own) == "function" then own = own() end
  for _, name in ipairs(part and part.options or {}) do all[name] = own[name] end
  if not part then for name, option in pairs(own) do all[name] = option end end
  if command.journal then for name, option in pairs(require("journal.option").options) do all[name] = option end end
  return all
end

--- A word of a command taken apart.
---@param word string
---@return { choices: string[], is_optional: boolean, is_many: boolean }
---@usage assert(commands.read_word("[CODE|RUN]").choices[2] == "RUN" and commands.read_word("FILE...").is_many)
function M.read_word(word)
  local inner = word:match "^%[(.*)%]$"
  local read = { choices = {}, is_optional = inner ~= nil, is_many = word:find("...", 1, true) ~= nil }
  for choice in (inner or word):gsub("%.%.%.", ""):gmatch "[^|]+" do read.choices[#read.choices + 1] = choice end
  return read
end

--- The word of a command at a position, taken apart; nil when none belongs there.
---@param words string[]
---@param position integer
---@return table?
---@usage assert(commands.word_at({ "FILE..." }, 3).choices[1] == "FILE" and not commands.word_at({ "RUN" }, 2))
function M.word_at(words, position)
  local last = words[#words]
  local word = words[position] or (last and last:find("...", 1, true) and last)
  return word and M.read_word(word) or nil
end

local function is_literal(choice) return choice:find "%l" ~= nil end

local function what(read)
  local names = {}
  for i, choice in ipairs(read.choices) do names[i] = is_literal(choice) and ("'%s'"):format(choice) or M.words[choice] end
  return table.concat(names, " or ")
end

-- Is this word one of those that stand for themselves, if there are such?
local function fits(word, read)
  local literals = {}
  for _, choice in ipairs(read.choices) do if is_literal(choice) then literals[choice] = true end end
  if next(literals) == nil or literals[word] then return true end
  return false, schema.nearest(word, literals)
end

--- What is wrong with the words that a command was given; nil when nothing is.
---@param command table
---@param given string[]
---@return table? err code usage
---@usage assert(commands.check_words(commands.find "approve", {}).message == "approve needs a run")
function M.check_words(command, given)
  local function usage(message, next_step) return core_err.new { code = "usage", op = "command line", message = message, next = next_step or ("engine %s --help"):format(command.name) } end
  for position = 1, math.max(#given, #command.words) do
    local read, word = M.word_at(command.words, position), given[position]
    if not read then return usage(("'%s' is not expected after engine %s"):format(word, table.concat({ command.name, table.unpack(given, 1, position - 1) }, " "))) end
    if not word and not read.is_optional then
      return usage(("%s needs %s"):format(table.concat({ command.name, table.unpack(given) }, " "), what(read)), read.choices[1] == "RUN" and "engine status lists the runs." or nil)
    end
    local ok, near = fits(word, read)
    if word and not ok then
      -- With one word too few it is this one that was left out.
      local whole = not near and #given == #command.words - 1 and table.concat({ "engine", command.name, table.unpack(given, 1, position - 1) }, " ")
      return usage(("%s needs %s, not '%s'%s"):format(command.name, what(read), word, near and ("; did you mean '%s'?"):format(near) or ""),
        whole and ("%s %s %s"):format(whole, read.choices[1], table.concat(given, " ", position)) or nil)
    end
  end
end

return M
