--- guardian: the same program beside a run's engine. It sees within a second that the engine died, waits the venture's grace for somebody to
-- resume the run by hand, and then takes traffic back or goes on with the run, as the venture says. While nothing has moved it
-- leaves the run to a person.
--
-- It holds nothing: what it does, it does by taking the run up, with a lease and an epoch like everybody.

local clock = require "core.clock"
local core_err = require "core.err"
local core_process = require "core.process"
local display = require "display"
local journal_option = require "journal.option"
local process = require "process"
local task = require "task"

local M = {}

local POLL_S = 0.25
local RESUMES = 3 -- an engine that dies again and again in the same run is not started again

local Guardian = {}
Guardian.__index = Guardian

--- What starts a guardian of this engine; nil when the venture wants none. Called before grants are in force.
---@param venture table
---@param option table of journal.option
---@return table? guardian with keep(run) and stop()
function M.prepare(venture, option)
  if venture.guardian.action == "off" then return nil end
  local me = process.self()
  local words, environment = journal_option.passed_on(option)
  environment.ENGINE_KILL_AT, environment.ENGINE_BOUNDARIES = false, false -- what a test asks of this engine it does not ask of the guardian
  local argv = { me.exe, "guard", "--engine", ("%d:%d"):format(me.pid, me.started), table.unpack(words) }
  return setmetatable({ spawn = core_process.spawner { argv = argv, env = environment, log = journal_option.absolute(journal_option.state_folder(option)) .. "/guardian.log" } }, Guardian)
end

--- Starts the guardian if none lives.
function Guardian:keep(run)
  if self.handle and process.alive(self.handle) then return end
  local handle, err = self.spawn()
  if not handle then
    if not self.told then run:say("no guardian could be started: " .. err.message, "warn") end
    self.told = true
    return
  end
  local again = self.handle ~= nil
  self.handle = handle
  assert(run.journal:event(run.id, "guardian", { pid = handle.pid, again = again or nil }))
end

--- Ends the guardian: the run is over.
function Guardian:stop()
  if self.handle then process.stop(self.handle, { grace = 2 }) end
  self.handle = nil
end

-- The run that an engine holds, as soon as it holds one; nil when it ended without.
local function run_of(journal, engine)
  local pid, started = engine:match "^(%d+):(%d+)$"
  local who = { host = require("host").name(), pid = math.tointeger(tonumber(pid)), started = math.tointeger(tonumber(started)) }
  while true do
    local was_alive = process.alive(who)
    local run = journal:run_held_by(who)
    if run then return run end
    if not was_alive then return nil end
    task.sleep(POLL_S)
  end
end

-- Waits until the holder is gone. Returns the lease of the dead one, or nil when the run ended or was given back.
local function wait_for_death(journal, id)
  while true do
    local row = assert(journal:run(id))
    if row.ended_at then return nil end
    local lease, lives = journal:holder(journal:lease_of(row))
    if not lease or lease.run ~= id then return nil end
    if not lives then return lease end
    task.sleep(POLL_S)
  end
end

local function has_event(journal, id, kind)
  local count = 0
  for _, event in ipairs(assert(journal:events(id))) do
    if event.kind == kind then count = count + 1 end
  end
  return count
end

-- Whether the dead holder's lease is still the last one after the grace.
local function nobody_came(journal, id, lease, grace)
  local began = clock.now()
  while clock.now() - began < grace do
    task.sleep(math.min(POLL_S, grace))
    local now, lives = journal:holder(lease.venture)
    if assert(journal:run(id)).ended_at or not now or now.epoch ~= lease.epoch or lives then return false end
  end
  return true
end

local function act(journal, id, lease, options)
  local row = assert(journal:run(id))
  local config = row.settings.guardian or { action = "rollback", grace = 30 }
  assert(journal:note(id, "engine_died", { pid = lease.pid, host = lease.host, epoch = lease.epoch, grace = config.grace, action = config.action }))
  display.line("warn", 0, ("the engine of run %s (process %d on %s) died; %s in %g s"):format(id, lease.pid, lease.host, config.action, config.grace))
  if not nobody_came(journal, id, lease, config.grace) then return 0 end
  if has_event(journal, id, "traffic_begins") == 0 then
    assert(journal:note(id, "note", { text = "the engine died before traffic moved: the run is left as it is; engine resume " .. id }))
    return 0
  end
  local resume = require "resume"
  options.words, options.reason = { id }, ("the guardian: the engine (process %d on %s) died"):format(lease.pid, lease.host)
  options.actor = "guardian"
  if config.action == "resume" and has_event(journal, id, "resume") < RESUMES then return resume.resume(journal, options) end
  return resume.rollback(journal, options)
end

--- `engine guard`: watches until the run is over, or acts when its engine dies.
---@param journal table
---@param options { words: string[], engine?: string }
---@return integer? exit, table? err
function M.watch(journal, options)
  -- A journal that is away says nothing about the engine.
  journal:hold(math.huge, function(err) display.line("warn", 0, "the journal is away: " .. err.message) end,
    function(seconds) display.line("note", 0, ("the journal is back after %s"):format(display.duration(seconds))) end)
  local id = options.words[1]
  if not id and not (options.engine and options.engine:match "^%d+:%d+$") then
    return nil, core_err.new { code = "usage", message = "guard needs a run", next = "engine status" }
  end
  local row, err
  if id then
    row, err = journal:run(id)
    if not row then return nil, err end
    id = row.id
  end
  -- Whoever it watches over ends it when the run is over; that is no interruption.
  local ok, lease = task.interruptible(function()
    id = id or run_of(journal, options.engine)
    return id and wait_for_death(journal, id)
  end)
  if not ok and lease.code ~= "interrupted" then error(lease, 0) end
  if not ok or not lease then return 0 end
  local code
  code, err = act(journal, id, lease, options)
  if not code and err.code == "lock_held" then return 0 end -- somebody else was quicker
  return code, err
end

return M
