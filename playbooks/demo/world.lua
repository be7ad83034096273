-- The demo's world: a database, stand-ins, HAProxy, the application at 1.0 as blue, and clients. Every
-- part is a real process on loopback, waited for by what it answers, and ended by its pid.

-- What clients do is no part of the run: its time and random numbers are not recorded with it.
local clock = require "core.clock"
local environment = require "environment"
local files = require "files"
local http = require "http"
local migrations = require "migrations"
local net = require "net"
local process = require "process"
local random = require "core.random"
local release = require "release"
local sql = require "sql"

local M = {}

local World = {}
World.__index = World

local function wait_for(what, seconds, ready)
  deadline(seconds, function()
    while not ready() do sleep(0.05) end
  end)
  return what
end

local HAPROXY = [[
global
  log 127.0.0.1:%LOG_PORT% len 4096 local0
  stats socket %ADMIN_SOCKET% mode 600 level admin
  maxconn 2000
  hard-stop-after 10s

defaults
  mode http
  log global
  option httplog
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  timeout queue 5s
  option redispatch 1

frontend public
  bind 127.0.0.1:%PUBLIC_PORT%
  default_backend app

backend app
  balance roundrobin
  server blue1 %BLUE% weight 100
  server green1 %GREEN% weight 0 disabled
]]

