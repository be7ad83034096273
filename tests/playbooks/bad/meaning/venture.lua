-- A venture whose keys and kinds of values are right, and which cannot work.
return {
  name = "meaning", id = 1,
  mode = "assisted", owner = "somebody", mode = "auto",
  database = { url = "postgres://app:not-a-secret-1@127.0.0.1/app" },
  backup = { to = "/var/lib/meaning/backups" },
  environment = { command = { "{dir}/start" }, addresses = { blue = "127.0.0.1:1", green = "127.0.0.1:1" } },
  traffic = { socket = "/run/proxy.sock", backend = "app", servers = { blue = { "b1" }, green = { "g1" } }, public = env("NOT_SET_MEANING", "shop.example.test") },
  metrics = { udp = 99999 },
  canary = { stages = { 10, 50 }, watch = "5m" },
  gates = { { name = "approved", sql = "SELECT count(*) FROM approvals WHERE version = $1 AND digest = $2", params = { "{digst}" } } },
  health = { { name = "up", url = "/health" } },
}
-- expect 4:42 `mode` 'mode' is given twice in this table, in line 4 too
-- expect 5:22 `"` database.url: a password stands in this postgres address in clear
-- expect 7:31 `"{dir}/start"` environment.command[1]: there is no {dir} to fill in; did you mean {folder}?
-- expect 7:92 `"127.0.0.1:1"` environment.addresses.green: '127.0.0.1:1' is environment.addresses.blue too
-- expect 8:118 `env("NOT_SET_MEANING", "shop.example.test")` traffic.public: 'shop.example.test' is no http:// or https:// address
-- expect 9:21 `99999` metrics.udp: '99999' is no port
-- expect 10:23 `{ 10, 50 }` canary.stages: must end with 100, but ends with 50
-- expect 10:43 `"5m"` canary.watch: must be a number, but is string
-- expect 11:118 `{ "{digst}" }` gates[1].params: the sql has $1 to $2, but params gives 1
-- expect 11:120 `"{digst}"` gates[1].params[1]: there is no {digst} to fill in; did you mean {digest}?
-- expect 12:29 `url` health[1].url: unknown key 'url'; did you mean 'http'?
