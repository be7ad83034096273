-- Where the values of a configuration come from.

local origin = require "configuration.origin"
local t = require "test"

local function venture(text)
  local folder = expect(files.mkdtemp "/tmp/engine-configuration-")
  expect(files.write(folder .. "/venture.lua", text))
  return folder
end

local function values_of(folder)
  local read, found = expect(origin.open(folder)), {}
  for _, one in ipairs(read:values()) do found[one.key] = one end
  return found, read
end

local TEXT = [[
local function address(port) return env("ENGINE_TEST_HOST", "127.0.0.1") .. port end
local servers = { blue = { "b1" }, green = { "g1" } }
return {
  name = "shop", id = 7,
  database = { url = secret "env:ENGINE_TEST_NOT_READ" },
  environment = {
    command = { "start" },
    addresses = { blue = address ":1", green = env "ENGINE_TEST_UNSET" },
  },
  traffic = { servers = servers, backend = "app" },
  backup = { to = "/b" },
  canary = { rules = { R2 = false } },
}
]]

t.case("lines, variables, secrets and defaults", function()
  local folder = venture(TEXT)
  local found, read = values_of(folder)
  local path = folder .. "/venture.lua:"
  t.eq(found.name.origin, path .. "4")
  t.eq(found.id.value, 7)
  t.eq(tostring(found["database.url"].value), 'secret "env:ENGINE_TEST_NOT_READ"', "it is not read")
  t.eq(found["environment.addresses.blue"].origin, path .. "8, ENGINE_TEST_HOST is not set: the default there", "through a function of the file")
  t.eq(found["environment.addresses.blue"].value, "127.0.0.1:1")
  t.eq(found["environment.addresses.green"].origin, path .. "8, ENGINE_TEST_UNSET IS NOT SET")
  t.eq(read.missing, { ENGINE_TEST_UNSET = true })
  t.eq(found["traffic.servers.green"].origin, path .. "2", "through a local of the file")
  t.eq(found["canary.rules.R2"], { key = "canary.rules.R2", value = false, origin = path .. "12" })
  t.eq(found["canary.rules.L2"], { key = "canary.rules.L2", value = true, origin = "default" })
  t.eq(found["backup.incremental"], { key = "backup.incremental", value = false, origin = "default" })
  t.eq(read.problems, {})
  expect(files.remove_tree(folder))
end)

t.case("what is wrong is told and does not hide the rest", function()
  local folder = venture(TEXT:gsub("backup = { to", "backup = { too"))
  local found, read = values_of(folder)
  t.eq(found["traffic.backend"].value, "app")
  t.has(read.problems[1].text, "unknown key 'too'; did you mean 'to'?")
  expect(files.write(folder .. "/venture.lua", "return {"))
  local none, err = origin.open(folder)
  t.err(none, err, "config")
  t.has(err.message, folder .. "/venture.lua:1: ")
  none, err = origin.open(folder .. "/no")
  t.err(none, err, "not_found")
  t.has(err.next, "--venture DIR")
  expect(files.remove_tree(folder))
end)

local SOUND = [[
return {
  name = "shop", id = 7,
  database = { url = secret "env:PATH" },
  vault = { url = "https://vault.test", token = "t" },
  environment = { command = { "{folder}/start", "{port}" }, addresses = { blue = "127.0.0.1:1", green = "127.0.0.1:2" } },
  rehearsal = { address = "127.0.0.1:3" },
  traffic = { socket = "/run/p", backend = "app", servers = { blue = { "b" }, green = { "g" } }, public = "https://shop.test" },
  metrics = { udp = 5514 },
  backup = { to = "/b" },
  gates = { { name = "approved", sql = "SELECT 1 WHERE a = $1 AND b <> '$9'", params = { "{digest}" } } },
  health = { { name = "up", http = "/health" } },
  flows = { { name = "f", flow = { { http = "/in", save = { token = "t" } }, { http = "/own", headers = { a = "{token} {unique}" } } } } },
  canary = { stages = { 10, 50, 100 }, watch = 300 },
}
]]

-- What load and origin say of the sound one with one thing changed; they say the same.
local function said(from, to)
  local text, count = SOUND, 1
  if from then
    local at, last = SOUND:find(from, 1, true)
    text, count = at and SOUND:sub(1, at - 1) .. to .. SOUND:sub(last + 1), at and 1 or 0
  end
  t.eq(count, 1, from)
  local folder = venture(text)
  local config, err = configuration.load(folder)
  local read, read_err = origin.open(folder)
  local words = config and "" or err.message:gsub(folder:gsub("%p", "%%%0"), "V")
  if config then t.eq(read.problems, {}) elseif read then t.ok(read.problems[1] and words:find(read.problems[1].text, 1, true), from) else t.eq(read_err.message, err.message) end
  expect(files.remove_tree(folder))
  return words
end

t.case("a sound configuration is sound", function() t.eq(said(), "") end)

