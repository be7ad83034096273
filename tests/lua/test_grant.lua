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

t.case("http, net, sql and traffic only reach what was granted", function()
  local server = t.ok(serve.http { handler = function() return "there" end })
  local port = server.port
  local open = ('{ hosts = { "127.0.0.1:%d" } }'):format(port)
  local chunks = {
    ("return http.get('http://127.0.0.1:%d/')"):format(port), ("return http.get('http://user:pw@127.0.0.1:%d/')"):format(port), ("return net.connect { host = '127.0.0.1', port = %d }"):format(port),
  }
  for _, chunk in ipairs(chunks) do
    t.ok(not inside(open, chunk):find "E0106", chunk)
    t.has(inside('{ hosts = { "example.com" } }', chunk), "E0106")
  end
  server:stop(1)
  local refused = {
    "return http.get('http://127.0.0.1:1@example.org/')", "return http.get('http://example.com\\\\@127.0.0.1/')", "return http.get('http://127.0.0.1/', { max_redirects = 1 })",
    "return http.get('http://example.com/', { unix_socket = '/tmp/x' })", "return sql.open('postgres://u:p@db.internal/x')", "return sql.open('postgres://127.0.0.1,db.internal/x')",
    "return sql.open('postgres://127.0.0.1/x?host=db.internal')", "return sql.open('sqlite:/tmp/not-granted.db')", "return net.connect { path = '/tmp/not-granted.sock' }",
    "return mail.send { server = 'smtp://mail.internal:25', from = 'a@b', to = { 'c@d' }, subject = 's', text = 't' }",
    "return assert(traffic.open { driver = 'haproxy', socket = '/tmp/not-granted.sock', backend = 'b', servers = { blue = { 'x' } } }):get()",
    "return require('core.backup').sqlite_copy('/etc/passwd', '/tmp/copy')",
  }
  for _, chunk in ipairs(refused) do t.has(inside('{ hosts = { "127.0.0.1" } }', chunk), "E0106") end
  t.ok(not inside('{ hosts = { "127.0.0.1" } }', "return sql.open('sqlite::memory:')"):find "E0106")
end)
