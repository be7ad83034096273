--- simulation.world: everything around the engine, as it truly is: colours, proxy, database, backups, clients, and what goes wrong when. The
-- simulated drivers ask it and change it, invariants judge by it. Nothing here knows a playbook.
--
-- A scenario (simulation.scenario) says how the world is and which faults it has. Time is the virtual clock's.

local core_clock = require "core.clock"
local core_err = require "core.err"
local core_task = require "core.task"
local effect = require "effect"
local random = require "simulation.random"

local M = {}

local World = {}
World.__index = World

--- Does a name that somebody gives mean this step? It is the whole name, or its beginning up to the end of a word: "30.4" means every step of that part.
---@param given string
---@param name string of a step
---@return boolean
---@usage assert(require("simulation.world").means("30.4", "30.4 exit gate") and not require("simulation.world").means("30.4", "30.40 x"))
function M.means(given, name) return given == name or (name:sub(1, #given) == given and name:sub(#given, #given + 1):find "^[^%s]%W$" ~= nil) end

-- The engine of the present is dead or has lost its lease: nothing that it still tries has an effect. The code stops a run without an answer of
-- the playbook (run.stops).
local function dead(world) return core_err.new { code = world.death or "journal", message = "simulated: " .. (world.death_reason or "killed") } end

local function set(list)
  local out = {}
  for _, item in ipairs(list) do out[item] = true end
  return out
end

--- A world at its beginning: the old release serves everything.
---@param scenario table
---@param venture table its configuration
---@param release string
---@return table world
function M.new(scenario, venture, release)
  local world = setmetatable({
    scenario = scenario, venture = venture, release = release, old_version = scenario.old_version, history = {}, calls = {}, boundaries = 0, anchors = { start = core_clock.now() },
    weights = { blue = 100, green = 0 }, modes = { blue = "ready", green = "maintenance" },
    colours = { blue = { release = scenario.old_version, made_at = core_clock.now() - 86400 } },
    database = { applied = set(scenario.applied), stage = scenario.stage, written = 0, name = "live" },
    backups = {}, copies = {}, needed = {}, ledger = {}, files = {}, streams = {}, lines = {}, tested = {},
    written_at = core_clock.now(),
  }, World)
  if scenario.former then world.colours.green = { release = scenario.former, made_at = core_clock.now() - 2 * 86400 } end
  world.traffic = world:stream "traffic"
  for _, fault in ipairs(scenario.faults) do world:arm(fault) end
  return world
end

--- A stream of random numbers of this world.
function World:stream(name)
  if not self.streams[name] then self.streams[name] = random.stream(self.scenario.seed, name) end
  return self.streams[name]
end

--- What happened in the world, in order, for the invariants.
---@param kind string
---@param data? table
function World:note(kind, data)
  local entry = data or {}
  entry.kind, entry.at = kind, core_clock.now()
  self.history[#self.history + 1] = entry
end

--- What happened of a kind, in order.
---@param kind string of note
---@return table[]
function World:notes(kind)
  local found = {}
  for _, note in ipairs(self.history) do if note.kind == kind then found[#found + 1] = note end end
  return found
end

--- What the run has recorded of a kind, in order.
---@param kind string
---@return { seq: integer, kind: string, step?: integer, now: number, data: table }[]
function World:events(kind)
  local found = {}
  for _, event in ipairs(self.journal and self.journal:events() or {}) do if event.kind == kind then found[#found + 1] = event end end
  return found
end

--- Something in the world changes. Did the step around it say so? Asked here too, as not everything that changes it goes through effect.change.
---@param what string
function World:touch(what)
  local where = effect.undeclared()
  if where then self:note("undeclared", { what = what, where = where }) end
end

--- Something is made outside, known by a key: whoever is asked with the same key again makes it no second time.
---@param what string
---@param name string which one of them
---@param key string
function World:make(what, name, key)
  self:touch(what)
  local step = (core_task.context() or {}).step
  local id = ("%s '%s' of step '%s'"):format(what, name, step and step.name or "none")
  local keys = self.ledger[id] or {}
  self.ledger[id] = keys
  if not keys[key] then self:note("made", { what = what, name = name, key = key }) end
  keys[key] = true
end

-- Faults -----------------------------------------------------------------------------------------------------------------------------

-- A fault's time is said from an anchor on: "start", "traffic" (green gets its first request), "stage:50", "rollback", "step:30.4 exit gate".
function World:arm(fault)
  local anchor = self.anchors[fault.anchor or "start"]
  local one = { fault = fault, from = anchor and anchor + (fault.after or 0), met = 0 }
  one["until"] = one.from and one.from + (fault.lasts or math.huge)
  self.armed, self.by_kind = self.armed or {}, self.by_kind or {}
  self.armed[#self.armed + 1] = one
  self.by_kind[fault.kind] = self.by_kind[fault.kind] or {}
  table.insert(self.by_kind[fault.kind], one)
end

--- From now on what is said from this anchor has its time.
---@param name string
function World:anchor(name)
  if self.anchors[name] then return end
  local now = core_clock.now()
  self.anchors[name] = now
  self:note("anchor", { name = name })
  for _, one in ipairs(self.armed or {}) do
    if one.fault.anchor == name then
      one.from = now + (one.fault.after or 0)
      one["until"] = one.from + (one.fault.lasts or math.huge)
      one.earlier = self.calls[one.fault.name] or 0
    end
  end
end

--- A step begins: from now on what is said from it has its time.
---@param name string
function World:step_begins(name)
  for _, one in ipairs(self.armed or {}) do
    local wanted = one.fault.anchor and one.fault.anchor:match "^step:(.*)$"
    if wanted and M.means(wanted, name) then self:anchor(one.fault.anchor) end
  end
end

--- The active fault of a kind, for which fits(fault) is true.
---@param kind string
---@param fits? fun(fault: table, armed: table): boolean
---@return table? fault
function World:fault(kind, fits)
  local armed = self.by_kind and self.by_kind[kind]
  if not armed then return nil end
  local now = core_clock.now()
  for _, one in ipairs(armed) do
    if one.from and now >= one.from and now < one["until"] and (not fits or fits(one.fault, one)) then
      one.met = one.met + 1
      if not one.first_met then
        one.first_met = now
        self:note("fault", { fault = one.fault })
      end
      return one.fault
    end
  end
end

local function of_colour(colour) return function(fault) return fault.colour == colour or fault.colour == "both" end end

--- The active fault of a kind that a colour has.
function World:fault_of(kind, colour) return self.by_kind and self.by_kind[kind] and self:fault(kind, of_colour(colour)) end

--- When the next fault of the traffic begins or ends; until then nothing about it changes by itself.
---@return number seconds from now, number seconds since the last change
function World:calm()
  local now, soonest, latest = core_clock.now(), math.huge, self.changed_at or -math.huge
  for _, one in ipairs(self.armed or {}) do
    for _, edge in ipairs { one.from or math.huge, one["until"] or math.huge } do
      if edge > now then soonest = math.min(soonest, edge) else latest = math.max(latest, edge) end
    end
  end
  return soonest - now, now - latest
end

-- The engine --------------------------------------------------------------------------------------------------------------------------

-- Raises if the engine that is running this is no more: one that died, or one that another took over from.
function World:check_alive()
  if self.death then error(dead(self), 0) end
end

-- Is this the place at which a fault says that the engine dies?
local function dies_here(world, one, name)
  local fault = one.fault
  if fault.boundary then return fault.boundary == world.boundaries end
  if fault.at and fault.at ~= name then return false end
  if fault.during then
    local context = core_task.context()
    local step = context and context.step
    while step and not M.means(fault.during, step.name) do step = step.parent end
    if not step then return false end
  end
  one.places = (one.places or 0) + 1
  return one.places == (fault.nth or 1)
end

--- A place at which the engine can die: before and after each change, of the world or of the journal.
---@param name string
function World:boundary(name)
  -- A process that was killed tries nothing any more; one that lost its lease still could.
  if self.death == "lock_held" and not name:find "^journal " then self:note("tried", { what = name:match "^(.*): %a+$" or name }) end
  self:check_alive()
  self.boundaries = self.boundaries + 1
  self.boundary_name = name
  if self.effects and not name:find "^journal " then self.effects[#self.effects + 1] = self.boundaries end
  for _, one in ipairs(self.armed or {}) do
    local fault = one.fault
    if (fault.kind == "kill" or fault.kind == "lease") and dies_here(self, one, name) then
      one.met = one.met + 1
      local context = core_task.context()
      self:note("fault", { fault = fault, boundary = name, during = context and context.step and context.step.name })
      self.death = fault.kind == "kill" and "journal" or "lock_held"
      self.death_reason = fault.kind == "kill" and "kill -9" or "the lease was taken over"
      self.died_at, self.death_fault = core_clock.now(), fault
      error(dead(self), 0)
    end
  end
end

--- Another engine takes the run up.
function World:revive()
  self.death, self.death_reason = nil, nil
  self:note "revived"
end

-- How often something was asked for, and what goes wrong with it this time.
local function trouble(world, name)
  local n = (world.calls[name] or 0) + 1
  world.calls[name] = n
  if not world.armed then return nil end
  return world:fault("operation", function(fault, one)
    local nth = n - (one.earlier or 0) - (fault.nth or 1)
    return fault.name == name and nth >= 0 and nth < (fault.times or 1)
  end)
end

--- An operation on the world: takes its time, can fail before it happens ("fails"), after it happened ("lost": its answer never comes), or be slow.
---@param name string such as "traffic.set"
---@param seconds number how long it takes when all is well
---@param fn fun(): any what it does
---@return any result of fn, or nil and an error
function World:operation(name, seconds, fn)
  self:check_alive()
  local fault = trouble(self, name)
  local how = fault and fault.how
  if how then self:note("failed", { what = name, how = how, seconds = seconds }) end
  local takes = how == "slow" and math.max(seconds, fault.seconds or 30) or seconds
  if how == "lost" then
    fn()
    require("task").sleep(fault.seconds or 10)
    self:check_alive()
    return nil, core_err.new { code = "timeout", op = name, message = ("simulated: no answer within %g s"):format(fault.seconds or 10), retryable = true }
  end
  if takes > 0 then require("task").sleep(takes) end
  self:check_alive()
  if how == "fails" then return nil, core_err.new { code = fault.code or "io", op = name, message = fault.message or ("simulated: %s failed"):format(name) } end
  return fn()
end

-- Clients ------------------------------------------------------------------------------------------------------------------------------

--- Is a colour there and running?
---@return boolean, string? detail
function World:alive(colour)
  local one = self.colours[colour]
  if not one then return false, "it is not there" end
  if one.ended or self:fault_of("down", colour) then return false, "its process ended" end
  return true
end

--- How a colour answers clients now: the probability that a request fails, and that it is slow. Nil when nothing comes back at all.
---@param colour string
---@param of_itself? boolean it is asked whether it is well, as by its health address
---@return number? errors, number? slow
function World:answers(colour, of_itself)
  local one = self.colours[colour]
  if not one or one.ended or self:fault_of("down", colour) then return 1, 0 end
  if self:fault_of("hung", colour) then return nil end
  local scenario = self.scenario
  local errors, slow = scenario.errors, scenario.slow
  local burst, lag = self:fault_of("errors", colour), self:fault_of("slow", colour)
  if burst and not (of_itself and burst.of == "clients") then errors = math.max(errors, burst.rate) end
  if lag then slow = math.max(slow, lag.share) end
  if self:fault "database" then errors = 1 end
  if not self:lives_with_schema(one.release, one.database or self.database) then errors = math.max(errors, scenario.schema_errors) end
  return errors, slow
end

--- Does a release work with a database's schema? The old one may not with what the new one's migrations made of it; the new one needs them.
function World:lives_with_schema(release, database)
  if release == self.release then
    for _, version in ipairs(self.scenario.migrations) do if not database.applied[version] then return false end end
    return true
  end
  if self.scenario.migration ~= "breaking" then return true end
  for _, version in ipairs(self.scenario.migrations) do if database.applied[version] then return false end end
  return true
end

--- Takes into account what clients have written up to now; called before whatever changes how they are served.
function World:clients_write()
  local now = core_clock.now()
  local share = 0
  for _, colour in ipairs { "blue", "green" } do
    local errors = self:answers(colour)
    share = share + self.weights[colour] / 100 * (errors and 1 - errors or 0)
  end
  self.database.written = self.database.written + math.floor((now - self.written_at) * self.scenario.rps * self.scenario.writes * share)
  self.written_at = now
end

--- The address at which a colour is asked by itself.
---@param colour string
function World:base(colour)
  local venture = self.venture
  return "http://" .. (colour == "rehearsal" and venture.rehearsal and venture.rehearsal.address or venture.environment.addresses[colour] or colour)
end

--- The colours of this deployment: the one that gets the release, and the other.
World.new_colour, World.old_colour = "green", "blue"

--- The proxy gets new weights.
---@param shares table<string, integer>
function World:set_weights(shares)
  self:touch "traffic"
  self:clients_write()
  local before, seen = self.weights, self.seen
  self.weights = { blue = shares.blue, green = shares.green }
  self.changed_at = core_clock.now()
  self.quiet_since = self.quiet_since or {}
  for _, colour in ipairs { "blue", "green" } do
    if before[colour] > 0 and shares[colour] == 0 then self.quiet_since[colour] = self.changed_at end
  end
  self.seen = { requests = 0 }
  if shares.green ~= before.green then self.tested, self.served = {}, nil end
  self:note("weights", { blue = shares.blue, green = shares.green, before = before, seen = seen and seen.requests or 0, healthy = self.green_was_well,
    there = { blue = self.colours.blue ~= nil, green = self.colours.green ~= nil }, modes = { blue = self.modes.blue, green = self.modes.green } })
  if shares.green > 0 then
    self:anchor "traffic"
    self:anchor("stage:" .. shares.green)
  elseif before.green > 0 then
    self:anchor "rollback"
  end
end

--- What clients got of a colour in some seconds.
---@return table counts as of a feed's slot
function World:requests(colour, seconds)
  local draw, scenario = self.traffic, self.scenario
  local errors, slow = self:answers(colour)
  local n = errors and self.weights[colour] > 0 and draw:poisson(scenario.rps * self.weights[colour] / 100 * seconds) or 0
  local failed = draw:binomial(n, errors or 0)
  local late = draw:binomial(n, slow or 0)
  if failed > 0 then self.first_bad = self.first_bad or {} end
  if failed > 0 and not self.first_bad[colour] then self.first_bad[colour] = core_clock.wall() end
  return { requests = n, errors = failed, slow = late, client_errors = 0, aborted = 0, over = n > 0 and self:over(n, slow) or nil }
end

local QUANTILES = { 0.5, 0.25, 0.1, 0.05, 0.01 }

-- How many were slower than each of the baseline's frozen quantiles, which lie a little above them.
function World:over(n, slow)
  local z, counts = self.traffic:normal(), {}
  for i, share in ipairs(QUANTILES) do
    local p = math.max(share * 0.8, slow)
    counts[i] = math.max(0, math.min(n, math.floor(n * p + z * math.sqrt(n * p * (1 - p)) + 0.5)))
    if i > 1 then counts[i] = math.min(counts[i], counts[i - 1]) end
  end
  return counts
end

return M
