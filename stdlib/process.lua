--- process: commands, given as argument vectors, never as shell text.

local clock = require "clock"
local core = require "core.process"
local core_err = require "core.err"

local M = {}

local DEFAULT_TIMEOUT_S, DEFAULT_GRACE_S = 60, 5

local function ended_how(result) return result.code and ("exit code %d"):format(result.code) or ("signal %d"):format(result.signal) end

--- Runs a command to its end. At its timeout, or when the step is canceled, it and what it started are ended.
-- Secrets may stand in env and stdin, never in argv, which everybody on the machine can read.
---@param options { argv: string[], cwd?: string, env?: table<string, any>, stdin?: string, timeout?: number, max_output?: integer, on_line?: fun(line: string, stream: string), check?: boolean, grace?: number }
---@return { code?: integer, signal?: integer, stdout: string, stderr: string, seconds: number }?, table? err codes not_found, permission, timeout; with check = true also process
---@usage assert(process.run { argv = { "echo", "hello" } }.stdout == "hello\n")
function M.run(options)
  local began, timeout = clock.now(), options.timeout or DEFAULT_TIMEOUT_S
  local child, err = core.start { argv = options.argv, cwd = options.cwd, env = options.env, stdin = options.stdin, max_output = options.max_output,
    lines = options.on_line ~= nil, grace = options.grace }
  if not child then return nil, err end
  local closer <close> = child
  local function remaining() return math.max(0, began + timeout - clock.now()) end
  if options.on_line then
    local line, stream = child:next_line(remaining())
    while line do
      options.on_line(line, stream)
      line, stream = child:next_line(remaining())
    end
    err = stream -- nil, err when it did not end by itself
  end
  local result
  if not err then result, err = child:wait(remaining()) end
  if not result then return nil, err, closer and nil end
  result.seconds = clock.now() - began
  if options.check and result.code ~= 0 then
    local words = result.stderr ~= "" and result.stderr or result.stdout
    return nil, core_err.new { code = "process", op = "run " .. options.argv[1],
      message = ("%s ended with %s: %s"):format(options.argv[1], ended_how(result), words:sub(-400)) }
  end
  return result
end

--- Starts a process that outlives the engine; its output goes to a file.
-- The result is plain data (pid and the kernel's start time) and identifies the process for ever.
---@param options { argv: string[], cwd?: string, env?: table<string, any>, log: string }
---@return { pid: integer, started: integer }?, table? err
function M.spawn(options) return core.spawn(options) end

--- Is the process that spawn gave still there? Another one with the same pid is not it.
---@param handle { pid: integer, started: integer }
---@return boolean
function M.alive(handle) return core.alive(handle) end

--- Ends it with SIGTERM, after `grace` seconds with SIGKILL, and waits for its end.
---@param handle { pid: integer, started: integer }
---@param options? { grace?: number } seconds, default 5; 0 kills at once
---@return true?, table? err
function M.stop(handle, options)
  local grace = options and options.grace or DEFAULT_GRACE_S
  return core.stop(handle, grace, grace + 10, true)
end

--- Waits for its end without doing anything to it.
---@param handle { pid: integer, started: integer }
---@param timeout number seconds
---@return true?, table? err code timeout
function M.wait(handle, timeout) return core.stop(handle, 0, timeout, false) end

--- The engine's own process.
---@return { pid: integer, started: integer, exe: string }
function M.self() return core.self() end

return M
