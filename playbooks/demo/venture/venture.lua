-- The demo's venture. Addresses come from the environment, because the demo uses free ports.

local function stand_in(path) return env "DEMO_STAND_INS" .. path end

return {
  name = "demo",
  id = "demo",
  owner = "release engineering",
  mode = "auto",

  -- What the playbooks may reach. Anything else is refused, and the refusal says what to add here.
  grants = { hosts = { "loopback" }, write = { env "DEMO_WORLD" } },

  database = { url = secret "env:DEMO_DATABASE" },
  releases = { folder = env "DEMO_RELEASES" },
  vault = { url = stand_in "/vault", token = secret "env:DEMO_VAULT_TOKEN" },

  gates = {
    { name = "stage 29 complete", sql = "SELECT current_workflow_stage FROM ventures WHERE id = $1", params = { "{venture_id}" }, at_least = 29 },
    { name = "release candidate approved", params = { "{release}", "{digest}" }, expect = 1,
      sql = "SELECT count(*) FROM approvals WHERE subject = 'release candidate' AND version = $1 AND digest = $2" },
    { name = "chairman's approval received", params = { "{release}" }, expect = 1,
      sql = "SELECT count(*) FROM approvals WHERE subject = 'chairman' AND version = $1" },
    { name = "security baseline in place", params = { "{release}" }, expect = 1,
      sql = "SELECT count(*) FROM approvals WHERE subject = 'security baseline' AND version = $1" },
  },

  health = {
    { name = "database answers", sql = "SELECT 1", expect = 1 },
    { name = "application answers", http = "/health", field = { status = "ok" } },
    { name = "metrics endpoint", http = "/metrics", contains = "http_requests_total" },
    { name = "no critical errors in the log", log = { path = env "DEMO_LOGS" .. "/{colour}-{version}.log", pattern = "CRITICAL" } },
    { name = "dashboard refuses strangers", http = "/dashboard", expect = 401 },
  },

  dependencies = {
    external = {
      { name = "Supabase status", supabase = { url = stand_in "/supabase/status" } },
      { name = "Stripe test transaction", stripe = { url = stand_in "/stripe", key = secret "vault:secret/data/demo#stripe_key" } },
      { name = "test e-mail", smtp = { server = env "DEMO_MAIL", from = "release@demo.test", to = { "ops@demo.test" } } },
    },
    internal = {
      { name = "migrations applied", migrations = true },
      { name = "environment variables", env = { "DEMO_DATABASE", "DEMO_VAULT_TOKEN" } },
      { name = "secrets vault", vault = { url = stand_in "/vault", token = secret "env:DEMO_VAULT_TOKEN", path = "secret/data/demo" } },
      { name = "proxy accepts connections", tcp = env "DEMO_PROXY" },
    },
  },

  backup = { to = env "DEMO_BACKUPS", files = { env "DEMO_UPLOADS" } },

  environment = {
    driver = "process",
    command = { env "DEMO_ENGINE", "{folder}/application.lua", "--port", "{port}", "--database", "{database}" },
    database = env "DEMO_DATABASE_URL",
    addresses = { blue = env "DEMO_BLUE", green = env "DEMO_GREEN" },
    health = "/health",
    start_timeout = 20,
    stop_grace = 10,
  },

  rehearsal = { address = env "DEMO_REHEARSAL" },

  traffic = {
    driver = "haproxy",
    socket = env "DEMO_HAPROXY",
    backend = "app",
    servers = { blue = { "blue1" }, green = { "green1" } },
    public = env "DEMO_PUBLIC",
    drain_timeout = 15,
  },

  metrics = { driver = "haproxy_log", udp = env "DEMO_LOG_PORT" },

  -- The procedure watches five minutes a stage; the demo goes by evidence, which is there in seconds.
  -- Its machine is shared with whatever else runs there, so neither a busy CPU nor a few milliseconds are a reason to wait.
  canary = { stages = { 10, 50, 100 }, advance = "evidence", minimum = 5, bake = 8, warm = 3, max_watch = 120, max_bake = 120, cpu = 1, memory = 1,
    rules = { L2 = false } },
  rollback = { watch = 5, docs = "rollback.md" },

  smoke = {
    { name = "create, read, update, delete", flow = {
      { name = "log in", http = "/login", json = { email = "smoke@demo.test", password = "smoke" }, save = { token = "token" } },
      { name = "create", http = "/ventures", json = { name = "smoke {unique}", budget_cents = 1200 }, headers = { authorization = "Bearer {token}" }, expect = 201, save = { id = "id" } },
      { name = "read", http = "/ventures/{id}", headers = { authorization = "Bearer {token}" }, field = { name = "smoke {unique}", budget_cents = 1200 } },
      { name = "update", http = "/ventures/{id}", method = "PUT", json = { name = "renamed {unique}" }, headers = { authorization = "Bearer {token}" } },
      { name = "read the update", http = "/ventures/{id}", headers = { authorization = "Bearer {token}" }, field = { name = "renamed {unique}" } },
      { name = "delete", http = "/ventures/{id}", method = "DELETE", headers = { authorization = "Bearer {token}" }, expect = 204 },
      { name = "it is gone", http = "/ventures/{id}", headers = { authorization = "Bearer {token}" }, expect = 404 },
    } },
    { name = "wrong password is refused", http = "/login", json = { email = "smoke@demo.test", password = "wrong" }, expect = 401 },
  },

  flows = {
    { name = "authentication and dashboard", flow = {
      { http = "/login", json = { email = "smoke@demo.test", password = "smoke" }, save = { token = "token" } },
      { http = "/dashboard", headers = { authorization = "Bearer {token}" }, contains = "<h1>Dashboard</h1>" },
    } },
    { name = "venture creation", flow = {
      { http = "/login", json = { email = "smoke@demo.test", password = "smoke" }, save = { token = "token" } },
      { http = "/ventures", json = { name = "flow {unique}", budget_cents = 100 }, headers = { authorization = "Bearer {token}" }, expect = 201, save = { id = "id" } },
      { http = "/ventures/{id}", method = "DELETE", headers = { authorization = "Bearer {token}" }, expect = 204 },
    } },
    { name = "database queries", sql = "SELECT count(*) FROM users", at_least = 1 },
  },

  invariants = {
    { name = "budgets agree with the ledger", expect = 0,
      sql = "SELECT count(*) FROM ventures v WHERE v.budget_cents <> (SELECT coalesce(sum(l.amount_cents), 0) FROM ledger l WHERE l.venture_id = v.id)" },
    { name = "every venture has an owner", expect = 0,
      sql = "SELECT count(*) FROM ventures v WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = v.owner_id)" },
  },

  monitoring = {
    checks = { { name = "application metrics", http = "/metrics", contains = "http_request_duration_seconds_bucket" } },
    business = { { name = "active users", sql = "SELECT count(DISTINCT user_id) FROM sessions", at_least = 1 } },
    dashboards = { application = env "DEMO_PUBLIC" .. "/metrics" },
    rules = env "DEMO_RULES",
    alertmanager = stand_in "/alertmanager",
    receiver = stand_in "/alerts/{id}",
    timeout = 10,
  },
}
