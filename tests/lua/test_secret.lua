local t = require "test"

t.case("a secret shows its label only", function()
  local s = secret.wrap("hunter22", "env:PASSWORD")
  t.eq(tostring(s), "secret(env:PASSWORD)")
  t.eq(("%s"):format(s), "secret(env:PASSWORD)")
  t.eq(getmetatable(s), "secret")
  t.raises(function() return s.bytes end, "index")
  t.raises(function() return #s end, "length")
  t.raises(function() return s:sub(1) end, "index")
  t.raises(function() setmetatable(s, {}) end, "")
  t.raises(function() return s < s end, "compare")
end)

t.case("joining gives a secret, comparing is by value", function()
  local s = secret.wrap("hunter22", "a")
  local header = "Bearer " .. s
  t.ok(secret.is(header) and secret.is(s .. 1) and secret.is(s .. s))
  t.ok(header == secret.wrap("Bearer hunter22", "b"))
  t.ok(s ~= secret.wrap("hunter23", "a"))
  t.ok(s ~= "hunter22")
  t.raises(function() return s .. {} end, "joined with text only")
end)

t.case("known secrets are taken out of text", function()
  secret.wrap("correct horse", "x")
  t.eq(secret.redact "it is correct horse!", "it is *************!")
end)

t.case("env: and file:", function()
  t.ok(secret.is(secret.resolve "env:PATH"))
  local err = t.err(nil, select(2, secret.resolve "env:NO_SUCH_VARIABLE"), "secret")
  t.has(err.message, "export NO_SUCH_VARIABLE")
  local folder = t.ok(files.mkdtemp())
  files.write(folder .. "/token", "tok-123456\n")
  t.ok(secret.resolve("file:" .. folder .. "/token") == secret.wrap("tok-123456", "x"))
  files.write(folder .. "/token", "tok-123456\n", "0644")
  err = t.err(nil, select(2, secret.resolve("file:" .. folder .. "/token")), "secret")
  t.has(err.message, "chmod 600")
  files.remove_tree(folder)
end)

t.case("command:", function()
  local s = t.ok(secret.resolve "command:echo from-a-command")
  t.eq(tostring(s), "secret(command:echo from-a-command)")
  t.ok(s == secret.wrap("from-a-command", "x"))
  t.err(nil, select(2, secret.resolve "command:false"), "secret")
  t.err(nil, select(2, secret.resolve "command:true"), "secret")
  t.err(nil, select(2, secret.resolve "command:no-such-command"), "secret")
  t.err(nil, select(2, secret.resolve "command:"), "secret")
end)

t.case("vault:", function()
  local token = secret.wrap("vault-token-1", "token")
  local vault = t.ok(serve.http { handler = function(request)
    if request.headers["x-vault-token"] ~= "vault-token-1" then return { status = 403, body = "{}" } end
    if request.path == "/v1/secret/data/demo" then
      return serve.json { data = { data = { stripe = "sk_test_123", empty = "", number = 5 }, metadata = { version = 3 } } }
    elseif request.path == "/v1/kv/demo" then
      return serve.json { data = { stripe = "sk_old_1234" } }
    elseif request.path == "/v1/sealed" then
      return { status = 503, body = "{}" }
    elseif request.path == "/v1/text" then
      return "not JSON"
    end
    return { status = 404, body = "{}" }
  end })
  local options = { vault = { url = "http://127.0.0.1:" .. vault.port .. "/", token = token } }
  local s = t.ok(secret.resolve("vault:secret/data/demo#stripe", options))
  t.ok(s == secret.wrap("sk_test_123", "x"))
  t.eq(tostring(s), "secret(vault:secret/data/demo#stripe)")
  t.ok(secret.resolve("vault:kv/demo#stripe", options) == secret.wrap("sk_old_1234", "x"))
  for reference, part in pairs {
    ["vault:secret/data/demo#none"] = "no text under the key", ["vault:secret/data/demo#empty"] = "no text", ["vault:secret/data/demo#number"] = "no text",
    ["vault:secret/data/none#x"] = "nothing there", ["vault:sealed#x"] = "answered 503", ["vault:text#x"] = "no text", ["vault:nokey"] = "is not vault:PATH#KEY",
  } do
    local value, err = secret.resolve(reference, options)
    t.err(value, err, "secret")
    t.has(err.message, reference)
    t.has(err.message, part)
  end
  options.vault.token = secret.wrap("another-token", "x")
  t.has(t.err(nil, select(2, secret.resolve("vault:secret/data/demo#stripe", options)), "secret").message, "refused the token")
  vault:stop(1)
  t.has(t.err(nil, select(2, secret.resolve("vault:secret/data/demo#stripe", options)), "secret").message, "did not answer")
end)

t.case("references that are none", function()
  for _, reference in ipairs { "", "PATH", "env:", "vault:x", "vault:secret/data/demo#key", "file:x" } do
    t.err(nil, select(2, secret.resolve(reference)), "secret")
  end
end)
