--- deployment: what one blue-green deployment knows and does, in the words of the procedure.
--
-- `old` is the colour that served before, `new` the one that gets the release; which of blue and
-- green they are is read from the proxy. Playbooks say what happens in which order; this says how.

local backup = require "backup"
local advice = require "advice"
local clock = require "clock"
local core_clock = require "core.clock"
local core_err = require "core.err"
local display = require "display"
local environment = require "environment"
local health = require "health"
local host = require "host"
local migrations = require "migrations"
local release = require "release"
local schema = require "schema"
local sql = require "sql"
local task = require "task"
local traffic = require "traffic"

local M = {}

local ASKED_AGAIN = 4
-- Errors that another try does not change, and those that end the trying.
local FINAL = { canceled = true, interrupted = true, deadline = true, backup_corrupt = true, backup_mismatch = true, usage = true, config = true, capability = true }
local INSISTS_S = 60 -- for so long what a rollback needs is tried again
local SETTLE_S = 30 -- for connections to a restored database to be made anew

local Deployment = {}
Deployment.__index = Deployment
require "deployment.watch" (Deployment)
require "deployment.rehearsal" (Deployment)

local function usage(message, next_step)
  error(core_err.new { code = "usage", op = "prepare", message = message, next = next_step }, 0)
end

-- Each check must have exactly one kind, before anything begins.
local function check_kinds(venture)
  local lists = { gates = venture.gates, health = venture.health, smoke = venture.smoke, flows = venture.flows, invariants = venture.invariants,
    ["dependencies.external"] = venture.dependencies.external, ["dependencies.internal"] = venture.dependencies.internal,
    ["monitoring.checks"] = venture.monitoring.checks, ["monitoring.business"] = venture.monitoring.business }
  for place, list in pairs(lists) do
    for index, check in ipairs(list) do
      local ok, problem = pcall(health.kind_of, check)
      if not ok then
        local line = schema.line_of(venture.source, { place:match "[^.]+$", index })
        error(core_err.new { code = "config", op = "read configuration", message = ("%s/venture.lua:%d: %s[%d]: %s"):format(venture.folder, line, place, index, tostring(problem)) }, 0)
      end
    end
  end
end

--- Opens everything a deployment needs and changes nothing. Raises usage, config or connect errors.
---@param run table with run.venture and run.args.release
---@return table deployment
function M.open(run)
  local venture = run.venture
  for _, place in ipairs { "gates", "health", "smoke", "flows", "invariants" } do venture[place] = venture[place] or {} end
  venture.dependencies.external = venture.dependencies.external or {}
  venture.dependencies.internal = venture.dependencies.internal or {}
  venture.monitoring.checks = venture.monitoring.checks or {}
  venture.monitoring.business = venture.monitoring.business or {}
  check_kinds(venture)
  local self = setmetatable({ run = run, venture = venture, traffic_moved = false, migrated = false }, Deployment)
  self:prepare_feed()
  local err
  self.release, err = release.open(venture, run.args.release)
  if not self.release then usage(err.message, err.next) end
  local known = run:record("release", function() return { version = self.release.version, digest = self.release.digest } end)
  if known.digest ~= self.release.digest then
    usage(("release %s is not the one that the run began with: its digest was %s and is %s"):format(known.version, known.digest, self.release.digest), "Put its files back, or roll back: engine rollback " .. tostring(run.id))
  end
  venture.traffic.folder = venture.folder -- commands of a team's own are found there
  self.traffic, err = traffic.open(venture.traffic)
  if not self.traffic then error(err, 0) end
  self.environment = environment.open(venture, run.state_folder)
  local found = run:record("colours", function() return self:look_at_colours() end)
  self.old, self.new, self.old_version = found.old, found.new, found.version
  run.on_live = function() self:look_again() end
  run.after_pause = run.on_live
  return self
end

