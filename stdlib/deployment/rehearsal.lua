--- deployment.rehearsal: the migrations and the old release on a copy of the database, before the live one is touched. Adds its
-- methods to Deployment.
--
-- Says which way back the release has: "traffic-safe" (the old release works with the new schema: traffic alone can go back),
-- "database-safe" (it does not, but a proven backup can be swapped in), "full-only" (neither).

local backup = require "backup"
local core_err = require "core.err"
local health = require "health"
local migrations = require "migrations"
local release = require "release"
local sql = require "sql"

local Rehearsal = {}

local COLOUR = "rehearsal"

local function first_failure(results)
  for _, one in ipairs(results) do
    if not one.ok and one.critical then return one end
  end
end

--- Takes away what a rehearsal that did not come to its end may have left running.
function Rehearsal:clear_rehearsal()
  self.environment.addresses[COLOUR] = self.venture.rehearsal.address
  self:insist("taking the rehearsal away", function() assert(self.environment:destroy(COLOUR)) end)
  self.environment.addresses[COLOUR] = nil
end

--- What a rehearsal left: nothing, or something that clear_rehearsal takes away.
---@return "absent"|"partial"
function Rehearsal:rehearsal_left() return self.environment:release(COLOUR) and "partial" or "absent" end

-- The old release on the migrated copy: its health address, then its smoke tests. Gives nothing, or what failed.
local function old_release_on(self, scratch)
  local venture = self.venture
  local serving = assert(release.open(venture, self.old_version))
  self:clear_rehearsal()
  self.environment.addresses[COLOUR] = venture.rehearsal.address
  assert(self.environment:provision(COLOUR, serving, scratch.address(venture.environment.database)))
  local ok, err = require("run").attempt(function() self:wait_healthy(COLOUR, self.old_version) end)
  if not ok then return err.message end
  local target = self:target(self.old)
  target.base, target.database = self.environment:base(COLOUR), scratch.url
  local failure = first_failure(health.all(venture.smoke, target))
  return failure and ("%s: %s"):format(failure.name, failure.detail)
end

--- Applies the migrations to a copy and asks the old release to live with them. Raises "gate" unless it does.
---@param pending table[] migrations
---@return { label: string, seconds: number }
function Rehearsal:rehearse(pending)
  local url = self.venture.database.url
  if not self.venture.environment.database then
    error(core_err.new { code = "config", message = "rehearsal needs environment.database, and {database} in environment.command" }, 0)
  end
  local clock = require "clock"
  local began = clock.now()
  local scratch = assert(backup.scratch(self.warm_copy, url))
  -- An engine whose part in the run is over (its lease is another's now) takes nothing away: attempt raises that.
  local ok, result = require("run").attempt(function()
    local db = assert(sql.open(scratch.url, { timeout = self.venture.migrations.timeout }))
    local applied, err = migrations.apply(db, pending, self.venture.migrations.table)
    db:close()
    if not applied then error(core_err.new { code = "gate", message = "the migrations fail on a copy of the database: " .. err.message, cause = err.cause and tostring(err.cause), next = err.code == "sql" and err.next or nil }, 0) end
    return { problem = old_release_on(self, scratch) }
  end)
  shield(function()
    backup.drop_copy(scratch, url)
    self:clear_rehearsal()
  end)
  if not ok then error(result, 0) end
  local problem = result.problem
  self.label = not problem and "traffic-safe" or self.backup and "database-safe" or "full-only"
  self.run:event("note", { text = ("rehearsal on a copy of the database: %s"):format(self.label), label = self.label, problem = problem })
  if problem then
    error(core_err.new { code = "gate", message = ("%s does not work with the migrated schema (%s), so both colours cannot share it: %s"):format(self.old_version, self.label, problem),
      next = "Split the migration: first a release that adds, later one that removes." }, 0)
  end
  return { label = self.label, seconds = clock.now() - began }
end

return function(Deployment)
  for name, method in pairs(Rehearsal) do Deployment[name] = method end
end
