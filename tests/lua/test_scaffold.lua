-- What `engine new` makes: the configuration has every key of the schema, the definitions are Lua and have what playbooks can name.

local configuration = require "scaffold.configuration"
local configuration_schema = require "configuration_schema"
local parser = require "check.parser"
local prelude = require "prelude"
local stubs = require "scaffold.stubs"
local t = require "test"

-- Calls fn for each key of the schema with the path to it; the fields of checks are not keys of the configuration.
local function each_key(keys, path, fn)
  for name, key in pairs(keys) do
    fn(path .. name, name, key)
    if key.type == "record" then each_key(key.keys, path .. name .. ".", fn) end
  end
end

t.case("venture.lua has every key, with what the schema says of it", function()
  local text = configuration.text "shop"
  each_key(configuration_schema.venture.keys, "", function(path, name, key)
    t.ok(text:find("%f[%w_]" .. name .. "%f[^%w_]%s*="), path .. " is not in it")
    if key.about and not path:find "^traffic%.servers" and not path:find "%.addresses%." then t.has(text, key.about) end
  end)
end)

t.case("every value that it begins with is one of the schema's keys", function()
  for _, one in ipairs(configuration.values()) do
    local key = t.ok(configuration_schema.venture.keys[one[1]], one[1])
    if key and type(one[2]) == "table" then
      for _, inner in ipairs(one[2]) do t.ok(key.keys[inner[1]], one[1] .. "." .. inner[1]) end
    end
  end
end)

t.case("the names of variables fit the venture's name", function()
  t.has(configuration.text "web-shop", 'secret "env:WEB_SHOP_DATABASE"')
  t.has(configuration.text "web-shop", 'name = "web-shop"')
end)

t.case("the definitions are Lua, and have the words, the modules, run, d and the venture's keys", function()
  local texts = stubs.texts()
  for name, text in pairs(texts) do t.ok(parser.parse(text), name) end
  for _, list in ipairs { prelude.words, prelude.test_words } do
    for word in pairs(list) do t.ok(texts["words.lua"]:find("\nfunction " .. word .. "%("), word) end
  end
  for _, part in ipairs { "function Deployment:check(checks, colour, what)", "function Deployment:shift(share)", "function Run:say(text, kind)", "function Run:record(name, fn)",
    "---@field canary Venture.canary", '---@field driver "haproxy"|"command"', "---@field venture Venture" } do t.has(texts["objects.lua"], part) end
  t.has(texts["library/http.lua"], "function http.get(url, options) end")
  t.has(texts["library/traffic.lua"], "traffic = {}")
end)