--- Which colour serves, with which release. Raises when traffic is split, or when nobody can say.
---@return { old: string, new: string, version: string }
function Deployment:look_at_colours()
  local weights, err = self.traffic:get()
  if not weights then
    error(core_err.new { code = err.code, op = err.op, message = "the proxy cannot be asked for its weights: " .. err.message,
      cause = err.cause, next = (err.code == "capability" or err.code == "traffic") and err.next
        or err.code == "permission" and "Let the user that runs the engine write to that socket: `stats socket ... user ... mode 600` in the proxy's configuration."
        or "Start the proxy, or correct `traffic` in the configuration; nothing was changed." }, 0)
  end
  local old = weights.blue == 100 and weights.green == 0 and "blue" or weights.green == 100 and weights.blue == 0 and "green"
  if not old then
    local none = weights.blue == 0 and weights.green == 0
    usage(("%s: blue %s %%, green %s %%; a deployment begins with one colour at 100 %%"):format(none and "no colour gets requests" or "traffic is split", weights.blue, weights.green),
      none and "Give the servers of the colour that should serve a weight of 100 in the proxy." or "Finish or roll back the deployment that split it: engine status.")
  end
  return { old = old, new = old == "blue" and "green" or "blue", version = self.environment:release(old) or "unknown" }
end

--- Is the traffic where the run left it when its engine died, or when it was paused? Raises "drift" when somebody moved it since.
function Deployment:look_again()
  if not self.share then return end -- it has not moved, or was being moved: the step's probe says how far that came
  local weights = assert(self.traffic:get())
  if weights[self.new] == self.share then return end
  error(core_err.new { code = "drift", message = ("%s was left with %d %% of the traffic and has %d %%: somebody moved it"):format(self.new, self.share, weights[self.new]) }, 0)
end

--- A step that gives the new colour a share of the traffic.
---@param name string of the step
---@param share integer percent
function Deployment:traffic_step(name, share)
  local before = self.share or 0
  self.traffic_moved, self.share = true, nil
  step {
    name, effect = "probed", approve = true, args = { colour = self.new, share = share },
    run = function() return self:shift(share) end,
    probe = self:probe_share(share, before),
    undo = function() return self:shift(0) end,
  }
  self.share, self.reached = share, share
end

