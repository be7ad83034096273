--- configuration_schema: every key of a venture's configuration, its type, its default and what it means.
-- The reference prints this table; nothing else lists the keys.

local M = {}

local function record(keys, options)
  local description = options or {}
  description.type, description.keys = "record", keys
  return description
end

local function filled(keys, about) return record(keys, { fill = true, about = about }) end
local function text(about, required) return { type = "text", about = about, required = required } end
local function number(about, default, min, max) return { type = "number", about = about, default = default, min = min, max = max } end
local function list(items, about) return { type = "list", items = items, about = about } end
local STRING = { type = "string" }
-- Names of tables stand in SQL as they are; everything else is a parameter.
local function table_name(default, about) return { type = "string", default = default, about = about, pattern = "^[%a_][%w_.]*$", must_be = "the name of a table" } end

-- One check. Exactly one of the kinds (http, sql, command, ...) says what is looked at.
M.check = record {
  name = { type = "string", required = true, about = "what is checked, in words" },
  critical = { type = "boolean", default = true, about = "false: a failure is reported and does not stop the run" },
  timeout = number("seconds", 10, 0.01, 3600),
  attempts = number("how many times it is tried before it counts as failed: a healthy service fails one request in a thousand too", 2, 1, 1000),
  interval = number("seconds between attempts", 0.5, 0.001, 600),
  http = text "address; one that begins with / is asked of the colour under test",
  method = STRING,
  headers = { type = "map", items = { type = "text" } },
  body = { type = "any" },
  json = { type = "any", about = "body to send as JSON" },
  expect = { type = "any", about = "http: status or list of statuses (200); sql: the value; command: exit code (0)" },
  contains = { type = "string", about = "text that the answer must contain" },
  field = { type = "map", about = "fields of the JSON answer and their values" },
  sql = { type = "string", about = "a query that gives one value" },
  params = list { type = "any" },
  at_least = { type = "number", about = "sql: the value must be at least this" },
  database = text "sql: another database than the venture's own",
  command = list(STRING, "argv of a command that must exit 0"),
  tcp = { type = "string", about = "host:port that must accept a connection" },
  smtp = record { server = text("smtp://host:port", true), from = { type = "string", required = true }, to = list(STRING) },
  stripe = record { url = text("base address", true), key = text("secret test key", true), amount = { type = "integer", default = 100 }, currency = { type = "string", default = "usd" } },
  supabase = record { url = text("status address", true) },
  vault = record { url = text("base address", true), token = text("token", true), path = { type = "string", required = true } },
  env = list(STRING, "environment variables that must be set"),
  log = record { path = { type = "string", required = true }, pattern = { type = "string", default = "CRITICAL" }, lines = { type = "integer", default = 2000 } },
  migrations = { type = "boolean", about = "true: all migrations of the serving release must have been applied" },
  flow = list({ type = "any" }, "a sequence of HTTP steps; each may save fields for the next"),
}
M.check.meant = { url = "http", uri = "http", address = "http", query = "sql", cmd = "command", argv = "command", exec = "command", port = "tcp" } -- what others call them

