--- execute: from a command line to a finished run: load, check, prepare, lock, run, report.
--
-- Up to the first step nothing has been written or changed: what is wrong with the playbook, its
-- arguments or the configuration ends here with exit code 2.

local advice = require "advice"
local arguments = require "arguments"
local clock = require "core.clock"
local core_err = require "core.err"
local core_search = require "core.search"
local core_task = require "core.task"
local display = require "display"
local files = require "files"
local journal_option = require "journal.option"
local run_module = require "run"
local task = require "task"

local M = {}

local RENEW_S = 5
local RENEW_TIMEOUT_S = 4 -- shorter, so that a slow answer does not break the rhythm
local SIGNALS_S = 0.25

M.options = {
  venture = { value = "DIR", about = "the venture's folder (with venture.lua)" },
  state = { value = "DIR", about = "where journal, papers and backups are kept (default: .engine in the venture's folder)" },
  journal = { value = "URL", about = "postgres://... or env:NAME: a journal that several machines share, instead of a file in the state folder" },
  mode = { one_of = { "manual", "assisted", "auto" }, about = "manual asks before each step, assisted before effects, auto never" },
  reason = { value = "TEXT", about = "why, for the journal" },
  plan = { value = "HASH", about = "the hash that `engine plan` said: begins only if the plan of now is that one" },
  json = { type = "boolean", about = "for machines: an event a line as JSON on stdout, everything else on stderr" },
  help = { type = "boolean", about = "what this playbook does and takes" },
}

local USAGE_CODES = { usage = true, config = true, playbook = true, sandbox = true, secret = true, not_found = true, connect = true, permission = true, resolve = true, capability = true }

--- Is this an error of the command line, the playbook, the configuration, or of what must be there before anything begins?
---@param err table
---@return boolean
---@usage assert(require("execute").is_usage { code = "usage" })
function M.is_usage(err) return USAGE_CODES[err.code] == true end

local function merged(a, b)
  local out = {}
  for key, value in pairs(a) do out[key] = value end
  for key, value in pairs(b) do out[key] = value end
  return out
end