--- What checks are asked of: a colour's address, the database, and the values for {names}.
---@param colour string
function Deployment:target(colour)
  local venture = self.venture
  return {
    base = self.environment:base(colour), database = venture.database.url, folder = venture.folder, logs_from = self.logs_from,
    values = { version = colour == self.new and self.release.version or self.old_version, release = self.release.version, digest = self.release.digest, venture_id = venture.id, venture = venture.name, colour = colour },
    pending_migrations = function()
      local list = colour == self.new and self.release.migrations
      if not list then
        local serving, err = release.open(venture, self.old_version)
        if not serving then return nil, err end
        list = serving.migrations
      end
      return self:with_database(function(db)
        local pending, err = migrations.pending(db, list, venture.migrations.table)
        if not pending then return nil, err end
        local names = {}
        for _, migration in ipairs(pending) do names[#names + 1] = migration.version end
        return names
      end)
    end,
  }
end

--- Opens the venture's database for fn(db) and closes it again.
function Deployment:with_database(fn)
  local db, err = sql.open(self.venture.database.url, { timeout = 30 })
  if not db then return nil, err end
  local closer <close> = setmetatable({}, { __close = function() db:close() end })
  return fn(db, closer and nil)
end

-- Records each result, and fails when a critical one failed.
local function conclude(self, results, colour, what)
  local failed, first_failure, passed = {}, nil, 0
  for _, result in ipairs(results) do
    self.run:event(what == "gate" and "gate" or "check",
      { name = result.name, what = what, kind = result.kind, ok = result.ok, passed = result.ok, detail = result.detail, evidence = result.detail,
        seconds = result.seconds, critical = result.critical, colour = colour })
    self.run:say(("%s: %s"):format(result.name, result.detail), result.ok and "done" or (result.critical and "failed" or "warn"))
    if result.ok then
      passed = passed + 1
    elseif result.critical then
      failed[#failed + 1] = result.name
      first_failure = first_failure or result
    end
  end
  if first_failure then
    error(core_err.new { code = what == "gate" and "gate" or "check",
      message = ("%d of %d %s failed: %s"):format(#failed, #results, (what .. "s"):gsub("ys$", "ies"), table.concat(failed, ", ")),
      cause = ("%s: %s"):format(first_failure.name, first_failure.detail), next = advice.of(first_failure.detail) }, 0)
  end
  return { passed = passed, failed = #results - passed }
end

--- Runs checks against a colour, records each result, and fails when a critical one failed.
---@param checks table[]
---@param colour string
---@param what string "health check", "gate", ... for the message
---@return { passed: integer, failed: integer }
function Deployment:check(checks, colour, what) return conclude(self, health.all(checks, self:target(colour)), colour, what) end

--- check(), for a colour that just came through something and may take SETTLE_S to be well again; what it logged meanwhile is excused.
function Deployment:check_settled(checks, colour, what)
  local deadline = clock.now() + SETTLE_S
  while true do
    self.logs_from = health.log_sizes(checks, self:target(colour))
    local results, all_well = health.all(checks, self:target(colour)), true
    for _, result in ipairs(results) do all_well = all_well and (result.ok or not result.critical) end
    if all_well or clock.now() > deadline then return conclude(self, results, colour, what) end
    task.sleep(0.5)
  end
end

--- What a rollback needs is not given up at the first error: a proxy that does not answer once is asked again. Calls fn until it raises nothing, for a minute at the most.
---@param what string in words
---@param fn fun(): any
---@return any what fn returns
function Deployment:insist(what, fn)
  local last = clock.now() + INSISTS_S
  while true do
    local ok, result = require("run").attempt(fn)
    if ok then return result end
    local err = result
    if FINAL[err.code] or clock.now() >= last then error(err, 0) end
    self.run:say(("%s failed and is tried again: %s"):format(what, err.message), "warn")
    task.sleep(1)
  end
end

local function set_share(self, share)
  local before = assert(self.traffic:get())
  return { before = before, now = assert(self.traffic:set { [self.new] = share, [self.old] = 100 - share }) }
end

--- Sets the share of the new colour (0 to 100), reads it back and records it.
---@param share integer percent for the new colour
---@return table weights as the proxy reports them
function Deployment:shift(share)
  local moved = share == 0 and self:insist("taking traffic back to " .. self.old, function() return set_share(self, 0) end) or set_share(self, share)
  local weights, before = moved.now, moved.before
  -- When clients were safe again: whoever reports it may have had to wait for the journal first.
  self.back_at = share == 0 and (self.back_at or core_clock.wall()) or nil
  self.run:event_later("traffic", { blue = weights.blue, green = weights.green, before = { blue = before.blue, green = before.green }, verified = true })
  self.run:say(("traffic: blue %d %%, green %d %% (read back)"):format(weights.blue, weights.green), "done")
  return { blue = weights.blue, green = weights.green }
end

--- What the probe of a traffic step looks at: where does the traffic really go?
---@param share integer that the step gives
---@param before integer of the step before it
function Deployment:probe_share(share, before)
  return function()
    local weights, err = self.traffic:get()
    if not weights then return "unknown", err.message end
    if weights[self.new] == share then return "done", nil, { blue = weights.blue, green = weights.green } end
    if weights[self.new] == 0 then return "absent", "all traffic goes to " .. self.old end
    if weights[self.new] == before then return "absent", ("%s still has %d %%"):format(self.new, before) end
    return "partial", ("%s has %d %%"):format(self.new, weights[self.new])
  end
end

--- Waits until a colour answers its health address with the expected version.
---@param colour string
---@param version string
function Deployment:wait_healthy(colour, version)
  local http = require "http"
  local url = self.environment:base(colour) .. self.venture.environment.health
  local last = "it never answered"
  local ok, err = task.scope("health of " .. colour, self.venture.environment.start_timeout, function()
    while true do
      local alive, detail = self.environment:alive(colour)
      if not alive then error(core_err.new { code = "process", message = ("%s ended while it was starting: %s"):format(colour, detail),
        next = "Read the end of its output, and start it by hand with the same command; nothing was moved to it." }, 0) end
      local response, http_err = http.request { url = url, timeout = 5 }
      if response and response.status == 200 then
        local document = response:json()
        local found = document and document.version
        if found == nil or found == version then return true end
        error(core_err.new { code = "check", message = ("%s answers as version %s, but %s was deployed"):format(colour, tostring(found), version),
          next = ("See whether the release's folder holds what it is called, and whether %s gives its own version."):format(self.venture.environment.health) }, 0)
      end
      last = response and ("it answered %d"):format(response.status) or http_err.message
      task.sleep(0.1)
    end
  end)
  if ok then return end
  if err.code ~= "deadline" then error(err, 0) end
  error(core_err.new { code = "check", message = ("%s was not healthy within %g s: %s"):format(colour, self.venture.environment.start_timeout, last) }, 0)
end

--- The version that clients get now, asked through the proxy like a client; nil if it does not say.
function Deployment:serving_version()
  local public = self.venture.traffic.public
  if not public then return nil end
  local response, err = require("http").request { url = public .. self.venture.environment.health, timeout = 10 }
  if not response then return nil, err end
  local document = response.status == 200 and response:json()
  return document and document.version or nil
end

-- One client's question which version serves. A request that fails says nothing about that, and one in a thousand does; it is asked again.
local function version_seen(self)
  local version, err
  for attempt = 1, ASKED_AGAIN do
    if attempt > 1 then task.sleep(0.5) end
    version, err = self:serving_version()
    if version then return version end
  end
  return nil, err
end

local function verify_weight(self, colour)
  local weights = assert(self.traffic:get())
  if weights[colour] == 100 then return weights end
  error(core_err.new { code = "traffic", message = ("%s should have all traffic, but has %d %%"):format(colour, weights[colour]) }, 0)
end

--- Proves that clients get `version` from `colour` alone; raises otherwise. This is what success means.
function Deployment:verify_serving(colour, version)
  local weights = verify_weight(self, colour)
  if not self.venture.traffic.public then return end
  for _ = 1, 5 do
    local served, err = version_seen(self)
    if served ~= version and version ~= "unknown" then
      error(core_err.new { code = "check", message = served and ("clients get version %s, expected %s"):format(served, version) or ("clients get no answer that names a version, expected %s"):format(version),
        cause = err and err.message }, 0)
    end
  end
  self.run:event("state", { blue = weights.blue, green = weights.green, version = version, url = self.venture.traffic.public, verified = true })
end

--- Proves that the old colour has all traffic, as it had before the deployment began. Whether it answers is said and no more: it may have been
-- ill before, and nothing of this deployment has touched it.
---@return string in words
function Deployment:verify_untouched()
  local weights = self:insist("reading the weights", function() return verify_weight(self, self.old) end)
  local served, err
  if self.venture.traffic.public then served, err = version_seen(self) end
  if served and self.old_version ~= "unknown" and served ~= self.old_version then
    error(core_err.new { code = "check", message = ("clients get version %s, expected %s"):format(served, self.old_version) }, 0)
  end
  self.run:event("state", { blue = weights.blue, green = weights.green, version = served, url = self.venture.traffic.public, verified = served ~= nil })
  if served or not self.venture.traffic.public then return ("%s serves %s at 100 %%"):format(self.old, self.old_version) end
  self.run:say(("%s has all traffic and does not answer: %s"):format(self.old, err and err.message or "no version"), "warn")
  return ("%s has %s and 100 %%, and does not answer"):format(self.old, self.old_version)
end

local function percent(value) return value and ("%.2f %%"):format(value * 100) or "no data" end

--- The machine's CPU, memory and disk, recorded; nil readings are "no data".
---@param path string whose file system is looked at
function Deployment:look_at_machine(path)
  local sample = assert(host.sample())
  if not sample.cpu_percent then
    task.sleep(0.5) -- a share of the CPU needs two readings
    sample = assert(host.sample())
  end
  local function share(value) return value and value / 100 end
  local cpu, memory, disk = share(sample.cpu_percent), share(sample.memory_percent), host.disk(path)
  self.run:event("machine", { cpu = cpu, memory = memory, disk = disk and disk.used })
  self.run:say(("machine: cpu %s, memory %s, disk %s"):format(percent(cpu), percent(memory), percent(disk and disk.used)))
end

--- The share of the database's connections that is in use, or nil when nobody can say.
function Deployment:pool_use()
  local use = self:with_database(function(db) return sql.pool_use(db) end)
  return use and use.max and use.max > 0 and use.used / use.max or nil
end

--- Does the old release work with the database as it is now? The data must be sound, and its health and smoke checks pass.
---@return boolean works, string? why
function Deployment:old_release_works()
  local checked = "the data is damaged"
  local ok, err = require("run").attempt(function()
    self:check(self.venture.invariants, self.old, "invariant")
    checked = ("%s does not work with the migrated schema"):format(self.old)
    self:check(self.venture.health, self.old, "health check")
    self:check(self.venture.smoke, self.old, "smoke test")
  end)
  return ok, not ok and ("%s: %s"):format(checked, err.cause or err.message) or nil
end

local function retire(self, colour)
  local what = "drain " .. colour
  assert(self.traffic:drain(colour, self.venture.traffic.drain_timeout, function(open) display.progress { what = what, done = open, unit = "open requests" } end))
  display.progress { what = what, done = 0, all = 0 } -- it is over
  assert(self.traffic:maintenance(colour))
  assert(self.environment:destroy(colour))
  local alive, detail = self.environment:alive(colour)
  if alive then error(core_err.new { code = "process", message = ("%s still runs: %s"):format(colour, detail) }, 0) end
end

--- Takes the new colour out of the proxy, waits for its open requests, and removes it.
function Deployment:retire(colour)
  if not self.run.is_rolling_back then return retire(self, colour) end
  self:insist("retiring " .. colour, function() retire(self, colour) end)
end

--- Restores the database from this deployment's backup; reports exactly what is lost by it.
---@param key string of the step: one that had restored before the engine died does not restore again
---@return table loss
function Deployment:restore_database(key)
  if not self.backup then error(core_err.new { code = "backup", message = "this run has no backup to restore" }, 0) end
  local url = self.venture.database.url
  local copy = self.warm_copy
  local lost = self.run.folder .. "/lost"
  assert(files.remove_tree(lost)) -- what an earlier attempt of this step had counted
  local restored, err = backup.restore { backup = self.backup.path, checksum = self.backup.checksum, database = url, to = lost, copy = copy, key = key, passphrase = self.venture.backup.passphrase, progress = display.progress_of "restore" }
  if not restored and copy then -- the copy is gone or was touched; the backup is still there
    self.run:say("the warm copy cannot be used, the backup is loaded: " .. err.message, "warn")
    copy = nil
  end
  if not restored then
    restored = self:insist("restoring the backup", function()
      assert(files.remove_tree(lost))
      return assert(backup.restore { backup = self.backup.path, checksum = self.backup.checksum, database = url, to = lost, key = key, passphrase = self.venture.backup.passphrase, progress = display.progress_of "restore" })
    end)
  end
  local loss = restored.loss
  self.run:event("loss", loss)
  self.run:event("note", { text = ("database restored from %s%s in %s, downtime %s"):format(self.backup.id, restored.warm and " (warm copy)" or "", display.duration(restored.seconds), display.duration(restored.downtime_s or 0)),
    seconds = restored.seconds, downtime_s = restored.downtime_s, warm = restored.warm })
  return { warm = restored.warm, seconds = restored.seconds, downtime_s = restored.downtime_s, loss = loss, old = restored.old }
end

--- The run needs its backup no longer: retention may have it, and the copy that was kept for a rollback is dropped. One that cannot be dropped is said, and is no failure of the deployment.
function Deployment:release_backup()
  if not (self.backup or self.backup_begun) then return end
  step { "the backup is released", effect = "idempotent", approve = false, run = function()
    assert(backup.release_needs(self.venture.backup.to, "run " .. self.run.id))
    local url = self.venture.database.url
    assert(backup.forget(url))
    local ok, err = true, nil
    -- An engine that died may have made copies that it did not come to record.
    if self.run.recorded then ok, err = backup.drop_copies(url) elseif self.warm_copy then ok, err = backup.drop_copy(self.warm_copy, url) end
    if not ok then self.run:say("the warm copy of the database could not be dropped: " .. err.message, "warn") end
  end }
end

return M
