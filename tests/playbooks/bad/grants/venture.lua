-- A sound configuration whose checks and parts reach for more than it grants.
return {
  name = "grants", id = 1,
  grants = { commands = { "kubectl" }, hosts = { "loopback", "api.example.test:443", "db.example.test" }, read = { "/etc/grants" }, write = { "/var/lib/grants" } },
  database = { url = secret "env:NOT_SET_ANYWHERE" },
  releases = { folder = "/srv/releases" },
  backup = { to = "/var/lib/grants/backups" },
  environment = { driver = "process", command = { "app" }, addresses = { blue = "127.0.0.1:1", green = "127.0.0.1:2" } },
  traffic = { socket = "/run/proxy.sock", backend = "app", servers = { blue = { "b1" }, green = { "g1" } } },
  metrics = { path = "/run/log.sock" },
  health = {
    { name = "granted", http = "https://api.example.test/health" },
    { name = "loopback", http = "http://127.0.0.1:8080/health" },
    { name = "own", http = "/health" },
    { name = "elsewhere", http = "https://status.example.test/health" },
    { name = "tool", command = { "helm", "status" } },
  },
}
-- expect 15:34 `"https://status.example.test/health"` this reaches status.example.test:443, which the venture does not grant
-- expect 16:32 `{ "helm", "status" }` this runs helm, which the venture does not grant