t.case("what makes no sense is refused, with its line", function()
  local cases = {
    { "https://shop.test", "shop.test", "V/venture.lua:7: traffic.public: 'shop.test' is no http:// or https:// address; did you mean 'http://shop.test'?" },
    { "https://shop.test", "ftp://shop.test", "traffic.public: 'ftp://shop.test' is no http:// or https:// address" },
    { "https://vault.test", "vault.test:8200", "V/venture.lua:4: vault.url: 'vault.test:8200' is no http:// or https:// address" },
    { '"/health"', '"health"', "health[1].http: 'health' is no http:// or https:// address, and does not begin with /" },
    { '"/own"', '"own"', "flows[1].flow[2].http: 'own' is no http:// or https:// address" },
    { "{ 10, 50, 100 }", "{}", "V/venture.lua:13: canary.stages: is empty" },
    { "{ 10, 50, 100 }", "{ 50, 10, 100 }", "canary.stages[2]: must rise, but 10 follows 50" },
    { "{ 10, 50, 100 }", "{ 10, 50 }", "canary.stages: must end with 100, but ends with 50" },
    { "127.0.0.1:2", "127.0.0.1:1", "environment.addresses.green: '127.0.0.1:1' is environment.addresses.blue too" },
    { "127.0.0.1:3", "127.0.0.1:2", "rehearsal.address: '127.0.0.1:2' is environment.addresses.green too" },
    { "127.0.0.1:3", "127.0.0.1", "rehearsal.address: '127.0.0.1' has no port; write host:port" },
    { "127.0.0.1:1", "http://127.0.0.1:1", "environment.addresses.blue: 'http://127.0.0.1:1' must be host:port, without the scheme" },
    { "127.0.0.1:1", "127.0.0.1:70000", "'70000' is no port; give one from 1 to 65535" },
    { "5514", '"99999"', "metrics.udp: '99999' is no port" },
    { "5514", '"5514", path = "/run/log"', "metrics.path: udp is given too" },
    { "5514", "5.5", "metrics.udp: must be a port, but is number" },
    { "{folder}", "{dir}", "environment.command[1]: there is no {dir} to fill in; did you mean {folder}?" },
    { "{folder}", "{database}", "environment.command[1]: {database} needs environment.database" },
    { 'socket = "/run/p", backend = "app"', 'driver = "command", get = { "g" }, set = { "s", "{gren}" }', "traffic.set[2]: there is no {gren} to fill in; did you mean {green}?" },
    { 'socket = "/run/p", backend = "app"', 'driver = "command", get = { "g", "{color}" }, set = { "s" }', "traffic.get[2]: there is no {color} to fill in" },
    { 'socket = "/run/p", backend = "app"', 'driver = "command", get = { "g" }, set = { "s" }, drain = { "d", "{color}" }', "traffic.drain[2]: there is no {color} to fill in; did you mean {colour}?" },
    { "{digest}", "{digst}", "gates[1].params[1]: there is no {digst} to fill in; did you mean {digest}?" },
    { "{token}", "{tokne}", "flows[1].flow[2].headers.a: there is no {tokne} to fill in; did you mean {token}?" },
    { '"/health"', '"/{what}"', "health[1].http: there is no {what} to fill in; known: {colour}" },
    { "b <> '$9'", "b = $2", "gates[1].params: the sql has $1 to $2, but params gives 1" },
    { "$1", "1", "gates[1].params: the sql has no $1, but params gives 1" },
    { "= $1", "= '{release}'", "gates[1].sql: {release} is not filled into SQL; write $1 there" },
    { "env:PATH", "PATH", "V/venture.lua:3: secret \"PATH\" does not say where it is kept; did you mean secret \"env:PATH\"?" },
    { "env:PATH", "evn:PATH", "V/venture.lua:3: secret \"evn:...\": there is no kind of secret evn; did you mean secret \"env:...\"?" },
    { "env:PATH", "env:", "secret \"env:\" names nothing" },
    { '"{digest}" } } }', '"{digest}" } },\n{ name = "b", sql = "SELECT 1", params = { "{digst}" } } }', "V/venture.lua:11: gates[2].params[1]: there is no {digst}" },
    { "watch = 300", "error_rate = 0.005", "canary.target_error_rate: must not be above error_rate, but 0.01 is more than 0.005" },
    { "watch = 300", "max_watch = 60", "canary.max_watch: must not be below watch, but 60 is less than 300" },
    { "watch = 300", 'advance = "evidence", max_bake = 60', "canary.max_bake: must not be below bake, but 60 is less than 900" },
    { "watch = 300", 'watch = "5m"', "canary.watch: must be a number, but is string; write 300, in seconds, or minutes(5)" },
    { "watch = 300", 'error_rate = "5%"', "canary.error_rate: must be a number, but is string; write 0.05, which is 5 %" },
    { "http = \"/health\"", 'url = "/health"', "health[1].url: unknown key 'url'; did you mean 'http'?" },
  }
  for _, case in ipairs(cases) do t.has(said(case[1], case[2]), case[3]) end
end)

t.case("what is meant differently, or not known, is let through", function()
  for _, case in ipairs {
    { "5514", '"5514"' }, { "https://shop.test", "HTTPS://shop.test:8443/x" }, { "watch = 300", "watch = 1200" },
    { "watch = 300", 'advance = "evidence", minimum = 5, bake = 8, max_watch = 120, max_bake = 120' }, { "{digest}", "{1}" },
    { '"https://shop.test"', 'secret "env:PATH"' }, { '"127.0.0.1:3"', '"[::1]:3"' }, { "$1", "?" }, { "{ 10, 50, 100 }", "{ 100 }" },
    { '"/health"', '"/health", method = "POST", body = "{id} {admin}"' },
  } do t.eq(said(case[1], case[2]), "", case[2]) end
end)

t.case("a secret that is written down is not repeated", function()
  t.eq(said("env:PATH", "postgres://shop:hunter22@db/shop"):find("hunter22", 1, true), nil)
  t.has(said("env:PATH", "hunter22"), "secret takes where a secret is kept, not the secret itself")
end)

t.case("a run that is gone through again was let begin", function()
  local folder = venture(SOUND)
  t.eq(expect(configuration.load(folder, { source = SOUND:gsub("{ 10, 50, 100 }", "{ 10, 50 }"), environment = {} })).canary.stages, { 10, 50 })
  expect(files.remove_tree(folder))
end)
