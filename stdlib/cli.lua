--- cli: the commands of the engine. Each returns its exit code.

local arguments = require "arguments"

local M = {}

--- `engine -e CHUNK`: an expression's value is printed; otherwise the chunk runs. With the options of the console it is a statement of it.
function M.evaluate(argv)
  if argv[2] and require("repl").is_statement(argv) then return require("repl").evaluate(argv) end
  local search = require "core.search"
  local inspect = require "inspect"
  local chunk = search.load_text("return " .. argv[1], "chunk")
  local err
  if not chunk then chunk, err = search.load_text(argv[1], "chunk") end
  if not chunk then error(err, 0) end
  local results = table.pack(chunk(table.unpack(argv, 2)))
  for i = 1, results.n do print(inspect.display(results[i])) end
  return results[1] == nil and require("core.err").is(results[2]) and 1 or 0
end

local function failure(err, code)
  require("display").failure(err)
  print("  next   " .. (err.next or "engine help"))
  return code
end

local function usage(err) return failure(err, 2) end

local commands

-- Parses argv for a command that reads the journal, and gives it the journal.
local function with_journal(fn, extra)
  return function(argv)
    local journal_option = require "journal.option"
    local descriptions = extra or {}
    for key, value in pairs(journal_option.options) do descriptions[key] = value end
    local options, err = arguments.parse(argv, descriptions)
    if not options then return usage(err) end
    local journal
    journal, err = journal_option.existing(options)
    if not journal then return failure(err, err.code == "journal" and 1 or 2) end
    local code, problem = fn(journal, options)
    journal:close()
    if not code then return failure(problem, problem.code == "journal" and 1 or 2) end
    return code
  end
end

-- A command that goes on with a run does not end with the terminal that it is typed on, which only shows it.
local function attended(name, fn)
  return function(argv)
    local display_attended = require "display.attended"
    local given = display_attended.options(argv)
    if not given["dry-run"] and display_attended.is_wanted() then
      local code = display_attended.start({ name, table.unpack(argv) }, { state = given.state, venture = given.venture, journal = given.journal })
      if code then return code end
    end
    return fn(argv)
  end
end

local function explain_code(code)
  local codes = require("core.err").codes()
  for _, info in ipairs(codes) do
    if info.code == code or info.number == code then
      print(("%s %s\n%s\nNext: %s\n%s"):format(info.number, info.code, info.about, info.next, info.retryable and "The same may succeed later." or "The same fails again until something is changed."))
      return 0
    end
  end
  if code then return nil end
  for _, info in ipairs(codes) do print(("%s  %-16s %s"):format(info.number, info.code, info.about)) end
  return 0
end

local explain_run = with_journal(function(journal, options)
  return require("explain").run(journal, options.words[1], options.words[2])
end)

-- A code of the list, or else a run whose verdicts are explained.
local function explain(argv)
  local word = argv[1]
  local found = explain_code(word)
  if found then return found end
  if not word:match "^E%d+$" then return explain_run(argv) end
  explain_code(nil)
  return usage(require("core.err").new { code = "usage", message = ("there is no code %s; these are all"):format(word) })
end

