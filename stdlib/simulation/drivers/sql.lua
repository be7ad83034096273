--- simulation.drivers.sql: stands in for module sql. The simulated database knows what the library itself asks: migrations, the venture's row, the
-- pool. What a team's playbook asks beyond that, its simulation.lua answers (`sql`).
--
-- Not simulated: that a transaction which fails takes back what it did before, locks, and statements that take long.

local answers = require "simulation.answers"
local core_err = require "core.err"
local core_search = require "core.search"
local files = require "files"
local world = require("simulation.current").world

local genuine = core_search.genuine "sql"

local M = { null = genuine.null, blob = genuine.blob }

local Db = {}
Db.__index = Db

local function failed(message) return nil, core_err.new { code = "sql", op = "query", message = "simulated: " .. message } end

-- The database that an address means: a scratch copy by its name, else the live one.
local function database_of(here, url) return type(url) == "string" and here.copies[url] or here.database end

function M.open(url)
  local here = world()
  here:check_alive()
  if here:fault "database" then return nil, core_err.new { code = "connect", op = "open database", message = "simulated: the database does not answer", retryable = true } end
  return setmetatable({ world = here, url = url, database = database_of(here, url) }, Db)
end

M.prepare = M.open

function Db:close() end
function Db:dialect() return "postgres" end
function Db:within() return self end

-- What a statement asks for, in the words of the library: pattern, then what it does.
local KNOWN = {
  { "^SELECT version, checksum FROM ", function(db)
    local rows = {}
    for version in pairs(db.database.applied) do rows[#rows + 1] = { version = version, checksum = files.sha256_text(version) } end
    table.sort(rows, function(a, b) return a.version < b.version end)
    return rows
  end },
  { "^SELECT current_workflow_stage FROM ", function(db) return { { current_workflow_stage = db.database.stage } } end },
  { "^UPDATE %S+ SET current_workflow_stage", function(db, stage)
    local here = db.world
    here:note("stage", { stage = stage, green = here.weights.green, served = here.served, tested = here.tested, planned = here.was_planned })
    db.database.stage = stage
    return {}
  end },
  { "^INSERT INTO %S+ %(version, checksum, applied_at%)", function(db, version)
    if db.database == db.world.database then db.world:note("migrated", { version = version }) end
    db.database.applied[version] = true
    if db.world.scenario.migration == "damaging" and db.database == db.world.database then db.database.damaged = true end
    return {}
  end },
  { "^CREATE TABLE IF NOT EXISTS ", function() return {} end },
  { "^%-%- simulated migration ", function() return {} end },
}

local WRITES = { INSERT = true, UPDATE = true, DELETE = true, CREATE = true, DROP = true, ALTER = true, TRUNCATE = true }

local function run(db, text, ...)
  local here = db.world
  here:check_alive()
  if here:fault "database" then return failed "the database went away" end
  if WRITES[(text:match "^%s*(%a+)" or ""):upper()] then here:touch "database" end
  for _, known in ipairs(KNOWN) do
    if text:find(known[1]) then return known[2](db, ...) end
  end
  local answer = answers.find(here.scenario.answers and here.scenario.answers.sql, text)
  if answer then return type(answer) == "function" and answer(here, ...) or answer end
  return failed(("nothing answers this statement: %s; say in the venture's simulation.lua what it gives: sql = { [\"part of it\"] = { { column = value } } }"):format(text))
end

function Db:query(text, ...) return run(self, text, ...) end

function Db:execute(text)
  local migration = text:match "^%-%- simulated migration "
  local seconds = migration and self.world.scenario.migration_s or 0
  return self.world:operation(migration and "migration" or "sql", seconds, function()
    local rows, err = run(self, text)
    return rows and true or nil, err
  end)
end

function Db:one(text, ...)
  local rows, err = run(self, text, ...)
  if not rows then return nil, err end
  return rows[1]
end

function Db:value(text, ...)
  local row, err = self:one(text, ...)
  if not row then return nil, err end
  local name, value = next(row)
  if name ~= nil and next(row, name) ~= nil then return failed(("a value was asked for, and the answer has several columns: %s"):format(text)) end
  return value
end

function Db:batch(statements)
  for _, statement in ipairs(statements) do
    local rows, err = run(self, table.unpack(statement))
    if not rows then return nil, err end
  end
  return true
end

-- What fails within a transaction has not happened: the changes that are known here come last in theirs.
function Db:transaction(fn)
  local ok, result, err = pcall(fn, self)
  if ok then return result, err end
  if core_err.is(result) and result.code ~= "journal" and result.code ~= "lock_held" and result.code ~= "canceled" then return nil, result end
  error(result, 0)
end

function M.pool_use(db)
  local fault = db.world:fault "pool"
  return { used = math.floor((fault and fault.share or 0.3) * 100), max = 100 }
end

return M