function World:start(name, argv, options)
  local handle = expect(process.spawn { argv = argv, log = ("%s/%s.log"):format(self.folder, name), env = options and options.env, cwd = options and options.cwd })
  self.processes[#self.processes + 1] = { name = name, handle = handle }
  return handle
end

local function as_postgres(argv)
  local out = { "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups" }
  for _, word in ipairs(argv) do out[#out + 1] = word end
  return out
end

-- A PostgreSQL cluster of its own; it refuses to run as root, so it runs as the package's user.
function World:start_postgres()
  local root = process.run { argv = { "id", "-u" } }.stdout:match "%d+" == "0"
  local bin = expect(files.list "/usr/lib/postgresql")
  table.sort(bin, function(a, b) return tonumber(a) > tonumber(b) end)
  local programs = "/usr/lib/postgresql/" .. bin[1] .. "/bin/"
  local data = expect(files.mkdtemp "/tmp/engine-demo-postgres-")
  self.postgres_data = data
  local wrap = root and as_postgres or function(argv) return argv end
  if root then expect(process.run { argv = { "chown", "postgres:postgres", data }, check = true }) end
  expect(process.run { argv = wrap { programs .. "initdb", "-D", data .. "/db", "-A", "trust", "-U", "demo", "--data-checksums", "--no-sync", "-E", "UTF8", "--locale=C" }, timeout = 60, check = true })
  local port = net.free_port()
  self.postgres_argv = wrap { programs .. "postgres", "-D", data .. "/db", "-p", tostring(port), "-c", "listen_addresses=127.0.0.1", "-k", data, "-c", "max_connections=60" }
  self.postgres_port = port
  self:boot_postgres()
  local admin = expect(sql.open(("postgres://demo@127.0.0.1:%d/postgres"):format(port)))
  -- The application has a role of its own: a restore can keep it out for a moment and still come in.
  expect(admin:execute "CREATE ROLE shop LOGIN")
  expect(admin:execute "CREATE DATABASE demo OWNER shop")
  admin:close()
  self.application_database = ("postgres://shop@127.0.0.1:%d/demo"):format(port)
  return ("postgres://demo@127.0.0.1:%d/demo"):format(port)
end

function World:boot_postgres()
  self.postgres = self:start("postgres", self.postgres_argv, { cwd = self.postgres_data })
  wait_for("postgres", 30, function()
    local db = sql.open(("postgres://demo@127.0.0.1:%d/postgres"):format(self.postgres_port), { timeout = 2 })
    if not db then return false end
    local one = db:value "SELECT 1"
    db:close()
    return one == 1
  end)
end

local function seed(db, candidate)
  local now = clock.utc()
  expect(db:transaction(function(tx)
    local function insert(text, ...) assert(tx:query(text, ...)) end
    for i = 1, 8 do insert("INSERT INTO users (id, email, password) VALUES ($1, $2, $3)", "user" .. i, ("client%d@demo.test"):format(i), "secret" .. i) end
    insert("INSERT INTO users (id, email, password) VALUES ($1, $2, $3)", "smoke", "smoke@demo.test", "smoke")
    insert("INSERT INTO ventures (id, name, owner_id, budget_cents, current_workflow_stage, updated_at) VALUES ('demo', 'demo', 'user1', 0, 30, $1)", now)
    for i = 1, 200 do
      local id = ("seed%03d"):format(i)
      insert("INSERT INTO ventures (id, name, owner_id, budget_cents, updated_at) VALUES ($1, $2, $3, $4, $5)", id, "venture " .. i, "user" .. (i % 8 + 1), i * 101, now)
      insert("INSERT INTO ledger (id, venture_id, amount_cents) VALUES ($1, $2, $3)", "l" .. id, id, i * 101)
    end
    for i = 1, 400 do insert("INSERT INTO archive (id, body) VALUES ($1, $2)", ("a%04d"):format(i), ("nobody reads this any more "):rep(40)) end
    for _, subject in ipairs { "release candidate", "chairman", "security baseline" } do
      insert("INSERT INTO approvals (subject, version, digest, approved_by, approved_at) VALUES ($1, $2, $3, $4, $5)", subject, candidate.version, candidate.digest, "the chairman", now)
    end
    return true
  end))
end

-- A bad disk: some bytes in the middle of a table that nobody reads change. The application does not notice.
function World:damage_archive(db)
  if self.database:match "^sqlite:" then
    expect(db:query "PRAGMA wal_checkpoint(TRUNCATE)")
    local path = self.database:match "^sqlite:(.*)$"
    local page = expect(db:value "SELECT max(pageno) FROM dbstat WHERE name = 'archive'")
    local size = expect(db:value "PRAGMA page_size")
    db:close()
    expect(process.run { argv = { "dd", "if=/dev/urandom", "of=" .. path, "bs=" .. size, "seek=" .. page - 1, "count=1", "conv=notrunc" }, check = true })
  else
    local path = expect(db:value "SELECT pg_relation_filepath('archive')")
    db:close()
    expect(process.stop(self.postgres, { grace = 20 }))
    expect(process.run { argv = { "dd", "if=/dev/urandom", "of=" .. self.postgres_data .. "/db/" .. path, "bs=1", "seek=9000", "count=64", "conv=notrunc" }, check = true })
    self:boot_postgres()
  end
end

local function bytes_of(text, values) return (text:gsub("%%([%u_]+)%%", values)) end

--- Builds the whole world in `folder`. options: fault, postgres, source (the folder of these files), pause (seconds between a client's requests).
function M.build(folder, options)
  local self = setmetatable({ folder = folder, processes = {}, options = options, sent = 0, failed = 0, failures = {} }, World)
  self.engine = process.self().exe
  self.releases = folder .. "/releases"
  expect(files.mkdir(folder .. "/uploads"))
  expect(files.write(folder .. "/uploads/logo.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>\n"))
  require("demo.releases").build(options.source, self.releases, options.fault)

  self.database = options.postgres and self:start_postgres() or ("sqlite:" .. folder .. "/demo.db")
  self.application_database = self.application_database or self.database
  self.addresses = { blue = "127.0.0.1:" .. net.free_port(), green = "127.0.0.1:" .. net.free_port() }
  local ports = { public = net.free_port(), stand_ins = net.free_port(), mail = net.free_port(), log = net.free_port(), rehearsal = net.free_port() }
  self.public = ("http://127.0.0.1:%d"):format(ports.public)
  self.admin_socket = folder .. "/haproxy.sock"
  self.environment_variables = {
    DEMO_DATABASE = self.database, DEMO_DATABASE_URL = self.application_database, DEMO_RELEASES = self.releases, DEMO_VAULT_TOKEN = "demo-vault-token",
    DEMO_STAND_INS = ("http://127.0.0.1:%d"):format(ports.stand_ins), DEMO_MAIL = ("smtp://127.0.0.1:%d"):format(ports.mail),
    DEMO_PROXY = "127.0.0.1:" .. ports.public, DEMO_PUBLIC = self.public, DEMO_HAPROXY = self.admin_socket, DEMO_LOG_PORT = tostring(ports.log), DEMO_REHEARSAL = "127.0.0.1:" .. ports.rehearsal,
    DEMO_BLUE = self.addresses.blue, DEMO_GREEN = self.addresses.green, DEMO_BACKUPS = folder .. "/backups", DEMO_UPLOADS = folder .. "/uploads",
    DEMO_WORLD = folder, DEMO_LOGS = folder .. "/state/environment", DEMO_ENGINE = self.engine, DEMO_RULES = folder .. "/alerts.yml",
  }

  -- The database at release 1.0, with its rows and the approvals of 1.1.
  local venture = { folder = folder, releases = { folder = self.releases }, migrations = { folder = "migrations", table = "schema_migrations" } }
  local first, candidate = expect(release.open(venture, "1.0")), expect(release.open(venture, "1.1"))
  local db = expect(sql.open(self.database, { timeout = 30 }))
  if not options.postgres then expect(db:query "PRAGMA journal_mode = WAL") end
  if options.postgres then expect(db:execute "SET ROLE shop") end -- the tables are the application's
  expect(migrations.apply(db, first.migrations, "schema_migrations"))
  seed(db, candidate)
  if options.postgres then expect(db:execute "RESET ROLE") end
  if options.fault == "backup" then self:damage_archive(db) else db:close() end

  local stand_ins = { self.engine, options.source .. "/stand_ins.lua", "--port", tostring(ports.stand_ins), "--mail-port", tostring(ports.mail) }
  if options.fault == "dependency" then stand_ins[#stand_ins + 1] = "--down=stripe" end
  self:start("stand-ins", stand_ins)
  wait_for("stand-ins", 15, function()
    local response = http.get(("http://127.0.0.1:%d/health"):format(ports.stand_ins), { timeout = 2 })
    return response and response.status == 200
  end)

  -- Blue is provisioned by the same driver that the deployment uses, into the same state folder.
  self.state = folder .. "/state"
  local colours = environment.open({ folder = folder, environment = {
    driver = "process", addresses = self.addresses, stop_grace = 5,
    command = { self.engine, "{folder}/application.lua", "--port", "{port}", "--database", self.application_database },
  } }, self.state)
  self.colours = colours
  expect(colours:provision("blue", first))

  expect(files.write(folder .. "/haproxy.cfg", bytes_of(HAPROXY, { LOG_PORT = ports.log, ADMIN_SOCKET = self.admin_socket,
    PUBLIC_PORT = ports.public, BLUE = self.addresses.blue, GREEN = self.addresses.green })))
  self:start("haproxy", { "haproxy", "-db", "-f", folder .. "/haproxy.cfg" })
  wait_for("blue behind the proxy", 20, function() return self:served_version() == "1.0" end)
  return self
end

function World:served_version()
  local response = http.get(self.public .. "/health", { timeout = 2 })
  local document = response and response.status == 200 and response:json()
  return document and document.version
end

-- One client: logs in, then reads its dashboard, creates ventures and reads them back.
function World:client(number)
  local token
  local function ask(method, path, body, wanted)
    self.sent = self.sent + 1
    local response, err = http.request { url = self.public .. path, method = method, json = body, timeout = 10,
      headers = token and { authorization = "Bearer " .. token } or nil }
    if response and response.status == 401 and token then token = nil end
    if response and response.status == wanted then return response end
    self.failed = self.failed + 1
    self.failures[#self.failures + 1] = { at = clock.utc(), what = method .. " " .. path, why = response and tostring(response.status) or err.message }
  end
  while not self.stopping do
    if not token then
      local response = ask("POST", "/login", { email = ("client%d@demo.test"):format(number), password = "secret" .. number }, 200)
      token = response and response:json().token
    else
      ask("GET", "/dashboard", nil, 200)
      if random.integer(1, 8) == 1 then
        local made = ask("POST", "/ventures", { name = "made by client " .. number, budget_cents = random.integer(1, 5000) }, 201)
        if made then ask("GET", "/ventures/" .. made:json().id, nil, 200) end
      end
    end
    sleep(self.options.pause or 0.04)
  end
end

--- Clients ask from now on until stop_clients.
function World:start_clients()
  self.clients, self.stopping = {}, false
  for number = 1, 8 do self.clients[number] = background(function() self:client(number) end) end
  wait_for("the first answers", 15, function() return self.sent - self.failed >= 50 end)
end

function World:stop_clients()
  self.stopping = true
  for _, client in ipairs(self.clients or {}) do client:join() end
  self.clients = nil
end

--- The fault "crash" is the machine's: as soon as green has traffic, it is killed, as by the OOM killer.
function World:kill_green_under_traffic()
  if self.killer then self.killer:cancel "the world begins anew" end
  self.killer = background(function()
    local lb = expect(require("traffic").open { driver = "haproxy", socket = self.admin_socket, backend = "app", servers = { blue = { "blue1" }, green = { "green1" } } })
    local served
    repeat
      sleep(0.1)
      served = 0
      local weights = lb:get()
      for _, row in ipairs(weights and weights.servers or {}) do
        if row.server == "green1" and weights.green > 0 then served = row.stot or 0 end
      end
    until served >= 20
    local record = expect(require("json").decode(expect(files.read(self.state .. "/environment/green.json"))))
    expect(process.stop({ pid = record.pid, started = record.started }, { grace = 0 }))
    print "demo: green was killed, as the OOM killer would"
  end)
end

--- Ends everything that was started, last first, and removes PostgreSQL's data.
function World:stop()
  self.stopping = true
  if self.colours then
    for _, colour in ipairs { "green", "blue" } do self.colours:destroy(colour) end
  end
  for i = #self.processes, 1, -1 do process.stop(self.processes[i].handle, { grace = 10 }) end
  if self.postgres_data then files.remove_tree(self.postgres_data) end
end

return M