-- chunk: the playbook's function, when it does not come from the file.
local function load_playbook(path, chunk)
  local err
  if not chunk then chunk, err = core_search.load_file(path) end
  if not chunk then
    if err.code == "not_found" then
      err = core_err.new { code = "not_found", op = "load playbook", message = ("there is no playbook %s"):format(path),
        next = "Give the path of a .lua file, such as playbooks/stage30.lua; `engine help` lists the commands." }
    end
    return nil, err
  end
  local ok, playbook = pcall(chunk)
  if not ok then
    if core_err.is(playbook) then
      if playbook.code == "playbook" and playbook.op == "load playbook" then
        local sources = core_search.sources()
        local line = playbook.field and require("schema").line_of(sources[#sources].text, { playbook.field }) or 1
        playbook.message = ("%s:%d: %s"):format(path, line, playbook.message)
      end
      return nil, playbook
    end
    return nil, core_err.new { code = "playbook", op = "load playbook", message = tostring(playbook) }
  end
  if not require("run.playbook").is(playbook) then
    return nil, core_err.new { code = "playbook", op = "load playbook", message = ("%s must end with `return playbook { ... }`"):format(path) }
  end
  return playbook
end

M.load_playbook = load_playbook

-- The venture's folder comes first in the search order, so it has to be known before the playbook is loaded.
local function venture_option(argv)
  for i, word in ipairs(argv) do
    if word == "--venture" then return argv[i + 1] end
    local value = word:match "^%-%-venture=(.*)$"
    if value then return value end
  end
end

local user

-- The name of the user that this process is, as the machine's own list has it; a number for one of elsewhere.
local function name_of_user()
  local id = (files.read "/proc/self/status" or ""):match "\nUid:%s+(%d+)"
  for line in ((files.read "/etc/passwd" or ""):gmatch "[^\n]+") do
    local name, number = line:match "^([^:]+):[^:]*:(%d+):"
    if id and number == id then return name end
  end
  return id and "uid " .. id or "unknown"
end

--- Who runs the engine, for the journal: USER or LOGNAME, and without them the process's user.
---@return string
---@usage assert(#require("execute").actor() > 0)
function M.actor()
  local environment = require("core.secret").environment
  for _, name in ipairs { "USER", "LOGNAME" } do
    local value = environment(name)
    if value and value ~= "" then return value end
  end
  user = user or name_of_user() -- grants may forbid a second look
  return user
end

-- The proxy's socket, when it is one of the file system.
local function socket_of(traffic) return traffic.socket and traffic.socket:sub(1, 1) == "/" and traffic.socket or nil end

--- What a run with this configuration may reach: what it grants, and what the engine itself needs for a run: its own folders,
-- /proc, its tools, and what the configuration itself names. Nil when it grants nothing, which limits nothing.
---@param venture table
---@param state_folder string
---@param playbook_folder string
---@return { commands: string[], hosts: string[], read: string[], write: string[] }?
function M.granted(venture, state_folder, playbook_folder)
  local grants = venture.grants
  if not grants then return nil end
  local function with(list, more)
    local all = {}
    for _, item in ipairs(list or {}) do all[#all + 1] = item end
    for _, item in pairs(more) do all[#all + 1] = item end
    return all
  end
  local tools = { "pg_dump", "pg_restore", "df" }
  for _, section in ipairs { venture.environment, venture.traffic } do
    for _, name in ipairs { "command", "provision", "destroy", "alive", "get", "set", "ready", "drain", "maintenance" } do
      if section[name] then tools[#tools + 1] = section[name][1] end
    end
  end
  return {
    commands = with(grants.commands, tools),
    hosts = grants.hosts or {},
    read = with(grants.read, { venture.folder, playbook_folder, "/proc", "/dev/null", table.unpack(venture.backup.files or {}) }),
    write = with(grants.write, { state_folder, venture.backup.to, venture.metrics.path, venture.monitoring.rules, socket_of(venture.traffic) }),
  }
end

-- What would keep a run from writing its journal, as far as looking can tell.
local function state_folder_problem(folder)
  local stat = files.stat(folder, { follow = true })
  if not stat or stat.type == "directory" then return nil end
  return core_err.new { code = "usage", op = "command line", message = ("the state folder %s is a %s, and no folder"):format(folder, stat.type), next = "Name a folder with --state DIR; it is made when it is not there." }
end

--- A run of a command line, looked at and not begun. Nil without an error when the help was asked for.
---@param path string
---@param argv string[]
---@param is_stock? boolean the venture's own files are left aside
---@return table? run, table? err
function M.prepare(path, argv, is_stock)
  local venture_folder = venture_option(argv)
  if venture_folder and not is_stock then core_search.add_folder(venture_folder) end
  core_search.add_folder(path:match "^(.*)/[^/]*$" or ".")
  local playbook, err = load_playbook(path)
  if not playbook then return nil, err end
  local descriptions = merged(M.options, playbook.args)
  for _, word in ipairs(argv) do
    if word == "--help" then
      print(("%s: %s\n\n%s"):format(playbook.name, playbook.about or "", arguments.help(descriptions)))
      return nil, nil
    end
  end
  local parsed
  parsed, err = arguments.parse(argv, descriptions, ("engine %s --help"):format(path))
  if not parsed then return nil, err end
  if parsed.words[1] then
    return nil, core_err.new { code = "usage", op = "command line", message = ("'%s' is not expected after the playbook"):format(parsed.words[1]), next = ("engine %s --help"):format(path) }
  end
  local venture
  if parsed.venture then
    venture, err = require("configuration").load(parsed.venture)
    if not venture then return nil, err end
  elseif playbook.needs_venture then
    return nil, core_err.new { code = "usage", op = "command line", message = ("the playbook %s needs a venture"):format(playbook.name), next = "Name its folder with --venture DIR." }
  end
  local option = { state = parsed.state, venture = parsed.venture, journal = parsed.journal or venture and venture.journal }
  local state_folder = journal_option.state_folder(option)
  local where, journal
  where, err = journal_option.where(option)
  if where then journal, err = require("journal").prepare(where) end
  if journal then err = state_folder_problem(state_folder) end
  if not journal or err then return nil, err end
  local guardian = venture and require("guardian").prepare(venture, option)
  local actor = M.actor()
  M.restrict(venture, state_folder, path)
  local args = {}
  for key in pairs(playbook.args) do args[key] = parsed[key] end
  return M.new_run {
    plan_wanted = parsed.plan,
    playbook = playbook, path = path, args = args, venture = venture, mode = parsed.mode or venture and venture.mode or "auto",
    reason = parsed.reason, actor = actor, state_folder = journal_option.absolute(state_folder), journal_option = option, guardian = guardian,
    settings = venture and { venture = files.realpath(venture.folder), environment = venture.environment_read, guardian = venture.guardian, owner = venture.owner, place = venture.console.environment } or {},
    open_journal = function()
      local made, problem = files.mkdir(state_folder)
      if not made then
        error(core_err.new { code = "journal", op = "begin", message = "there is no state folder: " .. problem.message, cause = problem.cause,
          next = "Make it for the user that runs the engine, or name another with --state DIR; nothing was changed." }, 0)
      end
      return assert(journal:open())
    end,
  }
end

--- From here on C refuses what the venture's configuration does not grant, if it grants anything.
function M.restrict(venture, state_folder, path)
  local granted = venture and M.granted(venture, state_folder, path:match "^(.*)/[^/]*$" or ".")
  if granted then require("core.grant").restrict(granted) end
end

--- A run of the fields of run.new, with what every run on this machine has: a folder of its own.
---@param fields table
---@return table run
function M.new_run(fields)
  fields.folder_of = function(id)
    local folder = fields.state_folder .. "/runs/" .. id
    assert(files.mkdir(folder))
    return assert(files.realpath(folder))
  end
  return run_module.new(fields)
end

-- The exit code of a run that ended with an error which the playbook did not turn into a result.
local function exit_of(run, err)
  if err.code == "interrupted" then return 130 end
  if err.code == "lock_held" then return 6 end
  if err.unanswered then return 3 end
  if run.id and run_module.stops(err) then return 130 end
  if not run.id and USAGE_CODES[err.code] then return 2 end
  return 1
end

-- How a command names this run's journal.
local function option_of(run) return { state = run.state_folder, journal = run.journal_option.journal } end
local function options_of(run) return journal_option.text(option_of(run)) end

--- The engine's part in a run is over and the run is not: it stays in the journal as it is.
local function leave(run, err)
  pcall(shield, function() run.journal:let_go() end)
  run.journal:close()
  display.failure(err)
  local code = exit_of(run, err)
  if err.next then print("  next   " .. journal_option.named(err.next, option_of(run))) end
  print(("  next   engine %s %s%s   exit %d"):format(code == 6 and "status" or "resume", run.id, options_of(run), code))
  return code
end

--- How a run ended: what the playbook says, or else what its error means.
---@param run table
---@param ok boolean
---@param value any what its function gave, or raised
---@return string outcome, integer exit, table result
function M.outcome_of(run, ok, value)
  local result = run.result or (ok and type(value) == "table" and value) or {}
  local code = result.exit or (ok and 0 or exit_of(run, value))
  -- A rollback that failed is told whatever else was wanted of the run.
  if not ok and value.code == "interrupted" and code ~= 5 then code = 130 end
  return result.outcome or (ok and "done" or (code == 130 and "interrupted" or "failed")), code, result
end

-- For machines: the run's events as the journal has them, also those that others write.
local function tell_events(run)
  for _, event in ipairs(run.id and run.journal:events(run.id, run.told_seq) or {}) do
    run.told_seq = event.seq
    display.object(event.kind, event.data, { run = run.id, at = event.at, seq = event.seq, step = event.step })
  end
end

local function finish(run, ok, value)
  -- A run that cannot even be taken up again has not failed: it stays as it is.
  if run.id and not ok and (run_module.stops(value) or (run.recorded and run.is_preparing)) then return leave(run, value) end
  local outcome, code, result = M.outcome_of(run, ok, value)
  run.result = result
  if run.id then
    local ended, err = pcall(shield, function()
      run:finish(outcome, code, result.summary or (not ok and value.message) or nil)
      if display.is_json() then tell_events(run) end
      run.journal:close()
    end)
    if not ended then return leave(run, err) end
    if run.guardian then shield(function() run.guardian:stop() end) end
  end
  if not run.id and run.journal then run.journal:close() end
  if not ok and not (run.result and run.result.outcome) then display.failure(value) end
  if run.reason_of_failure then display.failure(run.reason_of_failure) end
  if result.summary then print("  state  " .. display.plain(result.summary)) end
  if result.err then display.failure(result.err) end
  local reason = run.reason_of_failure or result.err or (not ok and value) or nil
  if reason and code ~= 130 then print("  next   " .. journal_option.named(advice.next(reason), option_of(run))) end
  if run.id then print(("  next   %s   exit %d"):format(result.next or ("engine %s %s%s"):format(code == 5 and "rollback" or "log", run.id, options_of(run)), code)) end
  return code
end

-- A venture that another run holds is not even looked at. The lease itself is taken when the run begins.
local function refuse_if_held(run)
  if run.id or not run.venture or not journal_option.exists(run.journal_option) then return end
  local holder = run:use_journal():held_by(run.venture.name)
  if holder then error(holder, 0) end
end

-- Says that this run lives, for engines on other machines. A run whose lease was taken over ends here; a journal that is away is
-- told to whoever writes.
local function keep_lease(run)
  while true do
    local began = clock.now()
    if run.id and not run.result then
      local ok, err = run.journal:renew(RENEW_TIMEOUT_S)
      if not ok and err.code == "lock_held" then error(err, 0) end
    end
    task.sleep(math.max(0, RENEW_S - (clock.now() - began)))
  end
end

-- What somebody asks of a run that is under way cancels what it waits for, and its playbook decides; so it must have begun.
local function heed_signals(run)
  while true do
    task.sleep(SIGNALS_S)
    local asked = run.id and not run.is_preparing and not run.result and run:asked()
    if asked then error(asked, 0) end
  end
end

-- Whoever watches over this engine is watched over by it.
local function keep_guardian(run)
  while true do
    if run.id and not run.result then run.guardian:keep(run) end
    task.sleep(SIGNALS_S)
  end
end

local function keep_telling(run)
  while true do
    tell_events(run)
    task.sleep(SIGNALS_S)
  end
end

--- Goes through a run's playbook, from what it looks at before it begins to its end.
---@param run table
---@return any what its function gives
function M.play(run)
  core_task.set_context(run:context())
  if run.playbook.prepare then
    run.is_preparing = true
    local ready, problem = run_module.attempt(function() run.playbook.prepare(run) end)
    if not ready then error(problem, 0) end
    run.is_preparing = false
  end
  local ended, value = run_module.attempt(function() return run.playbook.run(run) end)
  if ended or not task.canceled() then run:came_to_its_end() end
  if not ended then error(value, 0) end
  return value
end

--- Runs a run to its end, or as far as this engine can. Returns the exit code.
---@param run table
---@return integer
function M.go(run)
  local ok, value = task.interruptible(function()
    core_task.set_context { run = run }
    refuse_if_held(run)
    background(keep_lease, run)
    background(heed_signals, run)
    if run.guardian then background(keep_guardian, run) end
    if display.is_json() then background(keep_telling, run) end
    return M.play(run)
  end)
  return finish(run, ok, value)
end

--- Runs the playbook at path with the rest of the command line. Returns the exit code.
---@param path string
---@param argv string[]
---@return integer
function M.playbook(path, argv)
  local attended = require "display.attended"
  local given = attended.options(argv)
  if given.json then display.use_json() end
  -- A deployment that somebody looks on at does not end with their terminal.
  if given.venture and not given.help and attended.is_wanted() then
    local code = attended.start({ path, table.unpack(argv) }, { state = given.state, venture = given.venture, journal = given.journal })
    if code then return code end
  end
  local run, err = M.prepare(path, argv)
  if not run then
    if not err then return 0 end
    display.failure(err)
    print("  next   " .. (err.next or "engine help"))
    return USAGE_CODES[err.code] and 2 or 1
  end
  if run.plan_wanted then
    local planned = {}
    for key, value in pairs(run) do planned[key] = value end
    local plan = require "plan"
    local as_planned, problem = pcall(function()
      local now = plan.of(run_module.new(planned))
      plan.expect(now, run.plan_wanted, run.state_folder)
      run.settings.plan = now.hash
    end)
    if not as_planned then
      if not core_err.is(problem) then error(problem, 0) end
      display.failure(problem)
      print("  next   " .. (problem.next or "engine help"))
      return USAGE_CODES[problem.code] and 2 or 1
    end
  end
  return M.go(run)
end

return M
