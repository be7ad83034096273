-- Grants hold for a whole engine, so each case starts one of its own.
local t = require "test"

local function inside(grants, chunk)
  local r = t.ok(process.run {
    argv = { process.self().exe, "-e", ("require('core.grant').restrict(%s) %s"):format(grants, chunk) }, timeout = 30,
  })
  return r.stdout .. r.stderr
end

t.case("commands", function()
  t.has(inside('{ commands = { "echo" } }', 'return process.run({ argv = { "echo", "yes" } }).stdout'), "yes")
  t.has(inside('{ commands = { "echo" } }', 'return process.run { argv = { "ls" } }'), "capability")
  t.has(inside('{ commands = { "echo" } }', 'return process.run { argv = { "ls" } }'), "grants.commands")
  t.has(inside("{}", 'return process.spawn { argv = { "sleep", "1" } }'), "capability")
  t.has(inside('{ commands = { "echo" } }', 'return process.run { argv = { "/tmp/echo", "yes" } }'), "capability")
end)

t.case("a changed PATH does not change what a granted name means", function()
  local folder = t.ok(files.mkdtemp())
  t.ok(files.write(folder .. "/echo", "#!/bin/sh\necho evil\n", "0755"))
  t.has(inside('{ commands = { "echo" } }', ('return process.run({ argv = { "echo", "good" }, env = { PATH = "%s" } }).stdout'):format(folder)), "good")
  files.remove_tree(folder)
end)

t.case("paths", function()
  local folder = t.ok(files.mkdtemp())
  local grants = ('{ read = { "/usr" }, write = { "%s" } }'):format(folder)
  t.has(inside(grants, ('return files.write("%s/a", "x")'):format(folder)), "true")
  t.has(inside(grants, 'return files.read "/etc/passwd"'), "grants.read")
  t.has(inside(grants, 'return files.write("/usr/x", "x")'), "grants.write")
  t.has(inside(grants, 'return files.stat("/usr").type'), "directory")
  t.has(inside(grants, ('return files.link("%s/l", "/etc"), files.list "%s/l"'):format(folder, folder)), "capability")
  t.has(inside(grants, ('return files.read "%s/../../etc/passwd"'):format(folder)), "capability")
  files.remove_tree(folder)
end)

t.case("grants are set once", function()
  t.has(inside("{}", "require('core.grant').restrict { read = { '/' } }"), "cannot be changed")
  t.has(inside('{ hosts = { "loopback", "example.com:443" } }', [[
    local grant = require "core.grant"
    return grant.restricted(), grant.host("127.0.0.1", 1), grant.host("example.com", 443), grant.host("example.com", 80)]]), "grants.hosts")
end)