M.venture = record {
  name = { type = "string", required = true, about = "the venture's name" },
  id = { type = "any", required = true, about = "the id of its row in the table ventures" },
  mode = { type = "string", one_of = { "manual", "assisted", "auto" }, default = "assisted", about = "manual asks before each step, assisted before effects, auto never" },
  journal = text "postgres://...: a journal that several machines share, instead of a file in the state folder",
  journal_wait = number("seconds that a run waits for a shared journal that is away, before this engine ends its part; the run can be resumed", 600, 1, 86400),
  guardian = record({
    action = { type = "string", one_of = { "rollback", "resume", "off" }, default = "rollback", about = "when the engine died while traffic had moved: take traffic back, go on with the run, or start no guardian" },
    grace = number("seconds that somebody has to resume the run by hand first", 30, 0, 86400),
  }, { about = "who acts when the engine of a run dies", fill = true }),
  grants = record({
    commands = list(STRING, "programs that may be run"),
    hosts = list(STRING, "hosts that may be asked; loopback: this machine"),
    read = list(STRING, "folders that may be read"),
    write = list(STRING, "folders that may be written"),
  }, { about = "what playbooks may reach; anything else is refused, and the refusal says what to add here" }),
  vault = record({ url = text("base address of the vault", true), token = text("its token", true) }, { about = 'where secret "vault:PATH#KEY" is looked up' }),
  database = record({ url = text("postgres://... or sqlite:/path", true) }, { about = "the venture's own database", required = true }),
  releases = record({
    folder = { type = "string", default = "releases", about = "one folder a release, in the venture's folder" },
  }, { about = "where the releases are", fill = true }),
  gates = list(M.check, "30.0: evidence that the deployment may begin"),
  environment = record({
    driver = { type = "string", one_of = { "process", "command" }, default = "process", about = "process: the engine starts the application itself; command: your own commands make a colour" },
    command = list(STRING, "process: argv; {release}, {port}, {host}, {colour} and {database} are filled in"),
    database = { type = "string", about = "the database's address as the application gets it, {database} in command; a list of processes shows it, so it holds no password" },
    provision = list(STRING, "command: argv that makes a colour"),
    destroy = list(STRING, "command: argv that removes a colour"),
    alive = list(STRING, "command: argv that exits 0 while a colour lives"),
    env = { type = "map", items = { type = "text" }, about = "variables of its environment" },
    addresses = record({ blue = STRING, green = STRING }, { required = true, about = "host:port of each colour" }),
    health = { type = "string", default = "/health", about = "path that answers 200 when a colour is up" },
    start_timeout = number("seconds until a new colour must be healthy", 60, 1, 3600),
    stop_grace = number("seconds that a process has to end by itself", 10, 0, 600),
  }, { about = "how a colour is made and removed, and where it answers", required = true }),
  rehearsal = record({ address = { type = "string", required = true, about = "where the old release runs on a migrated copy of the database, before the live one is migrated" } }, { about = "a trial of the migrations on a copy, before the live database is migrated" }),
  migrations = record({
    folder = { type = "string", default = "migrations", about = "SQL files in the release's folder, applied in the order of their names" },
    table = table_name("schema_migrations", "the table that says which were applied"),
    timeout = number("seconds that all of them may take", 300, 1, 86400),
  }, { about = "the changes of the schema that a release brings", fill = true }),
  traffic = record({
    driver = { type = "string", one_of = { "haproxy", "command" }, default = "haproxy", about = "haproxy: through its Runtime API; command: your own commands move traffic" },
    socket = { type = "string", about = "haproxy: path of the Runtime API socket or host:port" },
    backend = { type = "string", about = "haproxy: name of the backend" },
    servers = record({ blue = list(STRING), green = list(STRING) }, { about = "haproxy: the names of each colour's servers in the backend" }),
    get = list(STRING, "command: argv that prints the weights"),
    set = list(STRING, "command: argv that sets them"),
    ready = list(STRING, "command: argv after which a colour takes requests"),
    drain = list(STRING, "command: argv after which it gets no new ones"),
    maintenance = list(STRING, "command: argv after which it gets none"),
    drain_timeout = number("seconds that open connections have to end", 30, 0, 3600),
    public = text "address at which clients reach the venture; the serving version is read there",
  }, { about = "the proxy in front of both colours", required = true }),
  metrics = record({
    driver = { type = "string", one_of = { "haproxy_log", "nginx_log", "haproxy_stats", "prometheus", "none" }, default = "haproxy_log",
      about = "how requests are seen: each one in the proxy's log (best), by its counters, by what the colours expose, or not at all (health checks alone)" },
    path = { type = "string", about = "logs: the unix datagram socket that the engine opens; holds few lines, see udp" },
    udp = { type = "port", about = "logs, instead of path: the UDP port on loopback that it opens, which loses nothing at high rates" },
    endpoint = { type = "string", default = "/metrics", about = "prometheus: where a colour exposes its figures" },
    requests = { type = "string", default = "http_requests_total", about = "prometheus: the counter of requests" },
    errors = { type = "string", default = "http_errors_total", about = "prometheus: the counter of failed requests" },
    duration = { type = "string", default = "http_request_duration_seconds", about = "prometheus: the histogram of durations" },
  }, { about = "how requests are seen", fill = true }),
  health = list(M.check, "30.1.1: what a healthy colour looks like"),
  dependencies = filled({ external = list(M.check, "of others"), internal = list(M.check, "of its own") }, "30.1.2: what the venture needs of others, and of its own servers"),
  backup = record({
    to = { type = "string", required = true, about = "folder of the backups" },
    files = list(STRING, "file trees to back up"),
    store = { type = "string", about = "a second place: s3://BUCKET/PREFIX?endpoint=..&region=..; keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" },
    incremental = { type = "boolean", default = false, about = "what is proven unchanged since the latest verified backup in `to` is taken over from it; PostgreSQL alone" },
    passphrase = text("encrypts the backups; openssl reads them with it"),
    drill = { type = "boolean", default = true, about = "restore into a scratch database and compare" },
    warm = { type = "boolean", default = true, about = "keep the restored copy until the run ends, so that a database rollback is a swap; needs the space of one more database" },
    timeout = number("seconds that backup and drill may take, each", 1800, 1, 86400),
  }, { about = "30.1.3: the backup that is taken, verified and restored before anything changes", required = true }),
  canary = record({
    stages = { type = "list", items = { type = "integer", min = 1, max = 100 }, default = { 10, 50, 100 }, about = "percent of the requests, one stage after the other" },
    watch = number("seconds a stage lasts at least", 300, 0.5, 86400),
    max_watch = number("seconds it may be extended to while the evidence is short", 600, 0.5, 86400),
    max_bake = number("the same for the last stage", 3600, 0.5, 86400),
    advance = { type = "string", one_of = { "time", "evidence" }, default = "time", about = "evidence: a stage ends when its gate opens, after minimum and bake instead of watch" },
    minimum = number("advance = \"evidence\": seconds a stage lasts at least", 60, 0.5, 86400),
    bake = number("advance = \"evidence\": seconds the last stage lasts at least", 900, 0.5, 86400),
    warm = number("seconds in which the serving colour is measured before traffic moves", 10, 0.5, 3600),
    hold_limit = number("seconds without data, or with both colours bad, after which traffic goes back", 3600, 1, 86400),
    false_alarm = number("the probability that a good release is rolled back, for the whole deployment", 1e-4, 1e-12, 0.5),
    rules = record({
      R2 = { type = "boolean", default = true, about = "roll back above target_error_rate too, when the other colour does better" },
      L2 = { type = "boolean", default = true, about = "wait when slower than the other colour at the same moment" },
    }, { fill = true }),
    target_error_rate = number("promotion needs less than this", 0.01, 0.0001, 0.5),
    error_rate = number("rollback above this", 0.05, 0.001, 0.9),
    p95_ms = number("milliseconds; slower requests are slow, more than 5 % of them roll back", 500, 1, 600000),
    pool = number("share of the connection pool; above it promotion waits", 0.80, 0, 1),
    cpu = number("share of the machine's CPU; above it promotion waits", 0.70, 0, 1),
    memory = number("share of the machine's memory; above it promotion waits", 0.90, 0, 1),
    min_requests = number("a stage needs at least as many requests", 100, 1, 1e9),
  }, { about = "30.2.2: how traffic moves to the new colour, and when it goes on or back", fill = true }),
  smoke = list(M.check, "30.2.3 and 30.3.1"),
  flows = list(M.check, "30.2.3: the critical user flows"),
  invariants = list(M.check, "what must be true of the data whatever the release; a failure means the data is damaged"),
  monitoring = filled({
    checks = list(M.check, "that the figures arrive"),
    dashboards = { type = "map", items = STRING, about = "name -> address, for the handoff" },
    business = list(M.check, "business figures: active users, transactions"),
    rules = { type = "string", about = "path where the Prometheus alert rules are written" },
    alertmanager = text "base address of Alertmanager's API",
    receiver = text "address that answers 200 when the alert {id} has arrived",
    timeout = number("seconds until the test alert must have arrived", 30, 0.1, 600),
  }, "30.2.3 and 30.3.2"),
  rollback = filled({
    watch = number("seconds that error rates are watched after a traffic rollback", 300, 0.5, 86400),
    docs = { type = "string", about = "the rollback's documentation; must exist and not be empty" },
  }, "after traffic went back"),
  exit = filled({
    table = table_name("ventures", "the table with the venture's row"),
    stage = { type = "integer", default = 31, about = "the stage that its row moves to" },
  }, "30.4: what is written when the release is promoted"),
  approvals = filled({ timeout = number("seconds that somebody has to answer", 3600, 0.1, 604800) }, "questions that a run asks people"),
  console = filled({
    environment = { type = "string", about = "what the console's prompt calls it: prod, staging" },
    read_only = list(list(STRING), "argv prefixes of commands that only look, such as { \"kubectl\", \"get\" }: a console that is not armed runs them"),
  }, "engine repl"),
  owner = { type = "string", about = "who answers for the venture" },
}

return M
