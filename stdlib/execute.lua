--- execute: from a command line to a finished run: load, check, prepare, lock, run, report.
--
-- Up to the first step nothing has been written or changed: what is wrong with the playbook, its
-- arguments or the configuration ends here with exit code 2.

local arguments = require "arguments"
local core_err = require "core.err"
local core_search = require "core.search"
local core_task = require "core.task"
local display = require "display"
local files = require "files"
local run_module = require "run"
local task = require "task"

local M = {}

M.options = {
  venture = { about = "the venture's folder (with venture.lua)" },
  state = { about = "where journal, papers and backups are kept (default: .engine in the venture's folder)" },
  mode = { one_of = { "manual", "assisted", "auto" }, about = "manual asks before each step, assisted before effects, auto never" },
  reason = { about = "why, for the journal" },
  help = { type = "boolean", about = "what this playbook does and takes" },
}

local USAGE_CODES = { usage = true, config = true, playbook = true, sandbox = true, secret = true, not_found = true, connect = true, permission = true, resolve = true, capability = true }

local function merged(a, b)
  local out = {}
  for key, value in pairs(a) do out[key] = value end
  for key, value in pairs(b) do out[key] = value end
  return out
end

local function load_playbook(path)
  local chunk, err = core_search.load_file(path)
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
  if not run_module.is_playbook(playbook) then
    return nil, core_err.new { code = "playbook", op = "load playbook", message = ("%s must end with `return playbook { ... }`"):format(path) }
  end
  return playbook
end

-- The venture's folder comes first in the search order, so it has to be known before the playbook is loaded.
local function venture_option(argv)
  for i, word in ipairs(argv) do
    if word == "--venture" then return argv[i + 1] end
    local value = word:match "^%-%-venture=(.*)$"
    if value then return value end
  end
end

local function actor() return require("core.secret").environment "USER" or require("core.secret").environment "LOGNAME" or "unknown" end

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
    write = with(grants.write, { state_folder, venture.backup.to, venture.metrics.path, venture.monitoring.rules }),
  }
end

local function prepare(path, argv)
  local venture_folder = venture_option(argv)
  if venture_folder then core_search.add_folder(venture_folder) end
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
  parsed, err = arguments.parse(argv, descriptions)
  if not parsed then return nil, err end
  if parsed.words[1] then
    return nil, core_err.new { code = "usage", op = "command line", message = ("'%s' is not expected after the playbook"):format(parsed.words[1]) }
  end
  local venture
  if parsed.venture then
    venture, err = require("configuration").load(parsed.venture)
    if not venture then return nil, err end
  elseif playbook.needs_venture then
    return nil, core_err.new { code = "usage", op = "command line", message = ("the playbook %s needs a venture"):format(playbook.name), next = "Name its folder with --venture DIR." }
  end
  local state_folder = parsed.state or ((parsed.venture or ".") .. "/.engine")
  local granted = venture and M.granted(venture, state_folder, path:match "^(.*)/[^/]*$" or ".")
  if granted then require("core.grant").restrict(granted) end -- from here on C refuses what was not granted
  local args = {}
  for key in pairs(playbook.args) do args[key] = parsed[key] end
  return run_module.new {
    playbook = playbook, path = path, args = args, venture = venture, mode = parsed.mode or venture and venture.mode or "auto",
    reason = parsed.reason, actor = actor(), state_folder = state_folder,
    open_journal = function()
      assert(files.mkdir(state_folder))
      return assert(require("journal").open(state_folder .. "/journal.db"))
    end,
    folder_of = function(id)
      local folder = state_folder .. "/runs/" .. id
      assert(files.mkdir(folder))
      return assert(files.realpath(folder))
    end,
  }
end

-- The exit code of a run that ended with an error which the playbook did not turn into a result.
local function exit_of(run, err)
  if err.code == "interrupted" then return 130 end
  if err.code == "lock_held" then return 6 end
  if err.unanswered then return 3 end
  if not run.id and USAGE_CODES[err.code] then return 2 end
  return 1
end

local function finish(run, ok, value)
  local result = run.result or (ok and type(value) == "table" and value) or {}
  local code = result.exit or (ok and 0 or exit_of(run, value))
  if not ok then code = (value.code == "interrupted" and 130) or code end
  local outcome = result.outcome or (ok and "done" or (code == 130 and "interrupted" or "failed"))
  run.result = result
  if run.id then
    shield(function() run:finish(outcome, code, result.summary or (not ok and value.message) or nil) end)
  end
  if not ok and not (run.result and run.result.outcome) then display.failure(value) end
  if run.reason_of_failure then display.failure(run.reason_of_failure) end
  if result.summary then print("  state  " .. result.summary) end
  if result.err then display.failure(result.err) end
  if not run.id and not ok then print("  next   " .. (value.next or "engine help")) end
  if run.id then print(("  next   %s   exit %d"):format(result.next or ("engine log %s --state %s"):format(run.id, run.state_folder), code)) end
  return code
end

-- A venture that another run holds is not even looked at. The lease itself is taken when the run begins.
local function refuse_if_held(run)
  local path = run.state_folder .. "/journal.db"
  if not run.venture or not files.stat(path) then return end
  local journal = assert(require("journal").open(path))
  local holder = journal:holder(run.venture.name)
  journal:close()
  if holder then error(holder, 0) end
end

-- Says that this run lives, for engines on other machines. A run whose lease was taken over ends here.
local function keep_lease(run)
  while true do
    task.sleep(5)
    if run.id and not run.result then
      local ok, err = run.journal:renew(run.id)
      if not ok then error(err, 0) end
    end
  end
end

--- Runs the playbook at path with the rest of the command line. Returns the exit code.
---@param path string
---@param argv string[]
---@return integer
function M.playbook(path, argv)
  local run, err = prepare(path, argv)
  if not run then
    if not err then return 0 end
    display.failure(err)
    print("  next   " .. (err.next or "engine help"))
    return USAGE_CODES[err.code] and 2 or 1
  end
  local ok, value = task.interruptible(function()
    core_task.set_context { run = run }
    refuse_if_held(run)
    background(keep_lease, run)
    if run.playbook.prepare then
      local ready, problem = run_module.attempt(function() run.playbook.prepare(run) end)
      if not ready then error(problem, 0) end
    end
    return run.playbook.run(run)
  end)
  return finish(run, ok, value)
end

return M
