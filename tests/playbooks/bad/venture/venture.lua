-- A venture with mistakes: in its keys, its checks and what it grants.
local proxy = { driver = "haproxy", socket = "/run/proxy.sock", backend = "app", drian_timeout = 15 }

return {
  name = "bad",
  id = 7,
  grants = { commands = { "kubectl" }, hosts = { "loopback", "api.example.test:443" }, write = { "/var/lib/bad" } },
  database = { url = secret "env:NOT_SET_ANYWHERE" },
  releases = { folder = env "NOT_SET_EITHER" },
  bakcup = { to = "/var/lib/bad/backups" },
  environment = { driver = "process", command = { "app" } },
  traffic = proxy,
  canary = { minimum = "5", stages = { 10, 500 } },
  health = {
    { name = "two kinds", sql = "SELECT 1", tcp = "127.0.0.1:1" },
    { name = "no kind" },
  },
}
-- expect 2:82 `drian_timeout` traffic.drian_timeout: unknown key 'drian_timeout'; did you mean 'drain_timeout'?
-- expect 10:3 `bakcup` bakcup: unknown key 'bakcup'; did you mean 'backup'?
-- expect 11:17 `{` environment: 'addresses' is missing
-- expect 13:24 `"5"` canary.minimum: must be a number, but is string
-- expect 13:44 `500` canary.stages[2]: must be from 1 to 100, but is 500
-- expect 15:5 `{` check 'two kinds' has two kinds
-- expect 16:5 `{` check 'no kind' has no kind