commands = {
  { "run", "PLAYBOOK [options]", "the same as engine PLAYBOOK [options]", function(argv)
    if not argv[1] then return usage(require("core.err").new { code = "usage", message = "run needs a playbook" }) end
    return require("execute").playbook(argv[1], { table.unpack(argv, 2) })
  end },
  { "plan", "PLAYBOOK [options] [--diff] [--json]", "what a run would do, with a hash that a run can be bound to; --diff: what the venture's own files change", function(argv)
    return require("plan").main(argv)
  end },
  { "simulate", "PLAYBOOK --venture DIR [--worlds N] [--seed S]", "the playbook in simulated worlds with faults; finds the smallest that breaks what must be true", function(argv)
    return require("simulate_command").main(argv)
  end },
  { "test", "[FILES...] [--venture DIR] [--json]", "tests of playbooks, in simulated worlds; without files all *_test.lua of the venture and of playbooks/", function(argv)
    return require("test_command").main(argv)
  end },
  { "status", "[RUN]", "the latest runs, or one run's steps", with_journal(function(journal, options)
    return require("report").status(journal, options.words[1])
  end) },
  { "log", "[RUN] [--verify]", "what a run did, event by event; --verify proves the chain whole", with_journal(function(journal, options)
    return require("report").log(journal, options.words[1], options.verify)
  end, { verify = { type = "boolean" } }) },
  { "report", "[RUN] [--to DIR]", "the papers of a run from the journal, as HTML and Markdown: report, and handoff when it was promoted", with_journal(function(journal, options)
    return require("papers").command(journal, options)
  end, { to = { about = "the folder (default: the run's own)" } }) },
  { "handoff", "accept RUN [--reason TEXT]", "the next stage takes a promoted run over", with_journal(function(journal, options)
    return require("papers").accept(journal, options)
  end, { reason = {} }) },
  { "resume", "[RUN] [--rebase] [--reason TEXT]", "goes on with a run whose engine died; --rebase takes the files of now", attended("resume", with_journal(function(journal, options)
    return require("resume").resume(journal, options)
  end, { rebase = { type = "boolean", about = "the playbook's files of now, after showing what changed" }, reason = {} })) },
  { "rollback", "[RUN] [--type T] [--dry-run]", "takes a run back: one that is under way, one whose engine died, or one that is promoted", attended("rollback", with_journal(function(journal, options)
    return require("resume").rollback(journal, options)
  end, { type = { one_of = { "traffic", "database", "full" }, about = "by default the evidence decides" }, dry_run = { type = "boolean", about = "only say what would be done" }, reason = {} })) },
  { "attach", "[RUN]", "shows a run that is under way; d leaves it", with_journal(function(journal, options)
    return require("display.attach").command(journal, options)
  end) },
  { "pause", "[RUN] [--reason TEXT]", "a run that is under way holds: a canary at its weights, anything else before its next change", with_journal(function(journal, options)
    return require("run.pause").command(journal, options, "pause")
  end, { reason = {} }) },
  { "go-on", "[RUN] [--reason TEXT]", "a paused run goes on", with_journal(function(journal, options)
    return require("run.pause").command(journal, options, "go_on")
  end, { reason = {} }) },
  { "unlock", "[RUN] [--yes] [--reason TEXT]", "says whose lock it is and since when; --yes takes it away", with_journal(function(journal, options)
    return require("report").unlock(journal, options.words[1], options.yes, options.reason)
  end, { yes = { type = "boolean" }, reason = {} }) },
  { "guard", "RUN", "watches over a run's engine, and acts when it dies; a run starts its own", with_journal(function(journal, options)
    return require("guardian").watch(journal, options)
  end, { engine = { about = "PID:STARTED of an engine that may not hold a run yet" } }) },
  { "behind", "FOLDER COMMAND...", "runs a command for a terminal that shows it; a terminal starts its own", function(argv)
    require("display").go_behind(argv[1])
    return M.main { table.unpack(argv, 2) }
  end },
  { "approve", "RUN [--no] [--reason TEXT]", "answers the question that a run waits for", with_journal(function(journal, options)
    return require("report").approve(journal, options.words[1], options.no and "no" or "yes", options.reason)
  end, { no = { type = "boolean" }, reason = {} }) },
  { "backup", "take|verify|list|send|fetch|drill|restore|diff|reapply|prune", "backups by hand and from cron; engine backup help", function(argv) return require("backup_command").main(argv) end },
  { "repl", "[--venture DIR] [--attach RUN] [--reason TEXT]", "the console: looks at a venture, and changes it when it is armed", function(argv) return require("repl").main(argv) end },
  { "explain", "[CODE | RUN [STEP]]", "what an error code means; why the canary decided, from its recorded counts", explain },
  { "check", "PATH... [--strict] [--venture DIR] [--json]", "what is wrong with playbooks and ventures, before they run", function(argv) return require("check_command").main(argv) end },
  { "test-file", "FILE...", "runs Lua test files", function(argv) return require("test").main(argv) end },
  { "version", "", "the engine's version", function() end },
  { "help", "", "this list", function() return M.help() end },
}

--- `engine help`
function M.help()
  print "usage: engine PLAYBOOK.lua [--venture DIR] [--release X] [--mode manual|assisted|auto] [--state DIR]"
  print "       engine -e 'CHUNK' [--venture DIR: a statement of the console]"
  for _, command in ipairs(commands) do print(("       engine %-9s %-42s %s"):format(command[1], command[2], command[3])) end
  print "exit codes: 0 done and verified, 1 failed and nothing changed, 2 usage, 3 waiting for approval,"
  print "            4 rolled back and verified, 5 rollback failed, 6 lock held, 130 interrupted"
  return 0
end

--- Everything else: the first word is a command or a playbook.
function M.main(argv)
  local name = argv[1]
  if name == nil or name == "--help" or name == "-h" then
    M.help()
    return name and 0 or 2
  end
  for _, command in ipairs(commands) do
    if command[1] == name then return command[4] { table.unpack(argv, 2) } end
  end
  if name:match "%.lua$" or name:find("/", 1, true) then return require("execute").playbook(name, { table.unpack(argv, 2) }) end
  local known = {}
  for _, command in ipairs(commands) do known[command[1]] = true end
  local near = require("schema").nearest(name, known)
  return usage(require("core.err").new { code = "usage", message = ("'%s' is neither a command nor a playbook%s"):format(name, near and ("; did you mean '%s'?"):format(near) or ""), next = "engine help" })
end

return M
