--- process: commands that are run and waited for, and processes that outlive the engine.
--
-- A command is an argv array, never a shell's line: nothing in it is interpreted. Secrets can be
-- given in env and stdin; argv is visible to everybody on the machine, so a secret there raises.

local core = require "core.process"
local core_err = require "core.err"
local core_secret = require "core.secret"
local task = require "task"

local M = {}

local RUN = { argv = true, cwd = true, env = true, clean_env = true, stdin = true, timeout = true, grace = true,
  max_output = true, on_line = true, check = true, inherit = true, log = true, secret = true }
local SPAWN = { argv = true, cwd = true, env = true, clean_env = true, log = true }

local function check_options(options, known, what)
  if type(options) ~= "table" then error(what .. " takes a table of options", 3) end
  for key in pairs(options) do
    if not known[key] then error(("%s has no option '%s'"):format(what, tostring(key)), 3) end
  end
end

-- Hands the lines over in this task, so that on_line may wait. What it raises stops the command first.
local function hand_out_lines(job, on_line)
  while true do
    local line, stream = job:line()
    if not line then return end
    local ok, err = pcall(on_line, line, stream)
    if not ok then
      job:cancel "the function that took its lines raised an error"
      task.shield(function() job:wait() end)
      error(err, 0)
    end
  end
end

local function last_words(result)
  local text = type(result.stderr) == "string" and result.stderr or ""
  if text:match "^%s*$" and type(result.stdout) == "string" then text = result.stdout end
  return core_secret.redact((text:gsub("%s+$", ""):sub(-300)))
end

--- Runs a command and waits for its end. When it is out of time, or the task is canceled, its whole
-- process group gets SIGTERM, and SIGKILL after `grace`.
--
--   argv        the command, searched in PATH unless it has a slash, and its arguments
--   cwd, env    the folder (ours); names and values added to our environment, false removes one
--   clean_env   start from an empty environment
--   stdin       text or secret (nothing)
--   timeout     seconds (60); grace: seconds between SIGTERM and SIGKILL (5)
--   max_output  bytes kept of each stream, the first and the last half (4 MiB)
--   on_line     fun(line, stream), called in this task for every line; it may wait
--   inherit     true: output goes to our own; log: path to which it is appended
--   check       true: an exit code other than 0, or a signal, is an error "process"
--   secret      a label: stdout is given as a secret of that name, without its last newline
---@param options table
---@return { code?: integer, signal?: integer, stdout: string, stderr: string, truncated: boolean, seconds: number }? result
---@return table? err codes: not_found, permission, timeout, process, capability; stdout and stderr are in it after a start
---@usage local r = assert(process.run { argv = { "printf", "%s", "a b" } })  assert(r.code == 0 and r.stdout == "a b")
function M.run(options)
  check_options(options, RUN, "process.run")
  if options.on_line and type(options.on_line) ~= "function" then error("on_line must be a function", 2) end
  local settings = {}
  for key, value in pairs(options) do settings[key] = value end
  settings.lines = options.on_line ~= nil
  local job, err = core.start(settings)
  if not job then return nil, err end
  if options.on_line then hand_out_lines(job, options.on_line) end
  local result
  result, err = job:wait()
  if not result or not options.check or result.code == 0 then return result, err end
  local how = result.code and ("exit code %d"):format(result.code) or ("signal %d"):format(result.signal)
  local words = last_words(result)
  return nil, core_err.new {
    code = "process", op = "run " .. options.argv[1], message = ("%s ended with %s%s"):format(options.argv[1], how, words ~= "" and ": " .. words or ""),
    stdout = result.stdout, stderr = result.stderr, exit = result.code, signal = result.signal,
  }
end

--- Starts a process that stays when the engine ends, in a session of its own.
-- The handle is a plain table and can be kept as JSON: its pid and `started` together name that
-- process for ever, also after the pid is used again or the machine was restarted.
---@param options { argv: string[], cwd?: string, env?: table, clean_env?: boolean, log?: string } log: where its output is appended
---@return { pid: integer, started: integer }? handle, table? err codes: not_found, permission, process, capability
---@usage local h = assert(process.spawn { argv = { "sleep", "60" } })  assert(process.alive(h))  assert(process.stop(h))
function M.spawn(options)
  check_options(options, SPAWN, "process.spawn")
  return core.spawn(options)
end

--- Does exactly this process still run?
---@param handle { pid: integer, started: integer }
---@return boolean
---@usage assert(process.alive(process.self()))
function M.alive(handle) return core.alive(handle) end

--- The name of the process that has this pid now.
---@param pid integer
---@return { pid: integer, started: integer }? handle nil when there is none
---@usage assert(process.identify(process.self().pid).started == process.self().started)
function M.identify(pid) return core.identify(pid) end

--- Ends a process and its group: SIGTERM, then SIGKILL after `grace` seconds. Success when it is gone
-- already. A process that only has the same pid is never touched.
---@param handle { pid: integer, started: integer }
---@param options? { grace?: number } default: 5
---@return { code?: integer, signal?: integer }? ended how it ended, when it was started by this engine; table? err
---@usage local h = assert(process.spawn { argv = { "sleep", "60" } })  assert(process.stop(h, { grace = 1 }))
function M.stop(handle, options) return core.stop(handle, options and options.grace or 5) end

--- Waits for the end of a process.
---@param handle { pid: integer, started: integer }
---@param timeout? number seconds (60)
---@return { code?: integer, signal?: integer }? ended, table? err code: timeout
---@usage local h = assert(process.spawn { argv = { "true" } })  assert(process.wait(h, 10).code == 0)
function M.wait(handle, timeout) return core.wait(handle, timeout or 60) end

--- This engine: its pid, start, and the path of its binary.
---@return { pid: integer, started: integer, exe: string }
---@usage assert(process.self().exe:sub(1, 1) == "/")
function M.self() return core.self() end

return M
