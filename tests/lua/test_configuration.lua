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
