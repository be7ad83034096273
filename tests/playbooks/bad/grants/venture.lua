-- A sound configuration whose checks and parts reach for more than it grants.
return {
  name = "grants", id = 1,
  grants = { commands = { "kubectl" }, hosts = { "loopback", "api.example.test:443", "db.example.test" }, read = { "/etc/grants" }, write = { "/var/lib/grants" } },
  database = { url = secret "env:NOT_SET_ANYWHERE" },
  releases = { folder = "/srv/releases" },
  backup = { to = "/var/lib/grants/backups" },
  environment = { driver = "process", command = { "app" }, addresses = { blue = "127.0.0.1:1", green = "127.0.0.1:2" } },
  traffic = { socket = "/run/proxy.sock", backend = "app", servers = { blue = { "b1" }, green = { "g1" } }, public = "https://shop.example.test/" },
  metrics = { path = "/run/log.sock" },
  health = {
    { name = "granted", http = "https://api.example.test/health" },
    { name = "loopback", http = "http://127.0.0.1:8080/health" },
    { name = "own", http = "/health" },
    { name = "elsewhere", http = "https://status.example.test/health" },
    { name = "tool", command = { "helm", "status" } },
    { name = "only sent", http = "/hook", json = { url = "https://not.asked.test/" } },
    { name = "port", tcp = "cache.example.test:6379" },
    { name = "mail", smtp = { server = "smtp://mail.example.test", from = "a@b.test" } },
  },
  rehearsal = { address = "10.0.0.3:8003" },
  monitoring = { alertmanager = "http://alerts.example.test:9093", dashboards = { http = "https://not.asked.test/" } },
}
-- expect 15:34 `"https://status.example.test/health"` this reaches status.example.test:443, which the venture does not grant
-- expect 16:32 `{ "helm", "status" }` this runs helm, which the venture does not grant
-- expect 9:118 `"https://shop.example.test/"` this reaches shop.example.test:443, which the venture does not grant
-- expect 18:28 `"cache.example.test:6379"` this reaches cache.example.test:6379, which the venture does not grant
-- expect 19:40 `"smtp://mail.example.test"` this reaches mail.example.test:25, which the venture does not grant
-- expect 21:27 `"10.0.0.3:8003"` this reaches 10.0.0.3:8003, which the venture does not grant
-- expect 22:33 `"http://alerts.example.test:9093"` this reaches alerts.example.test:9093, which the venture does not grant
